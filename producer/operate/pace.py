"""When to ask upstream again."""

import asyncio
import gc
import math
import random
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar, Final

from producer.config import Schedule
from producer.events.instant import HELSINKI
from producer.observe.pulse import pulse
from producer.operate.together import together

COLLECT: Final = 10.0  # s
# Later than asked for by chance, so that not all customers of DVV ask in the same second: a share of the pause, and s.
JITTER_SHARE: Final = 0.1
JITTER: Final = 300.0
# How often the wall clock is looked at while a time of day is waited for (s): it may be set, and machines sleep.
LOOK: Final = 60.0


class Pace:
    """The pause between polls, once upstream has said `ajanTasalla`.

    schedule: None: once is enough. news: ends when there is a reason to ask at once.
    """

    collected: ClassVar = -COLLECT  # when, by the monotonic clock

    def __init__(self, schedule: Schedule | None, news: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        self._schedule = schedule
        self._news = news

    async def pause(self) -> bool:
        """Waits for the next poll, or says False: it was the last one. Cancelling the task interrupts it."""
        if self._schedule is None:
            return False
        if time.monotonic() - Pace.collected > COLLECT:  # the buckets of a feed pause one after the other
            gc.collect()  # off the hot path: see steady_memory
            Pace.collected = time.monotonic()
        due = _by_clock(self._schedule.times) if self._schedule.times else _after(self._schedule.interval)
        await together(due, *([self._news()] if self._news else []))
        return True


def longest(schedule: Schedule) -> float:
    """Between two polls at most, as asked for (s); a day of 25 hours and what chance adds come on top."""
    if not schedule.times:
        return schedule.interval
    minutes = [int(one[:2]) * 60 + int(one[3:]) for one in schedule.times]
    return max(later - earlier for earlier, later in pairwise([*minutes, minutes[0] + 1440])) * 60.0


def upcoming(times: tuple[str, ...], now: datetime) -> datetime:
    """The first of these times of day in Finland after a moment."""
    today = now.astimezone(HELSINKI).date()
    moments = [_moment(f"{today + timedelta(days)} {one}") for days in (0, 1) for one in times]
    return min(one for one in moments if one > now)


def _moment(told: str) -> datetime:
    """When clocks in Finland show it for the first time; one that they pass over in spring is when they are set."""
    local = datetime.fromisoformat(told)
    moment, early = (local.replace(tzinfo=HELSINKI, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early >= moment:  # they show it once, or twice
        return moment
    while early.astimezone(HELSINKI).replace(tzinfo=None) < local:
        early += timedelta(minutes=1)
    return early


async def _after(seconds: float) -> None:
    seconds += random.uniform(0, min(seconds * JITTER_SHARE, JITTER))  # noqa: S311 - spreads customers, hides nothing
    pulse().polls(seconds)
    await asyncio.sleep(seconds)


async def _by_clock(times: tuple[str, ...]) -> None:
    """A clock that is set back brings an earlier time of day; when one is set ahead the time has come."""
    late = random.uniform(0, JITTER)  # noqa: S311 - as above
    due = math.inf
    while (now := time.time()) < due:
        due = min(due, upcoming(times, datetime.fromtimestamp(now, UTC)).timestamp() + late)
        pulse().polls(due - now)
        await asyncio.sleep(min(due - now, LOOK))
