"""How long ago upstream last answered for a bucket: DVV asks for a fetch a day, and keeps a cursor for two weeks."""

import asyncio
import logging
import time
from typing import Final, NoReturn

from producer.config import Schedule
from producer.model import Page
from producer.observe.pulse import DAY, pulse
from producer.operate.pace import longest
from producer.pipeline import Feed

log = logging.getLogger("vtj.line")

HOUR: Final = 3600.0  # s
# Asked once a day it is more than a day old now and then: by chance, by slowness, and in the night of 25 hours.
SLACK: Final = 2 * HOUR
LIMITS: Final = (
    (DAY, logging.WARNING, "DVV asks for a fetch at least once a day."),
    (10 * DAY, logging.WARNING, "DVV keeps a cursor readable for two weeks: on the 14th day changes begin to be lost."),
    (14 * DAY, logging.ERROR, "The cursor may not be readable any more: docs/faults.md says what to do then."),
)


def passed(age: float, slack: float = 0.0) -> int:
    """How many of the limits an age (s) is beyond. slack: of the first."""
    return sum(age >= limit + (0 if at else slack) for at, (limit, *_) in enumerate(LIMITS))


def spoken(seconds: float) -> str:
    """A time for people, in the unit of which it has at least two."""
    for unit, size in (("d", DAY), ("h", HOUR), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


class Age:
    """Tells when it passes a limit, once, and when upstream answers again. It grows by the monotonic clock: what the
    wall clock does meanwhile changes nothing.

    schedule: None: `run --once`, which somebody may run once a day.
    """

    def __init__(self, schedule: Schedule | None) -> None:
        self._slack = SLACK if schedule is None or longest(schedule) > DAY - SLACK else 0.0
        self._since: float | None = None
        self._told = 0

    @property
    def seconds(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since

    def stored(self, answered: int | None) -> None:
        """What Kafka knows (ms), when the bucket is opened; what was heard since in this process is nearer."""
        since = time.monotonic() - (0 if answered is None else max(0.0, time.time() - answered / 1000))
        self._since = since if self._since is None else max(self._since, since)

    def answered(self) -> None:
        if self._told:
            log.warning("upstream answers again, after %s", spoken(self.seconds))
        self._since, self._told = time.monotonic(), 0

    async def watch(self) -> NoReturn:
        """Until cancelled."""
        while True:
            beyond = passed(self.seconds, self._slack)
            if beyond > self._told:
                _, level, words = LIMITS[beyond - 1]
                log.log(level, "upstream last answered %s ago. %s", spoken(self.seconds), words)
                self._told = beyond
            await asyncio.sleep(60)


class Heard:
    """A feed that tells an age when upstream answers."""

    def __init__(self, feed: Feed, age: Age) -> None:
        self._feed, self._age = feed, age

    async def changes_since(self, cursor: int) -> Page:
        page = await self._feed.changes_since(cursor)
        if page.kind != "FOLLOWED":
            self._age.answered()
            pulse().answered(page)
        return page
