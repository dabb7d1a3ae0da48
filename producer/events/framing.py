"""How a value says which schema it was written with."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Protocol

from fastavro.schema import fingerprint, to_parsing_canonical_form

MAGIC: Final = b"\0"


class Framing(Protocol):
    """A port: the encoder asks once per schema at start and puts the prefix before every value."""

    def prefix(self, schema: dict[str, Any]) -> bytes:
        """The bytes before the Avro body. schema: self-contained, as published."""
        ...


class SingleObject:
    """Avro 1.12 single-object encoding: C3 01, then the schema's CRC-64-AVRO fingerprint, little-endian."""

    def prefix(self, schema: dict[str, Any]) -> bytes:
        return b"\xc3\x01" + _crc(to_parsing_canonical_form(schema))


@cache  # changes, state and readers ask for the same schemas, and half a millisecond each
def _crc(canonical: str) -> bytes:
    return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


class Confluent:
    """What stock deserializers expect: a zero byte, then the id that the registry gave the schema, big-endian.

    ids: full name of a published schema's record → its id.
    """

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = ids

    def prefix(self, schema: dict[str, Any]) -> bytes:
        return MAGIC + self._ids[full_name(schema)].to_bytes(4, "big")


def full_name(schema: Mapping[str, Any]) -> str:
    return f"{schema['namespace']}.{schema['name']}"


def schema_id(value: bytes) -> int | None:
    """The registry's id of the schema that a value was written with; None when it is framed otherwise."""
    return int.from_bytes(value[1:5], "big") if value[:1] == MAGIC and len(value) >= 5 else None
