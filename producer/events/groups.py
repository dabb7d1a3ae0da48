"""The catalogue of data groups: what `schemas/avro` says.

    schemas/avro/event.avsc        the envelope; fi.vtj.group.Group stands for the group's own record
    schemas/avro/types/*.avsc      records that groups share
    schemas/avro/groups/*.avsc     one data group each; its topic is named after the file
    schemas/avro/unmapped.avsc     the record, without fields, of groups that have no file yet
    schemas/avro/dead-letter.avsc
    schemas/avro/identity.avsc     which codes are one person's

The published schema of a group is the envelope with the group's record in the place of Group, the envelope's own
record renamed to `<Group>Event`, and every shared record written out where it is first used. What one file must hold:
avsc.py.
"""

import difflib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from fastavro.schema import SchemaParseException, parse_schema

from producer.errors import SettingsError
from producer.events import avsc
from producer.events.files import Fault, Report, beside, stop
from producer.events.files import folder as schemas
from producer.events.framing import full_name
from producer.events.shapes import Named, Record, Schema, SchemaFault, record_shape

EVENT: Final = "fi.vtj.event.Event"
GROUP: Final = "fi.vtj.group.Group"
UNMAPPED: Final = "fi.vtj.group.Unmapped"
DEAD_LETTER: Final = "fi.vtj.event.DeadLetter"
IDENTITY: Final = "fi.vtj.event.Identity"
RESTRICTED: Final = ".restricted"
HETU: Final = "hetu"  # the code set of fields that hold identity codes

_KEBAB: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_BASIS: Final = {
    EVENT: "event.avsc",
    UNMAPPED: "unmapped.avsc",
    DEAD_LETTER: "dead-letter.avsc",
    IDENTITY: "identity.avsc",
}
_NOTHING: Final[Schema] = {"type": "record", "name": "Nothing", "namespace": "fi.vtj", "doc": "", "fields": []}


@dataclass(frozen=True, slots=True)
class Group:
    """One data group, or the catch-all for those without a schema (its `tietoryhma` is "")."""

    tietoryhma: str
    suffix: str  # last part of the topic's name, kebab case
    schema: Schema = field(repr=False)  # as published: self-contained
    envelope: Record = field(repr=False)

    @property
    def own(self) -> Schema:
        """The group's own record as its file has it, with the records that it refers to written out."""
        (data,) = (one for one in self.schema["fields"] if one["name"] == "data")
        own: Schema = data["type"][1]
        return own

    @property
    def residence(self) -> bool:
        """Whether it says where somebody lives, or lived: turvakielto withholds fields of it, or it `reveals` that."""
        return "reveals" in self.own or any(field.get("restricted") for field in self.own["fields"])

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
    identity: Schema
    identity_shape: Record
    code_fields: frozenset[str] = frozenset()  # names of upstream's fields that hold identity codes
    outside: frozenset[str] = frozenset()  # groups with a schema that the data permit does not cover

    @classmethod
    def load(cls, folder: Path | None = None) -> "Catalogue":
        """The schemas of the installed package, read once, or those of `folder`, read now.

        Raises SettingsError, which names the file.
        """
        if folder is None:
            return _installed()
        catalogue = cls.read(folder, stop)
        assert catalogue is not None
        return catalogue

    @classmethod
    def read(cls, folder: Path, report: Report) -> Self | None:
        """What is sound of the schemas; None when the envelope is not. All faults are reported."""
        codesets = {path.stem for path in beside(folder, "codesets").glob("*.json")}
        basis = {name: folder / file for name, file in _BASIS.items()}
        named: dict[str, Schema] = {GROUP: _NOTHING}
        origin: dict[str, Path] = {}
        groups: dict[str, str] = {}
        for path in [*basis.values(), *sorted(folder.glob("types/*.avsc")), *sorted(folder.glob("groups/*.avsc"))]:
            schema = avsc.read(path, codesets, report)
            if schema is None:
                if path.parent.name == "types":  # what refers to it is not wrong for that
                    named.setdefault(f"fi.vtj.type.{path.stem.title().replace('-', '')}", _NOTHING)
                continue
            name = full_name(schema)
            if name in origin:
                what = f"{name} is defined in {origin[name].name} already"
                report(Fault(path, what, "Give the record a name of its own."))
                continue
            named[name], origin[name] = schema, path
            if path.parent.name == "groups" and (tietoryhma := _tietoryhma(path, schema, report)):
                if tietoryhma in groups:
                    what = f"tietoryhma {tietoryhma} has the file {origin[groups[tietoryhma]].name} already"
                    report(Fault(path, what, "Keep one of the two."))
                    continue
                groups[tietoryhma] = name
        for name in basis.keys() - origin.keys():
            report(Fault(basis[name], f"it must define {name}", "Take the file from the last release."))
        odd = {path for name, path in origin.items() if not _fields_are_known(path, name, named, report)}
        if not basis.keys() <= origin.keys() or odd & {*basis.values()}:
            return None

        def group(tietoryhma: str, name: str) -> Group | None:
            path = origin[name]
            try:
                return _group(tietoryhma, path.stem, name, named)
            except (SchemaFault, SchemaParseException, KeyError, TypeError, ValueError) as error:
                if not odd:  # else the cause has been told
                    what = f"{type(error).__name__} {error}"
                    report(Fault(path, what, "Correct the file, or event.avsc around it."))
                return None

        found = {tietoryhma: group(tietoryhma, name) for tietoryhma, name in sorted(groups.items())}
        unmapped = group("", UNMAPPED)
        if unmapped is None:
            return None
        return cls(
            groups={tietoryhma: one for tietoryhma, one in found.items() if one},
            unmapped=unmapped,
            dead_letter=_compose(DEAD_LETTER, named, set()),
            dead_letter_shape=record_shape(DEAD_LETTER, named),
            identity=_compose(IDENTITY, named, set()),
            identity_shape=record_shape(IDENTITY, named),
            code_fields=frozenset(
                one["name"]
                for name in named.keys() - _BASIS.keys()  # those are ours, not upstream's
                for one in named[name]["fields"]
                if one.get("codeset") == HETU
            ),
        )

    def within(self, permit: Collection[str] | None) -> Self:
        """What a data permit covers; None: all. Raises SettingsError, which names the groups that there are not."""
        if permit is None:
            return self
        if unknown := sorted({*permit} - self.groups.keys()):
            told = [name + _perhaps(name, self.groups) for name in unknown]
            raise SettingsError(
                f"VTJ_PERMIT__GROUPS names data groups that no schema describes: {', '.join(told)}.",
                hint="`vtj-producer schemas list` knows all. One that is new at DVV needs no place in the permit here: "
                "it goes to the topic of unmapped groups.",
            )
        covered = {name: group for name, group in self.groups.items() if name in permit}
        return replace(self, groups=covered, outside=self.outside | (self.groups.keys() - covered.keys()))

    def topics(self, prefix: str) -> list[str]:
        """Every topic of change events, the catch-all last."""
        return [change_topic(prefix, group) for group in (*self.groups.values(), self.unmapped)]

    def state_topics(self, prefix: str) -> list[str]:
        """Every topic of what is valid now. Without the catch-all: a compacted topic keeps one record of a person."""
        return [state_topic(prefix, group) for group in self.groups.values()]


