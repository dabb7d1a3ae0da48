"""Opening a shard: older incarnations are fenced first, and then the cursor is the last one that was committed."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced
from confluent_kafka import Producer
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from producer.errors import CursorUnreadable, Doubt, KafkaRefused, StepDown
from producer.kafka import recovery
from producer.kafka.shard import Shard
from tests.broker import Broker
from tests.integration.deployment import KOTIKUNTA, SOON, Deployment, change, kotikunta, places, until
from tests.integration.pages import encoded

pytestmark = pytest.mark.kafka


@contextmanager
def transaction(
    deployment: Deployment, value: bytes = b"{}", key: bytes = b"other/0", topic: str | None = None
) -> Iterator[Producer]:
    """An open transaction of a stranger that has written to the shard of our cursor, or all over a topic."""
    stranger = Producer(
        {"bootstrap.servers": deployment.bootstrap, "transactional.id": f"{deployment.prefix}-stranger", "log_level": 0}
    )
    stranger.init_transactions(SOON)
    stranger.begin_transaction()
    names = deployment.names
    for at in range(2) if topic else [names.shard]:
        stranger.produce(topic or names.cursor_topic, value, key, at)
    assert stranger.flush(SOON) == 0
    yield stranger


async def begun_at(deployment: Deployment, cursor: int, *more: str) -> Deployment:
    """A feed that begins there. more: topics of events besides KOTIKUNTA's."""
    deployment.data = {**deployment.data, **dict.fromkeys(more, 2)}
    async with deployment.create_topics().publisher().open() as shard:
        assert shard.cursor is None
        await shard.begin(cursor)
    return deployment


async def reopened(deployment: Deployment) -> int | None:
    async with deployment.publisher().open() as shard:
        return shard.cursor


async def test_a_shard_opens_where_the_last_commit_left_it(deployment: Deployment, persons: list[str]) -> None:
    await begun_at(deployment, 7)
    assert await reopened(deployment) == 7
    async with deployment.publisher().open() as shard:
        await shard.commit([encoded(deployment, 7, 9, change(persons[0])), encoded(deployment, 9, 12)])
        assert shard.cursor == 12
    assert await reopened(deployment) == 12
    assert places(await deployment.entries()) == [(None, 7), (7, 12)]
    assert places(await deployment.entries("cursor")) == [(None, 7), (7, 12)]


