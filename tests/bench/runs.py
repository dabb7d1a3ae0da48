"""Measured processes, one at a time, on one broker and one upstream; what each says is checked against the topics."""

import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.request import urlopen

from confluent_kafka import Consumer, IsolationLevel, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from producer.events.groups import Catalogue
from producer.sandbox.hetu import identity
from tests.bench.meter import Reading, busy, resident
from tests.bench.pages import SEED
from tests.broker.ports import free_port

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 60.0
PARTITIONS: Final = 6
# A page alone is under this many events, two pages together are above.
ONE_PAGE: Final = 4000


class Watched(NamedTuple):
    """Events/s; CPU of an event (µs)."""

    rate: float
    cpu: float


@contextmanager
def watching(port: int, viewers: int) -> Iterator[None]:
    """So many have the status page open: each gets its snapshots by a connection of its own."""
    until = time.monotonic() + PATIENCE
    with ExitStack() as opened, selectors.DefaultSelector() as reading:
        while len(reading.get_map()) < viewers:
            try:
                one = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            except ConnectionRefusedError:  # not yet
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
                continue
            one.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            reading.register(one, selectors.EVENT_READ)
        over = threading.Event()

        def read() -> None:
            while not over.is_set():
                for key, _ in reading.select(0.1):
                    if not key.fileobj.recv(1 << 16):  # type: ignore[union-attr]
                        reading.unregister(key.fileobj)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield
            assert len(reading.get_map()) == viewers, "the status page has put viewers out"
        finally:
            over.set()
            thread.join()


