"""Births, marriages and deaths: most are told of two persons, in a record of each."""

from datetime import date, timedelta
from typing import Final

from producer.sandbox.dice import Dice
from producer.sandbox.register import Group, Person, Register, pv, stub
from producer.sandbox.stories.home import ADDRESS, DWELLING
from producer.sandbox.stories.telling import ADULT, HISTORY, Story, Told, marked, named, newcomer

MOST_CHILDREN: Final = 3


def birth(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """A child enters the register, new to every customer: all its groups are LISATTY. Then the mother's record.

    Custody is a story of its own. A mother under turvakielto would have to be given a child with one.
    """
    mother = person
    fertile = mother.one("SUKUPUOLI")["sukupuoli"] == "NAINEN" and ADULT <= mother.aged(day) < 45
    more = register.may_grow() and len(mother.groups.get("LAPSI", [])) < MOST_CHILDREN
    if mother.dead or mother.protected or not fertile or not more:
        return
    born = day - timedelta(days=dice.below(3))
    child = register.enter(born)
    kunta = mother.one("KOTIKUNTA")["kuntakoodi"]
    for kind in (ADDRESS, DWELLING):
        child.groups[kind] = [{**mother.one(kind), "alkupv": pv(born)}]
    for kind in ("KOTIKUNTA", "VAESTOKIRJANPITOKUNTA"):
        child.put(kind, kuntakoodi=kunta, kuntaanMuuttopv=pv(born))
    child.put("SYNTYMAKOTIKUNTA", kuntakoodi=kunta)
    del child.groups["VUODENVAIHTEEN_KUNTA"]  # not yet born
    child.put("AIDINKIELI", **{**mother.one("AIDINKIELI"), "alkupv": pv(born)})
    surname = {key: mother.one("HENKILON_NIMI")[key] for key in ("sukunimi", "sukunimiUTF8")}
    child.put("HENKILON_NIMI", **{**child.one("HENKILON_NIMI"), **surname})
    title = {"vanhemmuusnimike": "AITI"}
    whole = {"isaAiti": "AITI", **title, "lapsilaatu": "AVIOLAPSI" if _marriage(mother) else "AU_LAPSI"}
    child.put("VANHEMPI", vanhempi=stub(mother), **whole)
    child.put("VANHEMPI_SUPPEA", vanhempi=stub(mother), **title)
    yield Told(child, newcomer(child.ordered()), more=True)
    groups = []
    for kind, fields in (("LAPSI", whole), ("LAPSI_SUPPEA", title)):
        group = {"tietoryhma": kind, "lapsi": stub(child), **fields}
        mother.groups[kind] = [*mother.groups.get(kind, []), group]
        groups.append(marked(group, "LISATTY"))
    yield Told(mother, groups)


def marriage(person: Person, day: date, dice: Dice, register: Register) -> Story:
    def free(one: Person) -> bool:
        return one.aged(day) >= ADULT and not one.dead and _marriage(one) is None

    if not free(person):
        return
    other = register.somebody(dice, lambda one: one is not person and free(one))
    if other is None:
        return
    wedding = {"vihkipv": pv(day), "vihkitapa": dice.pick(("KIRKOLLINEN_VIHKIMINEN", "SIVIILIVIHKIMINEN"))}
    yield Told(person, _married(person, other, wedding), more=True)
    yield Told(other, _married(other, person, wedding))


def divorce(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """When and how a marriage ended is left out: what those fields are called nobody has seen."""
    other = _spouse(person, register)
    if person.dead or other is None or other.dead:
        return
    yield Told(person, _parted(person, "ERONNUT"), more=True)
    yield Told(other, _parted(other, "ERONNUT"))


def death(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """Two in five are undone, if nobody is widowed. The others only while few are dead, lest a long log empties the
    register. A marriage ends with it, also for the one who is left."""
    undone = dice.chance(0.4)
    widowed = _spouse(person, register)
    if person.dead or (widowed is not None if undone else (register.deaths + 1) * 20 > register.size):
        return
    when = day - timedelta(days=dice.below(20))
    exact = dice.chance(0.9)
    day_of_death = pv(when) if exact else pv(when.replace(day=1), "KUUKAUSI")
    died = person.put("KUOLINPAIVA", kuollut=True, kuolinpv=day_of_death)
    if not undone:
        groups = [died]
        if register.deaths % 8 == 0:  # nobody was found
            groups.append(person.put("KUOLLEEKSIJULISTAMISPAIVA", kuollut=True, kuolleeksijulistamispv=pv(day)))
        register.deaths += 1
        told = [marked(group, "LISATTY") for group in groups]
        if widowed is None:
            yield Told(person, told)
            return
        yield Told(person, [*told, _end_of_marriage(person)], more=True)
        yield Told(widowed, _parted(widowed, "LESKI"))
        return
    person.busy = True
    yield Told(person, [marked(died, "LISATTY")])
    person.busy = False
    del person.groups["KUOLINPAIVA"]
    alive = {"tietoryhma": "KUOLINPAIVA", "muutosattribuutti": "KORJATTU", "kuollut": False}
    yield Told(person, [marked(died, "KORJATTAVA"), alive])


def _marriage(person: Person) -> Group | None:
    """The one in force."""
    return next((one for one in person.groups.get("AVIOLIITTO", []) if one["voimassaolo"] == "AKTIIVI"), None)


def _spouse(person: Person, register: Register) -> Person | None:
    group = _marriage(person)
    return named(register, [group], "puoliso")[0] if group else None


def _married(person: Person, other: Person, wedding: Group) -> list[Group]:
    earlier = person.groups.get("AVIOLIITTO", [])  # the newest first
    number = 1 + earlier[0]["jarjestysnumero"] if earlier else 1
    marriage = {"puoliso": stub(other), "voimassaolo": "AKTIIVI", **wedding, "jarjestysnumero": number}
    new = {"tietoryhma": "AVIOLIITTO", **marriage}
    person.groups["AVIOLIITTO"] = [new, *earlier][:HISTORY]
    return [marked(person.put("SIVIILISAATY", siviilisaaty="AVIOLIITOSSA"), "MUUTETTU"), marked(new, "LISATTY")]


def _parted(person: Person, status: str) -> list[Group]:
    return [marked(person.put("SIVIILISAATY", siviilisaaty=status), "MUUTETTU"), _end_of_marriage(person)]


def _end_of_marriage(person: Person) -> Group:
    """The newest one: it stays, as one that is over."""
    last, *earlier = person.groups["AVIOLIITTO"]
    over = {**last, "voimassaolo": "PASSIIVI"}
    person.groups["AVIOLIITTO"] = [over, *earlier]
    return marked(over, "MUUTETTU")
