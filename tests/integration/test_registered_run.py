"""`run` and `tail` with a registry, from upstream to the readers, on a real Kafka."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from producer.events.groups import Catalogue
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import SOON, Deployment
from tests.oracle.schemas import Schemas
from tests.registry import RealRegistry

pytestmark = pytest.mark.kafka

ALL = len(Catalogue.load().groups) + 3


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Sixty changes, ten a page, and one that no person belongs to."""
    async with Sandbox(persons=50, history=60, page_size=10) as running:
        running.append(["ei tietue"])
        yield running


def fed(broker: Broker, prefix: str, sandbox: Sandbox, registry: RealRegistry) -> Deployment:
    return Deployment(broker.bootstrap, prefix, sandbox.url).but(
        VTJ_REGISTRY__URL=registry.url, VTJ_SCHEDULE__INTERVAL="1"
    )


async def assert_sound(deployment: Deployment, sandbox: Sandbox) -> None:
    verdict = await deployment.audit()
    assert verdict.sound, verdict
    assert verdict.cursor == sandbox.state()["last"]


async def assert_read_by_id(deployment: Deployment, registry: RealRegistry) -> None:
    """The stock deserializer, which asks for each id, reads what the topic's own schema says."""
    stored = [one for one in await deployment.stored() if one.topic.startswith("change.") or one.topic == "dead-letter"]
    assert len({one.topic for one in stored}) > 5
    with SchemaRegistryClient({"url": registry.url}) as client:
        read = AvroDeserializer(client, conf={"subject.name.strategy": topic_subject_name_strategy})
        for one in stored:
            assert one.value is not None
            assert one.value[:1] == b"\0"
            context = SerializationContext(deployment.topic(one.topic), MessageField.VALUE)
            assert read(one.value, context) == Schemas.load().decode(one.topic, one.value)
            assert dict(one.headers)["content-type"] == b"application/avro"


async def test_a_registry_that_goes_away_stops_nobody_who_runs(
    broker: Broker, prefix: str, sandbox: Sandbox, own_registry: RealRegistry
) -> None:
    deployment = await fed(broker, prefix, sandbox, own_registry).apply_topics()
    before = await deployment.committed()
    missing = await deployment.run("run", "--once")
    assert missing.code == 9
    assert missing.err.count(": nothing is registered\n") == ALL
    assert f"{prefix}.change.kotikunta-value: nothing is registered" in missing.err
    assert "→ `vtj-producer schemas register` registers them" in missing.err
    assert "Traceback" not in missing.err
    assert await deployment.committed() == before

    registered = await deployment.run("schemas", "register")
    assert registered.code == 0, registered.err
    assert (await deployment.run("run", "--once")).code == 0
    await assert_sound(deployment, sandbox)
    sandbox.grow(20)
    restarted = await deployment.run("run", "--once")
    assert restarted.code == 0, restarted.err
    await assert_sound(deployment, sandbox)
    await assert_read_by_id(deployment, own_registry)

    async with deployment.start("run") as running:
        sandbox.grow(20)
        await running.says(f"committed cursor {sandbox.state()['last']}:")
        own_registry.close()
        sandbox.grow(20)
        await running.says(f"committed cursor {sandbox.state()['last']}:")
        assert (await running.stop()).code == 0
    await assert_sound(deployment, sandbox)

    away = await deployment.run("run", "--once")
    assert away.code == 9
    assert f"No answer of the schema registry to looking up {prefix}." in away.err
    assert f"Is {own_registry.url} up" in away.err


async def test_run_registers_when_it_may(broker: Broker, prefix: str, sandbox: Sandbox, registry: RealRegistry) -> None:
    deployment = fed(broker, prefix, sandbox, registry).but(VTJ_REGISTRY__AUTO_REGISTER="true")
    await deployment.apply_topics()
    ended = await deployment.run("run", "--once")
    assert ended.code == 0, ended.err
    assert len([name for name in registry.ask("GET", "/subjects") if name.startswith(f"{prefix}.")]) == ALL
    await assert_sound(deployment, sandbox)
    await assert_read_by_id(deployment, registry)
    await _tail_reads_everything(deployment, registry)


async def _tail_reads_everything(deployment: Deployment, registry: RealRegistry) -> None:
    """Both framings, an older schema, what no registry knows, and what is no value at all."""
    topic = deployment.topic("change.kotikunta")
    (event, *_) = [one.value for one in await deployment.stored("change.kotikunta")]
    assert event is not None
    schema: Any = Catalogue.load().groups["KOTIKUNTA"].schema
    older = registry.register(f"{deployment.prefix}-older", {**schema, "fields": schema["fields"][:2]})
    single = Schemas.load().encode_prefix("change.kotikunta") + event[5:]
    producer = Producer({"bootstrap.servers": deployment.bootstrap})
    stranger = b"\0" + (2**31 - 1).to_bytes(4, "big") + event[5:]
    for value in (single, b"\0" + older.to_bytes(4, "big") + b"\x06vtj\x020", stranger, event[:9], b"x"):
        producer.produce(topic, value, "x", partition=0)
    assert producer.flush(SOON) == 0

    tail = await deployment.run("tail", "--once", "--from-beginning", "--group", "kotikunta")
    assert tail.code == 0, tail.err
    lines = [json.loads(line) for line in tail.out.splitlines()]
    ours, odd = [one for one in lines if one["key"] != "x"], [one["value"] for one in lines if one["key"] == "x"]
    assert ours
    assert all(one["value"]["group"] == "KOTIKUNTA" for one in ours)
    assert odd[0] in [one["value"] for one in ours]
    assert odd[1] == {"feed": "vtj", "bucket": "0"}
    assert "the registry has no such schema" in odd[2]["undecoded"]
    assert "does not follow the schema" in odd[3]["undecoded"]
    assert "does not know" in odd[4]["undecoded"]
    table = await deployment.run("tail", "--once", "--from-beginning", "--group", "kotikunta", "--table")
    assert table.code == 0, table.err
    assert table.out.count("\n") == len(lines)

    without = await deployment.but(VTJ_REGISTRY__URL=None).run(
        "tail", "--once", "--from-beginning", "--group", "kotikunta"
    )
    assert without.code == 0, without.err
    told = [json.loads(line)["value"] for line in without.out.splitlines()]
    assert sum("VTJ_REGISTRY__URL names no registry" in one.get("undecoded", "") for one in told) == len(lines) - 2
    assert odd[0] in told
