"""Upstream's time: `muutospv`, when it registered a change, and its days, which are Finland's."""

import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

HELSINKI: Final = ZoneInfo("Europe/Helsinki")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
# A zone can push an instant out of the years 1-9999 of UTC, where no reader could show it.
_FIRST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_HOURS_KEPT: Final = 10_000
_ISO: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{3})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


class _Hours(dict[str, int]):
    """`yyyy-MM-ddTHH:` → the milliseconds of that hour of UTC. Remembers what it met, up to a bound."""

    def __missing__(self, hour: str) -> int:
        instant = _told(f"{hour}00:00Z")
        if instant is None:
            raise KeyError(hour)
        if len(self) >= _HOURS_KEPT:
            self.clear()
        self[hour] = instant
        return instant


_HOURS: Final = _Hours()
_SECONDS: Final = {f"{at // 60:02}:{at % 60:02}": at * 1000 for at in range(3600)}  # of an hour
_ENDS: Final = {"Z": 0, **{f".{at:03}Z": at for at in range(1000)}}


def milliseconds(value: Any) -> int | None:
    """Milliseconds since the epoch of an ISO 8601 instant with a zone; None for what cannot be told exactly.

    Upstream writes UTC with three decimals, `2020-10-01T04:38:04.394Z`. What is accepted is RFC 3339 as it stands.
    """
    if type(value) is not str:
        return None
    try:
        return _HOURS[value[:14]] + _SECONDS[value[14:19]] + _ENDS[value[19:]]
    except KeyError:
        return _told(value)


def _told(value: str) -> int | None:
    if not _ISO.fullmatch(value):
        return None
    try:
        instant = (datetime.fromisoformat(value) - _EPOCH) // _MILLISECOND
    except ValueError:
        return None
    return instant if _FIRST <= instant <= _LAST else None


def today() -> date:
    return datetime.now(HELSINKI).date()


def in_finland(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, HELSINKI)


def midnight(time_ms: int) -> int:
    """When the Finnish day of a time began (ms)."""
    day = in_finland(time_ms).date()
    return int(datetime.combine(day, datetime.min.time(), HELSINKI).timestamp() * 1000)


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
