"""A consumer of the cursor topic that looks on while everything happens."""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, TopicPartition


@dataclass(frozen=True)
class Seen:
    """A cursor record. pid: of the instance that committed it."""

    bucket: bytes | None
    previous: int | None
    cursor: int
    pid: int


class Watch:
    """What a read_committed consumer has seen so far.

    faults: wherever a bucket's cursor did not go on from where it was. cursors: where each bucket is. listing: some
    commits only say who is followed, and leave the cursor.
    """

    def __init__(self, *, listing: bool = False) -> None:
        self.seen: list[Seen] = []
        self.faults: list[str] = []
        self.cursors: dict[bytes | None, int] = {}
        self.takeovers = 0  # how often a bucket's commit came from another instance than the one before
        self._last: dict[bytes | None, int] = {}  # bucket → pid
        self._least = 0 if listing else 1
        self._over = threading.Event()

    @property
    def cursor(self) -> int | None:
        """Of the bucket that is farthest behind."""
        return min([*self.cursors.values()], default=None)  # a copy: the thread may add one

    def take(self, bucket: bytes | None, value: bytes) -> None:
        told = json.loads(value)
        one = Seen(bucket, told["previousCursor"], told["cursor"], int(told["instance"].rsplit("-", 2)[1]))
        before = self.cursors.get(bucket)
        if one.previous != before or (one.previous is not None and one.cursor < one.previous + self._least):
            self.faults.append(f"commit {len(self.seen)}: cursor {before}, then {one.previous} → {one.cursor}")
        self.takeovers += self._last.get(bucket, one.pid) != one.pid
        self.cursors[bucket], self._last[bucket] = one.cursor, one.pid
        self.seen.append(one)

    @contextmanager
    def following(self, bootstrap: str, topic: str, partitions: Iterable[int]) -> Iterator["Watch"]:
        """Follows the partitions in a thread, over everything that happens to the broker."""
        consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "watch",  # asked for, and never joined
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 20,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        thread = threading.Thread(target=self._follow, args=(consumer,))
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()
            consumer.close()

    def _follow(self, consumer: Consumer) -> None:
        while not self._over.is_set():
            message = consumer.poll(0.05)
            if message is None:
                continue
            if error := message.error():  # most tell of a broker that is away
                if error.code() == KafkaError._AUTO_OFFSET_RESET:
                    self.faults.append(f"what comes next is gone: {error.str()}")
                continue
            value = message.value()
            assert value is not None
            self.take(message.key(), value)
