"""`backfill`: upstream is asked again beside the feed, which is left alone; whatever is killed, all comes once."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
from confluent_kafka.cimpl import NewTopic

from producer.app.backfill import Progress, Wanted, backfill
from producer.app.cursor import set_cursor
from producer.app.erase import erase
from producer.app.parts import parts
from producer.app.persons import add
from producer.app.verify import Range, verify
from producer.errors import Busy, SettingsError, TopicsDiffer, UpstreamRefused
from producer.sandbox import Sandbox
from producer.sandbox.hetu import personal_code
from tests.broker import Broker
from tests.integration.deployment import ENDED, SOON, Deployment, Instance, until
from tests.oracle import Change, read_topics
from tests.oracle.again import judge_again
from tests.oracle.schemas import Schemas
from tests.oracle.verdict import Verdict

pytestmark = pytest.mark.kafka


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=40, history=300, page_size=10) as running:
        yield running


@pytest.fixture
async def fed(broker: Broker, prefix: str, sandbox: Sandbox) -> Deployment:
    few = Deployment(broker.bootstrap, prefix, sandbox.url).small
    return await few.but(VTJ_KAFKA__TRANSACTION_EVENTS="20", VTJ_KAFKA__SESSION_TIMEOUT="6").apply_topics()


async def judged(
    fed: Deployment, sandbox: Sandbox, since: int, until: int, persons: frozenset[str] | None = None
) -> Verdict:
    changes = [Change(key, record) for key, record in sandbox.log()]
    return judge_again(changes, await fed.stored(), since, until, persons=persons, permit=fed.permit)


async def entries(fed: Deployment, name: str = "ledger") -> list[dict[str, Any]]:
    stored = await fed.stored(name)
    return [json.loads(one.value or b"") for one in stored if one.key == b"vtj/backfill"]


async def moves(fed: Deployment, *, upstream: bool = False) -> list[tuple[int, int]]:
    """Those of the backfill, by `verify`, which finds nothing wrong."""
    report = await verify(await parts(fed.settings), Range(), lambda *_: None, upstream=upstream)
    assert report.sound, report.findings
    return report.chains[b"vtj/backfill"].moved


async def spent(instance: Instance, sandbox: Sandbox, before: int, budget: int) -> None:
    """Until the process has used up its requests of this minute."""

    def asked() -> int:
        requests: int = sandbox.state()["requests"]["muutokset"]
        return requests - before

    await until(lambda: asked() >= budget, f"{budget} requests by:\n{instance.log}")
    await asyncio.sleep(0.5)
    assert asked() == budget


async def test_beside_a_running_feed(fed: Deployment, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL in the middle; and a cursor is not set while an instance runs."""
    keys = [key for key, _ in sandbox.log()]
    asked = ["backfill", "--since", str(keys[19]), "--until", str(keys[219])]
    async with fed.but(VTJ_SCHEDULE__INTERVAL="1").start("run") as feed:
        await feed.says(f"committed cursor {keys[-1]}:")
        async with fed.start(*asked, "--budget", "8") as killed:  # one before anything is stored, and seven pages
            await killed.says(f"bucket backfill: committed cursor {keys[89]}:")
            killed.signal(signal.SIGKILL)
            await killed.end()
        sandbox.grow(60)
        done = await fed.run(*asked, "--budget", "600")
        assert (done.code, done.out) == (0, f"done: cursor {keys[19]} to {keys[219]}\n"), done.err
        monkeypatch.setattr("producer.app.parts.GRACE", -5.5)
        with pytest.raises(Busy):
            await set_cursor(await parts(fed.settings), "0", 0, yes=True)
        last = sandbox.state()["last"]
        await feed.says(f"committed cursor {last}:")
        assert "Doubt" not in feed.log
        assert "beginning again" not in feed.log
        assert (await feed.stop()).code == 0
    verdict = await fed.audit()
    assert verdict.sound, verdict
    assert (verdict.changes, verdict.cursor) == (360, last)
    again = await judged(fed, sandbox, keys[19], keys[219])
    assert again.sound, again
    assert again.changes == 200
    told = await entries(fed)
    assert [one["previousCursor"] for one in told][1:] == [one["cursor"] for one in told][:-1]
    assert (told[0]["previousCursor"], told[0]["cursor"], told[-1]["cursor"]) == (None, keys[19], keys[219])
    assert await moves(fed, upstream=True) == []

    before = await fed.committed()
    once_more = await backfill(await parts(fed.settings), Wanted(keys[19], keys[219]), budget=60, again=False)
    assert once_more.done
    assert await fed.committed() == before


