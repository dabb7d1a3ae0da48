from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.events.instant import milliseconds

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - reckoned without zones, as an oracle of its own


@given(st.datetimes(), st.integers(0, 999))
def test_upstreams_own_spelling(moment: datetime, thousandth: int) -> None:
    moment = moment.replace(microsecond=thousandth * 1000)
    assert milliseconds(moment.isoformat(timespec="milliseconds") + "Z") == (moment - EPOCH) // timedelta(
        milliseconds=1
    )


def test_other_zones_and_whole_seconds() -> None:
    assert milliseconds("1970-01-01T02:00:01+02:00") == milliseconds("1970-01-01T00:00:01Z") == 1000
    assert milliseconds("1969-12-31T23:59:59.999Z") == -1


@pytest.mark.parametrize(
    "value",
    [
        *(None, 5, True, [], "", "2026-11-02", "2026-11-02T07:15:04", "2026-11-02 07:15:04Z", "2026-11-02T07:15Z"),
        *("2026-11-02T07:15:04.3Z", "2026-11-02T07:15:04.394000Z", "2026-02-30T07:15:04Z", "2026-W01-1T07:15:04.394Z"),
        *("2026-11-02T24:15:04Z", "2026-11-02T07:15:04+25:00", "0001-01-01T00:00:00+14:00"),
        *("9999-12-31T23:59:59-14:00", "٢٠٢٦-11-02T07:15:04.394Z", "2026-11-02T07:15:04.394Z\n"),
    ],
)
def test_what_is_no_exact_instant(value: Any) -> None:
    assert milliseconds(value) is None
