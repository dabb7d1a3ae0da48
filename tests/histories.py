"""A history of commits as if it had been made: ledger entries and events at the times that one likes, and cursors."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any, Final

from confluent_kafka import Producer

from producer.kafka.cursor import Position
from producer.kafka.ledger import Entry, by_topic
from producer.kafka.names import Names

Slot = tuple[str, int]  # topic, partition
FLUSH: Final = 120.0  # s


@dataclass(frozen=True, slots=True)
class Commit:
    """time: of its ledger record (ms). writes: how many events to each topic partition. fetched: their time."""

    bucket: str
    time: int
    fetched: int
    previous: int | None
    cursor: int
    writes: dict[Slot, int]


@dataclass(frozen=True, slots=True)
class Written:
    """partition: of the ledger. first: offset of the commit's events in each topic partition."""

    commit: Commit
    partition: int
    first: dict[Slot, int]


def write(bootstrap: str, names: Names, commits: Iterable[Commit]) -> Iterable[Written]:
    """To topics that are empty; yields what is written. names: of any bucket of the feed.

    commits: in the order in which their events stand. Their entries stand in that of their times.

    Outside transactions, so that offsets are the plain count.
    """
    # Idempotent: a batch that is sent again, as to a topic that is quite new, keeps its place.
    settings = {"bootstrap.servers": bootstrap, "log_level": 0, "compression.type": "zstd", "linger.ms": 50}
    producer = Producer({**settings, "enable.idempotence": True})

    def send(topic: str, value: bytes, key: bytes, partition: int, time: int) -> None:
        while True:
            try:
                return producer.produce(topic, value, key, partition, timestamp=time)
            except BufferError:
                producer.poll(0.1)

    ends, last, waiting = defaultdict[Slot, int](int), dict[bytes, Position](), list[tuple[int, Names, bytes]]()

    def tell(until: float) -> None:
        while waiting and waiting[0][0] < until:
            time, own, entry = heappop(waiting)
            send(own.ledger_topic, entry, own.key, own.shard, time)

    for commit in commits:
        own = replace(names, bucket=commit.bucket)
        first = {slot: ends[slot] for slot in commit.writes}
        for (topic, partition), count in commit.writes.items():
            ends[topic, partition] += count
            for _ in range(count):
                send(topic, b"", b"", partition, commit.fetched)
        spans: dict[Slot, list[int | str]] = {
            slot: [first[slot], first[slot] + count - 1, count, "0" * 64] for slot, count in commit.writes.items()
        }
        common: dict[str, Any] = {
            "feed": own.feed,
            "bucket": own.bucket,
            "previousCursor": commit.previous,
            "cursor": commit.cursor,
        }
        common |= {"fetchedAt": commit.fetched, "committedAt": commit.time, "instance": "test"}
        entry = Entry(
            **common,
            pages=1,
            records=1,
            events=sum(commit.writes.values()),
            deadLetters=0,
            offsets=by_topic(spans),
            producerId=1,
            previousEntry=None,
        )
        tell(commit.time)
        heappush(waiting, (commit.time, own, entry.encode()))
        last[own.key] = Position(**common, upToDate=True)
        yield Written(commit, own.shard, first)
    tell(math.inf)
    for key, position in last.items():
        send(names.cursor_topic, position.encode(), key, replace(names, bucket=position.bucket).shard, 0)
    assert producer.flush(FLUSH) == 0
