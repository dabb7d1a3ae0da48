"""The initial load, as it shows itself and where its parts could go wrong."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from producer.cli.load import _bar, _lines
from producer.state.load import Codes, Progress, Wanted

Reporting = Callable[[Wanted], AbstractContextManager[Any]]


@pytest.mark.parametrize("show", [_bar, _lines])
def test_progress_is_shown_from_nothing_to_the_end(show: Reporting, capsys: pytest.CaptureFixture[str]) -> None:
    with show(Wanted(codes=["010190-9009"] * 3)) as report:
        report(Progress("list"), 0)
        report(Progress("list", asked=2, answered=2), 1)
        report(Progress("list", asked=3, answered=2, missed=1), 2)
    told = capsys.readouterr().err
    if show is _lines:
        last = json.loads(told.splitlines()[-1])
        assert (last["asked"], last["of"], last["missing"], last["requests"]) == (3, 3, 1, 2)
    else:
        assert "3/3" in told
        assert "2 requests" in told
    assert "010190" not in told


def test_codes_are_a_list_of_texts_in_a_sixth_of_the_memory() -> None:
    texts = [f"{day:02d}0190-9{number:02d}9" for day in range(1, 29) for number in range(100)]
    codes = Codes(texts)
    assert [*codes] == texts
    assert (len(codes), codes[-1], codes[3:5], codes[2790:9999]) == (2800, texts[-1], texts[3:5], texts[2790:])
    with pytest.raises(IndexError):
        codes[2800]
    assert not Codes(())
    assert Wanted(codes=codes).digest == Wanted(codes=texts).digest != Wanted(codes=texts[1:]).digest
    assert "0190" not in f"{Wanted(codes=codes)} {codes!r}"
