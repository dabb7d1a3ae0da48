import asyncio

from producer.upstream.budget import Budget


class Clock:
    """Time that passes only in `sleep`, which wakes too early, as timers may."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.now += max(seconds * 0.75, 0.001)


async def test_no_window_of_a_minute_holds_more_than_the_budget() -> None:
    clock, times = Clock(), list[float]()
    budget = Budget(3, clock=clock, sleep=clock.sleep)
    for _ in range(20):
        await budget.spend()
        times.append(clock.now)
        clock.now += 7.0
    for start in times:
        assert len([time for time in times if start <= time < start + 60]) <= 3
    assert times[-1] - times[0] < 7 * 60, "and no longer wait than that needs"


async def test_within_the_budget_nothing_waits() -> None:
    clock = Clock()
    budget = Budget(3, clock=clock, sleep=clock.sleep)
    for _ in range(10):
        await budget.spend()
        clock.now += 20.0
    assert clock.slept == []


async def test_those_who_wait_go_in_turn() -> None:
    clock, order = Clock(), list[int]()
    budget = Budget(1, clock=clock, sleep=clock.sleep)

    async def one(number: int) -> None:
        await budget.spend()
        order.append(number)

    await asyncio.gather(*(one(number) for number in range(4)))
    assert order == [0, 1, 2, 3]
    assert 3 * 60 <= clock.now - 1000.0 < 3 * 60 + 0.01


async def test_a_cancelled_wait_spends_nothing() -> None:
    clock, waiting = Clock(), asyncio.Event()

    async def forever(_: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    budget = Budget(1, clock=clock, sleep=forever)
    await budget.spend()
    task = asyncio.create_task(budget.spend())
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    clock.now += 60
    await budget.spend()
