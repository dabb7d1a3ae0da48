"""One odd field never sinks its event, and nothing is dropped."""

import json
from typing import Any

import pytest

from producer.events.fit import label, spelled
from tests.unit.events.pages import Converting, kotikunta

DAY = {"arvo": "2026-11-01", "tarkkuus": "PAIVA"}


def huoltaja(**members: Any) -> dict[str, Any]:
    return {"tietoryhma": "HUOLTAJA", "muutosattribuutti": "LISATTY", **members}


@pytest.mark.parametrize(
    ("members", "unmapped"),
    [
        ({"uusi": 1}, {"uusi": "1"}),
        ({"uusi": None}, {"uusi": "null"}),
        ({"huoltaja": {"henkilotunnus": "x", "uusi": [1, 2]}}, {"huoltaja.uusi": "[1,2]"}),
        ({"huoltaja": {"syntymapv": {**DAY, "uusi": "ä"}}}, {"huoltaja.syntymapv.uusi": '"ä"'}),
        ({"huoltaja": {"syntymapv": {"arvo": "2026-02-30"}}}, {"huoltaja.syntymapv.arvo": '"2026-02-30"'}),
        ({"huoltaja": "x"}, {"huoltaja": '"x"'}),
        ({"huoltaja": []}, {"huoltaja": "[]"}),
        ({"oikeudet": [{"oikeus": "A"}, {"oikeus": "B", "uusi": 1}]}, {"oikeudet[1].uusi": "1"}),
        ({"oikeudet": [{"oikeus": 5}]}, {"oikeudet[0].oikeus": "5"}),
        ({"oikeudet": [{"oikeus": "A"}, 5]}, {"oikeudet": '[{"oikeus":"A"},5]'}),
        ({"oikeudet": [None]}, {"oikeudet": "[null]"}),
        ({"oikeudet": {}}, {"oikeudet": "{}"}),
        ({"huoltosuhteenMuutos": "true"}, {"huoltosuhteenMuutos": '"true"'}),
        ({"huoltosuhteenMuutos": 1}, {"huoltosuhteenMuutos": "1"}),
        ({"huoltajanLaji": True}, {"huoltajanLaji": "true"}),
        ({"huoltajanLaji": 1e300}, {"huoltajanLaji": "1e+300"}),
        ({"huoltajanLaji": 10**30}, {"huoltajanLaji": "1" + "0" * 30}),
        ({"huoltajanLaji": "\ud800"}, {"huoltajanLaji": '"\\ud800"'}),
    ],
)
def test_what_does_not_fit_stands_under_its_path(
    convert: Converting, members: dict[str, Any], unmapped: dict[str, str]
) -> None:
    value = convert.group(huoltaja(huoltajanRooli="AITI", **members))
    assert value["data"]["huoltajanRooli"] == "AITI"
    found = value["unmapped"]
    assert {path: json.loads(text) for path, text in found.items()} == {
        path: json.loads(text) for path, text in unmapped.items()
    }
    for path in found:
        assert "." in path or "[" in path or value["data"].get(path) is None


def test_what_fits_beside_it_stays(convert: Converting) -> None:
    value = convert.group(huoltaja(oikeudet=[{"oikeus": "A"}, {"oikeus": "B", "uusi": 1}], huoltosuhteenAlkupv=DAY))
    assert [one["oikeus"] for one in value["data"]["oikeudet"]] == ["A", "B"]
    assert value["data"]["huoltosuhteenAlkupv"]["arvo"].isoformat() == "2026-11-01"


def test_an_explicit_null_is_a_field_left_out(convert: Converting) -> None:
    value = convert.group(kotikunta(kuntaanMuuttopv=None, voimassaolevatTiedot=None, muutosattribuutti=None))
    assert (value["data"]["kuntakoodi"], value["changeType"], value["unmapped"]) == ("091", None, {})


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 1.0, True, "1"])
def test_a_number_that_is_no_int(convert: Converting, number: object) -> None:
    value = convert.group({"tietoryhma": "VAKINAINEN_KOTIMAINEN_OSOITE", "osoitenumero": number, "katunumero": "5-7"})
    assert value["data"]["osoitenumero"] is None
    assert value["data"]["katunumero"] == "5-7"
    assert value["unmapped"] == {"osoitenumero": json.dumps(number)}


def test_names_that_look_like_paths_do_not_collide(convert: Converting) -> None:
    group = huoltaja(**{"huoltaja.uusi": 1, "huoltaja": {"uusi": 2}, "../uusi": 3, "a[0]": 4, "": 5, "\ud800": 6})
    assert convert.group(group)["unmapped"] == {
        '"huoltaja.uusi"': "1",
        "huoltaja.uusi": "2",
        '"../uusi"': "3",
        '"a[0]"': "4",
        '""': "5",
        '"\\ud800"': "6",
    }


def test_empty_objects_and_lists_are_not_absent(convert: Converting) -> None:
    """Upstream sends empty bilingual texts and empty lists."""
    value = convert.group({"tietoryhma": "VAKINAINEN_KOTIMAINEN_OSOITE", "katunimi": {}})
    assert value["data"]["katunimi"] == {"fi": None, "sv": None}
    assert value["data"]["postitoimipaikka"] is None
    assert convert.group(huoltaja(oikeudet=[]))["data"]["oikeudet"] == []
    assert convert.group(huoltaja())["data"]["oikeudet"] is None


@pytest.mark.parametrize("precision", ["PAIVA", "KUUKAUSI", "VUOSI", "UUSI_TARKKUUS", None])
def test_dates_keep_their_precision(convert: Converting, precision: str | None) -> None:
    day = {"arvo": "1965-11-01", **({"tarkkuus": precision} if precision else {})}
    value = convert.group({"tietoryhma": "SYNTYMAPAIVA", "syntymapv": day})
    assert value["data"]["syntymapv"]["tarkkuus"] == precision
    assert value["data"]["syntymapv"]["arvo"].isoformat() == "1965-11-01"
    assert value["unmapped"] == {}


@pytest.mark.parametrize(
    ("path", "counted"),
    [
        ("huoltaja.uusiKentta", "huoltaja.uusiKentta"),
        ("oikeudet[3].kielikoodiISO6392", "oikeudet[].kielikoodiISO6392"),
        ("../" + spelled("140385-917Y"), "../?"),
        ("../" + spelled("hetu140385-917Y"), "../?"),
        ("../../" + spelled("Kallioniemi, Hillevi"), "../../?"),
    ],
)
def test_a_name_that_could_be_content_is_counted_without_it(path: str, counted: str) -> None:
    assert label(path) == counted
