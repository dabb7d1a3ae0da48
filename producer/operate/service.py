"""The life of an instance: join, work while the shard is ours, let go, and do it again until told to stop."""

import asyncio
import gc
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from producer.errors import Busy, Doubt, KafkaGone, ProducerError, StepDown
from producer.observe.pulse import pulse

log = logging.getLogger("vtj.service")

# Longer than a heartbeat: an instance that was put out of the group hears of it before it opens the shard again,
# and so does not fence its successor.
SHORTEST_PAUSE, LONGEST_PAUSE = 1.5, 30.0


class Member(Protocol):
    shards: frozenset[int]
    changed: asyncio.Event
    fetching: asyncio.Task[None]


Work = Callable[[], Awaitable[None]]


class Service:
    """Runs each work whenever the group coordinator says that its shard is ours, and only then.

    join: enters the consumer group; it gets the function that lets go of the shards. once: ends when the works do.
    patience: how long `once` waits for a shard, and keeps trying a Kafka that is away (s).
    """

    def __init__(
        self,
        join: Callable[[Callable[[], Awaitable[None]]], AbstractAsyncContextManager[Member]],
        *,
        once: bool,
        patience: float,
    ) -> None:
        self._join = join
        self._once = once
        self._patience = patience
        self._working: dict[Work, asyncio.Task[None]] = {}
        self._member: Member | None = None

    def holds(self, shard: int) -> bool:
        """Whether the coordinator's last word gives us the shard."""
        return self._member is not None and shard in self._member.shards

    async def run(self, works: Mapping[Work, int]) -> None:
        """Until every work ends (once), a Stop, or cancellation. works: with their shards. Leaves nothing open behind.

        After any doubt the group is left and joined again, after a pause: so the coordinator has confirmed that the
        shard is ours before it is opened again, and two instances can never fence each other in turns.
        """
        began = time.monotonic()
        pause = SHORTEST_PAUSE
        left = dict(works)
        while True:
            joined, commits = time.monotonic(), pulse().commits
            try:
                async with self._join(self._release) as self._member:
                    return await self._serve(self._member, left)
            except (StepDown, Doubt) as error:
                if self._once and time.monotonic() - began > self._patience:
                    raise KafkaGone(
                        f"Gave up after {self._patience:g} s: {error}",
                        hint="Nothing was lost; run it again when Kafka answers.",
                    ) from None
                # Whoever has committed something, or just lasted, begins anew: faults far apart do not add up.
                well = pulse().commits > commits or time.monotonic() - joined > LONGEST_PAUSE
                pause = SHORTEST_PAUSE if well else min(pause * 2, LONGEST_PAUSE)
                pulse().left(str(error), fenced=isinstance(error, StepDown))
                log.warning("%s; beginning again at the stored cursor in about %.0f s", error, pause)
            finally:
                self._member = None
            gc.collect()  # each try leaves a client of aiokafka behind, in cycles: an outage would add them up
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads instances, hides nothing

    async def _serve(self, member: Member, left: dict[Work, int]) -> None:
        """While we are a member. Raises what ends the membership: StepDown, Doubt, a Stop."""
        try:
            while left:
                await self._until_ours(member, left)
                for work, shard in left.items():
                    if self.holds(shard) and work not in self._working:
                        self._working[work] = asyncio.ensure_future(work())
                changed = asyncio.ensure_future(member.changed.wait())
                tasks = [*self._working.values(), member.fetching, changed]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                member.changed.clear()
                changed.cancel()
                if member.fetching.done():
                    raise _end_of(member)
                for work, task in list(self._working.items()):
                    if task.cancelled():
                        raise Doubt("the work was cancelled, and not by us")
                    if task.done():
                        task.result()
                        del self._working[work], left[work]
        finally:
            await self._release()

    async def _until_ours(self, member: Member, left: Mapping[Work, int]) -> None:
        """Until one of the shards is."""

        def ours() -> bool:
            return any(self.holds(shard) for shard in left.values())

        if not ours():
            shards = ", ".join(map(str, sorted({*left.values()})))
            log.info("waiting for shard %s: the group is being formed, or another instance holds it", shards)
        while not ours():
            member.changed.clear()
            changed = asyncio.ensure_future(member.changed.wait())
            done, _ = await asyncio.wait(
                [changed, member.fetching],
                timeout=self._patience if self._once else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            changed.cancel()
            if member.fetching in done:
                raise _end_of(member)
            if not done:
                raise busy(self._patience)

    async def _release(self) -> None:
        """Ends the works and waits until their transactions are aborted; called by every rebalance too."""
        working, self._working = self._working, {}
        tasks = [task for task in working.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _end_of(member: Member) -> ProducerError:
    """Why the membership ended."""
    error = None if member.fetching.cancelled() else member.fetching.exception()
    return error if isinstance(error, ProducerError) else Doubt("the membership in the consumer group ended")


def busy(waited: float) -> Busy:
    return Busy(
        f"Another instance works on this feed; waited {waited:g} s for it.",
        hint="Nothing was moved. Stop the other instance, or leave the feed to it.",
    )
