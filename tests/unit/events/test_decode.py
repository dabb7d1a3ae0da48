from typing import Any

import pytest

from producer.events import decode, examples
from producer.events.convert import Converter
from producer.events.deadletter import DeadLetters
from producer.events.decode import Decoder
from producer.events.files import folder, stop
from producer.events.framing import Confluent, SingleObject, full_name
from producer.events.groups import Catalogue, Group
from producer.model import Page

CATALOGUE = Catalogue.load()
LETTER: Any = CATALOGUE.dead_letter


def letter(framing: Any) -> bytes:
    letters = DeadLetters(CATALOGUE, framing, prefix="vtj", feed="vtj")
    page = Page(kind="CHANGE", bucket="0", previous=1, cursor=2, up_to_date=True, fetched_at=0, records=[])
    return letters.letter(page, 0, "no-groups", {"x": 1}, None, []).value


def framed(number: int) -> bytes:
    return letter(Confluent({full_name(LETTER): number}))


def test_a_foreign_schema() -> None:
    decoder = Decoder(CATALOGUE)
    for value in (b"", b"\0", b"\0\0\0\0", b"\xc3\x01", b"\xc3\x01" + b"x" * 20):
        assert decoder.unknown(value) is None
        with pytest.raises(LookupError):
            decoder.decode(value)


def test_both_framings() -> None:
    decoder = Decoder(CATALOGUE)
    value = framed(700)
    assert value[:5] == b"\0\0\0\x02\xbc"
    assert decoder.unknown(value) == 700
    with pytest.raises(LookupError, match=r"schema 700 of a registry: VTJ_REGISTRY__URL"):
        decoder.decode(value)
    decoder.learn(700, LETTER)
    assert decoder.unknown(value) is None
    single = letter(SingleObject())
    assert decoder.unknown(single) is None
    assert decoder.decode(value) == decoder.decode(single)


def test_what_a_registry_cannot_tell() -> None:
    decoder = Decoder(CATALOGUE)
    decoder.learn(1, None)
    decoder.learn(2, {"type": "nonsense"})
    decoder.learn(3, {**LETTER, "fields": LETTER["fields"][:1]})
    for number, reason in [(1, "no such schema"), (2, "no Avro schema"), (3, "does not follow the schema")]:
        assert decoder.unknown(framed(number)) is None, "asked once"
        with pytest.raises(LookupError, match=reason):
            decoder.decode(framed(number) if number < 3 else framed(3)[:6])


def test_what_is_learnt_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MOST_IDS", 2)
    decoder = Decoder(CATALOGUE)
    for number in (1, 2, 3):
        decoder.learn(number, LETTER)
    assert [decoder.unknown(framed(number)) for number in (1, 2, 3)] == [1, None, None]


@pytest.mark.parametrize("group", CATALOGUE.groups.values(), ids=lambda group: group.suffix)
def test_an_event_is_encoded_again_as_it_was(group: Group) -> None:
    """By another encoder than the one that has made it."""
    converter, decoder = Converter(CATALOGUE, SingleObject(), prefix="vtj", feed="vtj"), Decoder(CATALOGUE)
    record = examples.record(folder("examples") / f"{group.suffix}.json", stop)
    assert record is not None
    told = {**record["tietoryhmat"][0], "uusi": [{"ä": 1.5}], "turvakiellonAlaisetKentat": ["x"]}
    records = [record, {**record, "tietoryhmat": [told | {"voimassaolevatTiedot": [told]}], "muu": None}]
    page = Page(kind="CHANGE", bucket="0", previous=1, cursor=2, up_to_date=True, fetched_at=7, records=records)
    events = converter.convert(page).events
    assert [event.topic for event in events] == [f"vtj.change.{group.suffix}"] * 2
    for event in events:
        fields = decoder.decode(event.value)
        assert decoder.encode(fields, event.value) == event.value
        again = decoder.encode(fields | {"kind": "REPLAY"}, event.value)
        assert decoder.decode(again) == fields | {"kind": "REPLAY"}
