"""A broker that freezes, restarts or dies: the service goes on, or ends when told; nothing is lost or doubled."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition

from producer.errors import Doubt
from producer.kafka.ownership import membership
from producer.kafka.reader import reader
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.chaos.proxy import Proxy
from tests.integration.deployment import SOON, Deployment, Ended, Instance, change, until
from tests.integration.pages import encoded
from tests.integration.test_observe import address, ask, until_answers

pytestmark = pytest.mark.kafka

PROMISED = 5.0  # s, from SIGTERM to the end
RECOVERS = 90.0
FETCH = 1  # the protocol's number


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Twenty pages now, and the next as soon as they are asked for."""
    async with Sandbox(persons=200, history=2000, page_size=100) as running:
        yield running


@asynccontextmanager
async def frozen(broker: Broker) -> AsyncIterator[None]:
    broker.pause()
    try:
        yield
    finally:
        broker.resume()


@asynccontextmanager
async def down(broker: Broker) -> AsyncIterator[None]:
    await asyncio.to_thread(broker.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(broker.start)


def feed(broker: Broker, prefix: str, sandbox: Sandbox) -> Deployment:
    """One that is quick to give up on a broker."""
    return Deployment(broker.bootstrap, prefix, sandbox.url).small.but(
        VTJ_SCHEDULE__INTERVAL="1",
        VTJ_KAFKA__TRANSACTION_EVENTS="500",
        VTJ_KAFKA__TRANSACTION_TIMEOUT="5",
        VTJ_KAFKA__SESSION_TIMEOUT="6",
        VTJ_KAFKA__COMMIT_TIMEOUT="3",
    )


async def caught_up(running: Instance, sandbox: Sandbox) -> None:
    last = sandbox.state()["last"]
    await running.says(f"committed cursor {last}:", patience=RECOVERS)


def assert_well_ended(ended: Ended) -> None:
    assert ended.code == 0, ended.err
    assert ended.seconds < PROMISED
    for trace in ("Traceback", "never retrieved", "Unclosed", "was destroyed"):
        assert trace not in ended.err


async def assert_sound(deployment: Deployment) -> None:
    """Nothing lost, nothing doubled of the whole history, and no reader held."""
    await until(deployment.nothing_open, "the end of the transaction", RECOVERS)
    verdict = await deployment.audit()
    assert verdict.sound, verdict
    assert verdict.changes == 2000


async def assert_goes_on(deployment: Deployment, sandbox: Sandbox) -> None:
    """Where it ended in an outage.

    Only the next start is sure to end what was then on its way: a batch can reach the broker behind the markers of
    its own transaction.
    """
    async with deployment.start("run") as running:
        await caught_up(running, sandbox)
        ended = await running.stop()
    assert_well_ended(ended)
    await assert_sound(deployment)


async def test_catching_up_goes_on_after_an_outage_and_sigterm_is_heard_in_it(
    frail_broker: Broker, prefix: str, sandbox: Sandbox
) -> None:
    staying = await feed(frail_broker, prefix, sandbox).apply_topics()
    leaving = await feed(frail_broker, f"{prefix}-leaving", sandbox).apply_topics()
    # Both are at it for seconds more, whoever begins first, and however fast the machine is.
    sandbox.set_faults([{"fault": "hang", "endpoint": "muutokset", "times": None, "seconds": 0.2}])
    async with staying.start("run") as stays:
        async with leaving.start("run") as leaves:
            await asyncio.gather(stays.says("more to come"), leaves.says("more to come"))
            async with down(frail_broker):
                left = await leaves.stop()
        assert f"committed cursor {sandbox.state()['last']}:" not in left.err
        sandbox.set_faults([])
        await caught_up(stays, sandbox)
        ended = await stays.stop()
    assert_well_ended(ended)
    await assert_sound(staying)
    assert_well_ended(left)
    await assert_goes_on(leaving, sandbox)


async def test_catching_up_goes_on_after_a_freeze(frail_broker: Broker, prefix: str, sandbox: Sandbox) -> None:
    deployment = await feed(frail_broker, prefix, sandbox).apply_topics()
    async with deployment.start("run") as running:
        await running.says("more to come")
        async with frozen(frail_broker):
            await running.says("beginning again at the stored cursor")
        await caught_up(running, sandbox)
        ended = await running.stop()
    assert_well_ended(ended)
    await assert_sound(deployment)


async def test_readiness_says_that_it_is_kafka_and_comes_back(
    frail_broker: Broker, prefix: str, sandbox: Sandbox
) -> None:
    deployment = (await feed(frail_broker, prefix, sandbox).apply_topics()).but(VTJ_SERVER__PORT="0")
    async with deployment.start("run") as running:
        root = await address(running)
        await caught_up(running, sandbox)
        await until_answers(root, 200)
        async with frozen(frail_broker):  # nothing is to be committed: only heartbeats can tell
            told = await until_answers(root, 503)
            assert (told["ready"], [*told["failing"]["vtj"]]) == (False, ["kafka"])
            assert (await ask(root, "/healthz"))[0] == 200
        assert await until_answers(root, 200) == {"ready": True, "failing": {}}
        ended = await running.stop()
    assert_well_ended(ended)


async def test_sigterm_is_heard_while_the_broker_is_frozen(frail_broker: Broker, prefix: str, sandbox: Sandbox) -> None:
    deployment = await feed(frail_broker, prefix, sandbox).apply_topics()
    async with deployment.start("run") as running:
        await running.says("more to come")
        async with frozen(frail_broker):
            ended = await running.stop()
    assert_well_ended(ended)
    await assert_goes_on(deployment, sandbox)


async def test_a_frozen_broker_ends_the_start_in_time(frail_broker: Broker, prefix: str, sandbox: Sandbox) -> None:
    async with frozen(frail_broker):
        ended = await feed(frail_broker, prefix, sandbox).run("run", patience=20)
    assert ended.code == 8
    assert "asking Kafka: " in ended.err
    assert "Is Kafka up and reachable" in ended.err


async def test_an_outage_leaves_no_task_behind(frail_broker: Broker, prefix: str, persons: list[str]) -> None:
    """Every one would poll and reconnect for ever, one more set with every outage."""
    deployment = Deployment(frail_broker.bootstrap, prefix).create_topics().but(VTJ_KAFKA__COMMIT_TIMEOUT="2")
    names = deployment.names
    before = asyncio.all_tasks()

    async def release() -> None:
        pass

    async with AsyncExitStack() as freezing:
        async with membership(
            deployment.settings.kafka, "test", group=names.group, topic=names.cursor_topic, release=release
        ) as member:
            while not member.shards:
                member.changed.clear()
                await member.changed.wait()
            await freezing.enter_async_context(frozen(frail_broker))
        assert asyncio.all_tasks() == before
    async with AsyncExitStack() as freezing:
        async with deployment.publisher().open() as shard:
            await shard.begin(1)
            await freezing.enter_async_context(frozen(frail_broker))
            with pytest.raises(Doubt):
                await shard.commit([encoded(deployment, 1, 2, *map(change, persons))])
        assert asyncio.all_tasks() == before


async def test_a_broker_that_takes_connections_and_says_nothing_is_passed_over(
    broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "shuffle", lambda _: None)  # aiokafka would begin with any of them
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        deployment = Deployment(f"127.0.0.1:{port},{broker.bootstrap}", prefix).but(VTJ_KAFKA__COMMIT_TIMEOUT="3")
        async with reader(deployment.settings.kafka, "test") as consumer:
            assert consumer._client.cluster.brokers()


async def test_whoever_leaves_a_broken_connection_is_not_cancelled(
    broker: Broker, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The fetch waits to be tried again; aiokafka cancels it, awaits it, and passes that on."""
    deployment = Deployment(broker.bootstrap, prefix).create_topics()
    async with (
        Proxy(broker.bootstrap) as proxy,
        reader(Deployment(proxy.address, prefix).settings.kafka, "test") as consumer,
    ):
        consumer.assign([TopicPartition(deployment.topic("cursor"), 0)])
        fetch = await proxy.catch(FETCH)
        fetch.cut()
        async with asyncio.timeout(SOON):
            while "Failed fetch messages" not in caplog.text:
                await asyncio.sleep(0)


async def test_a_broker_that_has_moved_is_looked_up_anew(
    broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _, port = broker.bootstrap.partition(":")
    loop, where = asyncio.get_running_loop(), "127.0.0.99"
    look_up = loop.getaddrinfo

    async def resolved(name: str, at: int, **options: int) -> list[Any]:
        return await look_up(where if name == "kafka.example" else name, at, **options)

    monkeypatch.setattr(loop, "getaddrinfo", resolved)
    kafka = Deployment(f"kafka.example:{port}", prefix).but(VTJ_KAFKA__COMMIT_TIMEOUT="3").settings.kafka
    with pytest.raises(Doubt):
        async with reader(kafka, "test"):
            pass
    where = host
    async with reader(kafka, "test") as consumer:
        assert consumer._client.cluster.brokers()
