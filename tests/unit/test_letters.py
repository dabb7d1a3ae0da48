"""What is named by a place, and what may be told of a letter."""

from typing import Any

import pytest

from producer.app.letters import Letter, Place
from producer.errors import SettingsError
from tests import privacy

CODE = "140385-917Y"


def test_a_place_reads_as_it_is_written() -> None:
    place = Place("change.unmapped.restricted", 3, 118)
    assert Place.read(str(place)) == place


@pytest.mark.parametrize(
    "text", ["", "dead-letter", "dead-letter:0", "dead-letter:0:-1", "dead-letter:٣:1", "a:0:1:2", CODE]
)
def test_what_is_no_place_is_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Place.read(text)
    assert "such as dead-letter:0:17" in caught.value.hint
    assert not privacy.shown(str(caught.value))


def letter(group: str | None, **value: Any) -> Letter:
    return Letter(Place("x", 0, 1), "id", "no-schema", "words", group, None, CODE.encode(), [], value)


def test_no_content_is_told() -> None:
    """Names of groups and members may be content, too."""
    unmapped = {f'"{CODE} x"': f'"{CODE}"', "uusi[0].kentta": '"Kallioniemi"', "../henkilo": "1"}
    event = letter(f"{CODE} Kallioniemi", feed="vtj", cursor=5, personId=CODE, unmapped=unmapped)
    told = event.told()
    assert told == {
        "place": "x:0:1",
        "id": "id",
        "reason": "no-schema",
        "detail": "words",
        "group": "?",
        "feed": "vtj",
        "cursor": 5,
        "members": ["../henkilo", "?", "uusi[].kentta"],
    }
    assert not privacy.shown(f"{told} {event!r} {letter(None, raw=CODE)!r} {letter(None, raw=CODE).told()}")
    assert letter(None, raw=CODE).content == CODE
