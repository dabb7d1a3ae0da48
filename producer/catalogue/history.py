"""In which releases a published schema changed, and how: read from schemas/released."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producer.events.framing import SingleObject, full_name
from producer.events.groups import Catalogue
from producer.events.shapes import Schema

Releases = Mapping[str, Catalogue]  # version → what it published, oldest first

_NAMED = ("type", "default")  # what readers of the data see; everything else describes


@dataclass(frozen=True, slots=True)
class Change:
    """What one release did to a schema; names are `field`, `Type.field` and `envelope.field`.

    version: "" for what is in no release yet. first: the schema was new; the lists are empty then.
    """

    version: str
    fingerprint: str
    first: bool = False
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    described: tuple[str, ...] = ()


def releases(folder: Path) -> Releases:
    """Empty when nothing was released yet. Raises SettingsError, which names the file."""
    folders = [one for one in folder.glob("*") if one.is_dir()] if folder.is_dir() else []
    folders.sort(key=lambda one: [int(part) if part.isdecimal() else -1 for part in one.name.split(".")])
    return {one.name: Catalogue.load(one) for one in folders}


def history(catalogue: Catalogue, released: Releases) -> dict[str, tuple[Change, ...]]:
    """By suffix of the topic, newest first; a topic that the catalogue no longer has is left out."""
    steps = [*((version, _schemas(one)) for version, one in released.items()), ("", _schemas(catalogue))]
    return {suffix: tuple(_changes(suffix, steps))[::-1] for suffix in steps[-1][1]}


def _schemas(catalogue: Catalogue) -> dict[str, Schema]:
    groups = {group.suffix: group.schema for group in (*catalogue.groups.values(), catalogue.unmapped)}
    return {**groups, "dead-letter": catalogue.dead_letter}


def _changes(suffix: str, steps: list[tuple[str, dict[str, Schema]]]) -> Iterator[Change]:
    before: dict[str, Schema] | None = None
    for version, schemas in steps:
        if suffix not in schemas:
            before = None
            continue
        now = _parts(schemas[suffix])
        fingerprint = SingleObject().prefix(schemas[suffix])[:1:-1].hex()
        if before is None:
            yield Change(version, fingerprint, first=True)
        elif now != before:
            yield Change(version, fingerprint, **_difference(before, now))
        before = now


def _difference(before: dict[str, Schema], now: dict[str, Schema]) -> dict[str, Any]:
    both = [name for name in now if name in before and now[name] != before[name]]
    retyped = [name for name in both if any(now[name].get(one) != before[name].get(one) for one in _NAMED)]
    return {
        "added": tuple(name for name in now if name not in before),
        "removed": tuple(name for name in before if name not in now),
        "retyped": tuple(retyped),
        "described": tuple(name for name in both if name not in retyped),
    }


def _parts(schema: Schema) -> dict[str, Schema]:
    """Every record and field of a published schema by name; types refer to records by their names."""
    parts: dict[str, Schema] = {}

    def record(one: Schema, of: str) -> None:
        parts[of.rstrip(".") or one["name"]] = {name: said for name, said in one.items() if name != "fields"}
        for field in one["fields"]:
            parts[of + field["name"]] = {**field, "type": json.dumps(kind(field["type"]))}

    def kind(schema: Any) -> Any:
        if isinstance(schema, list):
            return [kind(one) for one in schema]
        if isinstance(schema, dict) and schema["type"] == "array":
            return {**schema, "items": kind(schema["items"])}
        if isinstance(schema, dict) and schema["type"] == "record":
            group = schema["namespace"] == "fi.vtj.group"
            record(schema, "" if group else f"{schema['name']}.")
            return full_name(schema)
        return schema

    record(schema, "envelope." if schema["name"] != "DeadLetter" else "")
    return parts
