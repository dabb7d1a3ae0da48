"""The age of a cursor: what is told of it, once, whatever the wall clock does."""

import logging
from types import SimpleNamespace

import pytest

from producer.config import Schedule
from producer.model import Page
from producer.observe.pulse import DAY
from producer.operate import age as module
from producer.operate.age import HOUR, Age, Heard, spoken

HOURLY, DAILY = Schedule(interval=3600), Schedule(times=("06:30",))
NOW = 1_800_000_000.0


class Ended(Exception):
    pass


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed, self.wall, self.end = 0.0, NOW, 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: self.wall, monotonic=lambda: self.passed))
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=self.sleep))

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        if self.passed > self.end:
            raise Ended

    async def watch(self, age: Age, seconds: float) -> None:
        self.end = self.passed + seconds
        with pytest.raises(Ended):
            await age.watch()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO)
    return Clock(monkeypatch)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level, and the words up to the first full stop; what is told once only."""
    found = [(one.levelname, one.getMessage().partition(".")[0]) for one in caplog.records if one.name == "vtj.line"]
    caplog.clear()
    return found


LAST = "upstream last answered {} ago"


async def test_each_limit_is_told_once_and_the_answer_that_comes(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    age = Age(HOURLY)
    age.stored(int(NOW * 1000))
    await clock.watch(age, 23.9 * HOUR)
    assert told(caplog) == []
    clock.wall -= 100 * DAY  # nobody looks at it
    await clock.watch(age, 20 * DAY)
    assert told(caplog) == [
        ("WARNING", LAST.format("24 h")),
        ("WARNING", LAST.format("10 d")),
        ("ERROR", LAST.format("14 d")),
    ]
    age.answered()
    assert told(caplog) == [("WARNING", "upstream answers again, after 21 d")]
    await clock.watch(age, 25 * HOUR)
    assert told(caplog) == [("WARNING", LAST.format("24 h"))]


async def test_the_last_limit_alone_is_told_after_a_restart_and_not_again_when_the_shard_is_opened_anew(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    age = Age(HOURLY)
    for _ in range(3):
        age.stored(int((NOW - 11 * DAY) * 1000))
        await clock.watch(age, HOUR)
    assert told(caplog) == [("WARNING", LAST.format("11 d"))]
    age.answered()
    told(caplog)
    age.stored(int((NOW - 11 * DAY) * 1000))  # what was heard is not committed yet
    assert age.seconds == 0
    clock.passed += 5 * HOUR
    age.stored(int((NOW - 1 * HOUR) * 1000))  # another instance has heard something
    assert age.seconds == HOUR


@pytest.mark.parametrize(("schedule", "late"), [(DAILY, True), (None, True), (HOURLY, False)])
async def test_who_asks_once_a_day_is_not_late_by_the_night_of_25_hours(
    clock: Clock, caplog: pytest.LogCaptureFixture, schedule: Schedule | None, late: bool
) -> None:
    age = Age(schedule)
    age.stored(int((NOW - 25.2 * HOUR) * 1000))
    await clock.watch(age, 60)
    assert bool(told(caplog)) != late
    await clock.watch(age, 1 * HOUR)
    assert bool(told(caplog)) == late


async def test_what_upstream_has_not_told_is_no_answer(clock: Clock) -> None:
    pages = [Page("FOLLOWED", "0", 1, 1, False, 0, [("x", True)]), Page("CHANGE", "0", 1, 1, True, 0, [])]

    class Feed:
        async def changes_since(self, cursor: int) -> Page:
            return pages.pop(0)

    age = Age(HOURLY)
    age.stored(int((NOW - DAY) * 1000))
    heard = Heard(Feed(), age)
    await heard.changes_since(1)
    assert age.seconds == DAY
    await heard.changes_since(1)
    assert age.seconds == 0


def test_a_cursor_of_the_future_has_no_age(clock: Clock) -> None:
    age = Age(HOURLY)
    assert age.seconds == 0
    age.stored(int((NOW + DAY) * 1000))
    assert age.seconds == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (DAY * 2, "2 d")]
)
def test_spoken(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
