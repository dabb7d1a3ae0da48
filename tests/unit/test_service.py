"""The life of an instance, with a coordinator that does what a test tells it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from producer.errors import Busy, Doubt, KafkaGone, MalformedPage, StepDown
from producer.observe.pulse import begin, pulse
from producer.operate import service
from producer.operate.service import Member, Service


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SHORTEST_PAUSE", 0.0)
    monkeypatch.setattr(service, "LONGEST_PAUSE", 0.0)


class Coordinator:
    """Joins members; gives and takes the shard as a rebalance does."""

    def __init__(self, *, gives: bool = True) -> None:
        self.gives = gives
        self.joins = 0
        self.members = 0

    def join(self, release: Callable[[], Awaitable[None]]) -> AbstractAsyncContextManager[Member]:
        return self._joined(release)

    @asynccontextmanager
    async def _joined(self, release: Callable[[], Awaitable[None]]) -> AsyncIterator[Member]:
        self.joins += 1
        self.members += 1
        self.release = release
        self.shards: frozenset[int] = frozenset({7} if self.gives else ())
        self.changed = asyncio.Event()
        self.fetching = asyncio.create_task(asyncio.Event().wait())
        try:
            yield self  # type: ignore[misc]
        finally:
            self.fetching.cancel()
            self.members -= 1

    async def take(self) -> None:
        self.shards = frozenset()
        self.changed.set()
        await self.release()

    def give(self) -> None:
        self.shards = frozenset({7})
        self.changed.set()


def made(coordinator: Coordinator, *, once: bool = False, patience: float = 60) -> Service:
    return Service(coordinator.join, once=once, patience=patience)


async def turns(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_work_that_ends_ends_the_service() -> None:
    coordinator = Coordinator()
    serving = made(coordinator)
    held: list[bool] = []

    async def work() -> None:
        held.append(serving.holds(7))

    await serving.run({work: 7})
    assert (held, serving.holds(7), coordinator.members) == ([True], False, 0)


@pytest.mark.parametrize("error", [Doubt("?"), StepDown("!")])
async def test_after_any_doubt_the_group_is_joined_again_before_work_goes_on(error: Exception) -> None:
    coordinator = Coordinator()
    errors = [error, error]

    async def work() -> None:
        if errors:
            raise errors.pop()

    await made(coordinator).run({work: 7})
    assert coordinator.joins == 3


async def test_faults_between_which_something_is_committed_do_not_add_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "SHORTEST_PAUSE", 0.001)
    monkeypatch.setattr(service, "LONGEST_PAUSE", 0.004)
    commits = iter([0, 0, 0, 1, 0])

    async def work() -> None:
        for count in commits:
            pulse().commits += count
            raise Doubt("?")

    begin("faults far apart", alone=True)
    await made(Coordinator()).run({work: 7})
    pauses = [record.args[1] for record in caplog.records if isinstance(record.args, tuple)]
    assert pauses == [0.002, 0.004, 0.004, 0.001, 0.002]


async def test_a_rebalance_ends_the_work_before_it_returns_and_the_work_goes_on_when_the_shard_comes_back() -> None:
    coordinator = Coordinator()
    began, ended = 0, 0

    async def work() -> None:
        nonlocal began, ended
        began += 1
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # the abort takes a moment
            ended += 1

    running = asyncio.create_task(made(coordinator).run({work: 7}))
    await turns(lambda: began == 1)
    await coordinator.take()
    assert ended == 1
    coordinator.give()
    await turns(lambda: began == 2)
    running.cancel()
    await asyncio.wait([running])
    assert (ended, coordinator.joins, coordinator.members) == (2, 1, 0)


async def test_a_stop_passes_through() -> None:
    async def work() -> None:
        raise MalformedPage("bad", hint="")

    coordinator = Coordinator()
    with pytest.raises(MalformedPage):
        await made(coordinator).run({work: 7})
    assert coordinator.members == 0


async def test_the_end_of_the_membership_ends_the_work() -> None:
    coordinator = Coordinator()
    began = 0

    async def work() -> None:
        nonlocal began
        began += 1
        if began == 1:
            coordinator.fetching.cancel()
            await asyncio.Event().wait()

    await made(coordinator).run({work: 7})
    assert (began, coordinator.joins) == (2, 2)


async def test_once_gives_up_on_a_shard_that_does_not_come() -> None:
    with pytest.raises(Busy) as busy:
        await made(Coordinator(gives=False), once=True, patience=0.01).run({asyncio.Event().wait: 7})  # type: ignore[dict-item]
    assert busy.value.exit_code == 75


async def test_once_gives_up_on_a_kafka_that_stays_away() -> None:
    async def work() -> None:
        raise Doubt("no answer")

    with pytest.raises(KafkaGone):
        await made(Coordinator(), once=True, patience=0.01).run({work: 7})


async def test_work_cancelled_by_a_stranger_counts_as_doubt() -> None:
    coordinator = Coordinator()
    began = 0

    async def work() -> None:
        nonlocal began
        began += 1
        if began == 1:
            raise asyncio.CancelledError

    await made(coordinator).run({work: 7})
    assert coordinator.joins == 2
