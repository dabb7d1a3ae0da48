"""The register: synthetic persons from a seed, each with the data groups that are in force.

A person is made when first looked at, from the seed and its place alone, so 100,000 of them cost nothing until
they are needed and do not depend on who asked first. Shapes of the groups: VTJ-muutosrajapinta, person groups.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from producer.sandbox.dice import Dice
from producer.sandbox.hetu import building_code, identity, newborn_codes
from producer.sandbox.tables import (
    FIRST_NAMES,
    KUNTA_CODES,
    LANGUAGES,
    MUNICIPALITIES,
    ORDER,
    PROTECTED,
    STREETS,
    SURNAMES,
)

Group = dict[str, Any]

_PLACES: Final = {kind: at for at, kind in enumerate(ORDER)}


@lru_cache(maxsize=50_000)  # dates are shared by persons: most of what a register weighs
def pv(day: date, precision: str = "PAIVA") -> dict[str, str]:
    """A date as the interface writes it; `arvo` is a full date whatever the precision."""
    return {"arvo": day.isoformat(), "tarkkuus": precision}


def bilingual(fi: str | None, sv: str | None) -> dict[str, str]:
    """Either language may be missing, and both: the object is then empty."""
    return {language: text for language, text in (("fi", fi), ("sv", sv)) if text is not None}


class Home(NamedTuple):
    address: Group
    dwelling: Group
    kunta: str

    def __repr__(self) -> str:
        return f"<Home in {self.kunta}>"


def home(dice: Dice, kunta: str, since: date) -> Home:
    """A dwelling nobody really lives in: its address and its dwelling id are two groups."""
    postal, town, stad = MUNICIPALITIES[kunta]
    parts: Group = {"rakennustunnus": building_code(dice.below(90_000_000)), "osoitenumero": 1 + dice.below(3)}
    if dice.chance(0.8):
        parts |= {"huoneistokirjain": dice.pick("ABCDEF"), "huoneistonumero": f"{1 + dice.below(120):03d}"}
        if dice.chance(0.1):
            parts["jakokirjain"] = dice.pick("ab")
    validity = {"kuntakoodi": kunta, "alkupv": pv(since)}
    address = {
        "tietoryhma": "VAKINAINEN_KOTIMAINEN_OSOITE",
        "katunimi": bilingual(*dice.pick(STREETS)),
        "katunumero": f"{1 + dice.below(99)}" if dice.chance(0.9) else "6a-6b",
        **parts,
        "postinumero": f"{postal}{dice.below(100):02d}0",
        "postitoimipaikka": bilingual(town, stad),
        **validity,
    }
    # Sixteen characters; blanks stand for what is missing, the trailing one too.
    place = (
        f"{parts['rakennustunnus']}{parts['osoitenumero']}{parts.get('huoneistokirjain', ' ')}"
        f"{parts.get('huoneistonumero', '   ')}{parts.get('jakokirjain', ' ')}"
    )
    dwelling = {
        "tietoryhma": "VAKINAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS",
        **parts,
        **validity,
        "asuinpaikantunnus": place,
    }
    return Home(address, dwelling, kunta)


class Person:
    """groups: kind → what is in force now, without muutosattribuutti; a group is replaced, never changed in place.

    busy: a story with an open end (a death that will be undone) goes on, so that no other may begin.
    """

    __slots__ = ("busy", "code", "former_codes", "groups", "index")

    def __init__(self, seed: int, index: int, code: str, born: date) -> None:
        dice = Dice(seed, index, 2)
        self.index = index
        self.code = code
        self.former_codes: list[str] = []
        self.busy = False
        gender = dice.pick(("NAINEN", "MIES"))
        first, (surname, full) = dice.pick(FIRST_NAMES[gender]), dice.pick(SURNAMES)
        language = dice.pick(LANGUAGES)
        kunta = dice.pick(KUNTA_CODES)
        since = max(born, date(2025, 12, 1) - timedelta(days=dice.below(9000)))
        lives = home(dice, kunta, since)
        municipality = {"kuntakoodi": kunta, "kuntaanMuuttopv": pv(since)}
        groups: dict[str, list[Group]] = {}
        self.groups = groups
        self.put("AIDINKIELI", **language, alkupv=pv(born))
        self.put("SUKUPUOLI", sukupuoli=gender)
        self.put("HENKILON_NIMI", etunimi=first, sukunimi=surname, etunimiUTF8=first, sukunimiUTF8=full)
        self.put("KANSALAISUUS", henkilonKansalaisuudet=[{"kansalaisuuskoodi": "246", "voimassaolo": "AKTIIVI"}])
        self.put("SYNTYMAKOTIKUNTA", kuntakoodi=dice.pick(KUNTA_CODES))
        self.put("SIVIILISAATY", siviilisaaty="NAIMATON")
        if born.year < 1935 and dice.chance(0.3):  # the day was not always written down
            self.put("SYNTYMAPAIVA", syntymapv=pv(born.replace(day=1), "KUUKAUSI"))
        else:
            self.put("SYNTYMAPAIVA", syntymapv={"tarkkuus": "PAIVA", "arvo": born.isoformat()})
        groups["VAKINAINEN_KOTIMAINEN_OSOITE"] = [lives.address]
        self.put("KOTIKUNTA", **municipality)
        self.put("VUODENVAIHTEEN_KUNTA", kuntakoodi=kunta, vuodenvaihde=2025)
        self.put("VAESTOKIRJANPITOKUNTA", **municipality)
        groups["VAKINAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS"] = [lives.dwelling]
        name = {"nimi": first.split()[0], "nimiUTF8": first.split()[0]}
        self.put("KUTSUMANIMI", nimilaji="NYKYINEN_KUTSUMANIMI", **name, alkupv=pv(born))

    def __repr__(self) -> str:
        return f"<Person {self.index}>"

    def one(self, kind: str) -> Group:
        """The group of a kind that everybody has once."""
        return self.groups[kind][0]

    def put(self, kind: str, **fields: Any) -> Group:
        """Replaces what is in force of a kind, and returns it."""
        group = {"tietoryhma": kind, **fields}
        self.groups[kind] = [group]
        return group

    @property
    def protected(self) -> bool:
        return "TURVAKIELTO" in self.groups

    @property
    def dead(self) -> bool:
        return "KUOLINPAIVA" in self.groups

    def aged(self, day: date) -> int:
        """In whole years."""
        born = date.fromisoformat(self.one("SYNTYMAPAIVA")["syntymapv"]["arvo"])
        return day.year - born.year - ((day.month, day.day) < (born.month, born.day))

    def ordered(self) -> Iterator[Group]:
        for kind in sorted(self.groups, key=place):
            yield from self.groups[kind]


def stub(person: Person) -> Group:
    """A person in short, as others' groups tell of them."""
    name = person.one("HENKILON_NIMI")
    return {
        "henkilotunnus": person.code,
        "etunimet": name["etunimi"],
        "sukunimi": name["sukunimi"],
        "etunimetUTF8": name["etunimiUTF8"],
        "sukunimiUTF8": name["sukunimiUTF8"],
        "syntymapv": person.one("SYNTYMAPAIVA")["syntymapv"],
        "sukupuoli": person.one("SUKUPUOLI")["sukupuoli"],
    }


