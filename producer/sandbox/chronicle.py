"""The chronicle: which story goes on when, as an endless sequence of change records.

Record i is the same whatever the clock, the process or the speed: dice, dates and order come from the seed alone. The
calendar is the sandbox's own. It begins on 1.1.2026 and thins out backward: the first hundred records take four days,
the first thousand twelve, the first million a year.
"""

from datetime import UTC, date, datetime, time, timedelta
from heapq import heappop, heappush
from itertools import accumulate
from math import isqrt
from typing import Final
from zoneinfo import ZoneInfo

import orjson

from producer.sandbox.dice import Dice
from producer.sandbox.hetu import scramble
from producer.sandbox.register import Group, Person, Register
from producer.sandbox.stories import STORIES, Story

HELSINKI: Final = ZoneInfo("Europe/Helsinki")
BEGIN: Final = date(2026, 1, 1)

_BEGIN_MS: Final = int(datetime.combine(BEGIN, time(), HELSINKI).timestamp()) * 1000
_PACE_MS: Final = 31_536_000  # record i is registered this times the root of i after the beginning
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STARTS: Final = tuple(accumulate(weight for weight, _ in STORIES))


def registered(index: int) -> datetime:
    """When record i is registered: never before record i - 1."""
    jitter = scramble(index) % 2_000
    return _EPOCH + timedelta(milliseconds=_BEGIN_MS + isqrt(index * _PACE_MS**2) + jitter)


def registered_on(index: int) -> date:
    return registered(index).astimezone(HELSINKI).date()


def _stamp(moment: datetime, day: date, index: int) -> str:
    """`muutospv`: the true time, or now and then the midnight in Helsinki that began the day."""
    if scramble(index, 1) % 8 == 0:
        moment = datetime.combine(day, time(), HELSINKI).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class Chronicle:
    """An iterator of (code the record stands under, its JSON). Owns the register, which it changes as it goes."""

    def __init__(self, register: Register) -> None:
        self.register = register
        self.told = 0
        self._dice = Dice(register.seed, 3)
        self._open: list[tuple[int, int, Person, Story]] = []  # due, tie-break, …: stories with an open end

    def __next__(self) -> tuple[str, bytes]:
        index = self.told
        moment = registered(index)
        day = moment.astimezone(HELSINKI).date()
        code, groups = self._continue(index, day) or self._begin(index, day)
        record = {"henkilotunnus": code, "tietoryhmat": groups, "muutospv": _stamp(moment, day, index)}
        self.told = index + 1
        return code, orjson.dumps(record)

    def _continue(self, index: int, day: date, *, early: bool = False) -> tuple[str, list[Group]] | None:
        """The next record of the story that is due first, if one is due (or early, whatever its time)."""
        while self._open and (early or self._open[0][0] <= index):
            _, _, person, story = heappop(self._open)
            code = person.code
            try:
                groups = story.send(day)
            except StopIteration:
                continue
            return code, self._tell(index, person, story, groups)
        return None

    def _begin(self, index: int, day: date) -> tuple[str, list[Group]]:
        """A new story of somebody; a few tries, since not every story suits everybody."""
        for _ in range(50):
            person = self.register[self._dice.below(self.register.size)]
            if person.busy:
                continue
            chosen = self._dice.below(_STARTS[-1])
            teller = next(teller for (_, teller), end in zip(STORIES, _STARTS, strict=True) if chosen < end)
            code = person.code
            story = teller(person, day, self._dice, self.register)
            groups = next(story, None)
            if groups is not None:
                return code, self._tell(index, person, story, groups)
        # Everybody is in the middle of something (a very small register): then that goes on before its time.
        return self._continue(index, day, early=True) or self._begin(index, day)

    def _tell(self, index: int, person: Person, story: Story, groups: list[Group]) -> list[Group]:
        heappush(self._open, (index + 1 + self._dice.below(200), index, person, story))
        return self.register.censor(person, groups)
