"""Change records that upstream should not send, or hardly ever does."""

import random
import secrets
from datetime import date
from typing import Any

from producer.sandbox.hetu import personal_code

MOMENT = "2026-11-20T04:38:04.394Z"
PERSONS = [personal_code(date(1975, 5, 1 + day), number, "-") for day in range(4) for number in range(900, 903)]


def odd_records(dice: random.Random, count: int) -> list[Any]:
    return [record for _ in range(count) for record in dice.choice(KINDS)(dice)]


def oversized(dice: random.Random, size: int) -> Any:
    """A record whose event has somewhat more than so many bytes, which no compression makes fewer."""
    return _change(dice, "KOTIKUNTA", kuntakoodi="091", lisatieto=secrets.token_urlsafe(size)[:size])


def _change(dice: random.Random, group: str, **fields: Any) -> dict[str, Any]:
    return {
        "henkilotunnus": dice.choice(PERSONS),
        "tietoryhmat": [{"tietoryhma": group, "muutosattribuutti": "LISATTY", **fields}],
        "muutospv": MOMENT,
    }


def _nobody(dice: random.Random) -> list[Any]:
    record = _change(dice, "KOTIKUNTA", kuntakoodi=f"{dice.randrange(1000):03d}")
    del record["henkilotunnus"]
    return [record]


def _no_object(dice: random.Random) -> list[Any]:
    return [dice.choice([None, "ei tietue", 17, [], {}])]


def _no_groups(dice: random.Random) -> list[Any]:
    return [_change(dice, "KOTIKUNTA") | {"tietoryhmat": dice.choice([None, [], {"0": 1}, "ei"])}]


def _group_is_no_object(dice: random.Random) -> list[Any]:
    record = _change(dice, "SIVIILISAATY", siviilisaaty="NAIMATON")
    record["tietoryhmat"].insert(dice.randrange(2), dice.choice(["KOTIKUNTA", None, 5]))
    return [record]


def _unknown_group(dice: random.Random) -> list[Any]:
    return [_change(dice, f"UUSI_RYHMA_{dice.randrange(3)}", arvo=dice.randrange(10))]


def _twins(dice: random.Random) -> list[Any]:
    """The very same record, several times: each is a change of its own."""
    return [_change(dice, "KOTIKUNTA", kuntakoodi=f"{dice.randrange(3):03d}")] * dice.randrange(2, 5)


def _correction(dice: random.Random) -> list[Any]:
    old, new, other = dice.sample(PERSONS, 3)
    record = _change(dice, "HENKILOTUNNUS_KORJAUS", voimassaolo="AKTIIVI", aktiivinenHenkilotunnus=new)
    record["tietoryhmat"][0] |= {"muutettuHenkilotunnus": dice.choice([old, other])}
    record["tietoryhmat"].append({"tietoryhma": "KOTIKUNTA", "muutosattribuutti": "MUUTETTU", "kuntakoodi": "091"})
    return [record | {"henkilotunnus": old}]


def _misfit(dice: random.Random) -> list[Any]:
    return [_change(dice, "KOTIKUNTA", kuntakoodi={"ei": "teksti"}, kuntaanMuuttopv="eilen", uusi=[dice.random()])]


KINDS = (
    _nobody, _no_object, _no_groups, _group_is_no_object, _unknown_group, _twins, _twins, _correction, _misfit
)  # fmt: skip
