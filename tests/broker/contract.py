"""What a broker can do for a test, however it was come by."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

VERSION = "4.3.1"
Way = Literal["environment", "docker", "jvm"]

# One broker alone, quick to start and to take back what died, and never helpful behind a test's back.
SETTINGS = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # How often transactions that ran out of time are looked for: 10 s by default.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # A killed broker may register again only when its old session has ended: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
}


class NoKafka(Exception):
    """This way leads to no broker; the text says why, and what to install or set."""


class Broker(ABC):
    """A real Apache Kafka, one node.

    `bootstrap` stays the same for the broker's life: over `restart`, and over `kill` and `start`. All calls
    block until they are done (`start` and `restart`: until every partition has a leader), so call them with
    `asyncio.to_thread` from async code. After `close` nothing of the broker is left: no process, no file.
    """

    way: ClassVar[Way]
    bootstrap: str
    passed_over: Sequence[str] = ()  # why the ways before this one led nowhere

    @property
    def pid(self) -> int | None:
        """Of its process, where that is one of this machine that may be looked at."""
        return None

    def restart(self) -> None:
        """An orderly stop, then a start."""
        self.stop()
        self.start()

    @abstractmethod
    def start(self) -> None:
        """Start what was stopped or killed, on the same data."""

    @abstractmethod
    def stop(self) -> None:
        """Stop in good order."""

    @abstractmethod
    def kill(self) -> None:
        """Kill at once (SIGKILL); also when paused."""

    @abstractmethod
    def pause(self) -> None:
        """Freeze: connections stay open, nothing is answered."""

    @abstractmethod
    def resume(self) -> None:
        """Thaw."""

    @abstractmethod
    def log(self, lines: int) -> str:
        """Its last words; none of a broker whose log is not ours to read."""

    @abstractmethod
    def close(self) -> None:
        """End for good and remove the data. May be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def answers(bootstrap: str, patience: float, lives: Callable[[], bool] = lambda: True) -> bool:
    """Whether a broker is there whose partitions all have a leader, within `patience` seconds.

    lives: asked now and then; False ends the wait.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and lives():
        try:
            seen = admin.list_topics(timeout=1)
        except KafkaException:
            continue  # nobody there yet; list_topics has waited by itself
        leaders = [part.leader for topic in seen.topics.values() for part in topic.partitions.values()]
        if seen.brokers and -1 not in leaders:
            return True
        time.sleep(0.05)
    return False