async def test_the_followed_persons_in_parts_without_the_erased(fed: Deployment, sandbox: Sandbox) -> None:
    fed = await fed.but(
        VTJ_UPSTREAM__WATCHLIST="true", VTJ_UPSTREAM__BUCKET_SIZE="10", VTJ_STATE__ENABLED="true"
    ).apply_topics()
    codes = sandbox.codes()
    told: dict[str, int] = {}
    for _, record in sandbox.log():
        told[record["henkilotunnus"]] = told.get(record["henkilotunnus"], 0) + 1
    erased = max(codes, key=lambda code: told.get(code, 0))
    made = await parts(fed.settings)
    await add(made, codes[:30], None)
    assert (await fed.run("run", "--once")).code == 0
    await erase(made, erased, None)
    await add(made, [erased], None)  # followed again, and still among the erased
    followed = {
        one.key.decode()
        for one in {one.key: one for one in await fed.stored("watchlist")}.values()
        if one.key and one.value is not None
    }
    keys = [key for key, _ in sandbox.log()]
    asked, before = ["backfill", "--since", str(keys[0] - 1)], sandbox.state()["requests"]["muutokset"]
    async with fed.start(*asked, "--budget", "9") as stopped:
        await spent(stopped, sandbox, before, 9)
        ended = await stopped.stop()
        assert (ended.code, ended.out) == (130, ""), ended.err
    await until(fed.nothing_open, "the end of the transaction", ENDED)
    with pytest.raises(SettingsError, match="Another backfill is under way"):
        await backfill(made, Wanted(since=keys[5]), budget=60, again=False)
    await backfill(made, Wanted(since=keys[0] - 1), budget=600, again=False)
    again = await judged(fed, sandbox, 0, keys[-1], frozenset(followed - {erased}))
    assert again.sound, again
    assert again.events > 300
    [last] = [one["progress"] for one in await entries(fed, "cursor")][-1:]
    assert (last["parts"], last["done"]) == (-(-len(followed) // 10), True)
    assert len(await moves(fed)) == last["parts"] - 1 >= 2
    stored = json.dumps(await entries(fed, "cursor"))
    assert not any(code in stored for code in codes)
    states = len(await fed.stored("state.kotikunta"))
    assert (await fed.run("run", "--once")).code == 0
    written = (await fed.stored("state.kotikunta"))[states:]
    assert {one.key for one in written} <= {erased.encode()}  # who has joined again; nobody for what was told again


async def test_persons_and_a_topic_of_ones_own(fed: Deployment, sandbox: Sandbox) -> None:
    assert (await fed.run("run", "--once")).code == 0
    mine = f"mine-{fed.prefix}"
    made, keys = await parts(fed.settings), [key for key, _ in sandbox.log()]

    async def told_again(topic: str | None = None, *, again: bool = False, **wanted: Any) -> Progress:
        return await backfill(made, Wanted(topic=topic, **wanted), budget=600, again=again)

    for topic, kind, words in (
        (f"{mine}.all", TopicsDiffer, f"{mine}.all: missing"),
        (fed.topic("state.kotikunta"), SettingsError, "is one of the program's own topics"),
    ):
        with pytest.raises(kind, match=words):
            await told_again(topic, since=keys[99])
    admin = fed.admin
    for done in admin.create_topics([NewTopic(f"{mine}.all", 2)]).values():
        done.result(SOON)
    before = {one: dict(one.headers) for one in await fed.stored() if one.topic.startswith("change.")}
    await told_again(f"{mine}.all", since=keys[99])
    assert len([one for one in await fed.stored() if one.topic.startswith("change.")]) == len(before)
    schemas = Schemas.load()
    behind = [one for one in before if schemas.decode(one.topic, one.value or b"")["cursor"] > keys[99]]
    there = await asyncio.to_thread(read_topics, fed.bootstrap, mine)
    assert Counter((one.key, one.partition, dict(one.headers)["ce_id"]) for one in there) == Counter(
        (one.key, one.partition, before[one]["ce_id"]) for one in behind
    )
    codes = [*sandbox.codes()[:5], personal_code(date(1990, 1, 1), 900, "-")]
    persons = await fed.run("backfill", "--persons", "-", given="\n".join(codes).encode())
    assert (persons.code, persons.out) == (0, "done: 6 persons; left out by upstream: 1\n"), persons.err
    added = [one for one in await fed.events() if one["bucket"] == "backfill"]
    assert {one["kind"] for one in added} == {"SNAPSHOT"}
    assert {one["personId"] for one in added} <= set(codes[:5])
    await moves(fed)


async def test_what_cannot_be_told_again_moves_nothing(fed: Deployment, sandbox: Sandbox) -> None:
    made = await parts(fed.settings)
    sandbox.set_faults([{"fault": 403, "endpoint": "muutokset"}])
    for since, end, kind, words in (
        (5, 9, UpstreamRefused, "403"),
        (5, 5, SettingsError, "There is nothing from cursor 5 to 5"),
        (5, None, SettingsError, "The feed has not begun"),
    ):
        with pytest.raises(kind, match=words):
            await backfill(made, Wanted(since, end), budget=60, again=False)
    with pytest.raises(SettingsError, match="has no bucket 0 with a cursor") as refused:
        await set_cursor(made, None, 5, yes=True)
    assert "It has not begun" in refused.value.hint
    assert await fed.committed() == set()
