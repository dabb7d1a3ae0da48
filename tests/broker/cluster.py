"""Three brokers that are one Kafka, on a Java of this machine: to be killed, stopped and frozen one by one."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .contract import NoKafka
from .jars import OLDEST_JAVA
from .jvm import JvmBroker
from .ports import free_port

NODES = 3
# What a cluster in production has: everything three times, and two copies of it before it counts.
SETTINGS = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    # A follower that stands still holds up every commit until it is put out of the replicas in sync: 30 s by default.
    "replica.lag.time.max.ms": "3000",
    # An orderly stop hands over the leaderships first, and tries again after 5 s where that fails.
    "controlled.shutdown.retry.backoff.ms": "500",
    # Who has come back leads again soon, so that every broker has leaderships to lose: 5 min by default.
    "leader.imbalance.check.interval.seconds": "5",
}
# Three on one machine: small, and compiled quickly rather than well.
OPTIONS = ("-Xms64m", "-Xmx300m", "-XX:TieredStopAtLevel=1")
PATIENCE = 60.0  # s
CURE = (
    f"a cluster of {NODES} brokers is made of processes of this machine, whatever Kafka the other tests have: install "
    f"Java {OLDEST_JAVA} or later and Maven (Debian: apt-get install maven default-jre-headless)"
)


class Cluster:
    """nodes: each may be killed, stopped, paused and started again. bootstrap: the addresses of all of them.

    All calls block. Raises NoKafka with one sentence on what to install.
    """

    def __init__(self) -> None:
        controllers = [f"127.0.0.1:{free_port()}" for _ in range(NODES)]

        def node(number: int) -> JvmBroker:
            return JvmBroker(SETTINGS, number=number, controllers=controllers, options=OPTIONS)

        # A node answers when there is a majority of controllers.
        with ThreadPoolExecutor(NODES) as threads:
            made = [threads.submit(node, number) for number in range(1, NODES + 1)]
        self.nodes: Sequence[JvmBroker] = [one.result() for one in made if one.exception() is None]
        for one in made:
            if (reason := one.exception()) is not None:
                self.close()
                raise NoKafka(f"{CURE} ({reason})") from reason
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)

    def whole(self, patience: float = PATIENCE) -> None:
        """Waits until every replica of every partition is in sync, so that the next broker may die."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})
        deadline = time.monotonic() + patience
        while (left := _behind(admin)) != 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{'all' if left is None else left} partition(s) lack replicas in sync")
            time.sleep(0.1)

    def log(self, lines: int) -> str:
        return "\n".join(f"node {number}:\n{node.log(lines)}" for number, node in enumerate(self.nodes, 1))

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _behind(admin: AdminClient) -> int | None:
    """How many partitions lack a leader or replicas in sync; None when nobody says."""
    try:
        seen = admin.list_topics(timeout=2)
    except KafkaException:
        return None
    if len(seen.brokers) < NODES:
        return None
    those = [part for topic in seen.topics.values() for part in topic.partitions.values()]
    return sum(part.leader == -1 or len(part.isrs) < len(part.replicas) for part in those)
