"""Avro schemas as the encoder sees them: records, lists, choices and leaves.

Of Avro only what the schemas of this project use is known here; anything else in a schema file is an error at start,
not at the first event that needs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Schema = dict[str, Any]
Named = Mapping[str, Schema]  # full name → definition, which refers to others by their full names

LEAVES: Final = {
    # Avro type, logical type → function of the module `wire`
    ("string", None): "text",
    ("string", "uuid"): "text",
    ("int", None): "int32",
    ("int", "date"): "day",
    ("long", None): "int64",
    ("long", "timestamp-millis"): "int64",
    ("boolean", None): "boolean",
}


class SchemaFault(ValueError):
    """A schema uses what the encoder does not know; the text says what and where."""


@dataclass(frozen=True, slots=True)
class Leaf:
    write: str


@dataclass(frozen=True, slots=True)
class Choice:
    """An enum."""

    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """An array."""

    of: "Shape"


@dataclass(frozen=True, slots=True)
class Texts:
    """A map of strings."""


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    shape: "Shape"
    nullable: bool
    scope: str | None


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    fields: Mapping[str, Field]  # by name, in the schema's order


Shape = Leaf | Choice | Many | Texts | Record

TEXT: Final = Leaf("text")
DAY: Final = Leaf("day")


def record_shape(name: str, named: Named) -> Record:
    """The shape of the record with this full name. Raises SchemaFault."""
    return _record(name, named, ())


def _record(name: str, named: Named, inside: tuple[str, ...]) -> Record:
    if name in inside:
        raise SchemaFault(f"{name} contains itself")
    fields = {}
    for field in named[name]["fields"]:
        schema = field["type"]
        nullable = isinstance(schema, list)
        if nullable:
            if len(schema) != 2 or schema[0] != "null":
                raise SchemaFault(f'{name}.{field["name"]}: a union must be ["null", type]')
            schema = schema[1]
        try:
            shape = _shape(schema, named, (*inside, name))
        except SchemaFault as fault:
            raise SchemaFault(f"{name}.{field['name']}: {fault}") from None
        fields[field["name"]] = Field(field["name"], shape, nullable, field.get("scope"))
    return Record(name, fields)


def _shape(schema: Any, named: Named, inside: tuple[str, ...]) -> Shape:
    if isinstance(schema, str):
        if schema in named:
            return _record(schema, named, inside)
        schema = {"type": schema}
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind == "array":
        return Many(_shape(schema["items"], named, inside))
    if kind == "map" and schema["values"] == "string":
        return Texts()
    if kind == "enum":
        return Choice(tuple(schema["symbols"]))
    leaf = LEAVES.get((kind, schema.get("logicalType"))) if isinstance(kind, str) else None
    if leaf is None:
        raise SchemaFault(f"type {kind!r} is not known to the encoder")
    return Leaf(leaf)
