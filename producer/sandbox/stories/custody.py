"""Custody: told of the child and of the custodian, in a record of each, and in three widths."""

from datetime import date, timedelta
from typing import Final

from producer.sandbox.dice import Dice
from producer.sandbox.register import Group, Person, Register, pv, stub
from producer.sandbox.stories.telling import ADULT, HISTORY, Story, Told, ended, marked, named
from producer.sandbox.tables import CUSTODIANS, WARDS, Side

MOST_CUSTODIANS: Final = 2


def custody(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """Of a child: taken from one who has it, or given to one more. The child's record comes first."""
    if person.dead or person.aged(day) >= ADULT:
        return
    custodians = len(person.groups.get("HUOLTAJA", []))
    taken = custodians == MOST_CUSTODIANS or (custodians and dice.chance(0.5))
    yield from (_taken if taken else _given)(person, day, dice, register)


def _given(child: Person, day: date, dice: Dice, register: Register) -> Story:
    """To the mother if the register knows her, else to somebody by order."""
    custodians = named(register, child.groups.get("HUOLTAJA", []), "huoltaja")

    def suits(one: Person) -> bool:
        few = len(one.groups.get("HUOLLETTAVA", [])) < HISTORY
        return few and one.aged(day) >= ADULT and not one.dead and one not in custodians

    mother = next(filter(suits, named(register, child.groups.get("VANHEMPI", []), "vanhempi")), None)
    custodian = mother or register.somebody(dice, suits)
    if custodian is None:
        return
    born = date.fromisoformat(child.one("SYNTYMAPAIVA")["syntymapv"]["arvo"])
    terms: Group = {
        "huoltajanLaji": "LAKISAATEINEN_HUOLTAJA" if mother else "MAARATTY_HUOLTAJA",
        "huoltajanRooli": "AITI" if mother else "MUU_HUOLTAJA",
        "huoltosuhteenAlkupv": pv(day),
        "huoltosuhteenLoppupv": pv(date(born.year + ADULT, born.month, 1) + timedelta(days=born.day - 1)),
        "oikeudet": [],
    }
    yield Told(child, _added(child, CUSTODIANS, {"huoltaja": stub(custodian)}, terms), more=True)
    yield Told(custodian, _added(custodian, WARDS, {"huollettava": stub(child)}, terms))


def _taken(child: Person, day: date, dice: Dice, register: Register) -> Story:
    """It is over, and MUUTETTU with its last day; or it never should have been, and is POISTETTU.

    What the flags say of the latter is not known; nor whether the narrowest kind tells what is left.
    """
    held = child.groups["HUOLTAJA"]
    at = dice.below(len(held))
    custodian = named(register, held, "huoltaja")[at]
    place = named(register, custodian.groups["HUOLLETTAVA"], "huollettava").index(child)
    last = ended(held[at], day, "huoltosuhteenAlkupv") if dice.chance(0.5) else None
    yield Told(child, _removed(child, CUSTODIANS, at, last), more=True)
    yield Told(custodian, _removed(custodian, WARDS, place, last))


def _added(person: Person, side: Side, other: Group, terms: Group) -> list[Group]:
    groups = []
    for kind, (fields, extras) in side.items():
        group = {"tietoryhma": kind, **other, **{field: terms[field] for field in fields}}
        person.groups[kind] = [*person.groups.get(kind, []), group]
        groups.append(marked(group, "LISATTY", **extras))
    return groups


def _removed(person: Person, side: Side, at: int, last: dict[str, str] | None) -> list[Group]:
    """last: the last day; None: there never was one. The three widths stand in the same order."""
    groups = []
    for kind, (_, extras) in side.items():
        held = person.groups[kind]
        person.groups[kind] = rest = held[:at] + held[at + 1 :]
        changes = {**extras, "voimassaolevatTiedot": rest}
        if last and "huoltosuhteenMuutos" in extras:
            changes["huoltosuhteenMuutos"] = True
        group = held[at] | {"huoltosuhteenLoppupv": last} if last else held[at]
        groups.append(marked(group, "MUUTETTU" if last else "POISTETTU", **changes))
    return groups
