"""What `backfill` and `cursor set` take, before anybody is asked."""

from datetime import date
from pathlib import Path

import pytest

from producer.__main__ import parser
from producer.app.backfill import Wanted
from producer.cli.backfill import _wanted
from producer.cli.cursor import as_cursor
from producer.errors import SettingsError
from producer.model import CURSOR_MAX


def wanted(*arguments: str) -> Wanted:
    return _wanted(parser().parse_args(["backfill", *arguments]))


def test_what_is_asked_for() -> None:
    assert wanted("--since", "17", "--until", "2026-11-20") == Wanted(17, date(2026, 11, 20))
    assert wanted("--since", "2026-11-01", "--to-topic", "mine") == Wanted(date(2026, 11, 1), topic="mine")
    digests = {Wanted(17).digest, Wanted(18).digest, Wanted(17, 18).digest, Wanted(17, topic="mine").digest}
    assert len({*digests, Wanted(codes=["1"]).digest, Wanted(codes=["1", "2"]).digest}) == 6


def test_persons_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "codes").write_text("010190-9007\n")
    with pytest.raises(SettingsError, match="the check character is wrong: line 1"):
        wanted("--persons", str(tmp_path / "codes"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "eilen"], "--since is neither a cursor nor a day"),
        (["--since", "1", "--until", "2026-02-30"], "--until is neither a cursor nor a day"),
        (["--since", "2199-01-01"], "--since lies in the future"),
        (["--since", str(CURSOR_MAX + 1)], "That is no cursor"),
        ([], "Either changes or persons"),
        (["--since", "1", "--persons", "-"], "Either changes or persons"),
        (["--until", "1", "--persons", "-"], "Either changes or persons"),
    ],
)
def test_what_cannot_be(arguments: list[str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        wanted(*arguments)


def test_cursors() -> None:
    assert (as_cursor("0"), as_cursor(str(CURSOR_MAX))) == (0, CURSOR_MAX)
    for text in ("", "-1", "5x", "٥", str(CURSOR_MAX + 1), "9" * 5000):
        with pytest.raises(SettingsError, match="That is no cursor"):
            as_cursor(text)
