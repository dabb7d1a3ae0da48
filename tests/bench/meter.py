"""What a measured process says of itself."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict


class Reading(TypedDict):
    """events, seconds, cpu: from the first request to the last commit; cpu in seconds, user and system, all threads.

    start_cpu: CPU before. rss: resident megabytes after each commit; peak: the highest ever. Both 0 but on Linux.
    latencies: ms from the read page to its commit, of each page that was told of. course: (events, cpu) so far, after
    each commit.
    """

    events: int
    commits: int
    seconds: float
    cpu: float
    start_cpu: float
    rss: list[float]
    peak: float
    latencies: list[float]
    course: list[tuple[int, float]]


class Meter:
    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None
        self._ended = (0.0, 0.0)
        self._events = 0
        self._rss: list[float] = []
        self._latencies: list[float] = []
        self._course: list[tuple[int, float]] = []

    def first_request(self) -> None:
        """Call it before every request; the first one counts."""
        self._began = self._began or _now()

    def committed(self, events: int, read: Sequence[int] = ()) -> None:
        """read: when each page was (ms)."""
        self._ended = _now()
        self._events += events
        self._course.append((self._events, self._ended[1]))
        self._latencies += [time.time() * 1000 - at for at in read]
        self._rss.append(resident(os.getpid()))

    def tell(self) -> None:
        """One line of JSON on standard output, a Reading."""
        assert self._began
        began, ended = self._began, self._ended
        reading: Reading = {
            "events": self._events,
            "commits": len(self._rss),
            "seconds": ended[0] - began[0],
            "cpu": ended[1] - began[1],
            "start_cpu": began[1],
            "rss": [round(one, 1) for one in self._rss],
            "peak": resident(os.getpid(), "VmHWM"),
            "latencies": [round(one, 1) for one in self._latencies],
            "course": [(events, round(cpu - began[1], 6)) for events, cpu in self._course],
        }
        print(json.dumps(reading), flush=True)


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def resident(pid: int, which: str = "VmRSS") -> float:
    """Megabytes (10^6 bytes); 0 where there is no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return int(status.split(f"{which}:")[1].split()[0]) * 1024 / 1e6


def busy(pid: int) -> float:
    """Seconds of CPU, user and system, of a process; 0 where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
