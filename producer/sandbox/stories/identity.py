"""Who somebody is: names, languages, citizenship and codes, and the protection of where they live."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from producer.sandbox.dice import Dice
from producer.sandbox.register import Group, Person, Register, pv, withhold
from producer.sandbox.stories.telling import HISTORY, Story, Told, marked
from producer.sandbox.tables import COUNTRIES, LANGUAGES, PROTECTED, SURNAMES

CORRECTION: Final = "HENKILOTUNNUS_KORJAUS"
_RELATIONS: Final = ("AVIOLIITTO", "LAPSI", "VANHEMPI", "HUOLTAJA", "HUOLLETTAVA")


def _renamed(person: Person, what: str, now: Group, before: Group, way: str) -> list[Group]:
    """The history of names, which comes in two widths. what: SUKUNIMI or KUTSUMANIMI."""
    groups = []
    wide = ("NIMENMUUTOS_LAAJA", {"nimenmuutostapa": way})
    history: tuple[tuple[str, Mapping[str, str]], ...] = (("NIMENMUUTOS", {}), wide)
    for kind, extra in history:
        current = {"tietoryhma": kind, "nimilaji": f"NYKYINEN_{what}", **now, **extra}
        former = {"tietoryhma": kind, "nimilaji": f"EDELLINEN_{what}", **before}
        earlier = [entry for entry in person.groups.get(kind, []) if entry["nimilaji"] != f"NYKYINEN_{what}"]
        earlier.sort(key=lambda entry: entry["nimilaji"].startswith("EDELLINEN"))  # what is borne is not cut off
        person.groups[kind] = [current, former, *earlier][:HISTORY]
        groups += [marked(current, "LISATTY"), marked(former, "MUUTETTU")]
    return groups


def name_change(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """A new surname."""
    if person.dead:
        return
    name = person.one("HENKILON_NIMI")
    surname, full = dice.pick([pair for pair in SURNAMES if pair[0] != name["sukunimi"]])
    new = {**name, "sukunimi": surname, "sukunimiUTF8": full, "alkupv": pv(day)}
    person.groups["HENKILON_NIMI"] = [new]
    now = {"nimi": surname, "nimiUTF8": full, "alkupv": pv(day)}
    before = {"nimi": name["sukunimi"], "nimiUTF8": name["sukunimiUTF8"], "loppupv": pv(day)}
    yield Told(person, [marked(new, "MUUTETTU"), *_renamed(person, "SUKUNIMI", now, before, "NIMENMUUTOS_ULKOMAILLA")])


def call_name(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """Another of the first names, or another part of one, is the one that the person goes by."""
    old = person.one("KUTSUMANIMI")
    names = re.split("[ -]", person.one("HENKILON_NIMI")["etunimi"])
    others = [name for name in names if name != old["nimi"]]
    if person.dead or not others:
        return
    name = dice.pick(others)
    now = {"nimi": name, "nimiUTF8": name, "alkupv": pv(day)}
    before = {**{key: old[key] for key in ("nimi", "nimiUTF8", "alkupv")}, "loppupv": pv(day)}
    history = _renamed(person, "KUTSUMANIMI", now, before, "KUTSUMANIMEN_MUUTOS")
    new = person.put("KUTSUMANIMI", nimilaji="NYKYINEN_KUTSUMANIMI", **now)
    former = marked(old, "MUUTETTU", nimilaji="EDELLINEN_KUTSUMANIMI", loppupv=pv(day))
    yield Told(person, [*history, marked(new, "LISATTY"), former])


def mother_tongue(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """A wrong one is removed, and the right one beside it is what is in force."""
    if person.dead:
        return
    old = person.one("AIDINKIELI")
    language = dice.pick([one for one in LANGUAGES if one["kielikoodi"] != old["kielikoodi"]])
    new = person.put("AIDINKIELI", **language, alkupv=pv(day))
    wrong = marked(old, "POISTETTU", loppupv=pv(day), voimassaolevatTiedot=[new])
    yield Told(person, [marked(new, "LISATTY"), wrong])


def citizenship(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """One more. The group holds all of them, and beside them what happened to which."""
    held = person.one("KANSALAISUUS")["henkilonKansalaisuudet"]
    others = [code for code in COUNTRIES if code not in {one["kansalaisuuskoodi"] for one in held}]
    if person.dead or not others:
        return
    gained = {"kansalaisuuskoodi": dice.pick(others), "voimassaolo": "AKTIIVI", "saamispv": pv(day)}
    group = person.put("KANSALAISUUS", henkilonKansalaisuudet=[*held, gained])
    happened: dict[str, list[Group]] = {
        f"{what}Kansalaisuudet": [] for what in ("korjattavat", "korjatut", "poistetut", "lisatyt", "muutetut")
    }
    yield Told(person, [marked(group, "MUUTETTU", **happened | {"lisatytKansalaisuudet": [gained]})])


def code_corrected(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """The record stands under the old code; whatever follows stands under the new one.

    What others' groups say of the person keeps the old code until they are told again.
    """
    old = person.code
    born = pv(register.recode(person))
    active, passive = _corrected(person, old)
    groups = [marked(active, "LISATTY"), marked(passive, "MUUTETTU"), marked(person.one("HENKILON_NIMI"), "LISATIETO")]
    if born != person.one("SYNTYMAPAIVA")["syntymapv"]:
        groups.append(marked(person.put("SYNTYMAPAIVA", syntymapv=born), "MUUTETTU"))
    yield Told(person, groups, code=old)


def merged(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """Two persons turn out to be one: the code of the other becomes a former one of this person.

    The other is somebody without relations, and nothing but the code is taken over. The first record stands under the
    code that remains. That the same is told under the code that goes, for who follows that one alone, is an assumption.
    """

    def suits(one: Person) -> bool:
        return one is not person and not (one.busy or one.protected or one.dead or any(map(one.groups.get, _RELATIONS)))

    other = register.somebody(dice, suits)
    if person.dead or other is None or not register.may_merge():
        return
    # The other leaves the register with the second record: until then perustiedot tells of two.
    active, passive = _corrected(person, other.code, [*person.former_codes, *other.former_codes, other.code])
    groups = [marked(active, "LISATIETO"), marked(passive, "MUUTETTU")]
    yield Told(person, groups, more=True)
    register.merge(person, other)
    yield Told(other, groups)


def _corrected(person: Person, gone: str, former: list[str] | None = None) -> tuple[Group, Group]:
    """The correction in force, and what it says of the code that is no longer."""
    codes = {"aktiivinenHenkilotunnus": person.code, "edellisetHenkilotunnukset": former or list(person.former_codes)}
    active = person.put(CORRECTION, voimassaolo="AKTIIVI", muutettuHenkilotunnus=person.code, **codes)
    return active, {**active, "voimassaolo": "PASSIIVI", "muutettuHenkilotunnus": gone}


def turvakielto(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """Begins, and ends later; other stories go on between.

    A permit that does not include protected data is told what is withheld, and at the end gets the values back. The
    municipality then comes as LISATIETO.
    """
    if person.protected or person.dead:
        return
    limit = {"turvaLoppuPv": pv(day + timedelta(days=730))} if dice.chance(0.3) else {}
    begun = marked(person.put("TURVAKIELTO", turvakieltoAktiivinen=True, **limit), "LISATTY")
    hidden = [withhold(kind, muutosattribuutti="MUUTETTU") for kind in PROTECTED]
    day = yield Told(person, [begun, *(hidden if register.censored else [])])
    del person.groups["TURVAKIELTO"]
    over = {"tietoryhma": "TURVAKIELTO", "turvakieltoAktiivinen": False, "turvaLoppuPv": pv(day)}
    shown = [
        marked(group, "LISATIETO" if group["tietoryhma"] == "KOTIKUNTA" else "MUUTETTU")
        for group in person.ordered()
        if group["tietoryhma"] in PROTECTED
    ]
    yield Told(person, [marked(over, "MUUTETTU"), *(shown if register.censored else [])])
