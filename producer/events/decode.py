"""Kafka records back into what people read: the reader is fastavro, which shares no code with the encoder."""

from io import BytesIO
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import SchemaParseException

from producer.events.framing import SingleObject, schema_id
from producer.events.groups import Catalogue
from producer.events.shapes import Schema
from producer.model import EncodedEvent

MOST_IDS: Final = 1000  # of a registry's schemas; the catalogue has a tenth of that


class Decoder:
    """Reads every kind of value that this version writes, and what a registry explains: see `unknown` and `learn`."""

    def __init__(self, catalogue: Catalogue) -> None:
        schemas = [group.schema for group in (*catalogue.groups.values(), catalogue.unmapped)]
        schemas += [catalogue.dead_letter, catalogue.identity]
        single = SingleObject()
        self._schemas: dict[bytes, Schema] = {single.prefix(one): one for one in schemas}
        self._parsed: dict[bytes | int, Any] = {}
        self._learnt: dict[int, str] = {}  # why an id has no schema; "" when it has one

    def unknown(self, value: bytes) -> int | None:
        """The id of the registry that `decode` must be told of first; None when it need not."""
        number = schema_id(value)
        return None if number in self._learnt else number

    def learn(self, number: int, schema: Schema | None) -> None:
        """schema: what the registry has under that id, None for nothing. The oldest are forgotten."""
        self._learnt[number] = "the registry has no such schema"
        if schema is not None:
            try:
                self._parsed[number] = parse_schema(schema)
                self._learnt[number] = ""
            except (SchemaParseException, KeyError, TypeError, ValueError):
                self._learnt[number] = "what the registry has there is no Avro schema"
        if len(self._learnt) > MOST_IDS:
            oldest = next(iter(self._learnt))
            del self._learnt[oldest]
            self._parsed.pop(oldest, None)

    def decode(self, value: bytes) -> dict[str, Any]:
        """An event or dead letter with Python's dates, times and UUIDs. Raises LookupError for a foreign schema."""
        schema, begin = self._schema(value)
        return _read(value[begin:], schema)

    def line(self, event: EncodedEvent) -> dict[str, Any]:
        """A Kafka record for people: topic, key and headers as text, and the value decoded."""
        return {
            "topic": event.topic,
            "key": event.key and event.key.decode(),
            "headers": {name: value.decode() for name, value in event.headers},
            "value": self.decode(event.value),
        }

    def encode(self, event: dict[str, Any], like: bytes) -> bytes:
        """The opposite: by the schema, and in the framing, of the value that the event was decoded from."""
        schema, begin = self._schema(like)
        body = BytesIO()
        schemaless_writer(body, schema, event)
        return like[:begin] + body.getvalue()

    def _schema(self, value: bytes) -> tuple[Any, int]:
        """And where the body begins."""
        number = schema_id(value)
        if number is not None:
            if reason := self._learnt.get(number, "VTJ_REGISTRY__URL names no registry that could tell it"):
                raise LookupError(f"the value was written with schema {number} of a registry: {reason}")
            return self._parsed[number], 5
        for prefix, schema in self._schemas.items():
            if value.startswith(prefix):
                if prefix not in self._parsed:
                    self._parsed[prefix] = parse_schema(schema)
                return self._parsed[prefix], len(prefix)
        raise LookupError("the value was written with a schema that this version does not know")


def _read(body: bytes, schema: Any) -> dict[str, Any]:
    try:
        decoded = schemaless_reader(BytesIO(body), schema, None)
    except (EOFError, IndexError, KeyError, OverflowError, TypeError, ValueError):
        decoded = None
    if isinstance(decoded, dict):
        return decoded
    raise LookupError("the value does not follow the schema that it names")
