"""A consumer of the cursor topic that looks on while everything happens."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition


@dataclass(frozen=True)
class Seen:
    """A cursor record. pid: of the instance that committed it."""

    previous: int | None
    cursor: int
    pid: int


class Watch:
    """What a read_committed consumer has seen so far. faults: wherever the cursor did not go on from where it was."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.faults: list[str] = []
        self._over = threading.Event()

    @property
    def cursor(self) -> int | None:
        return self.seen[-1].cursor if self.seen else None

    @property
    def takeovers(self) -> int:
        """How often a commit came from another instance than the one before."""
        return sum(one.pid != before.pid for before, one in zip(self.seen, self.seen[1:], strict=False))

    def take(self, value: bytes) -> None:
        told = json.loads(value)
        one = Seen(told["previousCursor"], told["cursor"], int(told["instance"].rsplit("-", 2)[1]))
        if one.previous != self.cursor or (one.previous is not None and one.cursor <= one.previous):
            self.faults.append(f"commit {len(self.seen)}: cursor {self.cursor}, then {one.previous} → {one.cursor}")
        self.seen.append(one)

    @contextmanager
    def following(self, bootstrap: str, topic: str, partition: int) -> Iterator["Watch"]:
        """Follows the partition in a thread, over everything that happens to the broker."""
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
        consumer.assign([TopicPartition(topic, partition, 0)])
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
            if message is not None and message.error() is None:  # errors tell of a broker that is away
                value = message.value()
                assert value is not None
                self.take(value)
