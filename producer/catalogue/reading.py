"""Published schemas as people read them: fields in words, and the records that groups share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from producer.events.framing import full_name
from producer.events.shapes import Schema

TYPES: Final = "fi.vtj.type."


class Text(NamedTuple):
    """One thing said in both languages."""

    fi: str
    en: str


def both(doc: str) -> Text:
    """A `doc`: Finnish and English with ` / ` between them."""
    finnish, _, english = doc.partition(" / ")
    return Text(finnish, english or finnish)


@dataclass(frozen=True, slots=True)
class Field:
    """type: an Avro type or logical type, or the full name of a record. many: a list of those."""

    name: str
    type: str
    many: bool
    nullable: bool
    symbols: tuple[str, ...]  # of an enum
    doc: Text
    pii: str  # "none" too for fields of the envelope that say nothing of it
    restricted: bool
    codeset: str | None
    confidence: str | None  # only where it is not that of the group
    source: str | None


@dataclass(frozen=True, slots=True)
class Shared:
    """A record of `avro/types`."""

    name: str  # full
    doc: Text
    fields: tuple[Field, ...]


def fields(record: Schema) -> tuple[Field, ...]:
    """A record's own fields, in its order."""
    return tuple(_field(one) for one in record["fields"])


def shared(record: Schema) -> Iterator[Shared]:
    """Every shared record that is written out in a published schema, at any depth."""
    for one in record["fields"]:
        kind = _inner(one["type"])[0]
        if isinstance(kind, dict) and kind["type"] == "record":
            if full_name(kind).startswith(TYPES):
                yield Shared(full_name(kind), both(kind["doc"]), fields(kind))
            yield from shared(kind)


def paths(own: tuple[Field, ...], types: Mapping[str, Shared]) -> Iterator[tuple[str, Field, str]]:
    """Path, field, and the pii class of what it lies in: of a group's fields and those below them."""
    for one in own:
        yield one.name, one, ""
        if one.type in types:
            for path, below, above in paths(types[one.type].fields, types):
                yield f"{one.name}{'[]' if one.many else ''}.{path}", below, above or one.pii


def _field(one: dict[str, Any]) -> Field:
    kind, many = _inner(one["type"])
    symbols: tuple[str, ...] = ()
    if isinstance(kind, dict):
        symbols = tuple(kind.get("symbols", ()))
        kind = full_name(kind) if kind["type"] == "record" else kind.get("logicalType", kind["type"])
    return Field(
        name=one["name"],
        type=kind,
        many=many,
        nullable=isinstance(one["type"], list),
        symbols=symbols,
        doc=both(one["doc"]),
        pii=one.get("pii", "none"),
        restricted=one.get("restricted", False),
        codeset=one.get("codeset"),
        confidence=one.get("confidence"),
        source=one.get("source"),
    )


def _inner(kind: Any) -> tuple[Any, bool]:
    """A type without null and list around it; whether there was a list."""
    if isinstance(kind, list):
        kind = kind[1]
    if isinstance(kind, dict) and kind["type"] == "array":
        return kind["items"], True
    return kind, False
