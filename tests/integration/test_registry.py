"""The registry client and the commands `schemas register` and `schemas diff`, on a real registry."""

import json
import urllib.error
from collections.abc import AsyncIterator
from typing import Any

import pytest

from producer.config import Registry as Section
from producer.config import Settings, State, Topics
from producer.errors import RegistryFault
from producer.events.framing import full_name
from producer.events.groups import Catalogue
from producer.registry.client import Registry
from producer.registry.subjects import Subject, compare, framing, register, subjects
from tests.integration.deployment import NOWHERE, Deployment
from tests.registry import RealRegistry

CATALOGUE = Catalogue.load()
KOTIKUNTA: Any = CATALOGUE.groups["KOTIKUNTA"].schema
ALL = len(CATALOGUE.groups) + 3  # the catch-all, the dead letters and the identities


def changed(**members: Any) -> Any:
    """KOTIKUNTA's schema with another field, or other members of one."""
    field = {"name": "uusi", "type": ["null", "string"], "default": None, "doc": "d", **members}
    return {**KOTIKUNTA, "fields": [*KOTIKUNTA["fields"], field]}


BROKEN = {**KOTIKUNTA, "fields": [{**KOTIKUNTA["fields"][0], "type": "long"}, *KOTIKUNTA["fields"][1:]]}


@pytest.fixture
def settings(registry: RealRegistry, prefix: str) -> Settings:
    return Settings(registry=Section(url=registry.url), topics=Topics(prefix=prefix), state=State(enabled=False))


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Registry]:
    async with Registry(settings.registry) as opened:
        yield opened


@pytest.fixture
def subject(prefix: str, registry: RealRegistry) -> str:
    """A subject that keeps FULL_TRANSITIVE, and has KOTIKUNTA's schema."""
    name = f"{prefix}.change.kotikunta-value"
    registry.register(name, KOTIKUNTA)
    registry.ask("PUT", f"/config/{name}", {"compatibility": "FULL_TRANSITIVE"})
    return name


@pytest.fixture
def deployment(registry: RealRegistry, prefix: str) -> Deployment:
    """Without a Kafka."""
    return Deployment("127.0.0.1:1", prefix, NOWHERE).but(VTJ_REGISTRY__URL=registry.url)


async def test_a_subject_that_nobody_has_registered(client: Registry, prefix: str) -> None:
    name = f"{prefix}.change.kotikunta-value"
    assert await client.lookup(name, KOTIKUNTA) is None
    assert await client.latest(name) is None
    assert await client.compatible(name, KOTIKUNTA) == (True, "")
    assert await client.schema(2**31 - 1) is None


async def test_register_and_look_up(client: Registry, prefix: str) -> None:
    name = f"{prefix}.change.kotikunta-value"
    number = await client.register(name, KOTIKUNTA)
    assert await client.register(name, KOTIKUNTA) == number, "the call can be repeated"
    assert await client.lookup(name, KOTIKUNTA) == (number, KOTIKUNTA)
    assert await client.schema(number) == await client.latest(name) == KOTIKUNTA, "docs and properties are kept"
    assert await client.lookup(name, changed()) is None


async def test_the_order_of_members_is_no_difference(client: Registry, subject: str, registry: RealRegistry) -> None:
    """`normalize`: the same schema, spelled otherwise, by whoever registers it."""
    spelled = {name: KOTIKUNTA[name] for name in reversed(KOTIKUNTA)}
    found = await client.lookup(subject, spelled)
    assert found is not None
    assert await client.register(subject, spelled) == found[0]
    assert registry.ask("GET", f"/subjects/{subject}/versions") == [1]


async def test_the_order_of_fields_is_one(client: Registry, subject: str) -> None:
    assert await client.lookup(subject, {**KOTIKUNTA, "fields": KOTIKUNTA["fields"][::-1]}) is None


async def test_what_is_compatible(client: Registry, subject: str) -> None:
    assert (await client.compatible(subject, changed()))[0]
    assert not (await client.compatible(subject, BROKEN))[0]
    with pytest.raises(RegistryFault, match=f"answered 409 to registering {subject}: ") as caught:
        await client.register(subject, BROKEN)
    assert "schemas diff" in caught.value.hint
    assert await client.level() == "NONE"


async def test_a_schema_that_is_none(client: Registry, prefix: str) -> None:
    with pytest.raises(RegistryFault, match="answered 422"):
        await client.register(f"{prefix}-value", {"type": "nonsense"})


async def test_a_deleted_subject_is_registered_anew(client: Registry, subject: str, registry: RealRegistry) -> None:
    registry.ask("DELETE", f"/subjects/{subject}")
    assert await client.lookup(subject, KOTIKUNTA) is None
    number = await client.register(subject, KOTIKUNTA)
    assert await client.lookup(subject, KOTIKUNTA) == (number, KOTIKUNTA)


async def test_how_each_subject_stands(client: Registry, subject: str, prefix: str) -> None:
    wanted = [
        Subject(subject, KOTIKUNTA),
        Subject(subject, changed()),
        Subject(subject, BROKEN),
        Subject(f"{prefix}.new-value", KOTIKUNTA),
    ]
    findings = await compare(client, wanted)
    assert [one.state for one in findings] == ["same", "changed", "incompatible", "new"]
    assert findings[0].number is not None
    # Apicurio gives no reason; Avro's own checker does.
    assert findings[2].reason.startswith("feed: it cannot read what the version there wrote: reader type: long")