class Bench:
    """The surroundings of all runs: topics of their own on the broker, and an upstream process.

    distinct: how many pages upstream has; longer runs get them again.
    """

    def __init__(self, bootstrap: str, prefix: str, distinct: int) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._distinct = distinct
        self._feeds = 0
        topics = [*Catalogue.load().topics(prefix), *Catalogue.load().state_topics(prefix)]
        self._read = {(topic, partition): 0 for topic in topics for partition in range(PARTITIONS)}

    def __enter__(self) -> Self:
        # As an installed package has it: bytecode is there, and start-up does not pay for compiling.
        self._bytecode = tempfile.TemporaryDirectory(prefix="vtj-producer-bench-")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("VTJ_")}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._environment["PYTHONPYCACHEPREFIX"] = self._bytecode.name
        command = [sys.executable, "-m", "tests.bench.upstream", str(self._distinct)]
        self._upstream = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        assert self._upstream.stdout is not None
        told = json.loads(self._upstream.stdout.readline())
        self._url, self._groups = f"http://127.0.0.1:{told['port']}", told["groups"]
        self._say(
            "-m", "producer", "topics", "apply", env=self._settings(self._feed(), 0) | {"VTJ_STATE__ENABLED": "true"}
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._upstream.communicate()
        self._bytecode.cleanup()

    def baseline(self, pages: int, mix: str = "common") -> Reading:
        feed = self._feed()
        arguments = ["tests.bench.baseline", self._bootstrap, f"{self._url}/{feed}/{mix}/{pages}", self._prefix, feed]
        return self._measured(feed, self._expected(pages, mix), "-m", *arguments)

    def product(self, pages: int, mix: str = "common", **settings: str) -> Reading:
        feed = self._feed()
        env = self._settings(feed, pages, mix) | settings
        return self._measured(feed, self._expected(pages, mix), "-m", "tests.bench.product", env=env)

    def product_profiled(self, pages: int, mix: str, profiler: Sequence[str]) -> Reading:
        """profiler: a command that runs what is named behind it."""
        feed = self._feed()
        command = [*profiler, sys.executable, "-m", "tests.bench.product"]
        env = self._settings(feed, pages, mix) | {"VTJ_LOG__LEVEL": "warning"}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr.decode()}")
        reading: Reading = json.loads(next(line for line in done.stdout.splitlines() if line.startswith(b"{")))
        return reading

    def product_page_by_page(self, pages: int) -> Reading:
        return self.product(pages, VTJ_KAFKA__TRANSACTION_EVENTS=str(ONE_PAGE))

    def load(self, persons: int) -> Reading:
        """An initial load: twenty state records of each."""
        feed = self._feed()
        env = self._settings(feed, 0) | {"VTJ_STATE__ENABLED": "true"}
        return self._measured(feed, 20 * persons, "-m", "tests.bench.loading", str(persons), env=env)

    def limit(self, transactions: int) -> Reading:
        feed = self._feed()
        arguments = ["tests.bench.limit", self._bootstrap, self._prefix, feed, str(transactions)]
        return self._measured(feed, None, "-m", *arguments)

    def start(self) -> tuple[float, float]:
        """The service with nothing to do: (s from exec to its first request, resident MB when it waits)."""
        feed = self._feed()
        env = self._settings(feed, 0) | {"VTJ_SCHEDULE__INTERVAL": "1"}
        began = time.monotonic()
        with self._service(env) as process:
            first, _ = self._seen(feed, 1)
            self._seen(feed, 2)  # it has waited, and waits again
            return first - began, resident(process.pid)

    def watched(self, pages: int, viewers: int) -> Watched:
        """From the first request to that of the last page, while so many look at the status page."""
        feed, port = self._feed(), free_port()
        env = self._settings(feed, pages) | {"VTJ_SERVER__PORT": str(port), "VTJ_SCHEDULE__INTERVAL": "60"}
        with self._service(env) as process, watching(port, viewers):
            first, _ = self._seen(feed, 1)
            before = busy(process.pid)
            self._seen(feed, pages)
            cpu, last = busy(process.pid) - before, float(self._told(feed)["last"])
        events = self._expected(pages - 1, "common")
        return Watched(events / (last - first), cpu / events * 1e6)

    def idle_after(self, pages: int) -> float:
        """Resident MB of the service when it waits again after that many pages."""
        feed = self._feed()
        with self._service(self._settings(feed, pages) | {"VTJ_SCHEDULE__INTERVAL": "1"}) as process:
            self._seen(feed, pages + 2)
            return resident(process.pid)

    def following(self, persons: int, interval: int) -> tuple[float, float, int]:
        """Listed persons of whom nothing is told, all of them introduced before. interval: s between polls.

        Returns s of CPU for a poll of all buckets, the dearest of four; resident MB; buckets.
        """
        feed = self._feed()
        env = self._settings(feed, 0) | {"VTJ_UPSTREAM__WATCHLIST": "true", "VTJ_SCHEDULE__INTERVAL": str(interval)}
        codes = "\n".join(identity(SEED, at)[0] for at in range(persons)).encode()
        self._say("-m", "producer", "persons", "add", "-", env=env, given=codes)
        told = self._say("-m", "producer", "persons", "list", "--json", env=env).splitlines()
        buckets = len(told)
        with self._service(env):
            self._seen(feed, 2 * buckets)  # everybody has been introduced, in a transaction before
        with self._service(env) as process:
            _, seen = self._seen(feed, 3 * buckets)
            polls, costs = -(-seen // buckets), [busy(process.pid)]
            for more in range(1, 6):
                self._seen(feed, (polls + more) * buckets)
                costs.append(busy(process.pid))
            return max(after - before for before, after in pairwise(costs[1:])), resident(process.pid), buckets

    @contextmanager
    def _service(self, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen([sys.executable, "-m", "producer", "run"], cwd=ROOT, env=env, stderr=subprocess.PIPE)
        try:
            yield process
        finally:
            process.terminate()
            process.communicate()

    def _seen(self, run: str, requests: int) -> tuple[float, int]:
        """Waits for that many requests: (when the first one came, how many came)."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            told = self._told(run)
            if told["requests"] >= requests:
                return told["first"], told["requests"]
            time.sleep(0.05)
        raise TimeoutError(f"{run} did not come to request {requests}")

    def _told(self, run: str) -> dict[str, Any]:
        with urlopen(f"{self._url}/{run}") as response:
            told: dict[str, Any] = json.load(response)
        return told

    def _expected(self, pages: int, mix: str) -> int:
        return sum(self._groups[mix][page % self._distinct] for page in range(pages))

    def _feed(self) -> str:
        self._feeds += 1
        return f"bench-{self._feeds}"

    def _settings(self, feed: str, pages: int, mix: str = "common") -> dict[str, str]:
        return self._environment | {
            "VTJ_KAFKA__BOOTSTRAP_SERVERS": self._bootstrap,
            "VTJ_UPSTREAM__URL": f"{self._url}/{feed}/{mix}/{pages}",
            "VTJ_UPSTREAM__START": "0",
            "VTJ_UPSTREAM__REQUESTS_PER_MINUTE": "1000000",  # a courtesy to DVV, not a speed of ours
            "VTJ_TOPICS__PREFIX": self._prefix,
            "VTJ_TOPICS__PARTITIONS": str(PARTITIONS),
            "VTJ_FEED__NAME": feed,
            "VTJ_STATE__ENABLED": "false",
        }

    def _measured(
        self, feed: str, expected: int | None, *arguments: str, env: Mapping[str, str] | None = None
    ) -> Reading:
        reading: Reading = json.loads(self._say(*arguments, env=env))
        committed = self._committed(feed)
        if not committed == reading["events"] == (expected or committed):
            raise AssertionError(f"{arguments}: {expected=}, said {reading['events']}, {committed=}")
        return reading

    def _say(self, *arguments: str, env: Mapping[str, str] | None = None, given: bytes = b"") -> bytes:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=env or self._environment,
            input=given,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr.decode()}")
        return done.stdout

    def _committed(self, feed: str) -> int:
        """Events of the feed that a read_committed consumer finds, by their source; it reads on where it was."""
        self._until_decided()
        source, count, ended = ("ce_source", f"urn:vtj:feed:{feed}".encode()), 0, 0
        consumer = Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": feed, "isolation.level": "read_committed"}
            | {"enable.partition.eof": True, "enable.auto.commit": False, "fetch.wait.max.ms": 10}
        )
        consumer.assign([TopicPartition(*slot, offset) for slot, offset in self._read.items()])
        while ended < len(self._read):
            for message in consumer.consume(1000, 0.2):
                if (error := message.error()) is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error.name()
                    ended += 1
                    continue
                topic, partition, offset = message.topic(), message.partition(), message.offset()
                assert topic is not None and partition is not None and offset is not None  # noqa: PT018
                self._read[topic, partition] = offset + 1
                count += source in (message.headers() or [])
        consumer.close()
        return count

    def _until_decided(self) -> None:
        """A commit returns before its markers are everywhere; what they are missing from would not be counted."""
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(*slot): latest for slot in self._read}

        def ends(isolation: IsolationLevel) -> list[int]:
            return [one.result().offset for one in admin.list_offsets(wanted, isolation_level=isolation).values()]

        until = time.monotonic() + PATIENCE
        while ends(IsolationLevel.READ_UNCOMMITTED) != ends(IsolationLevel.READ_COMMITTED):
            if time.monotonic() > until:
                raise TimeoutError("a transaction stays open")
            time.sleep(0.05)
