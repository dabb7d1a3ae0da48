"""The times that `verify` takes."""

from datetime import UTC, datetime

import pytest

from producer.cli.verify import time_of
from producer.errors import SettingsError


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]


def test_a_day_is_one_of_finland() -> None:
    assert time_of(None, "--since") is None
    assert time_of("2026-11-01", "--since") == utc(2026, 10, 31, 22)
    assert time_of("2026-11-01", "--until", end=True) == utc(2026, 11, 1, 22)
    assert time_of("2026-10-25", "--until", end=True) == utc(2026, 10, 25, 22)  # a day of 25 hours
    assert time_of("2026-10-25", "--since") == utc(2026, 10, 24, 21)


def test_a_time_has_its_own_zone_or_finlands() -> None:
    assert time_of("2026-11-01T12:30", "--since") == utc(2026, 11, 1, 10, 30)
    assert time_of("2026-11-01T12:30Z", "--until", end=True) == utc(2026, 11, 1, 12, 30)
    assert time_of("2026-11-01T12:30:15.250+05:00", "--since") == utc(2026, 11, 1, 7, 30, 15) + 250


@pytest.mark.parametrize("text", ["eilen", "", "2026-02-30", "9999-12-31", "12:30", "1762000000000"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(SettingsError, match="--until is no time") as caught:
        time_of(text, "--until", end=True)
    assert "2026-11-01T12:30+02:00" in caught.value.hint
