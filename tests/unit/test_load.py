"""The initial load, as it shows itself and where its parts could go wrong."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from producer.cli.load import _bar, _lines
from producer.state.load import Progress, Wanted

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
