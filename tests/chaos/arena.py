"""The arena of a chaos run: one broker, one feed, one growing log; and what a round may do with them."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.chaos.group import put_out
from tests.chaos.oddities import odd_records
from tests.chaos.proxy import Proxy
from tests.chaos.watch import Watch
from tests.integration.deployment import Deployment, Ended, Instance, until
from tests.oracle import Verdict

PATIENCE = 90.0  # how long it may take to recover from a round (s)
# Short, so that rounds are: many commits, and every deadline soon.
SETTINGS = {
    "VTJ_KAFKA__SESSION_TIMEOUT": "6",
    "VTJ_KAFKA__COMMIT_TIMEOUT": "3",
    "VTJ_KAFKA__TRANSACTION_TIMEOUT": "5",
    "VTJ_KAFKA__TRANSACTION_EVENTS": "60",
    "VTJ_SCHEDULE__INTERVAL": "1",
    "VTJ_UPSTREAM__IDLE_TIMEOUT": "1",
    "VTJ_UPSTREAM__TOTAL_TIMEOUT": "4",
    "VTJ_UPSTREAM__RETRY_WAIT": "0.5",
    "VTJ_UPSTREAM__REQUESTS_PER_MINUTE": "100000",
}
PAGE = 20  # records
KILLED, STOPPED = -signal.SIGKILL, 0


@dataclass
class Figures:
    rounds: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)  # phase → SIGKILLs
    stops: int = 0
    audits: int = 0
    slowest_stop: float = 0.0  # from SIGTERM to the end (s)
    slowest_recovery: float = 0.0  # from the end of a round's trouble until up to date (s)


class Arena:
    def __init__(
        self, broker: Broker, proxy: Proxy, sandbox: Sandbox, watch: Watch, direct: Deployment, dice: random.Random
    ) -> None:
        self.broker, self.proxy, self.sandbox, self.watch = broker, proxy, sandbox, watch
        self.direct = direct
        self.dice = dice
        self.figures = Figures()
        self._deployment = direct.but(VTJ_KAFKA__BOOTSTRAP_SERVERS=proxy.address, **SETTINGS)
        self._instances: dict[int, Instance] = {}
        self._ended: set[int] = set()  # those that ended as told
        self._round = AsyncExitStack()

    @classmethod
    @asynccontextmanager
    async def opened(cls, broker: Broker, prefix: str, dice: random.Random) -> AsyncIterator[Self]:
        async with (
            Sandbox(persons=60, page_size=PAGE, seed=dice.randrange(2**31)) as sandbox,
            Proxy(broker.bootstrap) as proxy,
        ):
            direct = Deployment(broker.bootstrap, prefix, sandbox.url)
            await direct.apply_topics()
            names = direct.names
            with Watch().following(broker.bootstrap, names.cursor_topic, [names.shard]) as watch:
                yield cls(broker, proxy, sandbox, watch, direct, dice)

    # the log

    def feed(self, changes: int = 300) -> None:
        """More work: changes of the chronicle, with odd ones between."""
        for _ in range(3):
            self.sandbox.grow(changes // 3)
            self.sandbox.append(odd_records(self.dice, self.dice.randrange(4)))

    @property
    def up_to_date(self) -> bool:
        last: int = self.sandbox.state()["last"]
        return self.watch.cursor == last

    @property
    def faults(self) -> int:
        """How many of those that upstream was to show it has shown."""
        return sum(self.sandbox.state()["faults"].values())

    async def faults_beyond(self, count: int) -> None:
        await until(lambda: self.faults > count, f"upstream's next fault\n{self.logs}", PATIENCE)

    # the instances

    @asynccontextmanager
    async def round(self) -> AsyncIterator[None]:
        """At its end nobody lives any more."""
        async with AsyncExitStack() as self._round:
            yield
        self._instances.clear()
        self._ended.clear()

    async def start(self, *options: str) -> Instance:
        """`vtj-producer run`, from its first breath."""
        instance = await self._round.enter_async_context(self._deployment.start("run", *options))
        self._instances[instance.pid] = instance
        return instance

    async def working(self) -> Instance:
        """An instance that has just made a commit."""
        instance = await self.start()
        self.feed()
        await self.commit_of(instance)
        return instance

    async def pair(self, size: int = 2) -> list[Instance]:
        """Instances that are members of the group; then work comes."""
        instances = [await self.start() for _ in range(size)]
        for instance in instances:
            await instance.says("shards:")
        self.feed()
        return instances

    def instance(self, pid: int) -> Instance:
        return self._instances[pid]

    @property
    def living(self) -> list[Instance]:
        return [one for one in self._instances.values() if one.lives]

    async def commits(self, more: int = 1) -> None:
        """Waits until the watch has seen so many more."""
        wanted = len(self.watch.seen) + more
        await until(lambda: len(self.watch.seen) >= wanted, f"{more} more commit(s)\n{self.logs}", PATIENCE)

    async def commit_of(self, instance: Instance) -> None:
        """Waits for the next commit of this instance."""
        before = len(self.watch.seen)
        await until(
            lambda: any(one.pid == instance.pid for one in self.watch.seen[before:]),
            f"a commit of {instance.pid}\n{self.logs}",
            PATIENCE,
        )

    async def kill(self, instance: Instance, *, unnoticed: bool = False) -> None:
        """SIGKILL. unnoticed: the coordinator finds out by itself, after the session timeout."""
        self.figures.kills[self.proxy.phases.get(instance.pid, "starting") or "between transactions"] += 1
        instance.signal(signal.SIGKILL)
        await self.end(instance, KILLED)
        if not unnoticed:
            await self.put_out(instance.pid)

    async def stop(self, instance: Instance) -> None:
        """SIGTERM."""
        instance.signal(signal.SIGTERM)
        ended = await self.end(instance, STOPPED)
        self.figures.stops += 1
        self.figures.slowest_stop = max(self.figures.slowest_stop, ended.seconds)

    async def end(self, instance: Instance, code: int) -> Ended:
        ended = await instance.end()
        assert ended.code == code, f"exit code {ended.code}\n{ended.err}"
        self._ended.add(instance.pid)
        return ended

    async def put_out(self, pid: int) -> None:
        """Out of the consumer group, at once and without a word to the member."""
        await put_out(self.broker.bootstrap, self.direct.names.group, pid)

    def freeze(self, instance: Instance) -> None:
        instance.signal(signal.SIGSTOP)

    async def thaw(self, instance: Instance) -> None:
        """It goes on, and lets go of the shard: told by the coordinator or by the fence, whichever comes first."""
        instance.signal(signal.SIGCONT)
        before = _times_let_go(instance)
        await until(lambda: _times_let_go(instance) > before, f"{instance.pid} lets go", PATIENCE)

    # the broker

    async def on_broker(self, deed: str) -> None:
        """kill, start, stop, pause, resume or restart."""
        await asyncio.to_thread(getattr(self.broker, deed))

    # the judgement

    async def recover(self) -> None:
        """Whoever is left, or a new instance, gets up to date without help; then all end as told."""
        self.proxy.disarm()
        began = time.monotonic()
        if not self.living and not self.up_to_date:
            await self.start()
        deadline = began + PATIENCE
        while not self.up_to_date:
            lost = [one for pid, one in self._instances.items() if not one.lives and pid not in self._ended]
            assert not lost, f"ended by itself:\n{self.logs}"
            assert time.monotonic() < deadline, f"no recovery from {self.watch.cursor}:\n{self.logs}"
            await asyncio.sleep(0.02)
        self.figures.slowest_recovery = max(self.figures.slowest_recovery, time.monotonic() - began)
        await asyncio.gather(*(self.stop(one) for one in self.living))

    async def audit(self) -> Verdict:
        """The oracle's word; nobody works."""
        verdict = await self.direct.audit()
        self.figures.audits += 1
        assert verdict.changes > 0
        assert verdict.sound, f"{verdict}\n{self.watch.faults}"
        assert not self.watch.faults, self.watch.faults
        return verdict

    @property
    def logs(self) -> str:
        return "\n".join(f"instance {one.pid}:\n{one.log[-4000:]}" for one in self._instances.values())

    def report(self, seconds: float) -> str:
        figures, proxy = self.figures, self.proxy
        commits = len(self.watch.seen)
        kills = ", ".join(f"{count} {phase}" for phase, count in sorted(figures.kills.items()))
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.sandbox.state()["faults"].items()))
        return "\n".join(
            [
                f"{figures.rounds.total()} rounds of {len(figures.rounds)} kinds in {seconds:.0f} s",
                f"SIGKILL {figures.kills.total()}: {kills}",
                f"SIGTERM {figures.stops}: the slowest took {figures.slowest_stop:.1f} s",
                f"commits {commits}, by another instance than the one before {self.watch.takeovers}; "
                f"transactions begun and not committed {max(0, proxy.begun - commits)}",
                f"a commit every {proxy.beat * 1000:.0f} ms; slowest recovery {figures.slowest_recovery:.1f} s",
                f"faults upstream: {faults or 'none'}",
                f"audits {figures.audits}",
            ]
        )


def _times_let_go(instance: Instance) -> int:
    return instance.log.count("waiting for shard") + instance.log.count("beginning again")
