"""A feed that has nothing to tell, and an upstream that is away: what Kafka knows of it, and who hears."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from confluent_kafka.cimpl import NewTopic

from producer.app.parts import parts
from producer.app.verify import Range, verify
from producer.model import EncodedPage
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import SOON, Deployment, places

pytestmark = pytest.mark.kafka

DAY = 86_400_000  # ms
AWAY: list[dict[str, Any]] = [
    {"fault": "reset", "times": 2},
    {"fault": 503, "times": 3},
    {"fault": 429, "times": 2, "retry_after": 1},
    {"fault": "truncated", "times": 1},
]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=30, history=30, page_size=10) as running:
        yield running


@pytest.fixture
async def fed(broker: Broker, prefix: str, sandbox: Sandbox) -> Deployment:
    return await (await Deployment(broker.bootstrap, prefix, sandbox.url).small.apply_topics()).caught_up()


async def last_answered(fed: Deployment, days: float) -> None:
    """As if nothing had been heard since then."""
    made = await parts(fed.settings)
    async with made.publisher("0", ()).open() as shard:
        assert shard.cursor is not None
        at = time.time_ns() // 1_000_000 - int(days * DAY)
        await shard.commit([EncodedPage("0", shard.cursor, shard.cursor, True, at, 0, ())])


async def test_an_upstream_that_is_away_is_told_as_the_cursor_ages_and_its_answer_is_kept(
    fed: Deployment, sandbox: Sandbox
) -> None:
    last: int = sandbox.state()["last"]
    await last_answered(fed, 11)
    shown = await fed.run("status")
    assert "Upstream last answered 11 d ago. DVV keeps a cursor readable for two weeks" in shown.out, shown.err
    (bucket,) = [json.loads(line) for line in (await fed.run("status", "--json")).out.splitlines()]
    assert 11 * 86_400 <= bucket["answered"] < 11 * 86_400 + SOON
    assert bucket["age"] < SOON
    assert "11 d ago" in (await fed.run("cursor", "show")).out

    before = await fed.entries()
    sandbox.set_faults(AWAY)
    service = fed.but(VTJ_SCHEDULE__INTERVAL="1", VTJ_UPSTREAM__RETRY_WAIT="0.5")
    async with service.start("run") as running:
        await running.says("upstream answers again, after 11 d")
        await running.says("committed cursor")
        asked = sandbox.state()["requests"]["muutokset"]
        while sandbox.state()["requests"]["muutokset"] < asked + 2:  # quiet answers, of which no more is kept
            await asyncio.sleep(0.1)
        ended = await running.stop()
    assert ended.code == 0
    assert ended.err.count("upstream last answered 11 d ago. DVV keeps a cursor") == 1
    assert ended.err.count("Asking again in") == 4  # the 1st, 2nd, 4th and 8th try of nine
    assert ended.err.count("Upstream answers again, at try 9 after") == 1
    (kept,) = (await fed.entries())[len(before) :]
    assert (kept["previousCursor"], kept["cursor"], kept["events"], kept["offsets"]) == (last, last, 0, {})
    (bucket,) = [json.loads(line) for line in (await fed.run("status", "--json")).out.splitlines()]
    assert (bucket["answered"] < SOON, bucket["up_to_date"]) == (True, True)
    assert "Upstream last answered" not in (await fed.run("status")).out


async def test_a_move_and_a_start_are_no_answers(fed: Deployment, sandbox: Sandbox) -> None:
    await last_answered(fed, 15)
    moved = await fed.run("cursor", "set", str(sandbox.log()[9][0]), "--yes")
    assert moved.code == 0, moved.err
    sandbox.set_faults([{"fault": 401, "times": None}])
    refused = await fed.run("run", "--once")
    assert refused.code == 3
    assert "ERROR   vtj.line: upstream last answered 15 d ago. The cursor may not be readable any more" in refused.err
    assert f"(feed vtj, bucket 0, after cursor {sandbox.log()[9][0]})" in refused.err


async def test_what_reads_the_ledger_takes_an_entry_that_tells_nothing(fed: Deployment, sandbox: Sandbox) -> None:
    """Before, between and behind those that tell something."""
    keys = [key for key, _ in sandbox.log()]
    for _ in range(2):
        await last_answered(fed, 1)
    sandbox.grow(70)
    assert (await fed.run("run", "--once")).code == 0
    await last_answered(fed, 1)
    assert [one for one in places(await fed.entries()) if one[0] == one[1]] == [(keys[-1], keys[-1])] * 2 + [
        (sandbox.state()["last"], sandbox.state()["last"])
    ]
    verdict = await fed.audit()
    assert verdict.sound, verdict
    assert verdict.changes == 100
    report = await verify(await parts(fed.settings), Range(), lambda *_: None, upstream=True)
    assert report.sound, report.findings

    admin = fed.admin
    for done in admin.create_topics([NewTopic(fed.topic("again"), 2)]).values():
        done.result(SOON)
    name, since = "change.henkilon-nimi", str(keys[-1])
    copied = await fed.run("replay", "--to-topic", fed.topic("again"), "--topics", fed.topic(name), "--since", since)
    assert copied.code == 0, copied.err
    cursors = [event["cursor"] for event in await fed.events(name)]
    assert len(await fed.stored("again")) == sum(cursor > keys[-1] for cursor in cursors) > 0