async def test_who_has_opened_a_shard_knows_where_all_its_partitions_are(
    deployment: Deployment, persons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka asks for one topic after the other when they are first written to: hundreds of calls in one commit."""
    await begun_at(deployment, 7)
    async with deployment.publisher().open() as shard:
        asked: list[int] = []
        monkeypatch.setattr(shard._transactions._producer.client, "force_metadata_update", lambda: asked.append(1))
        await shard.commit([encoded(deployment, 7, 9, change(persons[0]))])
    assert not asked


async def test_a_tail_of_markers_and_aborted_data_is_passed(deployment: Deployment) -> None:
    deployment.create_topics()
    with transaction(deployment) as stranger:
        stranger.abort_transaction(SOON)
    assert await reopened(deployment) is None  # nothing but aborted data and markers
    async with deployment.publisher().open() as shard:
        await shard.begin(5)
    with transaction(deployment) as stranger:
        stranger.abort_transaction(SOON)
    assert await reopened(deployment) == 5


async def test_an_open_transaction_of_a_stranger_hides_no_commit_of_ours(
    deployment: Deployment, persons: list[str]
) -> None:
    """It holds the last stable offset before our own last record; an older cursor would double the changes."""
    await begun_at(deployment, 100)
    async with deployment.publisher().open() as shard:
        with transaction(deployment) as stranger:
            await shard.commit([encoded(deployment, 100, 200, change(persons[0]))])
    with pytest.raises(Doubt, match="reading the cursor: no end within 8 s"):
        await reopened(deployment.but(VTJ_KAFKA__COMMIT_TIMEOUT="8"))
    opening = asyncio.ensure_future(reopened(deployment))
    await asyncio.to_thread(stranger.abort_transaction, SOON)
    assert await opening == 200


async def test_who_opens_a_shard_fences_the_one_before(deployment: Deployment, persons: list[str]) -> None:
    """And only then reads the cursor: the older one may be just before its commit."""
    await begun_at(deployment, 1)
    page = encoded(deployment, 1, 2, change(persons[0]))
    async with deployment.publisher(instance="older").open() as older:
        at_commit, go_on = asyncio.Event(), asyncio.Event()
        _hold_commit(older, at_commit, go_on)
        committing = asyncio.ensure_future(older.commit([page]))
        async with asyncio.timeout(SOON):
            await at_commit.wait()
        async with deployment.publisher(instance="younger").open() as younger:
            assert younger.cursor == 1
            go_on.set()
            with pytest.raises(StepDown):
                await committing
            await younger.commit([page])
    assert [entry["instance"] for entry in await deployment.entries()] == ["test", "younger"]
    assert len(await deployment.events()) == 1
    assert deployment.nothing_open()


async def test_who_is_fenced_before_its_cursor_is_written_says_so_once(
    deployment: Deployment, persons: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """aiokafka fails futures that nobody asks about, and asyncio would write a stack trace for each of them."""
    await begun_at(deployment, 1)

    async def work() -> None:
        async with deployment.publisher().open() as older:
            send = older._transactions._producer.send

            async def overtaken(*arguments: Any, **options: Any) -> Any:
                older._transactions._producer.send = send
                assert await reopened(deployment) == 1
                return await send(*arguments, **options)

            older._transactions._producer.send = overtaken
            await older.commit([encoded(deployment, 1, 2, *map(change, persons))])

    failed = await asyncio.gather(work(), return_exceptions=True)
    assert [type(error) for error in failed] == [StepDown]
    del failed  # it holds on to all that was in use
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0)
    assert "never retrieved" not in caplog.text
    assert await deployment.events() == []


def _hold_commit(shard: Shard, reached: asyncio.Event, go_on: asyncio.Event) -> None:
    producer = shard._transactions._producer
    commit = producer.commit_transaction

    async def held() -> None:
        reached.set()
        await go_on.wait()
        await commit()

    producer.commit_transaction = held


async def test_what_an_older_incarnation_sent_late_is_refused(
    frail_broker: Broker, prefix: str, persons: list[str]
) -> None:
    """It could land where nothing ends its transaction, and hold every reader there, or be committed with our next.

    The broker's own check of late batches is off: it has gaps, as while a broker restarts.
    """
    deployment = await begun_at(Deployment(frail_broker.bootstrap, prefix), 1)
    page = encoded(deployment, 1, 2, change(persons[0]))
    async with verification_off(deployment), deployment.publisher().open() as older:
        await older.commit([page])
        producer = older._transactions._producer
        [slot] = [slot for slot in producer._txn_manager._sequence_numbers if slot.topic == deployment.topic(KOTIKUNTA)]
        async with deployment.publisher().open() as younger:
            assert younger.cursor == 2
            await producer.begin_transaction()
            producer._txn_manager._txn_partitions.add(slot)  # as if it had been added before
            batch = producer.create_batch()
            batch.append(timestamp=None, key=b"", value=b"late")
            late = await producer.send_batch(batch, slot.topic, partition=slot.partition)
            with pytest.raises(ProducerFenced):
                await late
        assert deployment.nothing_open()


@asynccontextmanager
async def verification_off(deployment: Deployment) -> AsyncIterator[None]:
    def switch(value: str) -> None:
        admin = deployment.admin
        name = "transaction.partition.verification.enable"
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.BROKER, "1", incremental_configs=[entry])
        for done in admin.incremental_alter_configs([resource]).values():
            done.result(SOON)

    await asyncio.to_thread(switch, "false")
    try:
        yield
    finally:
        await asyncio.to_thread(switch, "true")


async def test_a_shard_that_went_elsewhere_meanwhile_is_let_go(deployment: Deployment) -> None:
    with pytest.raises(StepDown, match="went to another instance"):
        async with deployment.create_topics().publisher(still_ours=lambda: False).open():
            pytest.fail("opened")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b'{"version": 2, "cursor": 5, "surprise": true}', "written by a newer release"),
        (b"\x00rubbish", "not one of this program"),
        (b'{"version": 1, "cursor": 5}', "not one of this program"),
        (b"[]", "not one of this program"),
    ],
    ids=["newer", "rubbish", "lacking", "list"],
)
async def test_a_cursor_record_that_cannot_be_trusted_stops(deployment: Deployment, value: bytes, said: str) -> None:
    await begun_at(deployment, 5)
    with transaction(deployment, value, deployment.names.key) as stranger:
        stranger.commit_transaction(SOON)
    before = await deployment.committed()
    with pytest.raises(CursorUnreadable, match=said):
        await reopened(deployment)
    assert await deployment.committed() == before


async def test_a_timeout_that_the_broker_does_not_grant_names_the_setting(deployment: Deployment) -> None:
    settings = deployment.create_topics().settings.kafka.model_copy(update={"transaction_timeout": 1000.0})
    publisher = replace(deployment.publisher(), settings=settings)
    with pytest.raises(KafkaRefused) as refused:
        async with publisher.open():
            pytest.fail("opened")
    assert "VTJ_KAFKA__TRANSACTION_TIMEOUT" in refused.value.hint


@asynccontextmanager
async def markers_lost(
    deployment: Deployment, shard: Shard, names: list[str], *, dies: bool = False, aborts: bool = False
) -> AsyncIterator[None]:
    """The next commit marks all partitions but those of these topics: as a coordinator does that finds no leader there.

    dies: the instance hears no more of it. aborts: the broker ended it so.
    """
    producer = shard._transactions._producer
    manager = producer._txn_manager
    # Nobody is asked before what is sent there: a marker of the opening that comes late would abort it.
    await producer.begin_transaction()
    manager.maybe_add_partition_to_txn(TopicPartition(deployment.topic("dead-letter"), 0))
    await producer.commit_transaction()
    add, commit = manager.maybe_add_partition_to_txn, producer.commit_transaction
    topics = {deployment.topic(name) for name in names}

    def only_here(partition: TopicPartition) -> None:
        add(TopicPartition(deployment.topic("dead-letter"), 0))  # something it must know
        if partition.topic in topics:
            manager._txn_partitions.add(partition)
        else:
            add(partition)

    def restored() -> None:
        manager.maybe_add_partition_to_txn, producer.commit_transaction = add, commit

    async def ended() -> None:
        restored()
        await (producer.abort_transaction if aborts else commit)()
        if dies:
            raise Doubt("it has died")

    manager.maybe_add_partition_to_txn, producer.commit_transaction = only_here, ended
    try:
        yield
    finally:
        restored()


NIMI = "change.henkilon-nimi"
PARTS = {
    "events": [KOTIKUNTA, NIMI],
    "one of two topics": [KOTIKUNTA],
    "ledger": ["ledger"],
    "cursor": ["cursor"],
    "ledger and cursor": ["ledger", "cursor"],
    "all but one topic": [NIMI, "ledger", "cursor"],
}


@pytest.mark.parametrize("missing", PARTS)
@pytest.mark.parametrize("who", ["another instance", "the same"])
async def test_what_the_broker_committed_in_part_is_made_whole(
    frail_broker: Broker, prefix: str, persons: list[str], missing: str, who: str
) -> None:
    """A coordinator that is loaded while partitions have no leader passes over their markers, for good."""
    deployment = await begun_at(Deployment(frail_broker.bootstrap, prefix), 1, NIMI)
    nimi = {"tietoryhma": "HENKILON_NIMI", "muutosattribuutti": "MUUTETTU", "etunimi": "Aino", "sukunimi": "Testi"}
    first = encoded(deployment, 1, 2, change(persons[0], kotikunta(), nimi))
    second = encoded(deployment, 2, 3, change(persons[0]))  # elsewhere than the first, but for one topic
    async with verification_off(deployment), deployment.publisher().open() as shard:
        if who == "the same":
            async with markers_lost(deployment, shard, PARTS[missing]):
                await shard.commit([first])
            await until(deployment.nothing_open, "the markers")  # and nothing else is sent: upstream may be quiet
            assert [one["cursor"] for one in await deployment.events()] == [2]
            assert await deployment.cursor() == 2
            await shard.commit([second])
        else:
            async with markers_lost(deployment, shard, PARTS[missing], dies=True):
                with pytest.raises(Doubt, match="it has died"):
                    await shard.commit([first])
            assert not deployment.nothing_open()
            async with deployment.publisher().open() as younger:
                assert younger.cursor == 2
                await younger.commit([second])
    assert places(await deployment.entries()) == [(None, 1), (1, 2), (2, 3)]
    assert [one["cursor"] for one in await deployment.events()] == [2, 3]
    assert [one["cursor"] for one in await deployment.events(NIMI)] == [2]
    assert deployment.nothing_open()


@pytest.mark.parametrize("fate", ["committed", "aborted"])
async def test_what_is_visible_nowhere_is_done_again(
    frail_broker: Broker, prefix: str, persons: list[str], fate: str
) -> None:
    """All of it, whether the broker has lost every marker of a commit or only some of an abort."""
    deployment = await begun_at(Deployment(frail_broker.bootstrap, prefix), 1)
    page = encoded(deployment, 1, 2, change(persons[0]))
    topics = [KOTIKUNTA, "ledger", "cursor"] if fate == "committed" else ["ledger", "cursor"]
    async with verification_off(deployment), deployment.publisher().open() as shard:
        async with markers_lost(deployment, shard, topics, dies=True, aborts=fate == "aborted"):
            with pytest.raises(Doubt, match="it has died"):
                await shard.commit([page])
        async with deployment.publisher().open() as younger:
            assert younger.cursor == 1
            await younger.commit([page])
    assert places(await deployment.entries()) == [(None, 1), (1, 2)]
    assert len(await deployment.events()) == 1
    assert deployment.nothing_open()


async def test_an_open_transaction_of_somebody_else_does_not_hold_up_a_commit(
    deployment: Deployment, persons: list[str]
) -> None:
    """Another shard, or another feed, writes to the same partitions: readers wait for it, we do not."""
    await begun_at(deployment, 1)
    async with deployment.publisher().open() as shard:
        with transaction(deployment, topic=deployment.topic(KOTIKUNTA)) as stranger:
            await shard.commit([encoded(deployment, 1, 2, change(persons[0]))])
            await shard.commit([encoded(deployment, 2, 3, change(persons[0]))])
            assert not deployment.nothing_open()
            stranger.abort_transaction(SOON)
    await until(deployment.nothing_open, "the end of the stranger's transaction")
    assert await deployment.cursor() == 3
    assert [one["cursor"] for one in await deployment.events()] == [2, 3]


async def test_who_is_told_to_stop_commits_the_rest_first(
    frail_broker: Broker, prefix: str, persons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An abort would take away what is committed."""
    deployment = await begun_at(Deployment(frail_broker.bootstrap, prefix), 1)
    page = encoded(deployment, 1, 2, change(persons[0]))
    async with verification_off(deployment), deployment.publisher().open() as shard:
        producer = shard._transactions._producer
        commit_rest, begun = recovery.commit_rest, asyncio.Event()

        async def slowly(*given: Any) -> None:
            begin = producer.begin_transaction

            async def delayed() -> None:
                await begin()
                begun.set()
                await asyncio.sleep(0.3)

            producer.begin_transaction = delayed
            await commit_rest(*given)

        monkeypatch.setattr(recovery, "commit_rest", slowly)
        async with markers_lost(deployment, shard, [KOTIKUNTA]):
            committing = asyncio.create_task(shard.commit([page]))
            await begun.wait()
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
    await until(deployment.nothing_open, "the markers")
    assert await deployment.cursor() == 2
    assert [one["cursor"] for one in await deployment.events()] == [2]
