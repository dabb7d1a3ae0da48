"""Where somebody lives and is reached."""

from datetime import date
from typing import Final

from producer.sandbox.dice import Dice
from producer.sandbox.register import Group, Home, Person, Register, bilingual, home, pv
from producer.sandbox.stories.telling import HISTORY, Story, Told, ended, marked
from producer.sandbox.tables import KUNTA_CODES, MUNICIPALITIES

ADDRESS: Final = "VAKINAINEN_KOTIMAINEN_OSOITE"
DWELLING: Final = "VAKINAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS"
FORMER_DWELLING: Final = "EDELLINEN_KOTIMAINEN_ASUINPAIKKATUNNUS"
POSTAL: Final = "KOTIMAINEN_POSTIOSOITE"
EMAIL: Final = "SAHKOPOSTIOSOITE"


def _relocate(person: Person, new: Home, day: date) -> list[Group]:
    """Into a new home: inside the municipality, or from one to another."""
    old, old_dwelling = person.one(ADDRESS), person.one(DWELLING)
    left = ended(old, day)
    groups = [marked(new.address, "LISATTY"), marked(old, "MUUTETTU", loppupv=left)]
    left_municipality = person.one("KOTIKUNTA")
    if new.kunta != left_municipality["kuntakoodi"]:
        former = {**left_municipality, "tietoryhma": "EDELLINEN_KOTIKUNTA", "kunnastaPoisMuuttopv": left}
        person.groups["EDELLINEN_KOTIKUNTA"] = [former, *person.groups.get("EDELLINEN_KOTIKUNTA", [])][:HISTORY]
        arrival = {"kuntakoodi": new.kunta, "kuntaanMuuttopv": pv(day)}
        groups += [
            marked(person.put("KOTIKUNTA", **arrival), "LISATTY"),
            marked(former, "MUUTETTU"),
            marked(person.put("VAESTOKIRJANPITOKUNTA", **arrival), "MUUTETTU"),
        ]
    groups += [marked(new.dwelling, "LISATTY"), marked(old_dwelling, "MUUTETTU", loppupv=left)]
    former_dwelling = {**old_dwelling, "tietoryhma": FORMER_DWELLING, "loppupv": left}
    person.groups[FORMER_DWELLING] = [former_dwelling, *person.groups.get(FORMER_DWELLING, [])][:HISTORY]
    person.groups[ADDRESS], person.groups[DWELLING] = [new.address], [new.dwelling]
    return [*groups, marked(former_dwelling, "MUUTETTU")]


def _elsewhere(person: Person, dice: Dice) -> str:
    here = KUNTA_CODES.index(person.one("KOTIKUNTA")["kuntakoodi"])
    return KUNTA_CODES[(here + 1 + dice.below(len(KUNTA_CODES) - 1)) % len(KUNTA_CODES)]


def move(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """The former dwelling id is told as the former municipality is; implementers' records of a move lack it."""
    if person.dead:
        return
    kunta = person.one("KOTIKUNTA")["kuntakoodi"] if dice.chance(0.6) else _elsewhere(person, dice)
    yield Told(person, _relocate(person, home(dice, kunta, day), day))


def cancelled_move(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """A move to another municipality that is taken back: what was before is in force again.

    What implementers have seen of it are the address and the municipalities. That the dwelling ids follow the address,
    and that the municipality of registration is told, is assumed.
    """
    if person.dead:
        return
    before = dict(person.groups)
    old, old_municipality, old_dwelling = person.one(ADDRESS), person.one("KOTIKUNTA"), person.one(DWELLING)
    person.busy = True
    day = yield Told(person, _relocate(person, home(dice, _elsewhere(person, dice), day), day))
    person.busy = False
    new, new_municipality, new_dwelling = person.one(ADDRESS), person.one("KOTIKUNTA"), person.one(DWELLING)
    former, former_dwelling = person.one("EDELLINEN_KOTIKUNTA"), person.one(FORMER_DWELLING)
    for kind in (ADDRESS, DWELLING, FORMER_DWELLING, "KOTIKUNTA", "EDELLINEN_KOTIKUNTA", "VAESTOKIRJANPITOKUNTA"):
        person.groups[kind] = before.get(kind, [])
    left = former["kunnastaPoisMuuttopv"]
    kept = {name: value for name, value in former.items() if name != "kunnastaPoisMuuttopv"}
    groups = [
        marked(new, "POISTETTU", voimassaolevatTiedot=[old]),
        marked(old, "KORJATTAVA", loppupv=left),
        marked(old, "KORJATTU"),
        marked(new_municipality, "POISTETTU", voimassaolevatTiedot=[old_municipality]),
        marked(old_municipality, "LISATIETO"),
        marked(former, "KORJATTAVA"),
        marked(kept, "KORJATTU"),
        marked(person.one("VAESTOKIRJANPITOKUNTA"), "MUUTETTU"),
        marked(new_dwelling, "POISTETTU", voimassaolevatTiedot=[old_dwelling]),
        marked(old_dwelling, "KORJATTAVA", loppupv=left),
        marked(old_dwelling, "KORJATTU"),
        marked(former_dwelling, "POISTETTU", voimassaolevatTiedot=person.groups[FORMER_DWELLING]),
    ]
    yield Told(person, groups)


def email(person: Person, day: date, dice: Dice, register: Register) -> Story:
    if person.dead:
        return
    old = person.groups.get(EMAIL, [])
    address = f"henkilo{person.index}.{dice.below(1_000_000)}@example.fi"
    new = person.put(EMAIL, sahkopostiosoite=address, lajikoodi="MAISTRAATTI", alkupv=pv(day))
    yield Told(person, [marked(new, "LISATTY"), *_given_way(old, day)])


def postal_address(person: Person, day: date, dice: Dice, register: Register) -> Story:
    if person.dead:
        return
    old = person.groups.get(POSTAL, [])
    postal, town, stad = MUNICIPALITIES[dice.pick(KUNTA_CODES)]
    swedish = dice.chance(0.3)
    new = person.put(
        POSTAL,
        postiosoite=bilingual(f"PL {1 + dice.below(999)}", "Poste restante" if swedish else None),
        postinumero=f"{postal}{dice.below(100):02d}1",
        postitoimipaikka=bilingual(town, stad if swedish else None) if dice.chance(0.9) else {},
        alkupv=pv(day),
    )
    yield Told(person, [marked(new, "LISATTY"), *_given_way(old, day)])


def _given_way(old: list[Group], day: date) -> list[Group]:
    return [marked(group, "MUUTETTU", loppupv=ended(group, day)) for group in old]
