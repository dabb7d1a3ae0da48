"""What the status page shows: a snapshot of the pulses, and the last hour of each."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from platform import python_version
from typing import Any, Final

from producer import __version__
from producer.observe.pulse import DAY, Histogram, Pulse

STEP: Final = 10.0  # s between two points of a plot
POINTS: Final = 360
STALLED: Final = 600.0  # s without a commit or a poll that is due, after which changes do not flow

SILENT: Final = "the coordinator of the consumer group does not answer"
VERSIONS: Final = {  # each is read from a file
    "vtj-producer": __version__,
    "aiokafka": version("aiokafka"),
    "aiohttp": version("aiohttp"),
    "Python": python_version(),
}

Owners = Sequence[str | None]  # of each shard: the instance that has it


class History:
    """Rates and backlogs of the last hour; one point each STEP."""

    def __init__(self) -> None:
        self._points: dict[str, tuple[deque[float], deque[float]]] = {}
        self._last: dict[str, tuple[float, int]] = {}
        self.delay = Histogram(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

    def take(self, pulses: Mapping[str, Pulse]) -> None:
        for feed, pulse in pulses.items():
            now, events = time.monotonic(), pulse.events.total()
            at, before = self._last.get(feed, (now - STEP, events))
            rates, backlogs = self._points.setdefault(feed, (deque(maxlen=POINTS), deque(maxlen=POINTS)))
            rates.append(round((events - before) / max(now - at, 0.1), 1))
            backlogs.append(round(pulse.lag, 1))
            self._last[feed] = now, events

    def of(self, feed: str) -> dict[str, list[float]]:
        rates, backlogs = self._points.get(feed, ((), ()))
        return {"rate": [*rates], "backlog": [*backlogs]}

    async def keep(self, pulses: Mapping[str, Pulse]) -> None:
        """Until cancelled."""
        taken = -STEP
        while True:
            slept = time.monotonic()
            await asyncio.sleep(0.5)
            now = time.monotonic()
            self.delay.add(max(0.0, now - slept - 0.5))
            if now - taken >= STEP:
                self.take(pulses)
                taken = now


def state(pulse: Pulse) -> tuple[str, float, str | None]:
    """Is it flowing, since when (ms), and if not, why: the most that can be said in a word."""
    for what in ("kafka", "feed", "upstream"):
        if trouble := pulse.troubles.get(what):
            return ("stalled" if what == "feed" else what), trouble.since, trouble.why
    if not pulse.joined:
        return "starting", pulse.since, None
    if not pulse.answers():
        return "kafka", pulse.since, SILENT
    if not pulse.held:
        return "waiting", pulse.since, None
    buckets, now = pulse.buckets.values(), time.time() * 1000
    if not buckets:
        return "starting", pulse.since, None
    if all(one.up_to_date for one in buckets):
        late = pulse.next is not None and now - pulse.next > STALLED * 1000
        since = max(one.committed or 0 for one in buckets) or pulse.since
        return ("stalled" if late else "flowing"), (pulse.next or since) if late else since, None
    latest = max(max(one.committed or 0, one.answered or 0) for one in buckets) or pulse.since
    return ("stalled" if now - latest > STALLED * 1000 else "catching-up"), latest, None


def failing(pulse: Pulse) -> dict[str, str]:
    """What keeps the instance from being ready → why. One that waits for its turn is ready."""
    told = {what: trouble.why for what, trouble in pulse.troubles.items()}
    if not pulse.joined and "kafka" not in told:
        told["group"] = "not a member of the consumer group yet"
    if pulse.joined and not pulse.answers():
        told["kafka"] = SILENT
    if (age := pulse.age) is not None and age > DAY:
        told["age"] = f"upstream last answered {age / 3600:.0f} h ago"
    return told


def snapshot(pulses: Mapping[str, Pulse], history: History, owners: Mapping[str, Owners], started: float) -> Any:
    """JSON; page/status.js reads it. Times in ms."""
    return {
        "at": time.time() * 1000,
        "started": started,
        "step": STEP,
        "versions": VERSIONS,
        "feeds": {name: _feed(pulse, history, owners.get(name, ())) for name, pulse in pulses.items()},
    }


def _feed(pulse: Pulse, history: History, owners: Owners) -> dict[str, Any]:
    told, since, why = state(pulse)
    now = time.time() * 1000
    return {
        "state": told,
        "since": since,
        "why": why,
        "instance": pulse.instance,
        "age": pulse.age,
        "next": pulse.next,
        "backlog": pulse.lag,
        "quota": {"left": pulse.quota.left, "limit": pulse.quota.limit} if pulse.quota else None,
        "plots": history.of(pulse.feed),
        "troubles": [
            {"what": what, "why": one.why, "since": one.since, "tries": one.tries}
            for what, one in pulse.troubles.items()
        ],
        "buckets": [
            {
                "name": name,
                "cursor": str(one.cursor),  # more digits than JavaScript's numbers have
                "upToDate": one.up_to_date,
                "age": None if one.answered is None else max(0.0, (now - one.answered) / 1000),
                "committed": one.committed,
                "events": one.events,
                "took": one.took,
            }
            for name, one in sorted(pulse.buckets.items(), key=lambda item: (len(item[0]), item[0]))
        ],
        "held": sorted(pulse.held),
        "owners": list(owners),
        "topics": dict(pulse.events),
        "letters": dict(pulse.letters),
        "unmapped": dict(pulse.unmapped),
    }
