"""Everything there is to say of each topic that consumers read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from producer.catalogue.examples import Examples, Line
from producer.catalogue.history import Change, history, releases
from producer.catalogue.reading import Field, Shared, Text, both, fields, paths, shared
from producer.catalogue.words import ENVELOPE
from producer.config import Feed, Topics
from producer.events.avsc import PII
from producer.events.codesets import Codesets
from producer.events.files import folder
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue, Group
from producer.events.shapes import Schema
from producer.kafka.topics import Plan, plan

BUILDING: Final = "RAKENNUKSEN_"  # what the names of building groups begin with
CHANGE_TYPES: Final = "muutosattribuutti"  # the code set of the kinds of change
BASIS: Final = "kotikunta"  # its example is what the ones of no group are made of


@dataclass(frozen=True)
class Topic:
    """suffix: names the page and the schema's file. theme, confidence, source: "" where there is no data group."""

    suffix: str
    tietoryhma: str
    title: Text
    theme: str
    confidence: str
    source: str
    key: str  # "person", "building" or "any": a person's where there is one
    plan: Plan
    schema: Schema = field(repr=False)
    own: tuple[Field, ...]  # of the group, or of the dead letter
    types: Mapping[str, Shared] = field(repr=False)
    changes: tuple[str, ...]  # kinds that were seen in payloads
    example: Line = field(repr=False)
    withheld: Line | None = field(repr=False)  # how the event looks under turvakielto
    history: tuple[Change, ...]

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def prefix(self) -> bytes:
        """The ten bytes that values begin with, without a registry."""
        return SingleObject().prefix(self.schema)

    @property
    def fingerprint(self) -> str:
        """CRC-64-AVRO as a number is written, most significant byte first; hexadecimal."""
        return self.prefix[:1:-1].hex()

    @property
    def retention_days(self) -> int:
        return int(self.plan.configs["retention.ms"]) // 86_400_000

    @property
    def restricted(self) -> list[str]:
        return [one.name for one in self.own if one.restricted]

    @property
    def pii(self) -> dict[str, list[str]]:
        """Class → paths of the fields that are in it; a path below one of the same class is left out."""
        found: dict[str, list[str]] = {name: [] for name in PII}
        for path, one, above in paths(self.own, self.types):
            if not above or one.pii not in ("none", above):
                found[one.pii].append(path)
        return {name: named for name, named in found.items() if named}

    @property
    def codesets(self) -> dict[str, list[str]]:
        """Code set → paths of the fields that hold its codes."""
        found: dict[str, list[str]] = {}
        for path, one, _ in paths(self.own, self.types):
            if one.codeset:
                found.setdefault(one.codeset, []).append(path)
        return found


@dataclass(frozen=True)
class Contents:
    """The whole catalogue, in the order in which it is shown."""

    prefix: str
    topics: tuple[Topic, ...]  # the data groups, then unmapped and dead letters
    envelope: tuple[Field, ...]
    types: Mapping[str, Shared]
    codesets: Codesets

    @classmethod
    def read(cls, catalogue: Catalogue, codesets: Codesets, schemas: Path | None = None) -> Self:
        """schemas: the folder that holds `examples` and `released`. Raises SettingsError, which names the file."""
        schemas = schemas or folder("avro").parent
        settings = Topics()
        topics = _Reader(catalogue, schemas, settings)
        types = {one.name: one for group in catalogue.groups.values() for one in shared(group.own)}
        return cls(
            prefix=settings.prefix,
            topics=(*map(topics.group, catalogue.groups.values()), topics.unmapped(), topics.dead_letter()),
            envelope=tuple(
                replace(one, doc=Text(ENVELOPE.get(one.name, one.doc.fi), one.doc.en))
                for one in fields(catalogue.unmapped.schema)
            ),
            types=dict(sorted(types.items())),
            codesets=codesets,
        )


class _Reader:
    def __init__(self, catalogue: Catalogue, schemas: Path, settings: Topics) -> None:
        self._catalogue = catalogue
        self._prefix = settings.prefix
        self._plans = {one.name: one for one in plan(settings, catalogue.topics(settings.prefix))}
        self._examples = Examples(catalogue, schemas / "examples", settings.prefix, Feed().name)
        self._history = history(catalogue, releases(schemas / "released"))

    def group(self, group: Group) -> Topic:
        restricted = [one["name"] for one in group.own["fields"] if one.get("restricted")]
        withheld = self._examples.withheld(group.suffix, restricted) if restricted else None
        return self._topic(group.suffix, group.schema, group.own, self._examples.change(group.suffix), withheld)

    def unmapped(self) -> Topic:
        group = self._catalogue.unmapped
        return self._topic(group.suffix, group.schema, group.own, self._examples.unmapped(BASIS))

    def dead_letter(self) -> Topic:
        schema = self._catalogue.dead_letter
        return self._topic("dead-letter", schema, schema, self._examples.dead_letter(BASIS))

    def _topic(self, suffix: str, schema: Schema, own: Schema, example: Line, withheld: Line | None = None) -> Topic:
        """own: the record of a data group; else it has no tietoryhma."""
        tietoryhma = own.get("tietoryhma", "")
        return Topic(
            suffix=suffix,
            tietoryhma=tietoryhma,
            title=both(own["doc"]),
            theme=own.get("theme", ""),
            confidence=own.get("confidence", ""),
            source=own.get("source", ""),
            key="any" if not tietoryhma else "building" if tietoryhma.startswith(BUILDING) else "person",
            plan=self._plans[example["topic"]],
            schema=schema,
            own=fields(own),
            types={one.name: one for one in shared(own)},
            changes=tuple(own.get("changes", ())),
            example=example,
            withheld=withheld,
            history=self._history[suffix],
        )
