"""The generated encoders against fastavro: the same bytes for every published schema."""

from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.events.compiler import Compiler
from producer.events.envelope import CHUNKS, Envelope
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue, Group
from producer.events.shapes import Record, SchemaFault, record_shape
from producer.events.wire import Misfit
from tests.unit.events.schemas import for_fastavro, values

CATALOGUE = Catalogue.load()
GROUPS = [*CATALOGUE.groups.values(), CATALOGUE.unmapped]
ENVELOPE = Envelope(CATALOGUE, SingleObject(), "vtj")
PARSED = {group.suffix: parse_schema(group.schema) for group in GROUPS}
EVENTS = {group.suffix: values(group.schema) for group in GROUPS}


def oracle(schema: Any, value: Any, parsed: Any = None) -> bytes:
    out = BytesIO()
    schemaless_writer(out, parsed or parse_schema(schema), for_fastavro(schema, value))
    return out.getvalue()


def encoded(group: Group, event: dict[str, Any]) -> bytes:
    plan = ENVELOPE.plans.get(group.tietoryhma, ENVELOPE.unmapped)
    page, record, own = ([event.get(name) for name in names] for names in CHUNKS.values())
    head = ENVELOPE.record(ENVELOPE.page("", 0, *page), 0, *record)
    return plan.encode(head, 0, *own).encode("latin-1")


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.suffix)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_an_event_is_byte_identical_to_fastavro(group: Group, data: st.DataObject) -> None:
    event = data.draw(EVENTS[group.suffix])
    body = encoded(group, event)
    assert body == oracle(group.schema, event, PARSED[group.suffix])
    decoded: Any = schemaless_reader(BytesIO(body), PARSED[group.suffix], None)
    expected = for_fastavro(group.schema, event)
    for name in ("data", "inForce", "withheldFields", "unmapped", "personId", "cursor", "position"):
        assert decoded[name] == expected[name]


@settings(deadline=None)
@given(values(CATALOGUE.dead_letter))
def test_a_dead_letter_is_byte_identical_to_fastavro(letter: dict[str, Any]) -> None:
    encode = Compiler().record(CATALOGUE.dead_letter_shape)
    assert encode(letter).encode("latin-1") == oracle(CATALOGUE.dead_letter, letter)


@pytest.mark.parametrize("group", CATALOGUE.groups.values(), ids=lambda group: group.suffix)
def test_members_are_counted(group: Group) -> None:
    """A member too many is a misfit at every level, unless somebody else has claimed it."""
    encode = Compiler().record(group.record)
    assert encode({}) == "\0" * len(group.record.fields)
    assert encode({"muutosattribuutti": "LISATTY"}, 1) == encode({})
    odd_ones: list[Any] = [{"uusi": 1}, [], None, "x", *({name: None} for name in group.record.fields)]
    for odd in odd_ones:
        with pytest.raises(Misfit):
            encode(odd)
    with pytest.raises(Misfit):
        encode({}, 1)


def shape(fields: list[dict[str, Any]]) -> Record:
    return record_shape("x.R", {"x.R": {"type": "record", "name": "R", "namespace": "x", "fields": fields}})


def test_types_that_are_not_nullable() -> None:
    fields: list[dict[str, Any]] = [
        {"name": "text", "type": "string"},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "flag", "type": "boolean"},
        {"name": "word", "type": {"type": "enum", "name": "W", "symbols": ["A", "B"]}},
        {"name": "list", "type": {"type": "array", "items": {"type": "array", "items": "int"}}},
        {"name": "map", "type": {"type": "map", "values": "string"}},
    ]
    encode = Compiler().record(shape(fields))
    value = {"text": "ä", "day": "2026-11-02", "flag": True, "word": "B", "list": [[], [7]], "map": {"a": "b"}}
    schema = {"type": "record", "name": "R", "namespace": "x", "fields": fields}
    assert encode(value).encode("latin-1") == oracle(schema, value)
    for name, odd in {"text": 1, "day": "x", "flag": 1, "word": "C", "list": [7], "map": {"a": 1}}.items():
        for wrong in (odd, None, []) if name != "list" else (odd, None, {}):
            with pytest.raises(Misfit):
                encode({**value, name: wrong})


@pytest.mark.parametrize(
    ("type_", "cause"),
    [
        ("double", "R.f: type 'double' is not known"),
        (["string", "null"], 'R.f: a union must be ["null", type]'),
        (["null", "string", "int"], 'R.f: a union must be ["null", type]'),
        (["null", "x.R"], "x.R contains itself"),
        ({"type": "map", "values": "int"}, "type 'map' is not known"),
        ({"type": "int", "logicalType": "time-millis"}, "type 'int' is not known"),
    ],
)
def test_what_the_encoder_does_not_know_is_an_error_at_start(type_: Any, cause: str) -> None:
    with pytest.raises(SchemaFault) as caught:
        shape([{"name": "f", "type": type_}])
    assert cause in str(caught.value)
