"""The catalogue of data groups: what `schemas/avro` says.

    schemas/avro/event.avsc        the envelope; fi.vtj.group.Group stands for the group's own record
    schemas/avro/types/*.avsc      records that groups share
    schemas/avro/groups/*.avsc     one data group each; its topic is named after the file
    schemas/avro/unmapped.avsc     the record, without fields, of groups that have no file yet
    schemas/avro/dead-letter.avsc

The published schema of a group is the envelope with the group's record in the place of Group, the envelope's own
record renamed to `<Group>Event`, and every shared record written out where it is first used.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from fastavro.schema import SchemaParseException, parse_schema

import producer
from producer.errors import SettingsError
from producer.events.fit import COMMON
from producer.events.shapes import Named, Record, Schema, SchemaFault, record_shape

EVENT: Final = "fi.vtj.event.Event"
GROUP: Final = "fi.vtj.group.Group"
UNMAPPED: Final = "fi.vtj.group.Unmapped"
DEAD_LETTER: Final = "fi.vtj.event.DeadLetter"

PII: Final = {"identifying", "contact", "family", "special", "none"}
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEBAB: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Group:
    """One data group, or the catch-all for those without a schema (its `tietoryhma` is "")."""

    tietoryhma: str
    suffix: str  # last part of the topic's name, kebab case
    schema: Schema = field(repr=False)  # as published: self-contained
    envelope: Record = field(repr=False)

    @property
    def record(self) -> Record:
        """The shape of the group's own fields: that of `data`."""
        shape = self.envelope.fields["data"].shape
        assert isinstance(shape, Record)
        return shape


@dataclass(frozen=True, slots=True)
class Catalogue:
    groups: Mapping[str, Group]  # by tietoryhma, sorted
    unmapped: Group
    dead_letter: Schema
    dead_letter_shape: Record

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """Read the schemas of the installed package, or of `folder`. Raises SettingsError, which names the file."""
        folder = folder or folder_of_schemas()
        named: dict[str, Schema] = {}
        groups: dict[str, tuple[Path, str]] = {}
        paths = [folder / "event.avsc", folder / "unmapped.avsc", folder / "dead-letter.avsc"]
        paths += [*sorted(folder.glob("types/*.avsc")), *sorted(folder.glob("groups/*.avsc"))]
        origin: dict[str, Path] = {}
        for path in paths:
            schema = _read(path)
            name = f"{schema['namespace']}.{schema['name']}"
            if name in named:
                raise _fault(path, f"{name} is defined in {origin[name].name} already")
            named[name], origin[name] = schema, path
            if path.parent.name == "groups":
                tietoryhma = _tietoryhma(path, schema)
                if tietoryhma in groups:
                    raise _fault(path, f"{tietoryhma} has the file {groups[tietoryhma][0].name} already")
                groups[tietoryhma] = (path, name)
        for name, expected in ((EVENT, 0), (UNMAPPED, 1), (DEAD_LETTER, 2)):
            if name not in named:
                raise _fault(paths[expected], f"it must define {name}")
        return cls(
            groups={
                tietoryhma: _group(path, tietoryhma, path.stem, name, named)
                for tietoryhma, (path, name) in sorted(groups.items())
            },
            unmapped=_group(origin[UNMAPPED], "", "unmapped", UNMAPPED, named),
            dead_letter=_compose(DEAD_LETTER, named, set()),
            dead_letter_shape=record_shape(DEAD_LETTER, named),
        )

    def topics(self, prefix: str) -> list[str]:
        """Every topic of change events, the catch-all last."""
        return [change_topic(prefix, group) for group in (*self.groups.values(), self.unmapped)]


def change_topic(prefix: str, group: Group) -> str:
    return f"{prefix}.change.{group.suffix}"


def folder_of_schemas() -> Path:
    """The installed package's, or the checkout's."""
    package = Path(producer.__file__).parent
    for folder in (package / "schemas" / "avro", package.parent / "schemas" / "avro"):
        if (folder / "event.avsc").is_file():
            return folder
    raise SettingsError(
        f"no schemas beside the package {package}", hint="install vtj-producer again: the schemas belong to it"
    )


def _fault(path: Path, cause: object) -> SettingsError:
    return SettingsError(f"schema {path}: {cause}", hint="correct the file; schemas/README.md says what it must hold")


def _read(path: Path) -> Schema:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _fault(path, error) from None
    if not isinstance(schema, dict) or schema.get("type") != "record" or not isinstance(schema.get("fields"), list):
        raise _fault(path, "it must hold one record")
    for member in ("name", "namespace", "doc"):
        if not isinstance(schema.get(member), str):
            raise _fault(path, f"{member} is missing")
    names: set[str] = set()
    for at, one in enumerate(schema["fields"]):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str) or "type" not in one:
            raise _fault(path, f"field {at} lacks name or type")
        name = one["name"]
        if not _NAME.fullmatch(name) or name in names | COMMON:
            raise _fault(path, f"{name!r} is no name for a field, is there twice, or belongs to the envelope")
        names.add(name)
        if path.parent.name in ("groups", "types"):
            if not isinstance(one["type"], list) or one["type"][:1] != ["null"] or one.get("default", "") is not None:
                raise _fault(path, f"{name} must be nullable with the default null: upstream leaves fields out")
            if "doc" not in one or one.get("pii") not in PII:
                raise _fault(path, f"{name} needs doc, and pii out of {', '.join(sorted(PII))}")
    return schema


def _tietoryhma(path: Path, schema: Schema) -> str:
    """Upstream's name of a group."""
    tietoryhma = schema.get("tietoryhma")
    if not isinstance(tietoryhma, str) or not tietoryhma:
        raise _fault(path, "tietoryhma, upstream's name of the group, is missing")
    if not _KEBAB.fullmatch(path.stem) or path.stem == "unmapped":
        raise _fault(path, "the file's name becomes a topic's: lower case, digits and single hyphens, not unmapped")
    return tietoryhma


def _group(path: Path, tietoryhma: str, suffix: str, name: str, named: Named) -> Group:
    event = f"{named[name]['name']}Event"
    own = {**named, GROUP: named[name]}
    # A reference to Group is one to the group's record: the envelope is written before any group is known.
    envelope = json.loads(json.dumps(named[EVENT]).replace(f'"{GROUP}"', json.dumps(name)))
    own[EVENT] = {**envelope, "name": event}
    try:
        schema = _compose(EVENT, own, set())
        parse_schema(schema)
        return Group(tietoryhma, suffix, schema, record_shape(EVENT, own))
    except (SchemaFault, SchemaParseException, KeyError, TypeError, ValueError) as error:
        raise _fault(path, f"{type(error).__name__} {error}") from None


def _compose(name: str, named: Named, written: set[str]) -> Schema:
    """The schema of a record with every record it refers to written out where it first occurs."""

    def expand(schema: Any) -> Any:
        if isinstance(schema, list):
            return [expand(one) for one in schema]
        if isinstance(schema, str) and schema in named and schema not in written:
            return record(schema)
        if isinstance(schema, dict) and schema.get("type") == "array":
            return {**schema, "items": expand(schema["items"])}
        return schema

    def record(full_name: str) -> Schema:
        written.add(full_name)
        schema = named[full_name]
        return {**schema, "fields": [{**one, "type": expand(one["type"])} for one in schema["fields"]]}

    return record(name)
