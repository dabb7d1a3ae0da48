"""What happens to persons: each story is a generator that yields the groups of one change record after another.

A story is told the person, the day of registration, dice and the register. It changes the person's groups in force,
yields the record's groups, and gets back the day of its next record when its time has come. One that does not suit
the person returns without a record. To add a story, write the generator and give it a weight in `STORIES`.

The groups, their attributes and their order follow what implementers have seen of VTJ-muutosrajapinta (move,
cancelled move, name change, death undone, turvakielto, corrected code).
"""

from collections.abc import Callable, Generator
from datetime import date, timedelta
from typing import Any, Final

from producer.sandbox import further
from producer.sandbox.dice import Dice
from producer.sandbox.register import Group, Home, Person, Register, bilingual, home, pv, withhold
from producer.sandbox.tables import KUNTA_CODES, MUNICIPALITIES, PROTECTED, SURNAMES

Story = Generator[list[Group], date, None]
Teller = Callable[[Person, date, Dice, Register], Story]

ADDRESS: Final = "VAKINAINEN_KOTIMAINEN_OSOITE"
DWELLING: Final = "VAKINAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS"
FORMER_DWELLING: Final = "EDELLINEN_KOTIMAINEN_ASUINPAIKKATUNNUS"
POSTAL: Final = "KOTIMAINEN_POSTIOSOITE"
EMAIL: Final = "SAHKOPOSTIOSOITE"
HISTORY: Final = 6  # most entries of one kind that anybody has been seen to have


def marked(group: Group, attribute: str, **changes: Any) -> Group:
    """A group in force → the same group in a change record."""
    return {"tietoryhma": group["tietoryhma"], "muutosattribuutti": attribute, **group, **changes}


def ended(group: Group, day: date) -> dict[str, str]:
    """The last day of a group that gave way on a day; never before its first."""
    first = date.fromisoformat(group["alkupv"]["arvo"])
    return pv(max(first, day - timedelta(days=1)))


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
    return groups


def _elsewhere(person: Person, dice: Dice) -> str:
    here = KUNTA_CODES.index(person.one("KOTIKUNTA")["kuntakoodi"])
    return KUNTA_CODES[(here + 1 + dice.below(len(KUNTA_CODES) - 1)) % len(KUNTA_CODES)]


def move(person: Person, day: date, dice: Dice, register: Register) -> Story:
    if person.dead:
        return
    kunta = person.one("KOTIKUNTA")["kuntakoodi"] if dice.chance(0.6) else _elsewhere(person, dice)
    yield _relocate(person, home(dice, kunta, day), day)


