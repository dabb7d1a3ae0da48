"""What the shard's last transaction may have left behind in the partitions: completed, or ended, before we go on."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from producer.config import Kafka
from producer.kafka import ledger
from producer.kafka.deadlines import ENDING
from producer.kafka.names import Names
from producer.kafka.reader import latest, reader, until

TAIL = 64  # records of a topic's end to look for the bucket's last one, at first

# What the entry and the cursor record of one transaction have in common; a cursor alone can stay where it was.
SAME = ("bucket", "cursor", "committedAt", "instance")

Spans = dict[TopicPartition, tuple[int, int]]  # first and last offset of what a transaction wrote there


async def complete(producer: AIOKafkaProducer, settings: Kafka, names: Names) -> None:
    """Commits the rest of the shard's last transaction where the broker shows a part of it.

    A commit is one record in the log of the transaction's coordinator, and then a marker in every partition. A
    coordinator that is loaded again in between writes the markers that are missing, but passes over partitions that
    have no leader at that moment: it takes them for deleted (Apache Kafka 4.3, TransactionMarkerChannelManager, "hence
    can be skipped"; a single broker that is killed and restarted is enough). What is visible then is a part: events
    without their cursor, or a cursor without its events. The ledger entry says what belongs together. Where no part is
    visible the transaction may have been aborted as well, and is done again.
    """
    if hidden := await _hidden(settings, producer.client._client_id, names):
        await commit_rest(producer, hidden)


async def commit_rest(producer: AIOKafkaProducer, hidden: Iterable[TopicPartition]) -> None:
    """The marker of an empty transaction of ours commits what is open in these partitions of our producer id.

    What is begun here must end so: an abort would take away what is committed. So whoever is told to stop meanwhile
    waits for it.
    """

    async def doing() -> None:
        await producer.begin_transaction()
        _add(producer, hidden)
        await producer.commit_transaction()

    task = asyncio.ensure_future(doing())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait([task], timeout=ENDING)


async def seal(producer: AIOKafkaProducer, names: Names, data_topics: Mapping[str, int]) -> None:
    """Aborts an empty transaction over every partition that an older incarnation may have written to.

    InitProducerId ends the old transaction only in the partitions that its coordinator knows. A batch of it that was
    on its way, as when a broker restarts, can land behind those markers: it would hold every read_committed reader
    there, us on the cursor first, and our next commit would commit it too. The markers of this abort end what has
    landed, and bring the new epoch to each partition, so that what comes still later is refused.
    """
    await producer.begin_transaction()
    _add(producer, [_of(names.cursor_topic, names), _of(names.ledger_topic, names)])
    _add(producer, (TopicPartition(topic, at) for topic, count in data_topics.items() for at in range(count)))
    await producer.abort_transaction()


async def last_entry(settings: Kafka, client_id: str, names: Names) -> tuple[int, str] | None:
    """Cursor and digest of a bucket's last committed entry. Reads the whole partition of the ledger."""
    here = [_of(names.ledger_topic, names)]
    if names.key not in await latest(settings, client_id, here, "read_uncommitted"):
        return None  # a new bucket, as a rule: it waits for no transaction that is open there
    found = (await latest(settings, client_id, here)).get(names.key)
    told = _ours(found.value) if found else None
    return (told["cursor"], ledger.digest(found.value)) if found and told else None


def _add(producer: AIOKafkaProducer, partitions: Iterable[TopicPartition]) -> None:
    for partition in partitions:
        producer._txn_manager.maybe_add_partition_to_txn(partition)


def _of(topic: str, names: Names) -> TopicPartition:
    return TopicPartition(topic, names.shard)


async def _hidden(settings: Kafka, client_id: str, names: Names) -> list[TopicPartition]:
    """The partitions in which the last transaction of the shard is undecided, although another shows a part of it."""
    async with reader(settings, client_id, "read_uncommitted") as everything:
        written = await _last_transaction(everything, names)
    if not written:
        return []
    async with reader(settings, client_id) as committed:
        await committed._client.set_topics({one.topic for one in written})  # else it asks for one after the other
        ends = await committed.end_offsets(list(written))  # the last stable offsets
        undecided = [one for one, (_, last) in written.items() if ends[one] <= last]
        decided = {one: written[one] for one in written.keys() - {*undecided}}
        if undecided and await _any_visible(committed, decided):
            return undecided
    return []


async def _last_transaction(consumer: AIOKafkaConsumer, names: Names) -> Spans:
    """Where the last one stands that got as far as its ledger entry, which is written after all events."""
    entry = await _last(consumer, _of(names.ledger_topic, names), names)
    if entry is None:
        return {}
    at, told = entry
    written = {
        TopicPartition(topic, int(partition)): (span[0], span[1])
        for topic, spans in told["offsets"].items()
        for partition, span in spans.items()
    }
    written[_of(names.ledger_topic, names)] = at, at
    position = await _last(consumer, _of(names.cursor_topic, names), names)
    if position is not None and all(position[1][name] == told[name] for name in SAME):
        written[_of(names.cursor_topic, names)] = position[0], position[0]
    return written


async def _last(
    consumer: AIOKafkaConsumer, partition: TopicPartition, names: Names
) -> tuple[int, dict[str, Any]] | None:
    """Offset and value of the last record of this transactional id, committed or not; others' are passed over."""
    consumer.assign([partition])
    (begin,) = (await consumer.beginning_offsets([partition])).values()
    (end,) = (await consumer.end_offsets([partition])).values()
    found, first, tail = None, end, TAIL
    while found is None and first > begin:
        first, tail = max(begin, end - tail), tail * 16
        consumer.seek(partition, first)
        async for record in until(consumer, {partition: end}):
            if (told := _ours(record.value)) is not None and names.beside(told["bucket"], told["feed"]):
                found = record.offset, told
    return found


def _ours(value: bytes | None) -> dict[str, Any] | None:
    try:
        told = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    whole = isinstance(told, dict) and told.get("version") == ledger.VERSION and told.keys() >= {"feed", *SAME}
    return told if whole else None


async def _any_visible(consumer: AIOKafkaConsumer, decided: Spans) -> bool:
    """Whether read_committed shows the first record of one of these spans, all of which are committed or aborted."""
    for partition, (first, last) in decided.items():
        consumer.assign([partition])
        consumer.seek(partition, first)
        async for record in until(consumer, {partition: last + 1}):
            if record.offset == first:
                return True
    return False
