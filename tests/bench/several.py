"""Several instances of one feed with all of its twelve shards: who takes over when, how fast, and what it costs."""

import asyncio
import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from statistics import median
from typing import Any, Final, TypedDict

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from producer.kafka.names import SHARDS, Names
from producer.sandbox.hetu import identity
from tests.bench.meter import busy
from tests.bench.pages import COMMON, SEED
from tests.bench.runs import PATIENCE, Bench
from tests.broker import Broker
from tests.chaos.proxy import ADD_PARTITIONS, END_TXN, HEARTBEAT, Proxy

BUCKETS: Final = 16  # in all shards, for a feed whose name has been chosen for it
GROUPS: Final = ",".join(name.upper().replace("-", "_") for name in COMMON)
ZSTD, MARKER = 4, 78  # codec; bytes of the control batch that ends a transaction in a partition
QUIET: Final = {"VTJ_LOG__LEVEL": "warning"}


class Scaling(TypedDict):
    """events, commits: of all buckets. seconds: from the first request to the last commit.

    cpu: seconds of it, of each instance; broker: of Kafka, None where it is no process of this machine; upstream.
    entries: partitions that a commit wrote events to → bytes of its ledger entry at Kafka, with its marker.
    """

    events: int
    commits: int
    seconds: float
    cpu: list[float]
    broker: float | None
    upstream: float
    entries: dict[int, float]


class Calls(TypedDict):
    """idle: calls to the two coordinators a second, and all calls. each: of a transaction, to its coordinator."""

    idle: float
    idle_all: float
    each: float


