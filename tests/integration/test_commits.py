"""A commit is all of its pages with ledger entry and cursor, or nothing; and what no topic takes is a dead letter."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import MessageBatch
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from producer.errors import Doubt, Rejected
from producer.kafka import transactions as publishing
from producer.kafka.batches import Batches
from producer.kafka.shard import Shard
from producer.model import EncodedPage, Page
from producer.pipeline import line
from tests.integration.deployment import (
    DEAD_LETTER,
    ENDED,
    KOTIKUNTA,
    SOON,
    Deployment,
    change,
    kotikunta,
    places,
    until,
)
from tests.integration.pages import FETCHED, bulky, encoded

pytestmark = pytest.mark.kafka

LIMIT = 20_000  # bytes


@asynccontextmanager
async def opened(deployment: Deployment) -> AsyncIterator[Shard]:
    """The shard of a feed that has begun at 1."""
    async with deployment.publisher().open() as shard:
        if shard.cursor is None:
            await shard.begin(1)
        assert shard.cursor == 1
        yield shard


def lower_limit(deployment: Deployment) -> None:
    """From now on the topic of KOTIKUNTA takes batches up to LIMIT only; returns when the broker really does so."""
    topic = deployment.topic(KOTIKUNTA)
    entry = ConfigEntry("max.message.bytes", str(LIMIT), incremental_operation=AlterConfigOpType.SET)
    admin = deployment.admin
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(SOON)
    refused: list[bool] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        refused.append(error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE)

    probe = Producer({"bootstrap.servers": deployment.bootstrap, "transactional.id": topic, "log_level": 0})
    probe.init_transactions(SOON)
    while not any(refused):
        probe.begin_transaction()
        probe.produce(topic, b"x" * (LIMIT + 1), on_delivery=delivered)
        assert probe.flush(SOON) == 0
        probe.abort_transaction(SOON)


async def test_every_event_is_there_once_and_the_ledger_says_where(deployment: Deployment, persons: list[str]) -> None:
    first = [change(person) for person in persons[:40]]
    second = [change(person, kotikunta(), kotikunta()) for person in persons[20:60]]
    async with opened(deployment.create_topics()) as shard:
        await shard.commit([encoded(deployment, 1, 5, *first), encoded(deployment, 5, 9, *second, "no record")])
    begin, entry = await deployment.entries()
    assert (begin["events"], begin["offsets"], begin["previousCursor"], begin["previousEntry"]) == (0, {}, None, None)
    first_entry, last_entry = (
        hashlib.sha256(one.value or b"").hexdigest() for one in await deployment.stored("ledger")
    )
    assert entry["previousEntry"] == first_entry
    assert [one["entry"] for one in await deployment.entries("cursor")] == [first_entry, last_entry]
    assert {name: entry[name] for name in ("pages", "records", "events", "deadLetters")} == {
        "pages": 2,
        "records": 81,
        "events": 121,
        "deadLetters": 1,
    }
    for name, events in ((KOTIKUNTA, 120), (DEAD_LETTER, 1)):
        stored = await deployment.stored(name)
        assert len(stored) == events
        for partition, (start, end, count, digest) in entry["offsets"][deployment.topic(name)].items():
            offsets = [one.offset for one in stored if one.partition == int(partition)]
            assert (offsets[0], offsets[-1], len(offsets)) == (start, end, count)
            ids = b"".join(one.headers[0][1] for one in stored if one.partition == int(partition))
            assert digest == hashlib.sha256(ids).hexdigest()
    by_place = [(event["cursor"], event["position"]) for event in await deployment.events()]
    assert sorted(by_place) == [(5, at) for at in range(40)] + [(9, at) for at in range(80)]


async def test_a_page_of_30000_events_goes_in_bounded_chunks_in_one_transaction(
    deployment: Deployment, persons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []
    add = Batches.add

    async def watched(self: Batches, *arguments: Any) -> None:
        await add(self, *arguments)
        waiting.append(self.waiting)

    monkeypatch.setattr(Batches, "add", watched)
    giant = encoded(deployment, 1, 2, *(change(person, *[kotikunta()] * 30) for person in persons))
    assert len(giant.events) == 30_000
    async with opened(deployment.create_topics().but(VTJ_KAFKA__TRANSACTION_EVENTS="4000")) as shard:
        await shard.commit([giant])
    assert len(waiting) == 8
    assert max(waiting) <= 4000
    assert places(await deployment.entries()) == [(None, 1), (1, 2)]
    stored = await deployment.stored(KOTIKUNTA)
    assert len(stored) == 30_000
    for partition in (0, 1):  # a second transaction would have put a marker between
        offsets = [one.offset for one in stored if one.partition == partition]
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))


async def test_pages_that_are_ready_share_a_transaction_and_none_is_split(
    deployment: Deployment, persons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one commit is under way upstream is asked on, within bounds; what came of it is committed together."""
    pages = [
        Page("CHANGE", "0", at, at + 1, at == 12, FETCHED, [change(person) for person in persons[:10]])
        for at in range(1, 13)
    ]
    asked: list[int] = []
    four_more = asyncio.Event()

    class Feed:
        async def changes_since(self, cursor: int) -> Page:
            asked.append(cursor)
            if len(asked) == 5:
                four_more.set()
            return pages[cursor - 1]

    commit = Shard.commit

    async def held(self: Shard, ready: Sequence[EncodedPage]) -> None:
        if len(asked) < 5:
            async with asyncio.timeout(SOON):
                await four_more.wait()
        await commit(self, ready)

    monkeypatch.setattr(Shard, "commit", held)

    async def begin() -> int:
        return 1

    async def enough() -> bool:
        return False

    async with deployment.create_topics().publisher().open() as shard:
        await line(Feed(), deployment.converter, shard, begin, enough, most=40)
    assert asked == list(range(1, 13))
    entries = (await deployment.entries())[1:]
    assert sum(entry["pages"] for entry in entries) == 12
    assert max(entry["events"] for entry in entries) == 40
    ends = [entry["cursor"] for entry in entries]
    for entry in entries:
        inside = [at for at in range(2, 14) if entry["previousCursor"] < at <= entry["cursor"]]
        assert entry["events"] == 10 * len(inside)
        assert sum(span[2] for span in entry["offsets"][deployment.topic(KOTIKUNTA)].values()) == entry["events"]
    assert ends[-1] == await deployment.cursor() == 13


