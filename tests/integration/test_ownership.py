"""Several instances of one feed: one works, the others wait and take over, and they never fight."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from producer.kafka.ownership import membership
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import SOON, Deployment, Ended, Instance, until

pytestmark = pytest.mark.kafka

TAKES_OVER, HANDS_OVER, ENDS = 15.0, 3.0, 5.0  # promised (s)
OPENED, COMMITTED, FENCED = "opened at cursor", "committed cursor", "another instance took over"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Much to catch up with, and ten new changes every second."""
    async with Sandbox(persons=300, history=1500, page_size=100, changes_per_day=864_000) as running:
        yield running


@pytest.fixture
async def fed(broker: Broker, prefix: str, sandbox: Sandbox) -> Deployment:
    deployment = await Deployment(broker.bootstrap, prefix, sandbox.url).small.apply_topics()
    return deployment.but(VTJ_SCHEDULE__INTERVAL="1", VTJ_KAFKA__TRANSACTION_EVENTS="1000")


def shards(instance: Instance) -> set[str]:
    """What the coordinator's last word gives to the instance."""
    words = re.findall(r"shards: (.*)", instance.log)
    return set(words[-1].split(", ")) - {"none"} if words else set()


def cursors(said: str, log: str) -> list[str]:
    return re.findall(rf"{said} (\d+)", log)


def holds(instance: Instance, shard: int) -> bool:
    return str(shard) in shards(instance)


async def settled(one: Instance, two: Instance) -> None:
    """Both have heard the word that shares all shards out: amid a rebalance they have heard different ones."""
    everything = {str(shard) for shard in range(12)}

    def shared() -> bool:
        left, right = shards(one), shards(two)
        return bool(left) and bool(right) and not left & right and left | right == everything

    await until(shared, "the shards shared out")


@asynccontextmanager
async def pair(deployment: Deployment) -> AsyncIterator[tuple[Instance, Instance]]:
    """Two instances: the one that works, and the one that waits."""
    shard = deployment.names.shard
    async with AsyncExitStack() as running:
        one = await running.enter_async_context(deployment.start("run"))
        await one.says(COMMITTED)
        two = await running.enter_async_context(deployment.start("run"))
        await settled(one, two)
        worker, waiter = (one, two) if holds(one, shard) else (two, one)
        await worker.says(COMMITTED, worker.log.count(COMMITTED) + 1)
        assert holds(worker, shard)
        yield worker, waiter


async def assert_sound(deployment: Deployment, *ended: Ended) -> None:
    for one in ended:
        assert one.code == 0, one.err
        assert one.seconds < ENDS
        assert "Traceback" not in one.err
        assert "never retrieved" not in one.err
    verdict = await deployment.audit()
    assert verdict.sound, verdict
    assert verdict.changes > 0


async def test_one_waits_and_takes_over_when_the_other_dies(fed: Deployment) -> None:
    async with pair(fed) as (worker, waiter):
        worker.signal(signal.SIGKILL)
        await waiter.says(OPENED, waiter.log.count(OPENED) + 1, TAKES_OVER)
        await waiter.says(COMMITTED, waiter.log.count(COMMITTED) + 1)
        ended = await waiter.stop()
    assert FENCED not in ended.err
    await assert_sound(fed, ended)


async def test_one_waits_and_takes_over_when_the_other_leaves(fed: Deployment) -> None:
    async with pair(fed) as (worker, waiter):
        worker.signal(signal.SIGTERM)
        await waiter.says(OPENED, waiter.log.count(OPENED) + 1, HANDS_OVER)
        left = await worker.end()
        await waiter.says(COMMITTED, waiter.log.count(COMMITTED) + 1)
        ended = await waiter.stop()
    assert FENCED not in left.err + ended.err
    await assert_sound(fed, left, ended)


async def test_who_waits_may_leave_at_any_time(fed: Deployment) -> None:
    async with pair(fed) as (worker, waiter):
        left = await waiter.stop()
        await worker.says(COMMITTED, worker.log.count(COMMITTED) + 1)
        ended = await worker.stop()
    assert FENCED not in left.err + ended.err
    await assert_sound(fed, left, ended)


