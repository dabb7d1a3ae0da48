"""`replay --group`: dates and cursors become offsets, never behind the range's first event; and what moves nothing."""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiokafka import TopicPartition
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from producer.app.history import APART, Ledger, Since
from producer.app.parts import parts
from producer.app.rewind import rewind
from producer.errors import LedgerUnreadable, SettingsError
from producer.kafka.batches import Batches
from producer.kafka.reader import partitions, reader
from producer.model import EncodedPage
from tests.broker import Broker
from tests.histories import Commit, Slot, Written, write
from tests.integration.deployment import KOTIKUNTA, SOON, Deployment, change
from tests.integration.pages import encoded
from tests.integration.test_verify import shorten, written

pytestmark = pytest.mark.kafka


def now() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Interleaved:
    """Two buckets at work at once; one's transaction was still open when the other's was committed behind it.

    between: a time between these two commits. Keys of the events: of all; committed after that; behind cursor 2.
    """

    deployment: Deployment
    between: int
    later: set[bytes]
    behind: set[bytes]

    @property
    def topic(self) -> str:
        return self.deployment.topic(KOTIKUNTA)

    async def rewind(self, since: Since, *, group: str, topics: Sequence[str] = (), sure: bool = True) -> Any:
        made = await parts(self.deployment.settings, check=False)
        return await rewind(made, group, topics or [self.topic], since, sure=sure)


async def interleaved(deployment: Deployment, persons: Sequence[str]) -> Interleaved:
    deployment.create_topics()
    names = deployment.names
    other = next(name for name in map(str, range(1, 99)) if not names.beside(name, names.feed))
    publisher = deployment.publisher()
    publishers = [publisher, replace(publisher, names=replace(names, bucket=other))]

    def page(bucket: str, at: int, some: Sequence[str]) -> EncodedPage:
        made = encoded(deployment, at, at + 1, *map(change, some))
        for event in made.events:
            event.timestamp = now()
        return replace(made, bucket=bucket)

    async with publishers[0].open() as first, publishers[1].open() as second:
        for shard in (first, second):
            await shard.begin(1)
        await first.commit([page("0", 1, persons[:10])])
        await second.commit([page(other, 1, persons[10:20])])
        sent, go = asyncio.Event(), asyncio.Event()
        delivered = Batches.delivered

        async def held(self: Batches) -> None:
            await delivered(self)
            sent.set()
            await go.wait()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Batches, "delivered", held)
            waiting = asyncio.ensure_future(first.commit([page("0", 2, persons[20:30])]))
            await sent.wait()
        await second.commit([page(other, 2, persons[30:40])])
        await asyncio.sleep(0.05)
        between = now()
        await asyncio.sleep(0.05)
        go.set()
        await waiting
        await second.commit([page(other, 3, persons[40:41])])
    later = {person.encode() for person in (*persons[20:30], persons[40])}
    return Interleaved(deployment, between, later, later | {person.encode() for person in persons[30:40]})


@pytest.fixture(scope="module")
def told(broker: Broker, persons: list[str]) -> Interleaved:
    deployment = Deployment(broker.bootstrap, f"rewind-{secrets.token_hex(3)}")
    return asyncio.run(interleaved(deployment, persons))


