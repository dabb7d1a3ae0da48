"""`vtj-producer status`: who works on what, and how far each bucket is; all of it from Kafka, from any machine."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from aiokafka import TopicPartition

from producer.config import Settings
from producer.kafka.cursor import Position, of_feed, positions
from producer.kafka.deadlines import settled
from producer.kafka.names import BACKFILL, BESIDE, LETTERS, REPLAY, SHARDS, STATE, Names
from producer.kafka.ownership import by_shard, owners
from producer.kafka.reader import ends, reader, until

RECENT: Final = 3600  # s over which events are counted
CLIENT: Final = "vtj-producer"
COMMANDS: Final = (BACKFILL, REPLAY, LETTERS)  # buckets on which no instance works


@dataclass(frozen=True, slots=True)
class Bucket:
    """owner: the instance that has the shard now; None: nobody. events: committed in the last hour. age: s since the
    last commit. answered: s since upstream's last answer that Kafka knows of, at most half a day more than it is in
    truth; None: of a line beside the feed.
    """

    name: str
    shard: int
    owner: str | None
    cursor: int
    up_to_date: bool
    age: float
    answered: float | None
    events: int


@dataclass(frozen=True, slots=True)
class Status:
    """instances: each with its shards, from the group coordinator."""

    instances: dict[str, list[int]]
    buckets: Sequence[Bucket]


async def status(settings: Settings) -> Status:
    """Raises KafkaGone, CursorUnreadable."""
    kafka, names = settings.kafka, Names(settings.topics.prefix, settings.feed.name, STATE)
    async with settled(kafka, "reading the cursors and the group"):
        there = await owners(kafka, CLIENT, names.group)
        found = await positions(kafka, CLIENT, names.cursor_topic, list(range(SHARDS)))
        own = {key: position for key, position in found.items() if of_feed(names.feed, key)}
        events = await _events(settings, names, own)
    owner = by_shard(there)
    now = time.time()

    def bucket(key: bytes, position: Position) -> Bucket:
        shard = Names(names.prefix, names.feed, position.bucket).shard
        return Bucket(
            name=position.bucket,
            shard=shard,
            owner=None if position.bucket in COMMANDS else owner.get(shard),
            cursor=position.cursor,
            up_to_date=position.upToDate,
            age=max(0.0, now - position.committedAt / 1000),
            answered=None if position.bucket in BESIDE else max(0.0, now - position.fetchedAt / 1000),
            events=events[key],
        )

    told = [bucket(key, position) for key, position in own.items()]
    return Status(there, sorted(told, key=lambda one: (len(one.name), one.name)))


async def _events(settings: Settings, names: Names, own: dict[bytes, Position]) -> Counter[bytes]:
    """Key of a bucket → events of its ledger entries of the last hour."""
    counts: Counter[bytes] = Counter()
    shards = {Names(names.prefix, names.feed, one.bucket).shard for one in own.values()}
    here = [TopicPartition(names.ledger_topic, shard) for shard in sorted(shards)]
    if not here:
        return counts
    wanted, since = await ends(settings.kafka, CLIENT, here), int((time.time() - RECENT) * 1000)
    async with reader(settings.kafka, CLIENT) as consumer:
        consumer.assign(here)
        found = await consumer.offsets_for_times(dict.fromkeys(here, since))
        for one in here:
            consumer.seek(one, wanted[one] if found[one] is None else found[one].offset)
        async for record in until(consumer, wanted):
            if record.key in own:
                counts[record.key] += orjson.loads(record.value)["events"]
    return counts
