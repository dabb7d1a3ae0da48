"""What events are made of a page: the rules of docs/architecture.md, one a test."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.unit.events.pages import CHANGED, FETCHED, ME, OLD, OTHER, PRT, Converting, building, kotikunta, page, record

KORJAUS = "HENKILOTUNNUS_KORJAUS"


def test_the_envelope(convert: Converting) -> None:
    encoded = convert(record(kotikunta(), {"tietoryhma": "SUKUPUOLI", "sukupuoli": "NAINEN"}))
    first, second = map(convert.value, encoded.events)
    record_id, event_id = first.pop("recordId"), first.pop("eventId")
    assert isinstance(record_id, UUID)
    assert isinstance(event_id, UUID)
    assert first == {
        "feed": "vtj",
        "bucket": "0",
        "cursor": 2**62,
        "fetchedAt": datetime.fromtimestamp(FETCHED / 1000, UTC),
        "kind": "CHANGE",
        "recordSize": 2,
        "personId": ME,
        "changedAt": datetime.fromisoformat(CHANGED),
        "position": 0,
        "group": "KOTIKUNTA",
        "changeType": "LISATTY",
        "data": {"kuntakoodi": "091", "kuntaanMuuttopv": None, "kuntaanMuuttoPv": None},
        "inForce": None,
        "withheldFields": None,
        "unmapped": {},
    }
    assert second["recordId"] == record_id
    assert second["eventId"] != event_id
    assert (second["position"], second["changeType"]) == (1, None)


def test_key_topic_time_and_headers(convert: Converting) -> None:
    [event] = convert(record(kotikunta())).events
    assert (event.topic, event.key, event.timestamp) == ("vtj.change.kotikunta", ME.encode(), FETCHED)
    assert dict(event.headers) == {
        "ce_id": str(convert.value(event)["eventId"]).encode(),
        "ce_source": b"urn:vtj:feed:vtj",
        "ce_type": b"fi.vtj.change.kotikunta",
        "ce_specversion": b"1.0",
        "ce_time": CHANGED.encode(),
        "content-type": b"application/avro",
    }
    assert event.headers[0][0] == "ce_id"


def test_the_pages_facts(convert: Converting) -> None:
    encoded = convert(record(kotikunta()), 5, record(kotikunta(uusi=1)))
    assert (encoded.bucket, encoded.previous, encoded.cursor, encoded.up_to_date) == ("0", 17, 2**62, True)
    assert (encoded.fetched_at, encoded.records, len(encoded.events)) == (FETCHED, 3, 3)
    assert encoded.unmapped == {"KOTIKUNTA.uusi": 1}
    assert encoded.dead == {"record-not-object": 1}


def test_an_empty_page(convert: Converting) -> None:
    encoded = convert(extra={"uusi": 1})
    assert (encoded.events, encoded.records, encoded.unmapped) == ([], 0, {"../../uusi": 1})


def test_slices_give_the_loop_back_and_end_with_the_page(convert: Converting) -> None:
    whole = page(*[record(kotikunta())] * 7)
    slices = convert.converter.slices(whole, 3)
    assert [next(slices), next(slices)] == [None, None]
    with pytest.raises(StopIteration) as end:
        next(slices)
    assert [event.value for event in end.value.value.events] == [
        e.value for e in convert.converter.convert(whole).events
    ]


@pytest.mark.parametrize("word", ["LISATIETO", "LISATTY", "MUUTETTU", "POISTETTU", "KORJATTAVA", "KORJATTU"])
def test_the_six_kinds_of_change(convert: Converting, word: str) -> None:
    value = convert.group(kotikunta(muutosattribuutti=word))
    assert (value["changeType"], value["unmapped"]) == (word, {})


@pytest.mark.parametrize("word", ["MUUTTUNUT", "lisatty", "", 5, ["LISATTY"]])
def test_a_new_kind_of_change_keeps_its_word(convert: Converting, word: object) -> None:
    value = convert.group(kotikunta(muutosattribuutti=word))
    assert value["changeType"] == "TUNTEMATON"
    assert value["unmapped"] == {"muutosattribuutti": json.dumps(word, separators=(",", ":"))}
    assert value["data"]["kuntakoodi"] == "091"


def test_a_snapshot_has_no_kind_of_change(convert: Converting) -> None:
    value = convert.group(kotikunta(), kind="SNAPSHOT")
    assert (value["kind"], value["changeType"]) == ("SNAPSHOT", None)
    assert value["unmapped"] == {"muutosattribuutti": '"LISATTY"'}


def test_in_force(convert: Converting) -> None:
    valid = [{"tietoryhma": "KOTIKUNTA", "kuntakoodi": "837"}, {"kuntakoodi": "049"}]
    value = convert.group(kotikunta(muutosattribuutti="POISTETTU", voimassaolevatTiedot=valid))
    assert [item["kuntakoodi"] for item in value["inForce"]] == ["837", "049"]
    assert value["unmapped"] == {}
    assert convert.group(kotikunta(voimassaolevatTiedot=[]))["inForce"] == []
    assert convert.group(kotikunta())["inForce"] is None


def test_what_does_not_fit_in_in_force(convert: Converting) -> None:
    valid = [{"tietoryhma": "KOTIKUNTA"}, {"tietoryhma": "SUKUPUOLI", "kuntakoodi": 5, "uusi": [1]}]
    value = convert.group(kotikunta(voimassaolevatTiedot=valid))
    assert len(value["inForce"]) == 2
    assert value["unmapped"] == {
        "voimassaolevatTiedot[1].tietoryhma": '"SUKUPUOLI"',
        "voimassaolevatTiedot[1].kuntakoodi": "5",
        "voimassaolevatTiedot[1].uusi": "[1]",
    }
    odd_ones: list[Any] = ["x", [5], {}]
    for odd in odd_ones:
        value = convert.group(kotikunta(voimassaolevatTiedot=odd))
        assert value["inForce"] is None
        assert json.loads(value["unmapped"]["voimassaolevatTiedot"]) == odd


def test_withheld(convert: Converting) -> None:
    """Withheld, absent and not permitted are three different things."""
    group = {"tietoryhma": "KOTIKUNTA", "muutosattribuutti": "MUUTETTU"}
    value = convert.group({**group, "turvakiellonAlaisetKentat": ["kuntakoodi"]})
    assert (value["data"], value["withheldFields"]) == (None, ["kuntakoodi"])
    value = convert.group({**group, "turvakiellonAlaisetKentat": []})
    assert (value["data"], value["withheldFields"]) == (None, [])
    value = convert.group(group)
    assert (value["data"]["kuntakoodi"], value["withheldFields"]) == (None, None)
    value = convert.group({**kotikunta(), "turvakiellonAlaisetKentat": ["kuntaanMuuttopv"]})
    assert (value["data"]["kuntakoodi"], value["withheldFields"]) == ("091", ["kuntaanMuuttopv"])
    value = convert.group({**group, "turvakiellonAlaisetKentat": ["kuntakoodi"], "uusi": 1})
    assert value["data"] == {"kuntakoodi": None, "kuntaanMuuttopv": None, "kuntaanMuuttoPv": None}
    value = convert.group({**group, "turvakiellonAlaisetKentat": [5]})
    assert (value["withheldFields"], value["unmapped"]) == (None, {"turvakiellonAlaisetKentat": "[5]"})
    assert value["data"] is not None


def test_an_unknown_group_is_kept_whole(convert: Converting) -> None:
    encoded = convert(record({"tietoryhma": "JOKU_MUU", "muutosattribuutti": "LISATTY", "a": {"b": [1.50]}, "c": None}))
    [event] = encoded.events
    value = convert.value(event)
    assert (event.topic, value["group"], value["changeType"]) == ("vtj.change.unmapped", "JOKU_MUU", "LISATTY")
    assert value["data"] == {}
    assert value["unmapped"] == {"a": '{"b":[1.5]}', "c": "null"}
    assert dict(event.headers)["ce_type"] == b"fi.vtj.change.unmapped"
    assert encoded.unmapped == {"JOKU_MUU": 1}


def test_an_unknown_group_keeps_what_is_in_force_and_withheld(convert: Converting) -> None:
    group = {"tietoryhma": "JOKU_MUU", "voimassaolevatTiedot": [{"tietoryhma": "JOKU_MUU", "a": 1}]}
    value = convert.group(group)
    assert (value["inForce"], value["unmapped"]) == ([{}], {"voimassaolevatTiedot[0].a": "1"})
    value = convert.group({"tietoryhma": "JOKU_MUU", "turvakiellonAlaisetKentat": ["a"]})
    assert (value["data"], value["withheldFields"]) == (None, ["a"])


@pytest.mark.parametrize("name", [5, None, "", ["KOTIKUNTA"], {}, "\ud800"])
def test_a_group_without_a_usable_name(convert: Converting, name: object) -> None:
    value = convert.group({"tietoryhma": name, "kuntakoodi": "091"})
    assert (value["group"], value["data"]) == ("", {})
    assert value["unmapped"].pop("kuntakoodi") == '"091"'
    assert [json.loads(text) for text in value["unmapped"].values()] == ([] if name is None else [name])
    assert convert.group({"kuntakoodi": "091"})["group"] == ""


def test_members_above_go_with_every_event(convert: Converting) -> None:
    encoded = convert(record(kotikunta(), kotikunta(uusi=1), uusi={"a": 1}), extra={"poimintapv": "2026-11-01"})
    first, second = map(convert.value, encoded.events)
    assert first["unmapped"] == {"../uusi": '{"a":1}', "../../poimintapv": '"2026-11-01"'}
    assert second["unmapped"] == {"uusi": "1", **first["unmapped"]}
    assert encoded.unmapped == {"../uusi": 1, "KOTIKUNTA.uusi": 1}


@pytest.mark.parametrize("time", ["2.11.2026", "2026-11-02", "2026-11-02T07:15:04", "2026-13-02T07:15:04Z", 5, {}])
def test_a_time_that_cannot_be_read(convert: Converting, time: object) -> None:
    encoded = convert(record(kotikunta(), muutospv=time))
    value = convert.value(encoded.events[0])
    assert value["changedAt"] is None
    assert json.loads(value["unmapped"]["../muutospv"]) == time
    assert "ce_time" not in dict(encoded.events[0].headers)


def test_no_time(convert: Converting) -> None:
    without = record(kotikunta())
    del without["muutospv"]
    [value] = convert.values(without)
    assert (value["changedAt"], value["unmapped"]) == (None, {})


def correction(active: object, changed: object, **members: object) -> dict[str, object]:
    return {
        "tietoryhma": KORJAUS,
        "muutosattribuutti": "LISATTY",
        "aktiivinenHenkilotunnus": active,
        "muutettuHenkilotunnus": changed,
        **members,
    }


def test_a_corrected_code_goes_out_under_every_code(convert: Converting) -> None:
    changed = record(correction(ME, ME), correction(ME, OLD), kotikunta(), person=OLD)
    encoded = convert(record(kotikunta()), changed, record(kotikunta()))
    keys = [event.key.decode() for event in encoded.events if event.key]
    assert keys == [ME, OLD, OLD, OLD, ME, ME, ME, ME]
    values = [convert.value(event) for event in encoded.events]
    assert [value["position"] for value in values] == [0, 1, 2, 3, 1, 2, 3, 4]
    assert {value["personId"] for value in values[1:7]} == {OLD}
    assert len({value["recordId"] for value in values[1:7]}) == 1
    assert len({value["eventId"] for value in values}) == 7  # the first and last record are the same change


def test_codes_are_taken_in_the_order_of_naming_and_only_usable_ones(convert: Converting) -> None:
    groups = [correction("", None), correction(["x"], OTHER), correction(OLD, "\ud800"), correction(OLD, "x" * 65)]
    encoded = convert(record(*groups))
    assert [event.key for event in encoded.events[:: len(groups)]] == [ME.encode(), OTHER.encode(), OLD.encode()]


def test_a_corrected_code_in_a_snapshot_stays_with_its_person(convert: Converting) -> None:
    group = correction(OTHER, OLD)
    del group["muutosattribuutti"]
    assert [event.key for event in convert(record(group), kind="SNAPSHOT").events] == [ME.encode()]


def test_what_is_odd_is_counted_once_for_a_corrected_code(convert: Converting) -> None:
    encoded = convert(record(correction(ME, OLD, uusi=1), 5, {"tietoryhma": "JOKU_MUU"}, toinen=2))
    assert encoded.unmapped == {"../toinen": 1, f"{KORJAUS}.uusi": 1, "JOKU_MUU": 1}
    assert encoded.dead == {"group-not-object": 1}
    assert [event.position for event in encoded.events] == [0, 1, 2, 0, 2]


def test_names_that_could_be_content_are_not_shown(convert: Converting) -> None:
    encoded = convert(
        record(kotikunta(**{ME: 1, "a.b": 2}), {"tietoryhma": ME}, **{ME: 1}), extra={f"{ME} Kallioniemi": 1}
    )
    assert encoded.unmapped == {"../../?": 1, "../?": 1, "KOTIKUNTA.?": 2, "?": 1}
    assert convert.value(encoded.events[0])["unmapped"][f'"{ME}"'] == "1"


SAHKO = {"tietoryhma": "RAKENNUKSEN_SAHKO_VARUSTETIETO", "muutosattribuutti": "MUUTETTU", "sahko": True}


def test_a_building_is_keyed_by_its_id(convert: Converting) -> None:
    encoded = convert(building(SAHKO, {"tietoryhma": "RAKENNUKSEN_UUSI"}))
    values = [convert.value(event) for event in encoded.events]
    topics = [event.topic.removeprefix("vtj.change.") for event in encoded.events]
    assert topics == ["rakennuksen-sahko-varustetieto", "unmapped"]
    assert {event.key for event in encoded.events} == {PRT.encode()}
    assert [value["personId"] for value in values] == [PRT] * 2
    assert [value["unmapped"] for value in values] == [{"sahko": "true"}, {}]
    assert encoded.dead == {}


@pytest.mark.parametrize("odd", [None, "", 5, "x" * 65])
def test_what_stood_for_a_person_stays_with_a_building(convert: Converting, odd: object) -> None:
    [value] = convert.values(building(SAHKO, henkilotunnus=odd))
    assert value["personId"] == PRT
    assert json.loads(value["unmapped"]["../henkilotunnus"]) == odd


def test_a_building_beside_a_person_is_a_member_like_any_other(convert: Converting) -> None:
    encoded = convert(record(kotikunta(), rakennustunnus=PRT))
    [event] = encoded.events
    assert event.key == ME.encode()
    assert convert.value(event)["unmapped"] == {"../rakennustunnus": f'"{PRT}"'}
    assert encoded.unmapped == {"../rakennustunnus": 1}
