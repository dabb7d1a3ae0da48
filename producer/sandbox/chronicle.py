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

import orjson

from producer.events.instant import HELSINKI
from producer.sandbox.dice import Dice
from producer.sandbox.hetu import scramble
from producer.sandbox.register import Group, Register
from producer.sandbox.stories import STORIES, Story, Told, newcomer

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
    """An iterator of (code the record stands under, its JSON). Owns the register, which it changes as it goes.

    Where the permit selects municipalities, a record of somebody outside is told to nobody: ("", b""). Who comes to
    live there is new to the customer, and all groups are LISATTY; who goes has the record of that, and then nothing.
    What upstream really sends in these cases, and when a move in or out is cancelled, is not known.
    """

    def __init__(self, register: Register) -> None:
        self.register = register
        self.told = 0
        self._dice = Dice(register.seed, 3)
        self._open: list[tuple[int, int, Story]] = []  # due, tie-break, …: stories with an open end
        # Only asked where the permit selects, and only then is everybody made.
        self._inside = (
            {person.index for person in register if register.selects(person)} if register.selective else set()
        )

    def __next__(self) -> tuple[str, bytes]:
        index = self.told
        moment = registered(index)
        day = moment.astimezone(HELSINKI).date()
        told = self._continue(index, day) or self._begin(index, day)
        self.told = index + 1
        groups = self._selected(told)
        if groups is None:
            return "", b""
        code = told.code or told.person.code
        record = {"henkilotunnus": code, "tietoryhmat": groups, "muutospv": _stamp(moment, day, index)}
        return code, orjson.dumps(record)

    def _continue(self, index: int, day: date, *, early: bool = False) -> Told | None:
        """The next record of the story that is due first, if one is due (or early, whatever its time)."""
        while self._open and (early or self._open[0][0] <= index):
            _, _, story = heappop(self._open)
            try:
                told = story.send(day)
            except StopIteration:
                continue
            return self._keep(index, story, told)
        return None

    def _begin(self, index: int, day: date) -> Told:
        """A new story of somebody; a few tries, since not every story suits everybody."""
        for _ in range(50):
            person = self.register.somebody(self._dice)
            if person is None or person.busy:
                continue
            chosen = self._dice.below(_STARTS[-1])
            teller = next(teller for (_, teller), end in zip(STORIES, _STARTS, strict=True) if chosen < end)
            story = teller(person, day, self._dice, self.register)
            told = next(story, None)
            if told is not None:
                return self._keep(index, story, told)
        # Everybody is in the middle of something (a very small register): then that goes on before its time.
        return self._continue(index, day, early=True) or self._begin(index, day)

    def _keep(self, index: int, story: Story, told: Told) -> Told:
        """The rest of a story waits for its time; that of a registration comes before everything else."""
        due = 0 if told.more else index + 1 + self._dice.below(200)
        heappush(self._open, (due, index, story))
        return told

    def _selected(self, told: Told) -> list[Group] | None:
        """The groups as the permit lets them through; None: it does not select the person."""
        person, register = told.person, self.register
        if not register.selective:
            return register.censor(person, told.groups)
        was = person.index in self._inside
        if register.selects(person):
            self._inside.add(person.index)
            return register.censor(person, told.groups) if was else newcomer(register.tell(person, None)["tietoryhmat"])
        self._inside.discard(person.index)
        return register.censor(person, told.groups) if was else None
