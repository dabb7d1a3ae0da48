"""A day at work, sped up: one instance that is never started anew, and a fault a minute."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Self

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.chaos.arena import SETTINGS
from tests.chaos.oddities import odd_records
from tests.chaos.proxy import ADD_PARTITIONS, END_TXN, PRODUCE, Proxy
from tests.chaos.watch import Watch
from tests.integration.deployment import Deployment, Instance, until

PATIENCE: Final = 90.0  # how long it may take to recover from a fault (s)
CHANGES: Final = 40  # of a minute
UPSTREAM: Final[tuple[dict[str, Any], ...]] = (
    {"fault": 500, "times": 3},
    {"fault": 502},
    {"fault": 503, "retry_after": 1},
    {"fault": 429, "retry_after": 1},
    {"fault": 503, "xroad": "Server.ServerProxy.NetworkError", "times": 2},
    {"fault": "hang", "seconds": 2},
    {"fault": "drip", "seconds": 1},
    {"fault": "reset", "times": 2},
    {"fault": "truncated"},
    {"fault": "gzip", "times": 3},
    {"fault": "record"},
)


class Day:
    def __init__(self, broker: Broker, proxy: Proxy, sandbox: Sandbox, watch: Watch, direct: Deployment) -> None:
        self.broker, self.proxy, self.sandbox, self.watch, self.direct = broker, proxy, sandbox, watch, direct
        self.faults: Counter[str] = Counter()
        self.slowest = 0.0  # from the end of a fault until up to date (s)

    @classmethod
    @asynccontextmanager
    async def opened(cls, broker: Broker, prefix: str, seed: int) -> AsyncIterator[Self]:
        async with (
            # So much history that the state of everybody is told at once at the beginning: more it never takes.
            Sandbox(persons=200, history=2000, page_size=50, seed=seed) as sandbox,
            Proxy(broker.bootstrap) as proxy,
        ):
            direct = (
                await Deployment(broker.bootstrap, prefix, sandbox.url).but(VTJ_STATE__ENABLED="true").apply_topics()
            )
            names = direct.names
            with Watch().following(broker.bootstrap, names.cursor_topic, [names.shard]) as watch:
                yield cls(broker, proxy, sandbox, watch, direct)

    @asynccontextmanager
    async def instance(self) -> AsyncIterator[Instance]:
        through = self.direct.but(VTJ_KAFKA__BOOTSTRAP_SERVERS=self.proxy.address, **SETTINGS)
        async with through.start("run") as running:
            await self._caught_up(running)
            yield running

    async def minute(self, running: Instance, dice: random.Random) -> None:
        """News, a fault in the middle of it, and the time until all of it is in Kafka."""
        fault = dice.choice(KINDS)
        self.faults[fault.__name__] += 1
        self.sandbox.grow(CHANGES)
        self.sandbox.append(odd_records(dice, dice.randrange(3)))
        await fault(self, dice)
        began = time.monotonic()
        self.proxy.disarm()
        await self._caught_up(running)
        self.slowest = max(self.slowest, time.monotonic() - began)

    @property
    def shown(self) -> int:
        """How many faults upstream has shown."""
        return sum(self.sandbox.state()["faults"].values())

    async def _caught_up(self, running: Instance) -> None:
        def reached() -> bool:
            assert running.lives, f"ended by itself:\n{running.log[-4000:]}"
            last: int = self.sandbox.state()["last"]
            return self.watch.cursor == last

        def told() -> str:
            last, watch = self.sandbox.state()["last"], self.watch
            return f": {last}, readers see {watch.cursor} {watch.faults}\n{running.log[-8000:]}"

        await until(reached, "the cursor at upstream's last", PATIENCE, told)


Fault = Callable[[Day, random.Random], Awaitable[None]]


async def upstream(day: Day, dice: random.Random) -> None:
    """One that upstream has shown at least once before the minute goes on."""
    before = day.shown
    day.sandbox.set_faults([dice.choice(UPSTREAM)])
    await until(lambda: day.shown > before, "the fault upstream", PATIENCE)


async def cut(day: Day, dice: random.Random) -> None:
    """A connection to Kafka breaks in the middle of a transaction."""
    held = await day.proxy.catch(dice.choice((ADD_PARTITIONS, PRODUCE, END_TXN)), answer=dice.random() < 0.5)
    held.cut()


async def slow(day: Day, dice: random.Random) -> None:
    day.proxy.delay = lambda: dice.uniform(0, 0.05)
    before = len(day.watch.seen)
    day.sandbox.grow(CHANGES)
    await until(lambda: len(day.watch.seen) > before, "a commit over the slow network", PATIENCE)


async def frozen(day: Day, dice: random.Random) -> None:
    await asyncio.to_thread(day.broker.pause)
    await asyncio.sleep(dice.uniform(0.5, 4))  # the commit's deadline is 3 s
    await asyncio.to_thread(day.broker.resume)


async def restarted(day: Day, dice: random.Random) -> None:
    await asyncio.to_thread(day.broker.kill if dice.random() < 0.5 else day.broker.stop)
    await asyncio.to_thread(day.broker.start)


# As often as it stands here: a broker that restarts takes as long as ten of the others.
KINDS: Final[tuple[Fault, ...]] = (*[upstream] * 6, *[cut] * 3, slow, frozen, restarted)
