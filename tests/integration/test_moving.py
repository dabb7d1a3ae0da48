"""Positions that are moved: `cursor set`, which says so; and what somebody has done to the topics by hand."""

from collections.abc import AsyncIterator

import pytest
from confluent_kafka.cimpl import NewPartitions

from producer.app.backfill import Wanted, backfill
from producer.app.cursor import set_cursor
from producer.app.parts import parts
from producer.app.verify import Range, verify
from producer.errors import SettingsError, TopicsDiffer
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import KOTIKUNTA, SOON, Deployment, change, places, until
from tests.integration.pages import encoded
from tests.oracle.schemas import Schemas

pytestmark = pytest.mark.kafka


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=30, history=100, page_size=10) as running:
        yield running


@pytest.fixture
async def fed(broker: Broker, prefix: str, sandbox: Sandbox) -> Deployment:
    return await (await Deployment(broker.bootstrap, prefix, sandbox.url).small.apply_topics()).caught_up()


async def moves(fed: Deployment, *, upstream: bool = False) -> list[tuple[int, int]]:
    """Those of the feed, by `verify`, which finds nothing wrong."""
    report = await verify(await parts(fed.settings), Range(), lambda *_: None, upstream=upstream)
    assert report.sound, report.findings
    return report.chains[fed.names.key].moved


async def told(fed: Deployment) -> list[tuple[int, bytes]]:
    """Page and id of every event."""
    schemas, stored = Schemas.load(), [one for one in await fed.stored() if one.topic.startswith("change.")]
    return sorted((schemas.decode(one.topic, one.value or b"")["cursor"], dict(one.headers)["ce_id"]) for one in stored)


async def test_set_back_and_ahead(fed: Deployment, sandbox: Sandbox) -> None:
    keys = [key for key, _ in sandbox.log()]
    made, before, stored = await parts(fed.settings), await told(fed), await fed.committed()
    last, later = keys[-1], keys[-1] + 7
    for bucket, cursor, yes, words in (
        ("7", 5, True, "Feed vtj has no bucket 7 with a cursor"),
        ("state", 5, True, "has no bucket state with a cursor"),
        (None, keys[49], False, f"back from {last} to {keys[49]}: what was told between them comes again"),
        ("0", later, False, f"ahead from {last} to {later}: the changes between them are left out"),
    ):
        with pytest.raises(SettingsError, match=words) as refused:
            await set_cursor(made, bucket, cursor, yes=yes)
        assert (
            "There is 0." if bucket in ("7", "state") else f"cursor set {cursor} --bucket 0 --yes"
        ) in refused.value.hint
    assert await set_cursor(made, None, last, yes=True) == ("0", last)
    assert await fed.committed() == stored

    back = await fed.run("cursor", "set", str(keys[49]), "--yes")
    assert (back.code, back.out) == (0, f"bucket 0: from {last} to {keys[49]}\n"), back.err
    assert (await fed.run("run", "--once")).code == 0
    again = [one for one in before if one[0] > keys[49]]
    assert len(again) > 50
    assert await told(fed) == sorted(before + again)
    assert await moves(fed, upstream=True) == [(last, keys[49])]

    sandbox.grow(40)
    keys = [key for key, _ in sandbox.log()]
    assert await set_cursor(made, "0", keys[119], yes=True) == ("0", last)
    assert (await fed.run("run", "--once")).code == 0
    assert await fed.cursor() == keys[-1]
    assert not [one for one in await told(fed) if keys[99] < one[0] <= keys[119]]
    assert await moves(fed, upstream=True) == [(last, keys[49]), (last, keys[119])]
    await backfill(made, Wanted(since=keys[99], until=keys[119]), budget=60, again=False)
    assert [one for one in await told(fed) if keys[99] < one[0] <= keys[119]]


async def test_an_emptied_cursor_topic(fed: Deployment, sandbox: Sandbox) -> None:
    """Made anew it looks as that of a feed that has never begun."""
    last: int = sandbox.state()["last"]
    admin, topic = fed.admin, fed.topic("cursor")
    for done in admin.delete_topics([topic]).values():
        done.result(SOON)
    await until(lambda: topic not in admin.list_topics(timeout=SOON).topics, "the topic is gone")
    sandbox.grow(20)
    await fed.apply_topics()
    before = await fed.committed()
    refused = await fed.but(VTJ_UPSTREAM__START="today").run("run", "--once")
    assert refused.code == 6, refused.err
    assert "somebody has emptied the topic" in refused.err
    assert f"`vtj-producer cursor set {last} --bucket 0 --yes`" in refused.err
    assert await fed.committed() == before
    assert await set_cursor(await parts(fed.settings), "0", last, yes=True) == ("0", last)
    assert (await fed.run("run", "--once")).code == 0
    verdict = await fed.audit()
    assert verdict.sound, verdict
    assert verdict.changes == 120
    assert await moves(fed) == [(last, last)]


async def test_a_partition_count_that_has_changed(deployment: Deployment, persons: list[str]) -> None:
    """Whoever shares out keys by the new count looks for a person elsewhere."""
    admin = deployment.create_topics().admin
    async with deployment.publisher().open() as shard:
        await shard.begin(1)
        await shard.commit([encoded(deployment, 1, 2, *map(change, persons))])
        for done in admin.create_partitions([NewPartitions(deployment.topic(KOTIKUNTA), 3)]).values():
            done.result(SOON)
        await until(
            lambda: len(admin.list_topics(timeout=SOON).topics[deployment.topic(KOTIKUNTA)].partitions) == 3, "3"
        )
        await shard._transactions._producer.client.force_metadata_update()  # else within five minutes
        with pytest.raises(TopicsDiffer, match="partitions is 3, planned 2") as refused:
            await shard.commit([encoded(deployment, 2, 3, *map(change, persons))])
    assert "keys would move" in refused.value.hint
    assert places(await deployment.entries("cursor")) == [(None, 1), (1, 2)]
    assert len(await deployment.stored(KOTIKUNTA)) == len(persons)
    with pytest.raises(TopicsDiffer) as started:
        await parts(deployment.settings)
    assert "keys would move" in started.value.hint
