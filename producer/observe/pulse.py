"""What a feed is doing at this moment, told by those who do it; metrics, readiness and the status page read it.

Counters and the last of each thing, nothing that grows, and no persons. Telling costs a little a page, a commit or a
poll, and nothing an event.
"""

import re
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

from producer.model import OUTSIDE, EncodedPage, Page

DAY: Final = 86_400.0  # s
NAMES: Final = 200  # different ones that a counter keeps; upstream makes some of them
# What may become a label: a topic, a reason, a group or the path of a field; a code is none of these.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z_./ ()\[\]-]{0,120}")


class Histogram:
    """bounds: upper ends of the buckets (s), ascending. counts: one more than bounds."""

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(slots=True)
class Trouble:
    """What is being tried again. since: ms. cause: in a word."""

    why: str
    since: float
    cause: str = ""
    tries: int = 1


@dataclass(slots=True)
class Bucket:
    """Times in ms. answered: when upstream last did; committed, events, took (ms): of the last commit."""

    cursor: int
    up_to_date: bool = False
    answered: float | None = None
    committed: float | None = None
    events: int = 0
    took: float | None = None


class Quota(Protocol):
    @property
    def limit(self) -> int: ...

    @property
    def left(self) -> int: ...


@dataclass
class Pulse:
    """next: of the poll (ms). lag: s between the newest committed change and its commit, of the bucket that is farthest
    behind, while more is to come; else 0.
    """

    feed: str
    instance: str = ""
    since: float = field(default_factory=lambda: time.time() * 1000)
    joined: bool = False
    held: frozenset[int] = frozenset()
    buckets: dict[str, Bucket] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    lags: dict[str, float] = field(default_factory=dict)
    next: float | None = None
    quota: Quota | None = None
    answers: Callable[[], bool] = lambda: True  # whether the coordinator of the consumer group answers heartbeats
    quota_wait: float = 0.0  # s that requests waited for the own budget
    persons: int = 0  # whose state was read again

    pages: int = 0
    records: int = 0
    commits: int = 0
    told_events: int = 0
    aborts: int = 0
    fences: int = 0
    doubts: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    letters: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)
    from_change: Histogram = field(
        default_factory=lambda: Histogram(1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, DAY, 2 * DAY, 7 * DAY)
    )
    from_page: Histogram = field(
        default_factory=lambda: Histogram(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
    )
    transaction: Histogram = field(default_factory=lambda: Histogram(1, 10, 100, 1000, 5000, 10_000, 20_000, 50_000))

    @property
    def lag(self) -> float:
        return max(self.lags.values(), default=0.0)

    @property
    def age(self) -> float | None:
        """s since upstream's last successful answer, of the bucket that is farthest behind; None: not known yet."""
        answered = [one.answered for one in self.buckets.values()]
        return max(0.0, (_now() - min(answered)) / 1000) if answered and None not in answered else None  # type: ignore[type-var,operator]

    # told by the membership

    def has(self, shards: Iterable[int]) -> None:
        self.joined, self.held = True, frozenset(shards)
        if not self.held:
            self.buckets.clear()
            self.lags.clear()
            self.well("upstream")
            self.next = None

    def left(self, why: str, *, fenced: bool) -> None:
        """The group is left and joined again; until a shard is open that is trouble with Kafka."""
        self.joined, self.held = False, frozenset()
        self.fences += fenced
        self.doubts += not fenced
        self.failing("kafka", why)

    # told by the line

    def opened(self, name: str, cursor: int | None, answered: float | None) -> None:
        self.well("kafka")
        self.well("feed")
        self.buckets[name] = Bucket(cursor or 0, answered=answered)

    def answered(self, page: Page) -> None:
        bucket = self.buckets.get(page.bucket)
        if bucket is not None:
            bucket.answered = _now()
            if page.up_to_date and page.cursor == bucket.cursor:
                bucket.up_to_date = True
                self.lags.pop(page.bucket, None)

    def committed(self, name: str, pages: Sequence[EncodedPage], seconds: float) -> None:
        last, now = pages[-1], _now()
        events = 0
        for page in pages:
            events += len(page.events)
            self.records += page.records
            _count(self.letters, page.dead)
            for path, count in page.unmapped.items():
                self.unmapped[_group(path)] += count
            self.from_page.add((now - page.fetched_at) / 1000)
            if page.changed is not None:
                self.from_change.add(max(0.0, (now - page.changed[0]) / 1000))
        self.pages += len(pages)
        self.commits += 1
        self.told_events += events
        self.transaction.add(events)
        if last.up_to_date:
            self.lags.pop(name, None)
        elif last.changed is not None:
            self.lags[name] = max(0.0, (now - last.changed[1]) / 1000)
        bucket = self.buckets.setdefault(name, Bucket(last.cursor))
        bucket.cursor, bucket.up_to_date = last.cursor, last.up_to_date
        bucket.committed, bucket.events, bucket.took = now, events, seconds * 1000

    def wrote(self, counts: Mapping[tuple[str, int], int]) -> None:
        """counts: (topic, partition) → records."""
        for (topic, _), count in counts.items():
            self.events[topic] += count

    def polls(self, seconds: float) -> None:
        """The next poll is after so many."""
        at = _now() + seconds * 1000
        if self.next is None or self.next < _now() or at < self.next:
            self.next = at

    def told(self, persons: int) -> None:
        """The state of so many was committed."""
        self.persons += persons
        self.well("state")

    # troubles

    def retrying(self, what: str, why: str, cause: str) -> None:
        self.retries[cause if cause in self.retries or len(self.retries) < NAMES else "other"] += 1
        self.failing(what, why, cause)

    def failing(self, what: str, why: str, cause: str = "") -> None:
        trouble = self.troubles.get(what)
        if trouble is None:
            self.troubles[what] = Trouble(why, _now(), cause)
        else:
            trouble.why, trouble.cause, trouble.tries = why, cause, trouble.tries + 1

    def well(self, what: str) -> None:
        self.troubles.pop(what, None)


def _group(path: str) -> str:
    """Data group of a path of unmapped (model.EncodedPage). The name of one that no schema holds may be anything."""
    if path.startswith("../"):
        return "record"
    if path.endswith(f" ({OUTSIDE})"):
        return path.removesuffix(f" ({OUTSIDE})")
    group, dot, _ = path.partition(".")
    return group if dot else "unknown"


def _count(into: Counter[str], counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        known = name in into or (len(into) < NAMES and _NAME.fullmatch(name))
        into[name if known else "other"] += count


def _now() -> float:
    return time.time() * 1000


pulses: dict[str, Pulse] = {}  # feed → its pulse, of this process
_current: ContextVar[Pulse | None] = ContextVar("pulse", default=None)
_nobody: Final = Pulse("")

# Of whom and of what a log line is. Set in the task of each feed and line; the tasks that come of it inherit them.
feed: ContextVar[str] = ContextVar("feed", default="")
shard: ContextVar[str] = ContextVar("shard", default="")
bucket: ContextVar[str] = ContextVar("bucket", default="")
request: ContextVar[str] = ContextVar("request", default="")  # the latest one's X-Road-Id
whose: ContextVar[str] = ContextVar("whose", default="")  # feed and bucket for people, where there are several


def begin(name: str, *, alone: bool) -> None:
    """This task, and whatever comes of it, works for the feed. One that begins anew goes on with its pulse."""
    _current.set(pulses.setdefault(name, Pulse(name)))
    feed.set(name)
    whose.set("" if alone else f"feed {name}: ")


@contextmanager
def line_of(name: str, *, alone: bool) -> Iterator[None]:
    """What is inside works for the bucket."""
    before = bucket.set(name), whose.set(whose.get() if alone else f"{whose.get()}bucket {name}: ")
    try:
        yield
    finally:
        bucket.reset(before[0])
        whose.reset(before[1])


def pulse() -> Pulse:
    """Of the feed that this task works for."""
    return _current.get() or _nobody
