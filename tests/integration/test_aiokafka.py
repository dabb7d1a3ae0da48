"""What the product takes for granted of aiokafka, beyond its documentation: when this fails, read its sources again."""

import inspect
import random
import time
from types import SimpleNamespace
from typing import Any

import aiokafka.producer.sender
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import ConcurrentTransactions, CoordinatorLoadInProgressError, KafkaError, NoError
from aiokafka.producer.transaction_manager import TransactionManager, TransactionState
from confluent_kafka import Message, Producer

from producer.kafka import transactions  # noqa: F401 - installs its handlers
from producer.kafka.names import java_hash
from tests.integration.deployment import SOON, Deployment

pytestmark = pytest.mark.kafka


async def test_what_waits_for_markers_asks_soon_and_then_less_and_less_often() -> None:
    """AddPartitionsToTxn after a commit: aiokafka's own wait is 20 ms. Renamed: then once.py mends it in vain."""
    assert aiokafka.producer.sender.BACKOFF_OVERRIDE == 0.02
    partition = TopicPartition("topic", 0)
    manager = TransactionManager("id", 1000)
    sender = SimpleNamespace(_retry_backoff=0.1, _txn_manager=manager)
    handler = aiokafka.producer.sender.AddPartitionsToTxnHandler(sender, [partition])

    def answered(error: type[KafkaError]) -> float | None:
        wait: float | None = handler.handle_response(SimpleNamespace(errors=[("topic", [(0, error.errno)])]))
        return wait

    assert [answered(ConcurrentTransactions) for _ in range(8)] == [0.002 * 2**n for n in range(6)] + [0.1, 0.1]
    manager._pending_txn_partitions.add(partition)
    assert answered(NoError) is None
    assert answered(CoordinatorLoadInProgressError) == 0.1
    manager._txn_partitions.clear()
    assert answered(ConcurrentTransactions) == 0.002


async def test_a_producer_tells_whether_it_is_committing(deployment: Deployment) -> None:
    """Shard.end asks: a commit under way must be waited for, everything else aborted."""
    deployment.create_topics()
    producer = AIOKafkaProducer(bootstrap_servers=deployment.bootstrap, transactional_id=deployment.prefix)
    async with producer:
        manager = producer._txn_manager
        await producer.begin_transaction()
        await producer.send(deployment.topic("ledger"), b"", partition=0)
        assert manager.state is TransactionState.IN_TRANSACTION
        manager.committing_transaction()
        assert manager.state is TransactionState.COMMITTING_TRANSACTION
        await manager.wait_for_transaction_end()
        assert manager.state is TransactionState.READY


async def test_the_clients_have_the_parts_that_are_used(deployment: Deployment) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=deployment.bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=deployment.bootstrap)
    async with consumer, producer:
        for client in (consumer._client, producer.client):
            assert type(client) is AIOKafkaClient
            assert inspect.iscoroutinefunction(client.close)
        deployment.create_topics()
        topics = [deployment.topic("cursor"), deployment.topic("ledger")]
        until = time.monotonic() + SOON  # a broker that is busy tells of new topics a little later
        while not all(consumer.partitions_for_topic(topic) for topic in topics):
            assert time.monotonic() < until
            await consumer._client.force_metadata_update()


async def test_the_commit_still_does_not_raise_for_a_failed_send(deployment: Deployment) -> None:
    """Why every delivery is awaited. If this fails aiokafka has mended it, and nothing is lost."""
    deployment.create_topics()
    producer = AIOKafkaProducer(
        bootstrap_servers=deployment.bootstrap,
        transactional_id=deployment.prefix,
        max_request_size=4_000_000,
        max_batch_size=4_000_000,
    )
    async with producer, producer.transaction():
        refused = await producer.send(deployment.topic("ledger"), random.randbytes(2_000_000), partition=0)
        await producer.send(deployment.topic("cursor"), b"", partition=0)
    assert type(refused.exception()).__name__ == "MessageSizeTooLargeError"
    assert [one.value for one in await deployment.stored()] == [b""]


@pytest.mark.parametrize("partitions", [6, 7])
async def test_a_person_lies_where_java_puts_it(deployment: Deployment, partitions: int) -> None:
    """librdkafka's murmur2_random is the Java client's default, for records with a key."""
    deployment.create_topics({"change.kotikunta": partitions})
    topic = deployment.topic("change.kotikunta")
    settings: dict[str, Any] = {"bootstrap.servers": deployment.bootstrap, "partitioner": "murmur2_random"}
    placed: dict[bytes, int] = {}

    def note(_: object, message: Message) -> None:
        key, partition = message.key(), message.partition()
        assert isinstance(key, bytes)
        assert partition is not None
        placed[key] = partition

    java = Producer(settings)
    dice = random.Random(2026)
    keys = {dice.randbytes(dice.randrange(1, 65)) for _ in range(500)} | {b"010180-9004", "Å".encode() * 3}
    for key in keys:
        java.produce(topic, b"", key, on_delivery=note)
    assert java.flush(SOON) == 0
    assert placed == {key: java_hash(key) % partitions for key in keys}
    assert set(placed.values()) == set(range(partitions))