class Several(Bench):
    def __init__(self, broker: Broker, prefix: str, distinct: int) -> None:
        super().__init__(broker.bootstrap, prefix, distinct)
        self._broker = broker

    def hand_overs(self) -> dict[signal.Signals, float]:
        """s from the signal to the instance at work until the first request of the one that takes over."""
        feed, found = self._feed(), dict[signal.Signals, float]()
        processes = {}
        with ExitStack() as running:
            for path in (f"{feed}-a", f"{feed}-b", f"{feed}-c"):
                env = self._settings(path, 0) | {"VTJ_FEED__NAME": feed, "VTJ_SCHEDULE__INTERVAL": "1"}
                processes[path] = running.enter_context(self._service(env))
            self._joined(f"{self._prefix}.{feed}", len(processes))
            for number in (signal.SIGTERM, signal.SIGKILL):
                worker = processes.pop(self._only_one_asking([*processes]))
                worker.send_signal(number)
                at = time.monotonic()
                while not (asked := [when for path in processes if (when := self._asked(path)) >= at]):
                    assert time.monotonic() < at + PATIENCE, "nobody takes over"
                    time.sleep(0.02)
                found[number] = min(asked) - at
        return found

    def scaling(self, instances: int, pages: int) -> Scaling:
        """That many pages in each bucket, the instances having shared out the shards before there is anything to do."""
        run, env, names = self._listed(pages)
        with ExitStack() as running:
            processes = [running.enter_context(self._service(env | QUIET)) for _ in range(instances)]
            self._joined(names.group, instances)
            pids = [one.pid for one in processes] + [self._upstream.pid, self._broker.pid or 0]
            before = [busy(pid) for pid in pids]
            self._add_persons(env)
            entries, ended = self._ledger(names, pages)
            *cpu, upstream, broker = (busy(pid) - then for pid, then in zip(pids, before, strict=True))
            began, _ = self._seen(run, 1)
        sizes: dict[int, list[int]] = {}
        for _, value in entries:
            told = json.loads(value)
            partitions = sum(len(spans) for spans in told["offsets"].values())
            sizes.setdefault(partitions, []).append(_stored(names.key, value))
        return {
            "events": sum(json.loads(value)["events"] for _, value in entries),
            "commits": len(entries),
            "seconds": ended - began,
            "cpu": cpu,
            "broker": broker if self._broker.pid else None,
            "upstream": upstream,
            "entries": {partitions: median(those) for partitions, those in sorted(sizes.items())},
        }

    def calls(self, seconds: float, pages: int) -> Calls:
        """Twelve shards of one instance: idle for so long, polling each second, and then with that many pages each."""
        _, env, names = self._listed(pages)
        with (
            _proxied(self._bootstrap) as proxy,
            self._service(env | QUIET | {"VTJ_KAFKA__BOOTSTRAP_SERVERS": proxy.address}),
        ):
            self._joined(names.group, 1)
            opened = proxy.passed.copy()
            self._add_persons(env)
            self._ledger(names, pages)
            busy_with = proxy.passed - opened
            time.sleep(2)  # what follows the last commit
            before, began = proxy.passed.copy(), time.monotonic()
            time.sleep(seconds)
            idle, passed = proxy.passed - before, time.monotonic() - began
        transactions = busy_with[END_TXN]
        return {
            "idle": sum(idle[api] for api in (HEARTBEAT, ADD_PARTITIONS, END_TXN)) / passed,
            "idle_all": idle.total() / passed,
            "each": (busy_with[ADD_PARTITIONS] + transactions) / transactions,
        }

    def _listed(self, pages: int) -> tuple[str, dict[str, str], Names]:
        """The run's name at upstream, and settings and names of a feed with a watchlist, on which nobody is yet.

        Its buckets will lie in all shards.
        """
        run = self._feed()
        prefix = f"{self._prefix}-{run}"
        names = next(one for at in count() if _in_all_shards(one := Names(prefix, f"feed{at}", "0")))
        env = self._settings(run, pages) | {
            "VTJ_FEED__NAME": names.feed,
            "VTJ_TOPICS__PREFIX": prefix,
            "VTJ_PERMIT__GROUPS": GROUPS,
            "VTJ_UPSTREAM__WATCHLIST": "true",
            "VTJ_UPSTREAM__BUCKET_SIZE": "1",
            "VTJ_SCHEDULE__INTERVAL": "1",
        }
        self._say("-m", "producer", "topics", "apply", env=env)
        return run, env, names

    def _add_persons(self, env: Mapping[str, str]) -> None:
        codes = "\n".join(identity(SEED, at)[0] for at in range(BUCKETS)).encode()
        self._say("-m", "producer", "persons", "add", "-", env=env, given=codes)

    def _joined(self, group: str, members: int) -> None:
        """Waits until so many have shared out all shards."""
        admin, until = AdminClient({"bootstrap.servers": self._bootstrap}), time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                told = admin.describe_consumer_groups([group], request_timeout=2)[group].result()
            except KafkaException:  # a new cluster has no coordinator until somebody joins
                continue
            shards = [len(one.assignment.topic_partitions) for one in told.members if one.assignment]
            if len(told.members) == members and all(shards) and sum(shards) == SHARDS:
                return
            time.sleep(0.05)
        raise TimeoutError(f"{members} instance(s) did not share out the shards")

    def _asked(self, run: str) -> float:
        """When the run's latest request came, by the monotonic clock; 0: none did."""
        return float(self._told(run)["last"] or 0)

    def _only_one_asking(self, runs: Sequence[str]) -> str:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            before = {run: self._asked(run) for run in runs}
            time.sleep(2.5)
            asking = [run for run in runs if self._asked(run) > before[run]]
            if len(asking) == 1:
                return asking[0]
        raise TimeoutError("the instances have not settled who works")

    def _ledger(self, names: Names, cursor: int) -> tuple[list[tuple[bytes, bytes]], float]:
        """All entries, once every bucket has come to the cursor, and when that was seen."""
        consumer = Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": "bench", "isolation.level": "read_committed"}
            | {"enable.auto.commit": False, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10}
        )
        consumer.assign([TopicPartition(names.ledger_topic, shard, 0) for shard in range(SHARDS)])
        found, done, until = list[tuple[bytes, bytes]](), set[bytes](), time.monotonic() + 10 * PATIENCE
        while len(done) < BUCKETS:
            if time.monotonic() > until:
                raise TimeoutError(f"{BUCKETS - len(done)} bucket(s) did not come to their end")
            for message in consumer.consume(100, 0.05):
                key, value = message.key(), message.value()
                if message.error() is None and key is not None and value is not None:
                    found.append((key, value))
                    if json.loads(value)["cursor"] == cursor:
                        done.add(key)
        ended = time.monotonic()
        consumer.close()
        return found, ended


def _in_all_shards(names: Names) -> bool:
    return len({replace(names, bucket=str(bucket)).shard for bucket in range(BUCKETS)}) == SHARDS


def _stored(key: bytes, value: bytes) -> int:
    """Bytes of a ledger entry at Kafka: a compressed batch of its own, and the marker of its transaction."""
    batch = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=ZSTD,
        is_transactional=1,
        producer_id=1,
        producer_epoch=1,
        base_sequence=1,
        batch_size=1 << 20,
    )
    batch.append(0, timestamp=1, key=key, value=value, headers=[])
    return len(batch.build()) + MARKER


@contextmanager
def _proxied(bootstrap: str) -> Iterator[Proxy]:
    """A proxy before the broker, in a thread with a loop of its own."""
    started, over = threading.Event(), asyncio.Event()
    made: list[Any] = []

    async def serve() -> None:
        async with Proxy(bootstrap) as proxy:
            made.extend([proxy, asyncio.get_running_loop()])
            started.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield made[0]
    finally:
        made[1].call_soon_threadsafe(over.set)
        thread.join()