async def test_who_slept_through_its_replacement_commits_nothing_and_does_not_fight(
    fed: Deployment, sandbox: Sandbox
) -> None:
    """Stopped for longer than the session, and then let run again, in the middle of catching up."""
    async with pair(fed) as (worker, waiter):
        sandbox.grow(4_000)
        await worker.says("more to come", worker.log.count("more to come") + 1)
        worker.signal(signal.SIGSTOP)
        await waiter.says(OPENED, waiter.log.count(OPENED) + 1, TAKES_OVER)
        await waiter.says(COMMITTED, waiter.log.count(COMMITTED) + 1)
        before = len(worker.log)  # by now its last words have been read too
        opened = {instance: instance.log.count(OPENED) for instance in (worker, waiter)}
        went_on_from = cursors(OPENED, waiter.log)[-1]
        worker.signal(signal.SIGCONT)
        shard = fed.names.shard
        await until(lambda: worker.log.count("shards: ") > worker.log[:before].count("shards: ") + 1, "its return")
        await settled(worker, waiter)
        holder = worker if holds(worker, shard) else waiter
        await holder.says(COMMITTED, holder.log.count(COMMITTED) + 2)
        woken = worker.log[before:]
        # At most the news, late, of a commit that was through when it fell asleep.
        assert cursors(COMMITTED, woken.partition(OPENED)[0]) in ([], [went_on_from])
        # Its return is one rebalance, after which each may have opened the shard again, and one fencing at most.
        assert worker.log.count(OPENED) - opened[worker] + waiter.log.count(OPENED) - opened[waiter] <= 2
        assert FENCED not in waiter.log
        assert worker.log.count(FENCED) <= 1
        ends = await asyncio.gather(worker.stop(), waiter.stop())
    await assert_sound(fed, *ends)


async def test_once_leaves_a_running_instance_alone_and_outlives_a_dead_one(fed: Deployment) -> None:
    patient = fed.but(VTJ_KAFKA__SESSION_TIMEOUT="6", VTJ_SCHEDULE__INTERVAL="3600")
    async with patient.start("run") as running:
        await running.says("event(s)")
        await until(
            lambda: any("committed cursor" in one and "more to come" not in one for one in running.log.splitlines()),
            "the end of catching up",
        )
        before = await fed.committed()
        once = await patient.run("run", "--once")
        assert once.code == 75, once.err
        assert "Another instance works on this feed" in once.err
        assert await fed.committed() == before
        assert running.log.count(OPENED) == 1
        running.signal(signal.SIGKILL)
        once = await patient.run("run", "--once")
    await assert_sound(fed, Ended(once.code, once.out, once.err, 0))


async def test_two_that_run_once_at_the_same_time_commit_everything_once(fed: Deployment) -> None:
    hasty = fed.but(VTJ_KAFKA__SESSION_TIMEOUT="6")
    ends = await asyncio.gather(hasty.run("run", "--once"), hasty.run("run", "--once"))
    assert sorted(one.code for one in ends) in ([0, 0], [0, 75]), "\n".join(one.err for one in ends)
    await assert_sound(fed)


async def test_who_joins_before_the_topic_is_known_everywhere_gets_its_shards_soon(deployment: Deployment) -> None:
    names = deployment.names

    async def release() -> None:
        pass

    async with membership(
        deployment.settings.kafka, "test", group=names.group, topic=names.cursor_topic, release=release
    ) as member:
        async with asyncio.timeout(SOON):
            await member.changed.wait()
        assert member.shards == frozenset()
        deployment.create_topics()
        await until(lambda: member.shards == frozenset(range(12)), "the shards")


async def test_status_tells_who_works_on_what(broker: Broker, prefix: str) -> None:
    async with Sandbox(persons=60, history=200, page_size=50) as sandbox:
        codes = "\n".join(sandbox.codes()).encode()
        fed = (
            await Deployment(broker.bootstrap, prefix, sandbox.url)
            .small.but(VTJ_UPSTREAM__WATCHLIST="true", VTJ_UPSTREAM__BUCKET_SIZE="20")
            .apply_topics()
        )

        async def moved() -> set[str]:
            positions = [json.loads(one.value or b"") for one in await fed.stored("cursor")]
            return {one["bucket"] for one in positions if one["cursor"]}  # at 0 it only tells who is followed

        nothing = await fed.run("status")
        assert (nothing.code, nothing.out) == (0, "No instance is running.\nNo bucket has a position yet.\n"), (
            nothing.err
        )
        assert (await fed.run("persons", "add", "-", given=codes)).code == 0
        async with fed.start("run") as first, fed.start("run") as second:
            # Not from the logs: whose shards are taken away just then has committed, and does not come to say so.
            async with asyncio.timeout(SOON):
                while await moved() != {"0", "1", "2"}:
                    await asyncio.sleep(0.1)
            await settled(first, second)
            rows = [json.loads(line) for line in (await fed.run("status", "--json")).out.splitlines()]
            shown = await fed.run("status")
        assert [(row["name"], row["shard"]) for row in rows] == [
            (str(bucket), replace(fed.names, bucket=str(bucket)).shard) for bucket in range(3)
        ]
        assert {row["owner"] for row in rows} <= {line.split(":")[0] for line in shown.out.splitlines()[:2]}
        assert all(row["events"] >= 20 and row["age"] < 60 for row in rows), rows
        assert "shards " in shown.out
