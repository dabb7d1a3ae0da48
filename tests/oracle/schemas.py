"""The published schemas, put together from schemas/avro, and the reading of values with them, in both framings."""

import io
import json
from functools import cache
from pathlib import Path
from typing import Any, Self

from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, to_parsing_canonical_form

from .upstream import DEAD, IDENTITY, UNMAPPED, kebab

FOLDER = Path(__file__).parents[2] / "schemas" / "avro"
MARK = b"\xc3\x01"
REGISTERED, FRAME = b"\0", 5  # Confluent's framing: the byte, and the length with the registry's id
EVENT, GROUP = "fi.vtj.event.Event", "fi.vtj.group.Group"


class Schemas:
    """Every topic's schema. groups: the data groups that have one of their own."""

    def __init__(self) -> None:
        records = [json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.rglob("*.avsc"))]
        self._records = {f"{record['namespace']}.{record['name']}": record for record in records}
        named = {record["tietoryhma"]: name for name, record in self._records.items() if "tietoryhma" in record}
        self.groups = frozenset(named)
        topics = {f"change.{kebab(group)}": self._event(name) for group, name in named.items()}
        topics[UNMAPPED] = self._event("fi.vtj.group.Unmapped")
        topics[IDENTITY] = self._whole("fi.vtj.event.Identity", {}, set())
        topics[DEAD] = self._whole("fi.vtj.event.DeadLetter", {}, set())
        self._topics = {topic: (_prefix(schema), parse_schema(schema)) for topic, schema in topics.items()}

    @classmethod
    @cache
    def load(cls) -> Self:
        return cls()

    def encode_prefix(self, topic: str) -> bytes:
        return self._topics[topic][0]

    def schema(self, topic: str) -> Any:
        return self._topics[topic][1]

    def decode(self, topic: str, value: bytes) -> dict[str, Any]:
        """Raises ValueError when the value is not what the topic's schema says, to the last byte."""
        prefix, schema = self._topics[topic]
        if value[:1] == REGISTERED and len(value) >= FRAME:
            prefix = value[:FRAME]  # whether the id is the right one is for those to say who ask the registry
        if not value.startswith(prefix):
            raise ValueError("not written with the topic's schema")
        body = io.BytesIO(value[len(prefix) :])
        try:
            decoded = schemaless_reader(body, schema, None)
        except Exception:
            raise ValueError("the body does not follow the schema") from None
        if body.read(1):
            raise ValueError("bytes are left over after the body")
        assert isinstance(decoded, dict)
        return decoded

    def _event(self, group: str) -> Any:
        """The envelope of one group, named after it: `Kotikunta` gives `KotikuntaEvent`."""
        return self._whole(EVENT, {GROUP: group, EVENT: self._records[group]["name"] + "Event"}, set())

    def _whole(self, name: str, instead: dict[str, str], written: set[str]) -> Any:
        """A record with the records it refers to written out where they come first."""
        record = dict(self._records[name])
        written.add(name)
        if name in instead:
            record["name"] = instead[name]
        record["fields"] = [
            {**field, "type": self._type(field["type"], instead, written)} for field in record["fields"]
        ]
        return record

    def _type(self, kind: Any, instead: dict[str, str], written: set[str]) -> Any:
        if isinstance(kind, list):
            return [self._type(branch, instead, written) for branch in kind]
        if isinstance(kind, dict):
            inner = [member for member in ("items", "values") if member in kind]
            return {**kind, **{member: self._type(kind[member], instead, written) for member in inner}}
        kind = instead.get(kind, kind)
        if kind in self._records and kind not in written:
            return self._whole(kind, instead, written)
        return kind


def _prefix(schema: Any) -> bytes:
    """Avro's single-object encoding: two marks and the fingerprint, eight bytes, the lowest first."""
    return MARK + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
