from typing import Any

import pytest

from producer.events.framing import Confluent, SingleObject, schema_id
from producer.events.groups import Catalogue


@pytest.mark.parametrize(
    ("schema", "fingerprint"), [({"type": "int"}, 0x7275D51A3F395C8F), ({"type": "null"}, 0x63DD24E7CC258F8A)]
)
def test_the_fingerprints_of_the_avro_project(schema: Any, fingerprint: int) -> None:
    """Known answers of avro/share/test/data/schema-tests.txt."""
    assert SingleObject().prefix(schema) == b"\xc3\x01" + fingerprint.to_bytes(8, "little")


def test_every_schema_has_its_own_prefix() -> None:
    catalogue = Catalogue.load()
    schemas = [*(group.schema for group in catalogue.groups.values()), catalogue.unmapped.schema, catalogue.dead_letter]
    assert len({SingleObject().prefix(schema) for schema in schemas}) == len(schemas)


def test_what_only_people_read_does_not_change_it() -> None:
    catalogue = Catalogue.load()
    schema = catalogue.groups["KOTIKUNTA"].schema
    assert SingleObject().prefix({**schema, "doc": "other words"}) == SingleObject().prefix(schema)


def test_confluent_framing() -> None:
    schema = Catalogue.load().dead_letter
    assert Confluent({"fi.vtj.event.DeadLetter": 0x01020304}).prefix(schema) == b"\0\x01\x02\x03\x04"
    with pytest.raises(KeyError):
        Confluent({}).prefix(schema)


@pytest.mark.parametrize(
    ("value", "number"), [(b"\0\0\0\x02\xbcx", 700), (b"\0\0\0\x02", None), (b"\xc3\x01\0\0\0\0", None), (b"", None)]
)
def test_the_id_of_a_value(value: bytes, number: int | None) -> None:
    assert schema_id(value) == number
