"""What stories are made of."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from producer.sandbox.dice import Dice
from producer.sandbox.register import Group, Person, Register, pv

ADULT: Final = 18
HISTORY: Final = 6  # most entries of one kind that anybody has been seen to have


@dataclass(frozen=True, slots=True, repr=False)
class Told:
    """What one change record tells, and of whom.

    code: the record stands under it; empty: under the person's code of today. more: the next record of the same
    registration, of another person, follows at once.
    """

    person: Person
    groups: list[Group]
    code: str = ""
    more: bool = False


Story = Generator[Told, date, None]
Teller = Callable[[Person, date, Dice, Register], Story]


def marked(group: Group, attribute: str, **changes: Any) -> Group:
    """A group in force → the same group in a change record."""
    return {"tietoryhma": group["tietoryhma"], "muutosattribuutti": attribute, **group, **changes}


def ended(group: Group, day: date, first: str = "alkupv") -> dict[str, str]:
    """The last day of a group that gave way on a day; never before its first."""
    return pv(max(date.fromisoformat(group[first]["arvo"]), day - timedelta(days=1)))


def newcomer(groups: Iterable[Group]) -> list[Group]:
    """All that is in force, as it is told of one who is new to the customer."""
    return [marked(group, "LISATTY") for group in groups]


def named(register: Register, groups: Iterable[Group], role: str) -> list[Person]:
    """Whom each of the groups is about: its stub may have the code of then."""
    return [register.find([group[role]["henkilotunnus"]])[0] for group in groups]
