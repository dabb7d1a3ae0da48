"""The product as somebody runs it: its settings, its topics on a broker, its processes, and what it left at Kafka."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from producer.config import Settings, load
from producer.events.convert import Converter
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.kafka.clients import administration
from producer.kafka.names import SHARDS, Names
from producer.kafka.publisher import Publisher
from producer.kafka.topics import apply, planned
from tests.broker.contract import answers
from tests.oracle import Stored, Verdict, audit, read_topics
from tests.oracle.schemas import Schemas

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:1"
# How long a state that must come may take (s). Longer than the broker waits for an answer to its own request to write
# markers, 30 s, before it sends it again: Kafka 4.3 loses one now and then when many topics have just been made.
SOON = 75.0
# The same of the end of a transaction (s), which would end by itself after 60.
ENDED = 45.0

KOTIKUNTA, DEAD_LETTER = "change.kotikunta", "dead-letter"
FEW = "HENKILON_NIMI,HENKILOTUNNUS_KORJAUS,KOTIKUNTA,SAHKOPOSTIOSOITE,SIVIILISAATY,VAKINAINEN_KOTIMAINEN_OSOITE"


async def until(
    reached: Callable[[], bool], what: str, patience: float = SOON, more: Callable[[], str] = lambda: ""
) -> None:
    """Waits for a state. Fails when it does not come; more: what else there is to say then."""
    deadline = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}{more()}"
        await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Ended:
    """A process that has ended. seconds: from its start, or from the signal that ended it."""

    code: int
    out: str
    err: str
    seconds: float


class Instance:
    """A running `vtj-producer` command."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._since = time.monotonic()
        self._out: list[str] = []
        self._err: list[str] = []
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = asyncio.gather(_read(process.stdout, self._out), _read(process.stderr, self._err))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    @property
    def log(self) -> str:
        return "".join(self._err)

    @property
    def out(self) -> str:
        return "".join(self._out)

    async def says(self, words: str, times: int = 1, patience: float = SOON) -> None:
        """Waits until the words stand on standard error so often."""

        def said() -> bool:
            assert self._process.returncode is None or self.log.count(words) >= times, f"ended early:\n{self.log}"
            return self.log.count(words) >= times

        await until(said, repr(words), patience, lambda: f"; process {self.pid} said:\n{self.log}")

    def signal(self, number: signal.Signals) -> None:
        self._since = time.monotonic()
        self._process.send_signal(number)

    async def stop(self) -> Ended:
        self.signal(signal.SIGTERM)
        return await self.end()

    async def end(self, patience: float = 2 * SOON) -> Ended:
        waiting = asyncio.ensure_future(self._process.wait())
        await asyncio.wait([waiting], timeout=patience)
        assert waiting.done(), f"not ended within {patience:g} s:\n{self.log}"
        seconds = time.monotonic() - self._since
        await self._readers
        return Ended(waiting.result(), self.out, self.log, seconds)

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self.end()