@contextmanager
def member(told: Interleaved, group: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": told.deployment.bootstrap,
            "group.id": group,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    consumer.subscribe([told.topic])
    try:
        yield consumer
    finally:
        consumer.close()


def read(consumer: Consumer, count: int) -> list[tuple[int, int]]:
    """So many records, and none more: partition and offset."""
    found: list[tuple[int, int]] = []
    deadline = time.monotonic() + SOON
    while len(found) < count and time.monotonic() < deadline:
        for message in consumer.consume(count + 1, timeout=0.5):
            assert message.error() is None
            found.append((message.partition() or 0, message.offset() or 0))
    return sorted(found)


def a_group(told: Interleaved) -> str:
    """One that is at rest, near the end."""
    group = f"{told.deployment.prefix}.g{secrets.token_hex(3)}"  # a time may look like an identity code, and is hidden
    consumer = Consumer({"bootstrap.servers": told.deployment.bootstrap, "group.id": group, "log_level": 0})
    consumer.commit(offsets=[Place(told.topic, at, 20) for at in (0, 1)], asynchronous=False)
    consumer.close()
    return group


@pytest.mark.parametrize("by", ["date", "cursor"])
async def test_a_group_reads_on_from_the_first_event_of_the_range(told: Interleaved, by: str) -> None:
    stored = await told.deployment.stored(KOTIKUNTA)
    wanted = told.later if by == "date" else told.behind
    first = {
        at: min((one.offset for one in stored if one.partition == at and one.key in wanted), default=99)
        for at in (0, 1)
    }
    assert len({*first.values()}) == 2
    expected = sorted((one.partition, one.offset) for one in stored if one.offset >= first[one.partition])
    assert len(wanted) <= len(expected) < len(stored)
    since = Since("", time=told.between) if by == "date" else Since("", cursor=2)
    group = await asyncio.to_thread(a_group, told)
    shown = await told.rewind(since, group=group, sure=False)
    assert {(one.partition, one.offset, one.gone) for one in shown.moves} == {(at, one, 0) for at, one in first.items()}
    again = await told.rewind(since, group=group, sure=False)
    assert {one.before for one in (*shown.moves, *again.moves)} == {20}  # nothing was set
    await told.rewind(since, group=group)
    with member(told, group) as consumer:
        assert await asyncio.to_thread(read, consumer, len(expected)) == expected


async def test_a_partition_without_later_events_gets_its_end(deployment: Deployment, persons: list[str]) -> None:
    told = await interleaved(deployment, persons)
    group = await asyncio.to_thread(a_group, told)
    ends = deployment.ends()
    shown = await told.rewind(Since("", cursor=3), group=group, sure=False)
    stored = [one for one in await deployment.stored(KOTIKUNTA) if one.key == persons[40].encode()]
    [last] = stored
    assert {one.partition: one.offset for one in shown.moves} == {
        last.partition: last.offset,
        1 - last.partition: ends[told.topic, 1 - last.partition],
    }
    # What the retention has taken is told.
    await asyncio.to_thread(shorten, deployment, KOTIKUNTA, 0, 8)
    gone = await told.rewind(Since("", cursor=1), group=group, sure=False)
    assert next(one.gone for one in gone.moves if one.partition == 0) > 0
    assert [one.offset for one in gone.moves if one.partition == 0] == [8]


async def test_a_group_at_work_is_left_alone(told: Interleaved) -> None:
    group = await asyncio.to_thread(a_group, told)
    with member(told, group) as consumer:
        await asyncio.to_thread(read, consumer, 0)
        while not consumer.assignment():
            await asyncio.to_thread(consumer.poll, 0.1)
        shown = await told.rewind(Since("", cursor=2), group=group, sure=False)
        assert shown.members == 1
        ended = await told.deployment.run("replay", "--group", group, "--topics", told.topic, "--since", "2", "--yes")
        assert (ended.code, ended.out) == (75, "")
        assert f"Consumer group {group} is at work" in ended.err
    after = await told.rewind(Since("", cursor=2), group=group, sure=False)
    assert after.moves == shown.moves


async def test_the_day_on_which_the_ledger_begins(told: Interleaved) -> None:
    group, helsinki = await asyncio.to_thread(a_group, told), ZoneInfo("Europe/Helsinki")
    begun = datetime.fromtimestamp((await told.deployment.entries())[0]["committedAt"] / 1000, helsinki)
    morning = datetime.combine(begun.date(), datetime.min.time(), helsinki)
    since_morning = await told.rewind(Since("", time=int(morning.timestamp() * 1000)), group=group, sure=False)
    since_its_beginning = await told.rewind(Since("", cursor=1), group=group, sure=False)
    assert since_morning.moves == since_its_beginning.moves


@pytest.mark.parametrize(
    ("since", "words"),
    [
        (Since("", time=1_577_836_800_000), r"--since is before the ledger, which begins at 20.*\+0[23]:00"),
        (Since("", time=4_070_908_800_000), "Nothing was committed since then"),
        (Since("", cursor=0), "Cursor 0 is before the ledger, in which feed vtj begins at 1"),
        (Since("", cursor=4), "Nothing was committed behind cursor 4: the feed stands at 4"),
    ],
)
async def test_a_place_outside_the_ledger(told: Interleaved, since: Since, words: str) -> None:
    group = await asyncio.to_thread(a_group, told)
    before = await told.rewind(Since("", cursor=1), group=group, sure=False)
    with pytest.raises(SettingsError, match=words):
        await told.rewind(since, group=group)
    assert await told.rewind(Since("", cursor=1), group=group, sure=False) == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("change.asumusero", "is not there"),
        ("cursor", "is no topic of change events"),
        ("identity", "is no topic of change events"),
    ],
)
async def test_a_topic_without_a_history(told: Interleaved, name: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        await told.rewind(Since("", cursor=1), group="nobody", topics=[told.topic, told.deployment.topic(name)])


async def test_what_the_command_says(told: Interleaved) -> None:
    group, run = await asyncio.to_thread(a_group, told), told.deployment.run
    shown = await run("replay", "--group", group, "--topics", told.topic, "--since", "2")
    assert (shown.code, shown.err) == (0, "")
    assert "Nothing was set. --yes sets these offsets." in shown.out
    assert "A group reads all that is in its topics" in shown.out
    unknown = await run("replay", "--group", "strangers", "--topics", told.topic, "--since", "2", "--yes")
    assert (unknown.code, unknown.out) == (2, "")
    assert "Kafka knows no consumer group strangers" in unknown.err
    assert group in unknown.err
    day = await run("replay", "--group", group, "--topics", told.topic, "--since", "eilen")
    assert (day.code, day.out) == (2, "")
    assert "--since is no time that can be read" in day.err
    done = await run("replay", "--group", group, "--topics", told.topic, "--since", "2", "--yes")
    assert done.code == 0
    assert f"group {group} set to since 2 in 1 topic(s)" in done.err
    moves = (await told.rewind(Since("", cursor=2), group=group, sure=False)).moves
    assert [one.before for one in moves] == [one.offset for one in moves]


def compact(deployment: Deployment, name: str) -> None:
    entry = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, deployment.topic(name), incremental_configs=[entry])
    admin = deployment.admin
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(SOON)


