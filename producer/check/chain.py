"""A chain of links: each is proved when those that it hangs on hold."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from producer.errors import KafkaGone, ProducerError, Stop, UpstreamGone, UpstreamUnavailable
from producer.redaction import redacted

T = TypeVar("T")

PASSES = "It may pass: a running service tries again by itself."


class Skip(Exception):
    """Nothing is to be proved here, or cannot be; the text says why. Links that hang on this one are proved all the
    same.
    """


class Broken(ProducerError):
    """owner: who is to mend it, where that is another than the link's own."""

    def __init__(self, message: str, *, hint: str, exit_code: int, owner: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code
        self.owner = owner


@dataclass(frozen=True, slots=True)
class Link(Generic[T]):
    """owner: who mends it. asks: what to ask of the owner; `T`'s words stand in its braces.

    after: links without which this one is not looked at. prove: returns what was seen, in a few words.
    """

    name: str
    owner: str
    asks: str
    after: Sequence[str]
    prove: Callable[[T], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Found:
    """told: what was seen, what is wrong, or why the link was skipped. exit_code: 0 unless it is broken."""

    link: str
    state: Literal["ok", "broken", "skipped"]
    told: str
    owner: str
    cure: str = ""
    letter: str = ""
    exit_code: int = 0


async def walk(links: Sequence[Link[T]], site: T, words: Callable[[], dict[str, str]]) -> list[Found]:
    """Each link once, in this order. words: for the letters to the owners."""
    found: list[Found] = []
    gone: set[str] = set()
    for link in links:
        lost = [name for name in link.after if name in gone]
        if lost:
            found.append(Found(link.name, "skipped", f"after {lost[0]}", link.owner))
            gone.add(link.name)
            continue
        try:
            found.append(Found(link.name, "ok", await link.prove(site), link.owner))
        except Skip as skip:
            found.append(Found(link.name, "skipped", str(skip), link.owner))
        except ProducerError as error:
            broken = _broken(error)
            told, owner = redacted(str(broken)), broken.owner or link.owner
            letter = f"{link.asks.format_map(words())}\nWhat we see: {told}" if link.asks else ""
            found.append(Found(link.name, "broken", told, owner, broken.hint, letter, broken.exit_code))
            gone.add(link.name)
    return found


def _broken(error: ProducerError) -> Broken:
    """What only waits in a running service is broken here."""
    if isinstance(error, Broken):
        return error
    if isinstance(error, Stop):
        return Broken(str(error), hint=error.hint, exit_code=error.exit_code)
    code = UpstreamGone.exit_code if isinstance(error, UpstreamUnavailable) else KafkaGone.exit_code
    return Broken(str(error), hint=PASSES, exit_code=code)