# what a topic does not take


async def test_a_record_over_the_limit_goes_to_the_dead_letters_and_the_rest_goes_out(
    deployment: Deployment, persons: list[str]
) -> None:
    deployment.create_topics()
    await asyncio.to_thread(lower_limit, deployment)
    small, big, other = change(persons[0]), bulky(persons[1], LIMIT), change(persons[2])
    async with opened(deployment) as shard:
        await shard.commit([encoded(deployment, 1, 2, small, big, other)])
    await assert_buried(deployment, persons)


async def test_a_limit_that_was_lowered_meanwhile_moves_nothing_until_the_shard_is_opened_again(
    deployment: Deployment, persons: list[str]
) -> None:
    """aiokafka's commit does not mind a refused batch: it would move the cursor past the lost event."""
    page = encoded(deployment, 1, 2, change(persons[0]), bulky(persons[1], 2 * LIMIT), change(persons[2]))
    async with opened(deployment.create_topics()) as shard:
        await asyncio.to_thread(lower_limit, deployment)
        with pytest.raises(Doubt, match="delivery of the events: MessageSizeTooLargeError"):
            await shard.commit([page])
    assert await deployment.cursor() == 1
    assert await deployment.events() == []
    async with opened(deployment) as shard:
        await shard.commit([page])
    await assert_buried(deployment, persons)


async def assert_buried(deployment: Deployment, persons: list[str]) -> None:
    """Of three changes the second is a dead letter that says where upstream has it."""
    assert {one.key for one in await deployment.stored(KOTIKUNTA)} == {persons[0].encode(), persons[2].encode()}
    [letter] = await deployment.events(DEAD_LETTER)
    assert (letter["reason"], letter["cut"], letter["previousCursor"], letter["cursor"]) == ("oversized", True, 1, 2)
    assert letter["position"] == 1
    assert letter["rawSize"] > LIMIT
    entry = (await deployment.entries())[-1]
    assert (entry["previousCursor"], entry["cursor"]) == (1, 2)
    assert (entry["events"], entry["deadLetters"]) == (3, 1)


async def test_a_batch_whose_place_the_broker_does_not_tell_is_not_committed(
    deployment: Deployment, persons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offset -1 is a repeated sequence number; the ledger needs the true one."""
    done = MessageBatch.done

    def placeless(self: MessageBatch, offset: int, *rest: Any) -> None:
        done(self, -1 if self.tp.topic == deployment.topic(KOTIKUNTA) else offset, *rest)

    async with opened(deployment.create_topics()) as shard:
        monkeypatch.setattr(MessageBatch, "done", placeless)
        with pytest.raises(Doubt, match="where a batch stands"):
            await shard.commit([encoded(deployment, 1, 2, change(persons[0]))])
    assert await deployment.cursor() == 1
    assert await deployment.events() == []


async def test_a_page_that_takes_too_long_names_the_setting_to_raise(
    deployment: Deployment, persons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "FILLING_SHARE", 0.0)
    async with opened(deployment.create_topics()) as shard:
        with pytest.raises(Rejected, match=r"a page of 1 events did not get .* raise VTJ_KAFKA__TRANSACTION_TIMEOUT"):
            await shard.commit([encoded(deployment, 1, 2, change(persons[0]))])
    await until(deployment.nothing_open, "the end of the transaction", ENDED)
    assert await deployment.cursor() == 1