async def _read(stream: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await stream.readline():
        lines.append(line.decode())


@cache
def _catalogue() -> Catalogue:
    return Catalogue.load()


class Deployment:
    """One prefix on one broker. Topics have two partitions and a feed begins at 0, unless `but` says otherwise."""

    def __init__(self, bootstrap: str, prefix: str, url: str = NOWHERE) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self._url = url
        self._environment = {
            "VTJ_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "VTJ_UPSTREAM__URL": url,
            "VTJ_UPSTREAM__USERNAME": "sandbox",
            "VTJ_UPSTREAM__PASSWORD": "sandbox",
            "VTJ_UPSTREAM__START": "0",
            "VTJ_TOPICS__PREFIX": prefix,
            "VTJ_TOPICS__PARTITIONS": "2",
            "VTJ_STATE__ENABLED": "false",
        }

    def but(self, **environment: str | None) -> Self:
        """The same with other settings, named as in the environment; None unsets one."""
        other = type(self)(self.bootstrap, self.prefix, self._url)
        changed = self._environment | environment
        other._environment = {name: value for name, value in changed.items() if value is not None}
        return other

    @property
    def small(self) -> Self:
        """With a permit for few groups, so an eighth of the topics, which a broker makes slowly and keeps to the end.

        For what does not depend on the groups. The others are told too, in the topic of unmapped ones.
        """
        return self.but(VTJ_PERMIT__GROUPS=FEW)

    @property
    def settings(self) -> Settings:
        return load(environ=self._environment).settings

    @property
    def permit(self) -> frozenset[str] | None:
        """None: all groups."""
        groups = self.settings.permit.groups
        return None if groups is None else frozenset(groups)

    @property
    def names(self) -> Names:
        return Names(self.prefix, self.settings.feed.name, "0")

    @property
    def admin(self) -> AdminClient:
        """To be kept while an answer is awaited."""
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    # topics

    async def apply_topics(self) -> Self:
        """Every topic of the plan."""
        settings = self.settings
        async with administration(settings.kafka) as admin:
            plans = planned(settings, _catalogue().within(settings.permit.groups))
            await apply(admin, plans, settings.topics.replication)
        return self

    async def caught_up(self, patience: float = 2 * SOON) -> Self:
        """After a `run --once` that ended well."""
        ended = await self.run("run", "--once", patience=patience)
        assert ended.code == 0, ended.err
        return self

    def create_topics(self, data: Mapping[str, int] | None = None) -> Self:
        """What a publisher needs, no more. data: topic without the prefix → partitions."""
        counts = {**(data or self.data), "cursor": SHARDS, "ledger": SHARDS}
        assert answers(self.bootstrap, SOON)  # a broker that has just come back leaves a request without an answer
        admin = self.admin
        created = admin.create_topics([NewTopic(self.topic(name), count) for name, count in counts.items()])
        for future in created.values():
            future.result(SOON)
        deadline = time.monotonic() + SOON
        while {self.topic(name) for name in counts} - admin.list_topics(timeout=SOON).topics.keys():
            assert time.monotonic() < deadline, "the broker answers before its own metadata follow"
            time.sleep(0.05)
        assert answers(self.bootstrap, SOON)
        return self

    data: Mapping[str, int] = {KOTIKUNTA: 2, "identity": 2, DEAD_LETTER: 1}

    def topic(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    # the product in this process

    def publisher(self, *, instance: str = "test", still_ours: Callable[[], bool] = lambda: True) -> Publisher:
        """Of the topics that `create_topics` makes by default."""
        return Publisher(
            self.settings.kafka,
            self.names,
            data_topics={self.topic(name): count for name, count in self.data.items()},
            oversized=self.converter.oversized,
            instance=instance,
            still_ours=still_ours,
        )

    @property
    def converter(self) -> Converter:
        return Converter(_catalogue(), SingleObject(), prefix=self.prefix, feed=self.settings.feed.name)

    # the product in processes of its own

    async def run(self, *arguments: str, given: bytes = b"", patience: float = 2 * SOON) -> Ended:
        """A command to its end. given: its standard input."""
        async with self.start(*arguments, given=given) as instance:
            return await instance.end(patience)

    @asynccontextmanager
    async def start(self, *arguments: str, given: bytes = b"") -> AsyncIterator[Instance]:
        """A command; killed at the end of the block if it is still there."""
        process = await asyncio.create_subprocess_exec(
            *self._command(arguments),
            cwd=ROOT,
            env=self._inherited | self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        assert process.stdin is not None
        process.stdin.write(given)
        process.stdin.close()
        instance = Instance(process)
        try:
            yield instance
        finally:
            await instance.close()

    @contextmanager
    def pipe(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command whose output nobody reads yet."""
        with subprocess.Popen(
            self._command(arguments),
            cwd=ROOT,
            env=self._inherited | self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _command(self, arguments: Iterable[str]) -> list[str]:
        return [sys.executable, "-m", "producer", *arguments]

    @property
    def _inherited(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("VTJ_")}

    # what stands at Kafka, read with another client

    async def stored(self, name: str = "", patience: float = SOON) -> list[Stored]:
        """Every committed record, of one topic or of all; TimeoutError while a transaction is open."""
        found = await asyncio.to_thread(read_topics, self.bootstrap, self.prefix, patience=patience)
        return [one for one in found if name in ("", one.topic)]

    async def committed(self) -> set[tuple[str, int, int]]:
        """Where a record stands; markers, which every opening leaves, do not count."""
        return {(one.topic, one.partition, one.offset) for one in await self.stored()}

    async def events(self, name: str = KOTIKUNTA) -> list[dict[str, Any]]:
        """Decoded values of a topic of events or of the dead letters."""
        return [Schemas.load().decode(name, one.value or b"") for one in await self.stored(name)]

    async def entries(self, name: str = "ledger") -> list[dict[str, Any]]:
        """The ledger's entries, or the cursor's records, of the feed."""
        key = self.names.key
        return [json.loads(one.value or b"") for one in await self.stored(name) if one.key == key]

    async def cursor(self) -> int | None:
        """The last one that was committed."""
        positions = await self.entries("cursor")
        return positions[-1]["cursor"] if positions else None

    async def audit(self) -> Verdict:
        """The oracle's word on everything. The sandbox must still be there."""
        return await asyncio.to_thread(audit, self.bootstrap, self.prefix, self._url, permit=self.permit, patience=SOON)

    def ends(self, isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED) -> dict[tuple[str, int], int]:
        """Where each partition ends; to read_committed before the first open transaction."""
        admin = self.admin
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        deadline = time.monotonic() + SOON
        while True:
            wanted = {
                TopicPartition(name, partition): latest
                for name, topic in admin.list_topics(timeout=SOON).topics.items()
                if name.startswith(f"{self.prefix}.")
                for partition in topic.partitions
            }
            told = admin.list_offsets(wanted, isolation_level=isolation, request_timeout=SOON)
            try:
                return {(slot.topic, slot.partition): future.result().offset for slot, future in told.items()}
            except KafkaException:  # as a rule a partition whose leader is just being found
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def nothing_open(self) -> bool:
        """Whether no transaction holds back the readers of any topic."""
        return self.ends() == self.ends(IsolationLevel.READ_COMMITTED)

    async def at_rest(self, patience: float) -> None:
        """Waits until the broker, which may just be coming back, has ended every transaction, whoever began it."""
        async with asyncio.timeout(patience):
            while not await asyncio.to_thread(self._at_rest):
                await asyncio.sleep(0.1)

    def _at_rest(self) -> bool:
        try:
            return self.nothing_open()
        except KafkaException:  # a leader is being found
            return False


def change(person: str, *groups: Mapping[str, Any]) -> dict[str, Any]:
    """A change record; with one KOTIKUNTA unless told otherwise."""
    told = [dict(group) for group in groups] or [kotikunta()]
    return {"henkilotunnus": person, "tietoryhmat": told, "muutospv": "2026-11-20T04:38:04.394Z"}


def kotikunta(**members: Any) -> dict[str, Any]:
    return {"tietoryhma": "KOTIKUNTA", "muutosattribuutti": "LISATTY", "kuntakoodi": "091", **members}


def places(entries: Iterable[Mapping[str, Any]]) -> list[tuple[int | None, int]]:
    """The chain of a ledger or of cursor records."""
    return [(entry["previousCursor"], entry["cursor"]) for entry in entries]
