"""The options of `replay`; what they do is in tests/integration."""

import pytest

from producer.__main__ import parser
from producer.cli.replay import since_of
from producer.errors import SettingsError


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--since 0", "To whom is not said"),
        ("--to-topic t", "Since when is not said"),
        ("--group g --since 0", "--group needs --topics"),
        ("--group g --topics t --since 0 --again", "--persons and --again are for --to-topic"),
        ("--to-topic t --since 0 --yes", "--yes is for --group"),
        ("--to-topic t --since 99999999999999999999", "it has too many digits"),
        ("--to-topic t --since eilen", "--since is no time that can be read"),
    ],
)
def test_options_that_make_no_sense(arguments: str, words: str) -> None:
    args = parser().parse_args(["replay", *arguments.split()])
    with pytest.raises(SettingsError, match=words):
        args.run(args)


def test_a_number_is_a_cursor() -> None:
    assert since_of("20261101").cursor == 20261101
    assert since_of("2026-11-01").time == 1793484000000