@cache
def _installed() -> Catalogue:
    return Catalogue.load(schemas("avro"))


def change_topic(prefix: str, group: Group) -> str:
    return f"{prefix}.change.{group.suffix}"


def state_topic(prefix: str, group: Group) -> str:
    return f"{prefix}.state.{group.suffix}" if group.tietoryhma else change_topic(prefix, group)


def restricted_topic(topic: str) -> str:
    """Where what must not be in a topic goes, of persons under turvakielto."""
    return topic + RESTRICTED


def _perhaps(name: str, names: Collection[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _tietoryhma(path: Path, schema: Schema, report: Report) -> str | None:
    """Upstream's name of a group."""
    tietoryhma = schema.get("tietoryhma")
    if not isinstance(tietoryhma, str) or not tietoryhma:
        report(Fault(path, "tietoryhma is missing", "Give upstream's name of the group."))
        return None
    if not _KEBAB.fullmatch(path.stem) or path.stem == "unmapped":
        cure = "Name it in lower case, with digits and single hyphens, and not unmapped."
        report(Fault(path, "the file's name becomes a topic's, and this cannot", cure))
        return None
    return tietoryhma


def _fields_are_known(path: Path, name: str, named: Named, report: Report) -> bool:
    """Whether the encoder knows the types of a record's own fields. Records inside it are looked at by themselves."""
    known, hollow = True, dict.fromkeys(named, _NOTHING)
    for one in named[name]["fields"]:
        try:
            record_shape(name, {**hollow, name: {**named[name], "fields": [one]}})
        except (SchemaFault, KeyError, TypeError) as error:
            report(Fault(path, str(error), "Use the types that schemas/README.md names.", one["name"]))
            known = False
    return known


def _group(tietoryhma: str, suffix: str, name: str, named: Named) -> Group:
    event = f"{named[name]['name']}Event"
    own = {**named, GROUP: named[name]}
    # A reference to Group is one to the group's record: the envelope is written before any group is known.
    envelope = json.loads(json.dumps(named[EVENT]).replace(f'"{GROUP}"', json.dumps(name)))
    own[EVENT] = {**envelope, "name": event}
    schema = _compose(EVENT, own, set())
    parse_schema(schema)
    return Group(tietoryhma, suffix, schema, record_shape(EVENT, own))


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
