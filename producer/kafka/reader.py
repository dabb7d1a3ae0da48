"""Reading topics back, for people and for checks: committed records only, outside any consumer group."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from producer.config import Kafka
from producer.kafka.clients import started
from producer.kafka.connection import connection
from producer.kafka.deadlines import reached


@asynccontextmanager
async def reader(
    settings: Kafka, client_id: str, isolation: str = "read_committed", wait_ms: int = 50
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group; partitions are assigned by hand.

    wait_ms: how long the broker may keep it waiting where there is nothing new; short for who wants to know just that.

    "earliest", never the default "latest": with that, an await between assign and the first fetch can make the
    consumer jump to the end and find an empty topic, and an empty cursor topic means "begin anew".
    """
    consumer = AIOKafkaConsumer(
        **connection(settings, client_id),
        isolation_level=isolation,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=wait_ms,
    )
    async with started(consumer, settings, "connecting to Kafka"):
        yield consumer


async def ends(settings: Kafka, client_id: str, here: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """Where each partition ends, open transactions included.

    To read_committed the end is the last stable offset: it may lie before a commit whose markers are on their way, and
    before what another's open transaction holds back.
    """
    async with reader(settings, client_id, "read_uncommitted") as whole:
        await whole._client.set_topics({one.topic for one in here})  # else it asks for one after the other
        found: dict[TopicPartition, int] = await whole.end_offsets(here)
    return found


async def by_time(
    consumer: AIOKafkaConsumer, time_ms: int, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Where the records of a time begin in each of these partitions; its end where there are none so late."""
    found = await consumer.offsets_for_times(dict.fromkeys(ends, max(0, time_ms)))
    return {one: found[one].offset if found.get(one) else end for one, end in ends.items()}


async def until(
    consumer: AIOKafkaConsumer, wanted: Mapping[TopicPartition, int]
) -> AsyncIterator[ConsumerRecord[bytes | None, bytes]]:
    """The records of the assigned partitions until the consumer's *position* reaches the wanted offset in each.

    The tail may be commit markers and aborted data, for which no record ever arrives.
    """
    while [one for one, end in wanted.items() if end and await consumer.position(one) < end]:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                yield record


async def stored(
    settings: Kafka,
    client_id: str,
    here: Sequence[TopicPartition],
    isolation: str = "read_committed",
    offsets: Sequence[int] = (),
) -> AsyncIterator[ConsumerRecord[bytes | None, bytes]]:
    """What stands in these partitions now, from their beginnings, or from these offsets on.

    Waits for every transaction that is open there, unless isolation is read_uncommitted: bound it with a deadline.
    """
    wanted = await ends(settings, client_id, here)
    async with reader(settings, client_id, isolation) as consumer:
        consumer.assign(here)
        for partition, offset in zip(here, offsets, strict=False):
            consumer.seek(partition, offset)
        async for record in until(consumer, wanted):
            yield record


async def latest(
    settings: Kafka, client_id: str, here: Sequence[TopicPartition], isolation: str = "read_committed"
) -> dict[bytes, ConsumerRecord[bytes | None, bytes]]:
    """The last committed record under each key, of a compacted topic; a tombstone leaves nothing. Else as `stored`."""
    found: dict[bytes, ConsumerRecord[bytes | None, bytes]] = {}
    async for record in stored(settings, client_id, here, isolation):
        if record.value is None:
            found.pop(record.key, None)
        else:
            found[record.key] = record
    return found


async def committed(
    settings: Kafka, topics: Sequence[str], *, from_beginning: bool, once: bool
) -> AsyncGenerator[ConsumerRecord[bytes | None, bytes]]:
    """The records of these topics, which must exist, each partition in its order.

    from_beginning: with what is kept already, else only what comes. once: ends when all that is there now is decided.
    Its end comes from read_uncommitted: a commit returns before its markers are written, and the last stable offset
    would leave out the latest commit; a transaction that is open is waited for. Raises KafkaGone when Kafka is away.
    """
    async with AsyncExitStack() as open_until_the_end:
        async with reached(settings, "finding the partitions"):
            consumer = await open_until_the_end.enter_async_context(reader(settings, "vtj-producer"))
            here = await partitions(consumer, topics)
            consumer.assign(here)
            wanted = await ends(settings, "vtj-producer", here)
            if not from_beginning:
                await consumer.seek_to_end(*here)
        if once:
            async for record in until(consumer, wanted):
                yield record
        while not once:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    yield record


async def without_records(settings: Kafka, topics: Sequence[str]) -> list[str]:
    """Those of these topics, which must exist, that keep no committed record. Raises KafkaGone when Kafka is away.

    Offsets do not tell: whoever opens a shard leaves the markers of empty transactions in every partition.
    """
    silent = list(topics)
    if not topics:
        return silent
    async with reached(settings, "looking for events"), reader(settings, "vtj-producer") as consumer:
        here = await partitions(consumer, topics)
        consumer.assign(here)
        stable = await consumer.end_offsets(here)
        left = {partition for partition in here if stable[partition]}
        while left:
            for partition, records in (await consumer.getmany(timeout_ms=100, max_records=len(here))).items():
                if records and partition.topic in silent:
                    silent.remove(partition.topic)
            done = {one for one in left if one.topic not in silent or await consumer.position(one) >= stable[one]}
            consumer.pause(*done)
            left -= done
    return silent


async def partitions(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> list[TopicPartition]:
    """Every partition of these topics; waits for those that are quite new."""
    # Of a topic list at once, as `subscribe` would ask; partitions_for_topic alone knows only what was asked.
    await consumer._client.set_topics(topics)
    while not all(consumer.partitions_for_topic(topic) for topic in topics):
        await asyncio.sleep(0.1)
        await consumer._client.force_metadata_update()
    return [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in sorted(consumer.partitions_for_topic(topic))
    ]
