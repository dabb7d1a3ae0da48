"""Which schema belongs under which subject, how the registry's word compares, and the ids to write with."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from fastavro.schema import SchemaParseException, to_parsing_canonical_form

from producer.config import Settings
from producer.errors import RegistryFault
from producer.events.deadletter import dead_letter_topic
from producer.events.framing import Confluent, full_name
from producer.events.groups import Catalogue, change_topic, state_topic
from producer.events.identities import identity_topic
from producer.events.protection import restricted_topics
from producer.events.shapes import Schema
from producer.observe.audit import audit
from producer.registry.client import Registry
from producer.registry.compatibility import breaks

AT_ONCE: Final = 8
REGISTER: Final = "`vtj-producer schemas register` registers them; VTJ_REGISTRY__AUTO_REGISTER=true lets `run` do it."

Item = TypeVar("Item")
Result = TypeVar("Result")
State = Literal["same", "new", "changed", "incompatible"]


@dataclass(frozen=True, slots=True)
class Subject:
    name: str
    schema: Schema = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """number: the registry's id when the schema is there already. reason: why it is incompatible."""

    subject: Subject
    state: State
    number: int | None = None
    reason: str = ""


def subjects(catalogue: Catalogue, settings: Settings) -> list[Subject]:
    """One for every topic with Avro values, the dead letters' last."""
    prefix, by_record = settings.data_prefix, settings.registry.subjects == "record"
    schemas = {change_topic(prefix, group): group.schema for group in (*catalogue.groups.values(), catalogue.unmapped)}
    if settings.state.enabled:
        schemas |= {state_topic(prefix, group): group.schema for group in catalogue.groups.values()}
    schemas |= {identity_topic(prefix): catalogue.identity, dead_letter_topic(prefix): catalogue.dead_letter}
    for topic in list(schemas):
        schemas |= dict.fromkeys(restricted_topics(settings, catalogue, [topic]), schemas[topic])
    # By record the state topics, and the restricted ones, have no subjects of their own: they hold the same records.
    named = {full_name(one) if by_record else f"{topic}-value": one for topic, one in schemas.items()}
    return [Subject(name, one) for name, one in named.items()]


async def compare(registry: Registry, wanted: Sequence[Subject]) -> list[Finding]:
    """How each subject stands in the registry. Changes nothing."""

    async def one(subject: Subject) -> Finding:
        found = await registry.lookup(subject.name, subject.schema)
        if found is not None:
            number, there = found
            return Finding(subject, "same", _checked(subject, number, there))
        latest = await registry.latest(subject.name)
        if latest is None:
            return Finding(subject, "new")
        compatible, reason = await registry.compatible(subject.name, subject.schema)
        if compatible:
            return Finding(subject, "changed")
        # Some registries say no more than that; Avro's own checker then says where.
        own = "; ".join(f"{one.field}: {one.what}" for one in breaks(subject.schema, latest, "the version there"))
        return Finding(subject, "incompatible", reason=reason or own or "the registry does not say why")

    return await _each(one, wanted)


async def register(registry: Registry, findings: Sequence[Finding]) -> list[Finding]:
    """Register what is not there, all with their ids then. Nothing at all while one is incompatible: RegistryFault."""
    refuse(findings, "incompatible")

    async def one(finding: Finding) -> Finding:
        subject = finding.subject
        if finding.number is not None:
            return finding
        number = await registry.register(subject.name, subject.schema)
        # Registries count schemas as one that they think alike: ours must be read from these very bytes.
        there = await registry.schema(number)
        return Finding(subject, finding.state, _checked(subject, number, there or {}))

    registered = await _each(one, findings)
    if new := sum(finding.state != "same" for finding in findings):
        audit("schemas: %(registered)d registered", {"registered": new})
    return registered


async def framing(settings: Settings, catalogue: Catalogue) -> Confluent:
    """The ids of all schemas, each looked up before the first page. Raises RegistryFault when one is not to be had."""
    async with Registry(settings.registry) as registry:
        findings = await compare(registry, subjects(catalogue, settings))
        if settings.registry.auto_register:
            findings = await register(registry, findings)
        else:
            refuse(findings, "new", "changed", "incompatible")
    return Confluent({full_name(one.subject.schema): one.number for one in findings if one.number is not None})


def refuse(findings: Sequence[Finding], *states: State) -> None:
    """Raises RegistryFault for findings in these states: one line each."""
    words = {
        "new": "nothing is registered",
        "changed": "another version is registered, compatible with ours",
        "incompatible": "ours is incompatible with what is registered",
    }
    lines = [
        f"{one.subject.name}: {words[one.state]}{f': {one.reason}' if one.reason else ''}"
        for one in findings
        if one.state in states
    ]
    if not lines:
        return
    incompatible = any(one.state == "incompatible" for one in findings)
    raise RegistryFault(
        "\n".join(["The schema registry does not have what this version writes with.", *lines]),
        hint="An incompatible schema is never registered: bring this version's schemas in line with the registry's, or "
        "give the topics another VTJ_TOPICS__PREFIX; then `vtj-producer schemas register`."
        if incompatible
        else REGISTER,
    )


def _checked(subject: Subject, number: int, there: Schema) -> int:
    """The id, when the schema under it reads the bytes that ours writes: field order and all."""
    try:
        same = to_parsing_canonical_form(there) == to_parsing_canonical_form(subject.schema)
    except (SchemaParseException, KeyError, TypeError, ValueError):
        same = False
    if same:
        return number
    raise RegistryFault(
        f"{subject.name}: the registry gives id {number}, but the schema under it is not ours.",
        hint="Was it registered by something that reorders or rewrites schemas? Delete that version there, and then "
        "`vtj-producer schemas register`.",
    )


async def _each(ask: Callable[[Item], Awaitable[Result]], items: Sequence[Item]) -> list[Result]:
    """All results in order, a few calls at a time; the first fault ends the others."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> Result:
        async with gate:
            return await ask(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
