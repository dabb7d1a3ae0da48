"""Three instances on three brokers, persons in buckets of all twelve shards, and upstream that never rests."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Self

from producer.kafka.names import SHARDS
from producer.sandbox import Sandbox
from tests.broker.cluster import Cluster
from tests.broker.jvm import JvmBroker
from tests.chaos.arena import KILLED, STOPPED
from tests.chaos.oddities import odd_records
from tests.chaos.watch import Watch
from tests.integration.deployment import Deployment, Instance, until
from tests.oracle import Verdict

INSTANCES = 3
PATIENCE = 90.0  # how long it may take to recover from a round (s)
STOPS = 5.0  # promised, from SIGTERM to the end (s)
# The first thirteen buckets of a feed of this name lie in all twelve shards.
FEED, BUCKETS, PERSONS = "vtj2445", 13, 65
SETTINGS = {
    "VTJ_FEED__NAME": FEED,
    "VTJ_UPSTREAM__WATCHLIST": "true",
    "VTJ_UPSTREAM__BUCKET_SIZE": str(PERSONS // BUCKETS),
    "VTJ_KAFKA__SESSION_TIMEOUT": "6",
    # Longer than it takes to miss a broker (3 s): some commits outlive its death, and some do not.
    "VTJ_KAFKA__COMMIT_TIMEOUT": "6",
    "VTJ_KAFKA__TRANSACTION_TIMEOUT": "10",
    "VTJ_KAFKA__TRANSACTION_EVENTS": "60",
    "VTJ_SCHEDULE__INTERVAL": "1",
    "VTJ_UPSTREAM__REQUESTS_PER_MINUTE": "100000",
}


@dataclass
class Figures:
    rounds: Counter[str] = field(default_factory=Counter)
    instances: Counter[str] = field(default_factory=Counter)  # what was done to one → how often
    brokers: Counter[str] = field(default_factory=Counter)
    slowest_stop: float = 0.0  # from SIGTERM to the end (s)
    slowest_recovery: float = 0.0  # from the end of a round's trouble until all buckets have caught up (s)


class Swarm:
    def __init__(self, cluster: Cluster, sandbox: Sandbox, watch: Watch, deployment: Deployment, dice: random.Random):
        self.cluster, self.sandbox, self.watch, self.dice = cluster, sandbox, watch, dice
        self.deployment = deployment
        self.figures = Figures()
        self.instances: list[Instance] = []
        self._running = AsyncExitStack()

    @classmethod
    @asynccontextmanager
    async def opened(cls, cluster: Cluster, prefix: str, dice: random.Random) -> AsyncIterator[Self]:
        """All instances live, and each has made a commit."""
        async with Sandbox(persons=PERSONS + 25, page_size=20, seed=dice.randrange(2**31)) as sandbox:
            deployment = Deployment(cluster.bootstrap, prefix, sandbox.url).small.but(**SETTINGS)
            await deployment.apply_topics()
            codes = "\n".join(sandbox.codes()[:PERSONS]).encode()
            added = await deployment.run("persons", "add", "-", given=codes)
            assert added.code == 0, added.err
            await asyncio.to_thread(cluster.whole)
            topic = deployment.names.cursor_topic
            with Watch(listing=True).following(cluster.bootstrap, topic, range(SHARDS)) as watch:
                swarm = cls(cluster, sandbox, watch, deployment, dice)
                async with swarm._running:
                    telling = asyncio.create_task(swarm._tell(random.Random(dice.random())))
                    try:
                        await swarm.recover()
                        yield swarm
                    finally:
                        telling.cancel()

    async def _tell(self, dice: random.Random) -> None:
        """Upstream goes on telling changes, with odd ones between."""
        while True:
            self.sandbox.grow(dice.randrange(10))
            if not dice.randrange(5):
                self.sandbox.append(odd_records(dice, 1))
            await asyncio.sleep(0.3)

    # the instances

    def any(self, count: int = 1) -> list[Instance]:
        return self.dice.sample(self.instances, count)

    async def kill(self, instance: Instance) -> None:
        """SIGKILL. The coordinator finds out by itself."""
        self.figures.instances["SIGKILL"] += 1
        instance.signal(signal.SIGKILL)
        await self._end(instance, KILLED)

    async def stop(self, instance: Instance) -> None:
        self.figures.instances["SIGTERM"] += 1
        instance.signal(signal.SIGTERM)
        seconds = await self._end(instance, STOPPED)
        assert seconds < STOPS, f"{seconds:.1f} s to stop:\n{instance.log[-4000:]}"
        self.figures.slowest_stop = max(self.figures.slowest_stop, seconds)

    async def _end(self, instance: Instance, code: int) -> float:
        ended = await instance.end()
        assert ended.code == code, f"exit code {ended.code}\n{ended.err}"
        self.instances.remove(instance)
        return ended.seconds

    @asynccontextmanager
    async def frozen(self, instance: Instance) -> AsyncIterator[None]:
        self.figures.instances["SIGSTOP"] += 1
        instance.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            instance.signal(signal.SIGCONT)

    async def fill_up(self) -> None:
        """Instances in place of those that are gone."""
        while len(self.instances) < INSTANCES:
            self.instances.append(await self._running.enter_async_context(self.deployment.start("run")))

    # the brokers: one at a time, and the next one only when everything is in sync again

    @asynccontextmanager
    async def without(self, deed: str, undo: str = "start") -> AsyncIterator[JvmBroker]:
        """deed: kill, stop or pause, of any one of them; undone at the end."""
        node = self.dice.choice(self.cluster.nodes)
        self.figures.brokers[deed] += 1
        await asyncio.to_thread(getattr(node, deed))
        try:
            yield node
        finally:
            await asyncio.to_thread(getattr(node, undo))
            await asyncio.to_thread(self.cluster.whole)

    # progress

    async def goes_on(self) -> None:
        """Waits until each bucket has passed what upstream has told by now."""
        last: int = self.sandbox.state()["last"]
        deadline = time.monotonic() + PATIENCE
        while len(self.watch.cursors) < BUCKETS or (self.watch.cursor or 0) < last:
            lost = [one for one in self.instances if not one.lives]
            assert not lost, f"ended by itself:\n{lost[0].log}"
            assert time.monotonic() < deadline, f"no way on from {self.watch.cursors} to {last}:\n{self.logs}"
            await asyncio.sleep(0.02)

    async def recover(self) -> None:
        """Three instances, each at work, and no bucket behind."""
        began = time.monotonic()
        await self.fill_up()
        await self.goes_on()
        self.figures.slowest_recovery = max(self.figures.slowest_recovery, time.monotonic() - began)
        since = len(self.watch.seen)
        wanted = {one.pid for one in self.instances}
        await until(
            lambda: {one.pid for one in self.watch.seen[since:]} >= wanted, f"all at work:\n{self.logs}", PATIENCE
        )

    @property
    def shards(self) -> set[int]:
        """Those that have made a commit."""
        names = self.deployment.names
        buckets = {(key or b"").decode().rpartition("/")[2] for key in self.watch.cursors}
        return {replace(names, bucket=bucket).shard for bucket in buckets}

    # the judgement

    async def audit(self) -> Verdict:
        """The oracle's word and `verify`'s, while nobody works."""
        await asyncio.gather(*(self.stop(one) for one in self.instances))
        verdict = await self.deployment.audit()
        assert verdict.changes > 0
        assert verdict.sound, f"{verdict}\n{self.watch.faults}"
        assert not self.watch.faults, self.watch.faults
        verified = await self.deployment.run("verify")
        assert verified.code == 0, verified.out + verified.err
        return verdict

    @property
    def logs(self) -> str:
        return "\n".join(f"instance {one.pid}:\n{one.log[-4000:]}" for one in self.instances)

    def report(self, seconds: float) -> str:
        figures = self.figures

        def told(counts: Counter[str]) -> str:
            return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"

        return "\n".join(
            [
                f"{figures.rounds.total()} rounds of {len(figures.rounds)} kinds in {seconds:.0f} s, "
                f"{len(self.shards)} shards",
                f"instances: {told(figures.instances)}; the slowest stop took {figures.slowest_stop:.1f} s",
                f"brokers: {told(figures.brokers)}",
                f"commits {len(self.watch.seen)}, a bucket's by another instance than the one before "
                f"{self.watch.takeovers}; slowest recovery {figures.slowest_recovery:.1f} s",
            ]
        )


# What may happen in a round. Whoever is gone at its end is replaced after it.

Upheaval = Callable[[Swarm], Awaitable[None]]


def killed(count: int) -> Upheaval:
    async def upheaval(swarm: Swarm) -> None:
        await asyncio.gather(*(swarm.kill(one) for one in swarm.any(count)))
        if count < INSTANCES:
            await swarm.goes_on()

    return upheaval


async def restarted_in_turns(swarm: Swarm) -> None:
    for instance in list(swarm.instances):
        await swarm.stop(instance)
        await swarm.fill_up()
        await asyncio.sleep(swarm.dice.uniform(0, 2))


async def replaced_in_turns(swarm: Swarm) -> None:
    """The next one goes before the group has settled: any moment of an opening."""
    for _ in range(4):
        (victim,) = swarm.any()
        await swarm.kill(victim)
        await swarm.fill_up()
        await asyncio.sleep(swarm.dice.uniform(0, 3))


async def zombie(swarm: Swarm) -> None:
    """Frozen until others have its shards; then it goes on where it was."""
    (instance,) = swarm.any()
    async with swarm.frozen(instance):
        await swarm.goes_on()


async def frozen_a_while(swarm: Swarm) -> None:
    async with swarm.frozen(swarm.any()[0]):
        await asyncio.sleep(swarm.dice.uniform(0.5, 6))


def broker_away(deed: str, undo: str = "start", seconds: float | None = None) -> Upheaval:
    """seconds: at most; None: until the others have carried every bucket on."""

    async def upheaval(swarm: Swarm) -> None:
        async with swarm.without(deed, undo):
            if seconds is None:
                await swarm.goes_on()
            else:
                await asyncio.sleep(swarm.dice.uniform(0, seconds))

    return upheaval


async def brokers_restarted_in_turns(swarm: Swarm) -> None:
    for node in swarm.cluster.nodes:
        swarm.figures.brokers["restart"] += 1
        await asyncio.to_thread(node.restart)
        await asyncio.to_thread(swarm.cluster.whole)


async def broker_and_instance_killed(swarm: Swarm) -> None:
    async with swarm.without("kill"):
        await asyncio.sleep(swarm.dice.uniform(0, 1))
        await swarm.kill(swarm.any()[0])
        await asyncio.sleep(swarm.dice.uniform(0, 4))
        await swarm.fill_up()


async def broker_killed_beside_a_zombie(swarm: Swarm) -> None:
    async with swarm.frozen(swarm.any()[0]), swarm.without("kill"):
        await swarm.goes_on()


KINDS: dict[str, Upheaval] = {
    "an instance killed": killed(1),
    "two instances killed": killed(2),
    "all instances killed": killed(3),
    "instances restarted in turns": restarted_in_turns,
    "instances killed in turns": replaced_in_turns,
    "zombie": zombie,
    "frozen a while": frozen_a_while,
    "broker killed": broker_away("kill"),
    "broker killed, back at once": broker_away("kill", seconds=0),
    "broker killed, soon back": broker_away("kill", seconds=4),
    "broker stopped": broker_away("stop"),
    "broker paused": broker_away("pause", "resume"),
    "broker paused a while": broker_away("pause", "resume", seconds=5),
    "brokers restarted in turns": brokers_restarted_in_turns,
    "broker and instance killed": broker_and_instance_killed,
    "broker killed beside a zombie": broker_killed_beside_a_zombie,
}
