"""Whether two schemas can read each other's values: Apache Avro's own checker decides, and this says where."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import ArraySchema, RecordSchema, UnionSchema, parse
from avro.schema import Schema as Parsed

from producer.events.shapes import Schema


@dataclass(frozen=True, slots=True)
class Break:
    """record: full name of the record that is at fault. field: the field of it, "" for the whole."""

    record: str
    field: str
    what: str


def breaks(ours: Schema, other: Schema, name: str) -> list[Break]:
    """Why the two are not FULL compatible, both ways; empty when they are. name: what `other` is called."""
    mine = _parsed(json.dumps(ours))
    try:
        theirs = _parsed(json.dumps(other))
    except AvroException:
        return [Break(_name(mine), "", f"{name} is no Avro schema")]
    found = [*_culprits(mine, theirs, Break(_name(mine), "", f"it cannot read what {name} wrote"))]
    found += _culprits(theirs, mine, Break(_name(mine), "", f"{name} cannot read what it writes"))
    return list(dict.fromkeys(found))


def _culprits(reader: Parsed, writer: Parsed, at: Break) -> Iterator[Break]:
    """The checker stops at a union's branch ("lacking writer type RECORD"); the field at fault is further in."""
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    result = checker.get_compatibility(reader, writer)
    if result.compatibility is SchemaCompatibilityType.compatible:
        return
    inner, outer = _content(reader), _content(writer)
    said = " and ".join(sorted(result.messages)) or "incompatible"
    if isinstance(inner, RecordSchema) and isinstance(outer, RecordSchema):
        deeper = list(_fields(inner, outer, at.what)) if inner.name == outer.name else []
        if deeper:
            yield from deeper
            return
        if inner.name != outer.name:
            said = f"the record's name is {outer.name} in what is read and {inner.name} in the reader"
    yield Break(at.record, at.field, f"{at.what}: {said}")


def _fields(reader: RecordSchema, writer: RecordSchema, what: str) -> Iterator[Break]:
    written = {field.name: field for field in writer.fields}
    for field in reader.fields:
        at = Break(_name(reader), field.name, what)
        if field.name in written:
            yield from _culprits(field.type, written[field.name].type, at)
        elif not field.has_default:
            yield Break(at.record, at.field, f"{what}: the field is not in all of it, and has no default")


def _content(schema: Parsed) -> Parsed:
    """Without the null beside it, and without the list around it."""
    while True:
        if isinstance(schema, UnionSchema):
            others = [one for one in schema.schemas if one.type != "null"]
            if len(others) != 1:
                return schema
            schema = others[0]
        elif isinstance(schema, ArraySchema):
            schema = schema.items
        else:
            return schema


def _name(schema: Parsed) -> str:
    return str(getattr(schema, "fullname", schema.type))


@cache
def _parsed(text: str) -> Parsed:
    return parse(text)
