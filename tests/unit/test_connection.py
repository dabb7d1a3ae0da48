"""A client of Kafka is ended whatever it ends with, and a broker that is down is not asked."""

import asyncio
import contextlib
import gc
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaError, KafkaStorageError, NotLeaderForPartitionError, RecordListTooLargeError
from aiokafka.producer.message_accumulator import MessageAccumulator, MessageBatch

from producer.config import Kafka
from producer.errors import Doubt, Rejected
from producer.kafka import connection, deadlines
from producer.kafka.clients import Admin, started
from producer.kafka.deadlines import deadline
from producer.operate.together import together


class Broken:
    """As aiokafka's producer is when a batch comes back that has been failed meanwhile."""

    _client: Any

    def __init__(self) -> None:
        self._client = self
        self.closed = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        raise KeyError

    async def close(self) -> None:
        self.closed = True


async def test_the_fault_that_ended_the_work_is_told_and_not_what_the_client_made_of_it() -> None:
    client: Any = Broken()
    with pytest.raises(Doubt, match="the commit"):
        async with started(client, Kafka(), "starting"):
            raise Doubt("the commit")
    assert client.closed


class Stubborn(Broken):
    """Hears a cancellation and goes on, a few times."""

    async def stop(self) -> None:
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)


class Cancelled(Broken):
    """Awaits what it has cancelled, as aiokafka's consumer does with a fetch that waits to try again."""

    async def stop(self) -> None:
        waiting = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        waiting.cancel()
        await waiting


async def test_a_deadline_holds_although_the_client_keeps_its_cancellation_to_itself() -> None:
    client: Any = Stubborn()
    client.start = client.stop
    async with asyncio.timeout(10):
        with pytest.raises(Doubt, match=r"starting: no end within 0\.05 s"):
            async with started(client, Kafka(commit_timeout=0.05), "starting", stop_timeout=0.05):
                pytest.fail("started")
    assert client.closed


async def test_whoever_is_cancelled_while_the_client_stops_ends_there() -> None:
    """Else it would go on working, and whoever let go of it would wait for it for ever."""
    client: Any = Stubborn()

    async def work() -> None:
        async with started(client, Kafka(), "starting"):
            leaving.set()
        pytest.fail("went on")

    leaving = asyncio.Event()
    working = asyncio.ensure_future(work())
    await leaving.wait()
    await asyncio.sleep(0)  # it stops its client
    working.cancel()
    await asyncio.wait([working], timeout=10)
    assert working.cancelled()


async def test_a_cancellation_of_the_client_s_own_is_none_of_ours() -> None:
    client: Any = Cancelled()
    async with started(client, Kafka(), "starting"):
        pass
    assert client.closed
    with pytest.raises(Doubt, match="not by us"):
        await together(client.stop())


async def test_work_that_is_done_stays_done() -> None:
    client: Any = Broken()
    async with started(client, Kafka(), "starting"):
        pass
    assert client.closed


async def test_an_address_that_has_refused_is_not_tried_again_at_once(unused_tcp_port: int) -> None:
    """aiokafka's sender does so hundreds of times a second, and each try leaves a connection behind."""
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(OSError, match="Connect call failed"):
            await connection._connected(
                "127.0.0.1", unused_tcp_port, request_timeout_ms=1000, ssl_context=None, sasl_plain_password=None
            )
    assert time.monotonic() - began >= 2 * connection.RECONNECT


@pytest.mark.parametrize("ours", [False, True], ids=["aiokafka's", "ours"])
async def test_a_future_that_aiokafka_fails_with_its_own_fault_is_not_told_and_one_of_ours_is(
    ours: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its sender stumbles over a batch that it has failed before, and fails all that are left with that."""
    accumulator = MessageAccumulator(ClusterMetadata(), 1000, 0, 1)
    client: Any = Broken()
    async with started(client, Kafka(), "starting"):
        pass
    assert client.closed
    future = asyncio.get_running_loop().create_future()
    try:
        if ours:
            raise KeyError
        accumulator.reenqueue(MessageBatch(TopicPartition("t", 0), accumulator.create_builder(), 1, 0))
    except KeyError as error:
        future.set_exception(error)
    del future
    gc.collect()
    assert [one.name for one in caplog.records] == ["asyncio"] * ours


@pytest.mark.parametrize(("wanted", "asked"), [(None, {2}), (3, {3})])
async def test_a_broker_that_has_just_died_is_not_asked_where_another_will_do(
    monkeypatch: pytest.MonkeyPatch, wanted: int | None, asked: set[int]
) -> None:
    admin, seen = Admin(bootstrap_servers="nowhere:1"), set[int]()

    async def ready(node: int) -> bool:
        return node == 2

    async def send(node: int, _: object) -> None:
        seen.add(node)

    brokers = [SimpleNamespace(nodeId=number) for number in (1, 2, 3)]
    for name, stub in (("ready", ready), ("send", send), ("cluster", SimpleNamespace(brokers=lambda: brokers))):
        monkeypatch.setattr(admin._client, name, stub)
    for _ in range(20):
        await admin._send_request("which topics are there?", wanted)
    assert seen == asked


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            KafkaStorageError("disk"),
            Doubt,
            "it: KafkaStorageError, a broker cannot write (is its disk full, or broken?)",
        ),
        (RecordListTooLargeError("much"), Rejected, "it: RecordListTooLargeError"),
        (NotLeaderForPartitionError("moved"), Doubt, "it: NotLeaderForPartitionError"),
    ],
    ids=["disk", "rejected", "other"],
)
async def test_what_kafka_says_is_sorted(error: KafkaError, kind: type[Doubt], words: str) -> None:
    with pytest.raises(Doubt) as told:
        async with deadline(30, "it"):
            raise error
    assert (type(told.value), str(told.value)) == (kind, words)
    assert not KafkaStorageError.retriable  # aiokafka would try until our deadline, and not tell why


async def test_a_long_silence_is_told_before_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(deadlines, "LONG", 0.02)
    with pytest.raises(Doubt):
        async with deadline(0.1, "the commit"):
            await asyncio.Event().wait()
    async with deadline(0.1, "quick"):
        pass
    with pytest.raises(Doubt):
        async with deadline(0.01, "short"):
            await asyncio.Event().wait()
    await asyncio.sleep(0.05)
    told = [one.getMessage() for one in caplog.records if one.name == "vtj.kafka"]
    assert told == ["the commit: not done after 0.02 s, is Kafka slow or away? Giving up after 0.1 s"]
