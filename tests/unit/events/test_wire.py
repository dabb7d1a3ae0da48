from datetime import date
from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from producer.events import wire
from producer.events.wire import Misfit

NOT_TEXT: list[Any] = [None, True, 0, 1.5, [], {}, b"x"]
NOT_WHOLE: list[Any] = [None, True, False, 1.0, "1", [], {}]


def oracle(schema: Any, value: Any) -> bytes:
    out = BytesIO()
    schemaless_writer(out, schema, value)
    return out.getvalue()


@given(st.integers(-(2**63), 2**63 - 1))
def test_long(value: int) -> None:
    assert wire.int64(value).encode("latin-1") == oracle("long", value)


@given(st.integers(-(2**31), 2**31 - 1) | st.sampled_from([4095, 4096, -1, 63, 64, 8191, 8192]))
def test_int(value: int) -> None:
    assert wire.int32(value).encode("latin-1") == oracle("int", value)


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["x" * 4095, "x" * 4096, "ä" * 3000]))
def test_string(value: str) -> None:
    assert wire.text(value).encode("latin-1") == oracle("string", value)


@given(st.dates())
def test_date(value: date) -> None:
    schema = {"type": "int", "logicalType": "date"}
    assert wire.day(value.isoformat()).encode("latin-1") == oracle(schema, value)


@pytest.mark.parametrize("write", [wire.int32, wire.int64])
@pytest.mark.parametrize("value", NOT_WHOLE)
def test_what_is_no_whole_number_is_a_misfit(write: Any, value: Any) -> None:
    with pytest.raises(Misfit):
        write(value)


@pytest.mark.parametrize(
    ("write", "value"),
    [(wire.int32, 2**31), (wire.int32, -(2**31) - 1), (wire.int64, 2**63), (wire.int64, -(2**63) - 1)],
)
def test_what_is_out_of_range_is_a_misfit(write: Any, value: int) -> None:
    with pytest.raises(Misfit):
        write(value)


@pytest.mark.parametrize("value", [*NOT_TEXT, "\ud800", "a\udfff"])
def test_what_utf8_cannot_carry_is_a_misfit(value: Any) -> None:
    with pytest.raises(Misfit):
        wire.text(value)


@pytest.mark.parametrize(
    "value",
    [
        *NOT_TEXT,
        *("", "2026-1-1", "2026-02-30", "0000-01-01", "2026-W01-1", "20260101", "2026-01-01T", "٢٠٢٦-٠١-٠١"),
        *("2026-01-01\n", " 2026-01-01"),
    ],
)
def test_what_is_no_day_is_a_misfit(value: Any) -> None:
    for _ in range(2):  # the second time it could have been remembered
        with pytest.raises(Misfit):
            wire.day(value)


@pytest.mark.parametrize("value", [None, 0, 1, "true", []])
def test_what_is_no_boolean_is_a_misfit(value: Any) -> None:
    with pytest.raises(Misfit):
        wire.boolean(value)


def test_remembered_days_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_DATES_KEPT", 3)
    days = wire.Dates("")
    for day in range(1, 29):
        assert days[f"2026-11-{day:02}"] == wire.day(f"2026-11-{day:02}")
        assert len(days) <= 3


def test_a_misfit_says_nothing_of_the_value() -> None:
    for write, value in ((wire.text, "\ud800Kallioniemi"), (wire.day, "140385-917Y"), (wire.int32, "140385-917Y")):
        with pytest.raises(Misfit) as caught:
            write(value)
        assert str(caught.value) == ""
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
