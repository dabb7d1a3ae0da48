"""When upstream is asked again: by interval, by times of day in Finland, over both changes of the clocks."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.config import Schedule
from producer.events.instant import HELSINKI
from producer.operate import pace
from producer.operate.pace import JITTER, Pace, longest, upcoming


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def polls(times: tuple[str, ...], begin: datetime, end: datetime) -> list[str]:
    """All in between, in UTC."""
    told, now = list[str](), begin
    while (now := upcoming(times, now)) <= end:
        told.append(f"{now.astimezone(UTC):%d %H:%M}")
    return told


def test_a_winter_and_a_summer_day() -> None:
    times = ("06:30", "18:30")
    assert polls(times, utc("2026-01-10T00:00"), utc("2026-01-11T12:00")) == ["10 04:30", "10 16:30", "11 04:30"]
    assert polls(times, utc("2026-07-10T00:00"), utc("2026-07-10T23:00")) == ["10 03:30", "10 15:30"]
    assert polls(("00:00",), utc("2026-12-31T21:59"), utc("2027-01-01T21:59")) == ["31 22:00"]


def test_a_time_that_does_not_exist_is_when_the_clocks_are_set() -> None:
    """On 28 March 2027 at 03:00, which is 01:00 UTC, it becomes 04:00."""
    span = utc("2027-03-27T22:30"), utc("2027-03-29T12:00")
    assert polls(("03:30",), *span) == ["28 01:00", "29 00:30"]
    assert polls(("02:59", "03:00", "03:59", "04:00", "04:01"), *span)[:3] == ["28 00:59", "28 01:00", "28 01:01"]


def test_a_time_that_exists_twice_is_taken_once() -> None:
    """On 25 October 2026 at 04:00, which is 01:00 UTC, it becomes 03:00 again."""
    span = utc("2026-10-24T22:30"), utc("2026-10-26T12:00")
    assert polls(("03:30",), *span) == ["25 00:30", "26 01:30"]
    assert polls(("03:59", "04:00"), *span)[:2] == ["25 00:59", "25 02:00"]


def shown(day: date, told: str) -> datetime:
    """The first minute in which clocks show it or have passed it, found by looking at each."""
    at, wanted = datetime.combine(day, time(), UTC) - timedelta(hours=4), f"{day} {told}"
    while f"{at.astimezone(HELSINKI):%Y-%m-%d %H:%M}" < wanted:
        at += timedelta(minutes=1)
    return at


@settings(max_examples=30)
@given(
    st.sets(st.times().map(lambda one: f"{one:%H:%M}"), min_size=1, max_size=3),
    st.sampled_from(["2026-03-29", "2027-03-28", "2026-10-25", "2027-10-31", "2026-12-31", "2026-07-01"]),
    st.integers(0, 1800),
)
def test_what_comes_next_on_any_day(told: set[str], text: str, minutes: int) -> None:
    day = date.fromisoformat(text)
    now = datetime.combine(day, time(), UTC) + timedelta(minutes=minutes - 180)
    moments = [shown(day + timedelta(days), one) for days in (-1, 0, 1, 2) for one in told]
    assert upcoming(tuple(sorted(told)), now) == min(one for one in moments if one > now)


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        (Schedule(interval=7200), 2),
        (Schedule(times=("06:30",)), 24),
        (Schedule(times=("06:30", "18:30")), 12),
        (Schedule(times=("00:00", "08:00", "09:00")), 15),
    ],
)
def test_the_longest_pause(schedule: Schedule, hours: float) -> None:
    assert longest(schedule) == hours * 3600


class Clock:
    """Time that passes by sleeping alone, of a wall clock that can be set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: str) -> None:
        self.slept, self.wall = 0.0, utc(now).timestamp()
        self.set: Callable[[], None] = lambda: None
        monkeypatch.setattr(pace, "time", SimpleNamespace(time=lambda: self.wall, monotonic=lambda: self.slept))
        monkeypatch.setattr(pace, "asyncio", SimpleNamespace(sleep=self.sleep))

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept += seconds
        self.wall += seconds
        self.set()


@pytest.mark.parametrize(("interval", "most"), [(10.0, 11.0), (3600.0, 3900.0), (86_400.0, 86_700.0)])
async def test_an_interval_and_what_chance_adds(monkeypatch: pytest.MonkeyPatch, interval: float, most: float) -> None:
    pauses = set()
    for _ in range(200):
        clock = Clock(monkeypatch, "2026-11-20T10:00")
        clock.set = lambda clock=clock: setattr(clock, "wall", 0.0)  # type: ignore[misc]  # and nobody minds
        assert await Pace(Schedule(interval=interval)).pause()
        pauses.add(clock.slept)
    assert interval <= min(pauses) < max(pauses) <= most
    assert max(pauses) - min(pauses) > (most - interval) / 2


async def test_times_of_day_and_what_chance_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    came = set()
    for _ in range(200):
        clock = Clock(monkeypatch, "2026-11-20T10:00")
        assert await Pace(Schedule(times=("06:30", "18:30"))).pause()
        came.add(clock.wall - utc("2026-11-20T16:30").timestamp())
    assert 0 <= min(came) < max(came) <= JITTER + 1
    assert max(came) - min(came) > JITTER / 2


@pytest.mark.parametrize(
    ("now", "becomes", "longest_sleep"),
    [
        ("2026-11-20T10:00", "2026-11-20T17:00", 61),  # ahead, beyond the time of day: at once
        ("2026-11-20T17:00", "2026-11-20T16:00", 61 + 1800 + JITTER),  # back, before one that was behind
        ("2026-11-20T10:00", "2026-11-18T16:00", 61 + 1800 + JITTER),
    ],
)
async def test_a_clock_that_is_set(
    monkeypatch: pytest.MonkeyPatch, now: str, becomes: str, longest_sleep: float
) -> None:
    clock = Clock(monkeypatch, now)

    def once() -> None:
        clock.wall, clock.set = utc(becomes).timestamp(), lambda: None

    clock.set = once
    assert await Pace(Schedule(times=("18:30",))).pause()
    assert clock.slept <= longest_sleep


async def test_news_end_the_pause_and_once_has_none() -> None:
    news = asyncio.Event()

    async def told() -> None:
        await news.wait()

    pausing = asyncio.create_task(Pace(Schedule(interval=3600), told).pause())
    await asyncio.sleep(0.01)
    assert not pausing.done()
    news.set()
    assert await asyncio.wait_for(pausing, 1)
    assert not await Pace(None).pause()
