"""Pages of change records to measure with: synthetic, seeded, well-formed, about 390 bytes of JSON a data group."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from producer.sandbox.dice import Dice
from producer.sandbox.hetu import building_code, identity
from producer.sandbox.tables import FIRST_NAMES, KUNTA_CODES, STREETS, SURNAMES

EXAMPLES: Final = Path(__file__).parents[2] / "schemas" / "examples"
COMMON: Final = (
    "henkilon-nimi",
    "kotikunta",
    "kotimainen-postiosoite",
    "lapsi",
    "perhesuhde",
    "vakinainen-kotimainen-asuinpaikkatunnus",
    "vakinainen-kotimainen-osoite",
    "vanhempi",
)
# What a record's groups are drawn from: eight common groups, or every group of a person, each as often as the others.
# A correction of the code is left out: it multiplies its record, which the straightforward script does not do.
MIXES: Final = {
    "common": COMMON,
    "all": tuple(
        sorted(
            path.stem
            for path in EXAMPLES.glob("*.json")
            if not path.stem.startswith("rakennuksen-") and path.stem != "henkilotunnus-korjaus"
        )
    ),
}
SEED: Final = 7
RECORDS: Final = 1000
PERSONS: Final = 1_000_000
LAST_DAY: Final = date(2026, 11, 1)


def pages(count: int, mix: str = "common", records: int = RECORDS) -> Iterator[list[dict[str, Any]]]:
    """The records of `count` pages, every page of its own content; two or three groups a record."""
    vary = _Variation(Dice(SEED))
    kinds = [json.loads((EXAMPLES / f"{kind}.json").read_text())["tietoryhmat"][0] for kind in MIXES[mix]]
    for page in range(count):
        yield [vary.record(kinds, page * records + at) for at in range(records)]


def groups_of_persons() -> list[bytes]:
    """What perustiedot says of 1,000 persons, twenty groups of each: JSON arrays."""
    vary = _Variation(Dice(SEED))
    kinds = [json.loads((EXAMPLES / f"{kind}.json").read_text())["tietoryhmat"][0] for kind in MIXES["all"][::4]][:20]
    assert len(kinds) == 20
    return [as_json([_now(vary.other(kind)) for kind in kinds]) for _ in range(RECORDS)]


def _now(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in ("muutosattribuutti", "voimassaolevatTiedot")}


def answer(records: bytes, cursor: int, up_to_date: bool) -> list[bytes]:
    """The pieces of an answer of `muutokset`. records: a JSON array."""
    end = b',"ajanTasalla":true}' if up_to_date else b',"ajanTasalla":false}'
    return [b'{"viimeisinKirjausavain":%d,"muutokset":' % cursor, records, end]


class _Variation:
    """The examples of the schemas with other persons, days, names and places in them."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._leaves: dict[str, Any] = {
            "henkilotunnus": lambda: identity(SEED, dice.below(PERSONS))[0],
            "rakennustunnus": lambda: building_code(dice.below(90_000_000)),
            "asuinpaikantunnus": lambda: f"{building_code(dice.below(90_000_000))}1B{dice.below(1000):03d}a",
            "arvo": self._day,
            "kuntakoodi": lambda: dice.pick(KUNTA_CODES),
            "postinumero": lambda: f"{dice.below(100_000):05d}",
            "katunumero": lambda: f"{1 + dice.below(99)}",
            "huoneistonumero": lambda: f"{1 + dice.below(120):03d}",
            "katunimi": lambda: dict(zip(("fi", "sv"), dice.pick(STREETS[:5]), strict=True)),
            "postiosoite": lambda: {"fi": f"PL {dice.below(1000)}", "sv": f"PB {dice.below(1000)}"},
            "muutosattribuutti": partial(dice.pick, ("LISATTY", "MUUTETTU", "POISTETTU")),
        }
        for name, at in (("sukunimi", 0), ("sukunimiUTF8", 1)):
            self._leaves[name] = lambda at=at: dice.pick(SURNAMES)[at]
        for name in ("etunimi", "etunimiUTF8", "etunimet", "etunimetUTF8"):
            self._leaves[name] = lambda: f"{dice.pick(FIRST_NAMES['NAINEN'])} {dice.pick(FIRST_NAMES['MIES'])}"

    def record(self, kinds: list[dict[str, Any]], number: int) -> dict[str, Any]:
        dice = self._dice
        seconds, milliseconds = divmod(number, 1000)
        return {
            "henkilotunnus": identity(SEED, dice.below(PERSONS))[0],
            "tietoryhmat": [self.other(dice.pick(kinds)) for _ in range(2 + dice.below(2))],
            "muutospv": f"2026-11-02T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}."
            f"{milliseconds:03d}Z",
        }

    def other(self, members: dict[str, Any]) -> dict[str, Any]:
        return {name: self._leaf(name, value) for name, value in members.items()}

    def _leaf(self, name: str, value: Any) -> Any:
        """Another value of the same type: one name can be a text in one group and bilingual in another."""
        if name in self._leaves and type(other := self._leaves[name]()) is type(value):
            return other
        return self.other(value) if type(value) is dict else value

    def _day(self) -> str:
        return (LAST_DAY - timedelta(days=self._dice.below(20_000))).isoformat()


def as_json(records: list[dict[str, Any]]) -> bytes:
    return orjson.dumps(records)
