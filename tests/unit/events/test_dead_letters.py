import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from producer.events.page import PageEncoding
from producer.events.pseudonyms import Pseudonyms
from tests.unit.events.pages import ME, PRT, Converting, building, kotikunta, page, record

TOPIC = "vtj.dead-letter"
SOMEBODY = Pseudonyms(b"hunter2-of-the-test" * 2, 1)
# A wrong check character, too short, too long, other digits, lower case, a number, nothing.
NO_BUILDINGS = ("900000021S", "900000021", "900000021RR", "٩00000021R", "900000021r", 900000021, "", None)


@pytest.mark.parametrize(
    ("content", "reason", "key"),
    [
        (5, "record-not-object", None),
        ("Kallioniemi", "record-not-object", None),
        (None, "record-not-object", None),
        ([record(kotikunta())], "record-not-object", None),
        ({}, "no-identity-code", None),
        (record(kotikunta(), person=""), "no-identity-code", None),
        (record(kotikunta(), person=None), "no-identity-code", None),
        (record(kotikunta(), person=140385), "no-identity-code", None),
        (record(kotikunta(), person="x" * 65), "no-identity-code", None),
        (record(kotikunta(), person="140385\ud800917Y"), "no-identity-code", None),
        *((building(kotikunta(), prt=prt), "no-identity-code", None) for prt in NO_BUILDINGS),
        (record(kotikunta(), person="", rakennustunnus="900000021S"), "no-identity-code", None),
        ({"rakennustunnus": PRT}, "no-groups", PRT.encode()),
        (building(5), "no-groups", PRT.encode()),
        ({"henkilotunnus": ME}, "no-groups", ME.encode()),
        (record(), "no-groups", ME.encode()),
        (record(5, None, []), "no-groups", ME.encode()),
        ({"henkilotunnus": ME, "tietoryhmat": kotikunta()}, "no-groups", ME.encode()),
    ],
)
def test_a_record_that_cannot_be_placed(convert: Converting, content: Any, reason: str, key: bytes | None) -> None:
    encoded = convert(record(kotikunta()), content, record(kotikunta()))
    before, letter, after = encoded.events
    assert (before.topic, after.topic) == ("vtj.change.kotikunta",) * 2
    assert [event.position for event in encoded.events] == [0, 1, 2]
    assert (letter.topic, letter.key) == (TOPIC, key)
    value = convert.value(letter)
    assert (value["reason"], value["position"], value["cut"]) == (reason, 1, False)
    assert (value["previousCursor"], value["cursor"], value["bucket"], value["feed"]) == (17, 2**62, "0", "vtj")
    assert (value["rawSize"], value["rawDigest"]) == (
        len(value["raw"].encode()),
        sha256(value["raw"].encode()).hexdigest(),
    )
    assert encoded.dead == {reason: 1}


def test_an_element_that_is_no_object_leaves_the_others_alone(convert: Converting) -> None:
    encoded = convert(record(kotikunta(), "ä", kotikunta(kuntakoodi="837")))
    assert [event.topic for event in encoded.events] == ["vtj.change.kotikunta", TOPIC, "vtj.change.kotikunta"]
    assert {event.key for event in encoded.events} == {ME.encode()}
    letter = convert.value(encoded.events[1])
    assert (letter["reason"], letter["raw"], letter["rawSize"]) == ("group-not-object", '"ä"', 4)
    assert convert.value(encoded.events[2])["recordSize"] == 3


def test_a_letter_has_an_id_of_its_own_that_stays(convert: Converting) -> None:
    first = convert(5, record(kotikunta(), 5), {"a": 1, "b": 2})
    again = convert({"b": 2, "a": 1}, record(kotikunta(), 5), 5)
    ids = [event.headers[0] for event in first.events]
    assert len(set(ids)) == 4
    assert ids == [event.headers[0] for event in (again.events[3], *again.events[1:3], again.events[0])]
    for event in first.events:
        names = [name for name, _ in event.headers]
        assert names[:2] == ["ce_id", "ce_type"]
    assert dict(first.events[0].headers)["ce_type"] == b"fi.vtj.dead-letter"


def test_an_event_too_large_for_kafka(convert: Converting) -> None:
    encoded = convert(record(kotikunta(), kotikunta(kuntakoodi="Kallioniemi" * 1000)))
    event = encoded.events[1]
    letter = convert.converter.oversized(encoded, event, 2000)
    assert (letter.topic, letter.key, letter.position, letter.timestamp) == (
        TOPIC,
        event.key,
        event.position,
        event.timestamp,
    )
    assert len(letter.value) <= 2000
    assert letter.headers[0] == event.headers[0]
    assert dict(letter.headers)["ce_type"] == b"fi.vtj.dead-letter"
    value = convert.value(letter)
    assert (value["reason"], value["raw"], value["cut"]) == ("oversized", None, True)
    assert (value["rawSize"], value["rawDigest"]) == (len(event.value), sha256(event.value).hexdigest())
    assert (value["previousCursor"], value["cursor"], value["position"]) == (17, 2**62, 1)


@pytest.mark.parametrize("limit", [1000, 1001, 1002, 1003, 300])
def test_a_dead_letter_too_large_for_kafka(convert: Converting, limit: int) -> None:
    encoded = convert("äö" * 5000)
    [event] = encoded.events
    letter = convert.converter.oversized(encoded, event, limit)
    assert len(letter.value) <= max(limit, 400)  # without content a letter is this large
    whole, value = convert.value(event), convert.value(letter)
    assert whole["raw"].startswith(value["raw"])
    assert (len(value["raw"]) > 200) == (limit >= 1000)
    assert value == {**whole, "raw": value["raw"], "cut": True}
    assert letter.headers == event.headers


def test_letters_are_silent(convert: Converting) -> None:
    encoded = convert({"etunimi": "Kallioniemi", "tietoryhmat": [ME]})
    assert "Kallioniemi" not in repr(encoded) + repr(encoded.events[0])
    assert ME not in repr(encoded) + repr(encoded.events[0])


def test_of_poison_the_record_that_cannot_be_encoded_is_a_letter(
    convert: Converting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that was made of it before it failed is left, and the others are events."""
    fit, bad = PageEncoding._fit, record(kotikunta(), "ä", kotikunta(uusi=1))

    def failing(self: PageEncoding, group: dict[str, Any], *rest: Any, **more: Any) -> Any:
        if "uusi" in group:
            raise KeyError(ME)
        return fit(self, group, *rest, **more)

    monkeypatch.setattr(PageEncoding, "_fit", failing)
    with pytest.raises(KeyError):
        convert(bad)
    for hidden in (False, True):
        one = Converting(hidden=SOMEBODY) if hidden else convert
        poison = replace(page(record(kotikunta()), bad, record(kotikunta())), poison=True)
        encoded = one.converter.convert(poison)
        before, letter, after = encoded.events
        assert (before.topic, letter.topic, after.topic) == ("vtj.change.kotikunta", TOPIC, "vtj.change.kotikunta")
        assert [event.position for event in encoded.events] == [0, 1, 2]
        assert encoded.dead == {"poison": 1}
        value = one.value(letter)
        assert value["reason"] == "poison"
        assert letter.key == (SOMEBODY.of(ME) if hidden else ME).encode()
        assert (ME in value["raw"]) != hidden
        assert json.loads(value["raw"])["tietoryhmat"] == bad["tietoryhmat"]