class Register:
    """censored: the permit does not include protected data. municipalities: it selects who lives there; none: all.

    Everybody is in the register, selected or not: the stories are the same for every permit. size: all there ever were,
    with those born and those merged.
    """

    def __init__(self, seed: int, size: int, *, censored: bool, municipalities: Iterable[str] = ()) -> None:
        self.seed = seed
        self.size = size
        self.censored = censored
        self.municipalities = frozenset(municipalities)
        self.deaths = 0
        self.turns = 0  # of the kinds of further.py
        self._start = size
        self._persons: dict[int, Person] = {}
        self._serials = size  # the next code to give
        self._merged: set[int] = set()
        self._by_code = {identity(seed, index)[0]: index for index in range(size)}

    def __getitem__(self, index: int) -> Person:
        person = self._persons.get(index)
        if person is None:
            person = self._persons[index] = Person(self.seed, index, *identity(self.seed, index))
        return person

    def __iter__(self) -> Iterator[Person]:
        return (self[index] for index in range(self.size) if index not in self._merged)

    def codes(self) -> list[str]:
        """Today's code of every person that the permit selects; nobody is made for it where it selects all."""
        if self.selective:
            return [person.code for person in self if self.selects(person)]
        made, everybody = self._persons, (index for index in range(self.size) if index not in self._merged)
        return [made[index].code if index in made else identity(self.seed, index)[0] for index in everybody]

    @property
    def selective(self) -> bool:
        return bool(self.municipalities)

    def selects(self, person: Person) -> bool:
        """Whether the permit does, as the person lives today."""
        return not self.selective or person.one("KOTIKUNTA")["kuntakoodi"] in self.municipalities

    def somebody(self, dice: Dice, suits: Callable[[Person], bool] = lambda _: True) -> Person | None:
        """The first who suits of some that are drawn."""
        for _ in range(20):
            index = dice.below(self.size)
            if index not in self._merged and suits(self[index]):
                return self[index]
        return None

    def may_grow(self) -> bool:
        """Lest a long log fills the register."""
        return (self.size - self._start + 1) * 5 <= self._start

    def enter(self, born: date) -> Person:
        """A new person, born on a day after the last one of `identity`."""
        code = next(code for code in newborn_codes(born) if code not in self._by_code)
        person = self._persons[self.size] = Person(self.seed, self.size, code, born)
        self._by_code[code] = self.size
        self.size += 1
        return person

    def recode(self, person: Person) -> date:
        """Gives the person a new code; the old ones keep leading to the person. Returns the new date of birth."""
        person.former_codes.append(person.code)
        person.code, born = identity(self.seed, self._serials)
        self._serials += 1
        self._by_code[person.code] = person.index
        return born

    def may_merge(self) -> bool:
        """Lest a long log empties the register."""
        return (len(self._merged) + 1) * 20 <= self.size

    def merge(self, person: Person, other: Person) -> None:
        """The other turns out to be the person: all codes lead there, and the other is nobody any more."""
        codes = [*other.former_codes, other.code]
        person.former_codes += codes
        self._by_code |= dict.fromkeys(codes, person.index)
        self._merged.add(other.index)

    def find(self, codes: Iterable[str]) -> list[Person]:
        """Each person once, in the order asked; unknown codes are left out."""
        found = dict.fromkeys(self._by_code[code] for code in codes if code in self._by_code)
        return [self[index] for index in found]

    def living_in(self, municipalities: Iterable[str]) -> list[Person]:
        asked = set(municipalities)
        return [person for person in self if person.one("KOTIKUNTA")["kuntakoodi"] in asked]

    def tell(self, person: Person, kinds: Sequence[str] | None) -> Group:
        """One element of `perustiedot`: the groups in force, of the kinds asked or of all."""
        groups = list(person.ordered())
        if self.censored and person.protected:
            plain = [group for group in groups if group["tietoryhma"] not in PROTECTED]
            groups = sorted(plain + withheld(), key=lambda group: place(group["tietoryhma"]))
        if kinds is not None:
            groups = [group for group in groups if group["tietoryhma"] in kinds]
        return {"henkilotunnus": person.code, "tietoryhmat": groups}

    def censor(self, person: Person, groups: list[Group]) -> list[Group]:
        """The groups of a change as the permit lets them through."""
        if not (self.censored and person.protected):
            return groups
        return [
            withhold(group["tietoryhma"], muutosattribuutti=group["muutosattribuutti"])
            if group["tietoryhma"] in PROTECTED
            else group
            for group in groups
        ]


def place(kind: str) -> int:
    """Of a kind among the others in an answer; those that have not been seen there stand last."""
    return _PLACES.get(kind, len(_PLACES))


def withhold(kind: str, **fields: Any) -> Group:
    return {"tietoryhma": kind, **fields, "turvakiellonAlaisetKentat": PROTECTED[kind]}


def withheld() -> list[Group]:
    return [withhold(kind) for kind in PROTECTED]