def cancelled_move(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """A move to another municipality that is taken back: what was before is in force again."""
    if person.dead:
        return
    before = dict(person.groups)
    old, old_municipality = person.one(ADDRESS), person.one("KOTIKUNTA")
    person.busy = True
    day = yield _relocate(person, home(dice, _elsewhere(person, dice), day), day)
    person.busy = False
    new, new_municipality, former = person.one(ADDRESS), person.one("KOTIKUNTA"), person.one("EDELLINEN_KOTIKUNTA")
    for kind in (ADDRESS, DWELLING, FORMER_DWELLING, "KOTIKUNTA", "EDELLINEN_KOTIKUNTA", "VAESTOKIRJANPITOKUNTA"):
        person.groups[kind] = before.get(kind, [])
    kept = {name: value for name, value in former.items() if name != "kunnastaPoisMuuttopv"}
    yield [
        marked(new, "POISTETTU", voimassaolevatTiedot=[old]),
        marked(old, "KORJATTAVA", loppupv=former["kunnastaPoisMuuttopv"]),
        marked(old, "KORJATTU"),
        marked(new_municipality, "POISTETTU", voimassaolevatTiedot=[old_municipality]),
        marked(old_municipality, "LISATIETO"),
        marked(former, "KORJATTAVA"),
        marked(kept, "KORJATTU"),
    ]


def name_change(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """A new surname. The history of names comes in two widths."""
    if person.dead:
        return
    name = person.one("HENKILON_NIMI")
    surname, full = dice.pick([pair for pair in SURNAMES if pair[0] != name["sukunimi"]])
    new = {**name, "sukunimi": surname, "sukunimiUTF8": full, "alkupv": pv(day)}
    person.groups["HENKILON_NIMI"] = [new]
    groups = [marked(new, "MUUTETTU")]
    for kind, way in (("NIMENMUUTOS", {}), ("NIMENMUUTOS_LAAJA", {"nimenmuutostapa": "NIMENMUUTOS_ULKOMAILLA"})):
        current: Group = {"tietoryhma": kind, "nimilaji": "NYKYINEN_SUKUNIMI", "nimi": surname, "nimiUTF8": full}
        current |= {"alkupv": pv(day), **way}
        former: Group = {"tietoryhma": kind, "nimilaji": "EDELLINEN_SUKUNIMI", "nimi": name["sukunimi"]}
        former |= {"nimiUTF8": name["sukunimiUTF8"], "loppupv": pv(day)}
        earlier = [entry for entry in person.groups.get(kind, []) if entry["nimilaji"] != "NYKYINEN_SUKUNIMI"]
        person.groups[kind] = [current, former, *earlier][:HISTORY]
        groups += [marked(current, "LISATTY"), marked(former, "MUUTETTU")]
    yield groups


def death(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """Two in five are undone. The others only while few are dead, lest a long log empties the register."""
    undone = dice.chance(0.4)
    if person.dead or not (undone or (register.deaths + 1) * 20 <= register.size):
        return
    when = day - timedelta(days=dice.below(20))
    exact = dice.chance(0.9)
    day_of_death = pv(when) if exact else pv(when.replace(day=1), "KUUKAUSI")
    died = person.put("KUOLINPAIVA", kuollut=True, kuolinpv=day_of_death)
    if not undone:
        declared = []
        if register.deaths % 8 == 0:  # nobody was found
            declared = [person.put("KUOLLEEKSIJULISTAMISPAIVA", kuollut=True, kuolleeksijulistamispv=pv(day))]
        register.deaths += 1
        yield [marked(group, "LISATTY") for group in (died, *declared)]
        return
    person.busy = True
    yield [marked(died, "LISATTY")]
    person.busy = False
    del person.groups["KUOLINPAIVA"]
    alive = {"tietoryhma": "KUOLINPAIVA", "muutosattribuutti": "KORJATTU", "kuollut": False}
    yield [marked(died, "KORJATTAVA"), alive]


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
    day = yield [begun, *(hidden if register.censored else [])]
    del person.groups["TURVAKIELTO"]
    over = {"tietoryhma": "TURVAKIELTO", "turvakieltoAktiivinen": False, "turvaLoppuPv": pv(day)}
    shown = [
        marked(group, "LISATIETO" if group["tietoryhma"] == "KOTIKUNTA" else "MUUTETTU")
        for group in person.ordered()
        if group["tietoryhma"] in PROTECTED
    ]
    yield [marked(over, "MUUTETTU"), *(shown if register.censored else [])]


def code_corrected(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """The record stands under the old code; whatever follows stands under the new one."""
    born = register.recode(person)
    codes = {"aktiivinenHenkilotunnus": person.code, "edellisetHenkilotunnukset": list(person.former_codes)}
    active = person.put("HENKILOTUNNUS_KORJAUS", voimassaolo="AKTIIVI", muutettuHenkilotunnus=person.code, **codes)
    passive = {**active, "voimassaolo": "PASSIIVI", "muutettuHenkilotunnus": person.former_codes[-1]}
    yield [
        marked(active, "LISATTY"),
        marked(passive, "MUUTETTU"),
        marked(person.one("HENKILON_NIMI"), "LISATIETO"),
        marked(person.put("SYNTYMAPAIVA", syntymapv=pv(born)), "MUUTETTU"),
    ]


def email(person: Person, day: date, dice: Dice, register: Register) -> Story:
    if person.dead:
        return
    old = person.groups.get(EMAIL, [])
    address = f"henkilo{person.index}.{dice.below(1000)}@example.fi"
    new = person.put(EMAIL, sahkopostiosoite=address, lajikoodi="MAISTRAATTI", alkupv=pv(day))
    yield [marked(new, "LISATTY"), *(marked(group, "MUUTETTU", loppupv=ended(group, day)) for group in old)]


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
    yield [marked(new, "LISATTY"), *(marked(group, "MUUTETTU", loppupv=ended(group, day)) for group in old)]


def marital_status(person: Person, day: date, dice: Dice, register: Register) -> Story:
    if person.dead:
        return
    following = {"NAIMATON": "AVIOLIITOSSA", "AVIOLIITOSSA": dice.pick(("ERONNUT", "LESKI"))}
    now = following.get(person.one("SIVIILISAATY")["siviilisaaty"], "AVIOLIITOSSA")
    yield [marked(person.put("SIVIILISAATY", siviilisaaty=now), "MUUTETTU")]


def further_groups(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """Two or three of the kinds that no other story tells of, in their turn; what the person has is told once more."""
    if person.dead:
        return
    groups = []
    for _ in range(2 + dice.below(2)):
        kind = further.kinds()[register.turns % len(further.kinds())]
        register.turns += 1
        if person.groups.get(kind.tietoryhma):
            groups.append(marked(person.one(kind.tietoryhma), "LISATIETO"))
        else:
            # Dice of its own: a field or code that is added to the data changes this kind of group alone.
            own = Dice(register.seed, 4, register.turns)
            other = register[(person.index + 1 + own.below(register.size)) % register.size]
            person.groups[kind.tietoryhma] = [further.made(kind, day, own, other)]
            groups.append(marked(person.one(kind.tietoryhma), "LISATTY"))
    yield groups


def unknown_group(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """A group that no interface description knows; such appear without notice. Suits everybody."""
    group = person.put(
        "HIEKKALAATIKON_UUSI_RYHMA",
        uusiTieto=dice.pick(("yksi", "kaksi", "kolme")),
        luku=dice.below(2**31),
        sisakkainen={"alkupv": pv(day), "lista": [dice.below(10), None, True, 0.5]},
    )
    yield [marked(group, "LISATTY")]


def unknown_field(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """A known group with a field that nobody announced. Suits everybody."""
    status = person.one("SIVIILISAATY")["siviilisaaty"]
    yield [marked(person.put("SIVIILISAATY", siviilisaaty=status, uusiKentta={"arvo": dice.below(100)}), "MUUTETTU")]


# Weights are picked so that a record has about 2.5 groups.
STORIES: Final[tuple[tuple[int, Teller], ...]] = (
    (25, email), (21, marital_status), (12, postal_address), (15, move), (2, cancelled_move), (8, name_change),
    (4, death), (4, turvakielto), (3, code_corrected), (3, unknown_group), (3, unknown_field), (5, further_groups),
)  # fmt: skip