async def test_a_ledger_that_cannot_be_trusted(deployment: Deployment, persons: list[str]) -> None:
    """One way after the other: each ends it, and sets nothing."""
    told = await interleaved(deployment, persons)
    group, names = await asyncio.to_thread(a_group, told), deployment.names
    before = (await told.rewind(Since("", cursor=2), group=group, sure=False)).moves

    async def refused(words: str, *since: Since) -> None:
        for one in since:
            with pytest.raises(LedgerUnreadable, match=words):
                await told.rewind(one, group=group)

    entries = [one for one in await deployment.stored("ledger") if one.key == names.key]
    begun = told.between - 60_000
    await asyncio.to_thread(shorten, deployment, "ledger", names.shard, entries[1].offset + 1)
    await refused("is cut short", Since("", cursor=1), Since("", time=begun))
    assert (await told.rewind(Since("", cursor=2), group=group, sure=False)).moves == before
    await asyncio.to_thread(written, deployment, "ledger", names.shard, names.key, b"no entry")
    await refused("cannot be read", Since("", cursor=2), Since("", time=told.between))
    later = now()
    await asyncio.to_thread(written, deployment, "ledger", names.shard, names.key, b'{"version": 2}')
    await refused("newer release", Since("", time=later))
    await asyncio.to_thread(compact, deployment, KOTIKUNTA)
    with pytest.raises(SettingsError, match="is compacted"):
        await told.rewind(Since("", cursor=2), group=group)
    await asyncio.to_thread(compact, deployment, "ledger")
    await refused("is compacted", Since("", cursor=2))


STEPS = {"seconds": 1_000, "minutes": 60_000, "hours": 3_600_000, "days": 86_400_000}