async def test_nothing_is_registered_while_one_is_incompatible(
    client: Registry, subject: str, prefix: str, registry: RealRegistry
) -> None:
    findings = await compare(client, [Subject(f"{prefix}.new-value", KOTIKUNTA), Subject(subject, BROKEN)])
    with pytest.raises(RegistryFault, match=f"{subject}: ours is incompatible"):
        await register(client, findings)
    assert f"{prefix}.new-value" not in registry.ask("GET", "/subjects")


@pytest.mark.parametrize("strategy", ["topic", "record"])
async def test_the_subjects_of_both_strategies(
    settings: Settings, registry: RealRegistry, prefix: str, strategy: Any
) -> None:
    chosen = settings.registry.model_copy(update={"subjects": strategy, "auto_register": True})
    settings = settings.model_copy(update={"registry": chosen})
    names = {one.name for one in subjects(CATALOGUE, settings)}
    assert len(names) == ALL
    assert {
        "topic": {f"{prefix}.change.kotikunta-value", f"{prefix}.change.unmapped-value", f"{prefix}.dead-letter-value"},
        "record": {"fi.vtj.event.KotikuntaEvent", "fi.vtj.event.UnmappedEvent", "fi.vtj.event.DeadLetter"},
    }[strategy] <= names
    framed = await framing(settings, CATALOGUE)
    assert names <= set(registry.ask("GET", "/subjects"))
    for schema in (KOTIKUNTA, CATALOGUE.unmapped.schema, CATALOGUE.dead_letter):
        prefix_bytes = framed.prefix(schema)
        assert prefix_bytes[:1] == b"\0"
        there = registry.ask("GET", f"/schemas/ids/{int.from_bytes(prefix_bytes[1:], 'big')}")
        assert json.loads(there["schema"]) == schema


async def test_a_start_is_refused_for_what_is_missing(settings: Settings, client: Registry, prefix: str) -> None:
    with pytest.raises(RegistryFault) as caught:
        await framing(settings, CATALOGUE)
    assert str(caught.value).count(": nothing is registered") == ALL
    assert "`vtj-producer schemas register`" in caught.value.hint
    await register(client, await compare(client, subjects(CATALOGUE, settings)))
    assert (await framing(settings, CATALOGUE)).prefix(KOTIKUNTA)


async def test_an_id_is_not_used_when_another_schema_is_under_it(
    settings: Settings, client: Registry, registry: RealRegistry, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registries that put schemas into another order before they compare them have been seen."""
    number = await client.register(f"{prefix}-value", KOTIKUNTA)
    turned = {**KOTIKUNTA, "fields": KOTIKUNTA["fields"][::-1]}

    async def lookup(*_: Any) -> Any:
        return number, KOTIKUNTA

    monkeypatch.setattr(client, "lookup", lookup)
    with pytest.raises(RegistryFault, match=f"the registry gives id {number}, but the schema under it is not ours"):
        await compare(client, [Subject(f"{prefix}-value", turned)])


async def test_register_and_diff_as_commands(deployment: Deployment, registry: RealRegistry, prefix: str) -> None:
    before = await deployment.run("schemas", "diff")
    assert (before.code, before.out.count(": new\n")) == (1, ALL), before.err
    assert f"{ALL} subjects: {ALL} new." in before.out
    first = await deployment.run("schemas", "register")
    assert (first.code, first.out.count(": registered, id ")) == (0, ALL), first.err
    again = await deployment.run("schemas", "register")
    assert (again.code, again.out.count(": was there already, id ")) == (0, ALL), again.err
    assert "compatibility level is NONE" in again.out
    after = await deployment.run("schemas", "diff")
    assert (after.code, after.out.count(": same\n")) == (0, ALL)


async def test_an_incompatible_one_stops_the_commands(deployment: Deployment, registry: RealRegistry) -> None:
    name = f"{deployment.prefix}.change.kotikunta-value"
    registry.register(name, BROKEN)
    registry.ask("PUT", f"/config/{name}", {"compatibility": "FULL"})
    diff = await deployment.run("schemas", "diff")
    assert diff.code == 1
    assert f"{name}: incompatible: feed: it cannot read" in diff.out
    assert f"{ALL} subjects: {ALL - 1} new, 1 incompatible." in diff.out
    refused = await deployment.run("schemas", "register")
    assert (refused.code, refused.out) == (9, "")
    assert f"{name}: ours is incompatible with what is registered: feed: " in refused.err
    with pytest.raises(urllib.error.HTTPError):
        registry.ask("GET", f"/subjects/{deployment.prefix}.dead-letter-value/versions/latest")


async def test_without_a_registry_the_commands_say_which_setting(deployment: Deployment) -> None:
    ended = await deployment.but(VTJ_REGISTRY__URL=None).run("schemas", "register")
    assert ended.code == 2
    assert "VTJ_REGISTRY__URL must be set" in ended.err


def test_records_have_names_of_their_own() -> None:
    """RecordNameStrategy rests on it, and so do the ids."""
    schemas = [one.schema for one in (*CATALOGUE.groups.values(), CATALOGUE.unmapped)]
    assert len({full_name(one) for one in [*schemas, CATALOGUE.dead_letter, CATALOGUE.identity]}) == ALL