def commits(dice: random.Random, topics: Sequence[str]) -> Iterator[Commit]:
    """Of four buckets, until now: events that are common and rare, after gaps that are short and long.

    What was fetched is committed within minutes, some of it after a commit whose events stand behind its own.
    """
    gaps = [int(dice.choice([*STEPS.values()]) * dice.random()) for _ in range(600)]
    at, cursors, told = now() - sum(gaps), dict[str, int](), list[Commit]()
    for number, gap in enumerate(gaps):
        at += gap
        bucket = dice.choice("0001112") if number < 400 else dice.choice("0013")
        previous = cursors.get(bucket)
        cursors[bucket] = max(previous or 1, number + dice.randrange(-20, 20))
        writes: dict[Slot, int] = {}
        for rarity, topic in enumerate(topics):
            for partition in (0, 1):
                if dice.random() < 0.6 / 12**rarity:
                    writes[topic, partition] = dice.randrange(1, 4)
        told.append(Commit(bucket, at, at - dice.randrange(120_000), previous, cursors[bucket], writes))
    for one, other, last in zip(told, told[1:], told[2:], strict=False):
        later = other.time + dice.randrange(1, 50_000)
        overlaps = one.bucket != other.bucket and later < min(last.time, one.fetched + 1_000_000)
        yield replace(one, time=later) if overlaps and dice.random() < 0.5 else one


async def test_commits_that_overlap_at_the_end_of_what_is_read_at_once(deployment: Deployment) -> None:
    """The first one found is not the first one whose events stand there."""
    deployment.create_topics({KOTIKUNTA: 2, "change.siviilisaaty": 2})
    begin, edge = now() - 4 * APART, now() - 2 * APART
    common, rare = (deployment.topic(KOTIKUNTA), 0), (deployment.topic("change.siviilisaaty"), 0)
    told = [
        Commit("0", begin, begin, None, 1, {common: 1}),
        Commit("0", edge + 10_000, edge - 30_000, 1, 2, {rare: 1}),
        Commit("1", edge - 10_000, edge - 30_000, None, 2, {rare: 1}),
    ]
    list(write(deployment.bootstrap, deployment.names, told))
    made = await parts(deployment.settings, check=False)
    async with reader(made.settings.kafka, "test") as consumer:
        here, ledger = [TopicPartition(*one) for one in (common, rare)], Ledger(made, consumer)
        offsets = await ledger.offsets(await ledger.range(Since("", time=begin)), here)
    assert offsets == dict.fromkeys(here, 0)


async def test_any_place_in_a_long_history(deployment: Deployment) -> None:
    """Against a look at every single entry."""
    await deployment.small.apply_topics()
    names = ("kotikunta", "siviilisaaty", "henkilon-nimi", "sahkopostiosoite")
    topics = [deployment.topic(f"change.{name}") for name in names]
    dice = random.Random(11)
    told = list(write(deployment.bootstrap, deployment.names, commits(dice, topics)))
    ends = deployment.ends()
    made = await parts(deployment.settings, check=False)

    def expected(wanted: Callable[[Written], bool]) -> dict[TopicPartition, int]:
        there = [one for one in told if wanted(one)]
        return {
            TopicPartition(topic, at): min((one.first.get((topic, at), 2**63) for one in there), default=2**63)
            for topic in topics
            for at in (0, 1)
        }

    async with reader(made.settings.kafka, "test") as consumer:
        here, ledger = await partitions(consumer, topics), Ledger(made, consumer)

        async def offsets(since: Since) -> dict[TopicPartition, int]:
            return await ledger.offsets(await ledger.range(since), here)

        begin = min(one.commit.time for one in told)
        for _ in range(40):
            place = dice.choice(told[5:]).commit
            before = dice.choice([0, 1, 5_000_000, 2 * APART - dice.randrange(60_000)])
            time_ms = max(begin, place.time - before)
            right = expected(lambda one: one.commit.time >= time_ms)  # noqa: B023
            assert await offsets(Since("", time=time_ms)) == {
                one: min(offset, ends[one.topic, one.partition]) for one, offset in right.items()
            }
            cursor = max(1, place.cursor - dice.choice([0, 1, 5]))
            right = expected(lambda one: one.commit.cursor > cursor)  # noqa: B023
            if min(right.values()) < 2**63:
                assert await offsets(Since("", cursor=cursor)) == {
                    one: min(offset, ends[one.topic, one.partition]) for one, offset in right.items()
                }
