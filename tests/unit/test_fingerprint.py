"""The commands without Kafka, under the settings of pseudonyms; and what the cursor says of keys."""

import io
import json
import sys
from pathlib import Path

import orjson
import pytest

from producer.__main__ import main
from producer.config import load
from producer.errors import CursorUnreadable, SettingsError
from producer.events.groups import Catalogue
from producer.events.pseudonyms import Pseudonyms
from producer.kafka.cursor import Position, decode, refuse_other_keys
from producer.kafka.names import Names
from producer.kafka.topics import planned
from tests import privacy

SECRET = "0123456789abcdef" * 2
HIDDEN = Pseudonyms(SECRET.encode(), 3)
ONE, TWO = "140385-917Y", "301183-952B"


@pytest.fixture
def keyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    monkeypatch.setenv("VTJ_PRIVACY__KEYS", "hmac-sha256")
    monkeypatch.setenv("VTJ_PRIVACY__SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("VTJ_PRIVACY__KEY_VERSION", "3")
    monkeypatch.setenv("VTJ_STATE__ENABLED", "false")


class Command:
    """Runs the program in this process with a standard input."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture

    def __call__(self, *arguments: str, given: bytes = b"") -> tuple[int, str, str]:
        self._patch.setattr(sys, "argv", ["vtj-producer", *arguments])
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = main()
        return code, *self._capture.readouterr()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.mark.usefixtures("keyed")
def test_fingerprints_of_codes(command: Command, tmp_path: Path) -> None:
    codes = f"\ufeff{TWO}\r\n\n {ONE}\n".encode()
    expected = f"{HIDDEN.of(TWO)}\n{HIDDEN.of(ONE)}\n"
    assert command("fingerprint", given=codes) == (0, expected, "")
    (tmp_path / "codes").write_bytes(codes)
    assert command("fingerprint", str(tmp_path / "codes")) == (0, expected, "")
    assert command("fingerprint") == (0, "", "")


@pytest.mark.usefixtures("keyed")
@pytest.mark.parametrize(
    ("arguments", "given", "says"),
    [
        ([], f"{ONE}\n{TWO.lower()}\n".encode(), "The input has errors: not an identity code: line 2."),
        ([], f"{ONE[:-1]}X".encode(), "the check character is wrong: line 1."),
        ([], b"\xff", "The file of codes cannot be read as text."),
        ([ONE], b"", "The file of codes cannot be read as text."),
    ],
    ids=["shape", "check", "bytes", "argument"],
)
def test_what_is_no_code_is_told_by_line(command: Command, arguments: list[str], given: bytes, says: str) -> None:
    code, out, err = command("fingerprint", *arguments, given=given)
    assert (code, out) == (2, "")
    assert says in err
    assert "→ Give identity codes, one a line" in err
    assert not privacy.shown(err)
    assert "<" not in err  # nor had the last net anything to do


def test_plain_codes_have_no_fingerprints(command: Command) -> None:
    code, out, err = command("fingerprint", given=ONE.encode())
    assert (code, out) == (2, "")
    assert "VTJ_PRIVACY__KEYS=hmac-sha256" in err


@pytest.mark.usefixtures("keyed")
def test_convert_shows_what_would_be_sent(command: Command, tmp_path: Path) -> None:
    guardian = {"tietoryhma": "HUOLTAJA", "muutosattribuutti": "LISATTY", "huoltaja": {"henkilotunnus": TWO}}
    record = {"henkilotunnus": ONE, "tietoryhmat": [guardian], "uusi": TWO}
    (tmp_path / "answer").write_text(
        json.dumps({"viimeisinKirjausavain": 9, "ajanTasalla": True, "muutokset": [record, ONE]})
    )
    code, out, err = command("convert", str(tmp_path / "answer"))
    assert code == 0, err
    assert not privacy.codes(out + err)
    event, letter = map(json.loads, out.splitlines())
    assert (event["topic"], letter["topic"]) == ("vtj.k3.change.huoltaja", "vtj.k3.dead-letter")
    assert event["headers"]["ce_keyversion"] == letter["headers"]["ce_keyversion"] == "3"
    assert event["key"] == event["value"]["personId"] == HIDDEN.of(ONE)
    assert event["value"]["data"]["huoltaja"]["henkilotunnus"] == HIDDEN.of(TWO)
    assert letter["value"]["raw"] == f'"{HIDDEN.of(ONE)}"'


@pytest.mark.usefixtures("keyed")
def test_topics_with_persons_are_those_of_the_key_version(command: Command) -> None:
    settings = load().settings
    plans = planned(settings, Catalogue.load())
    assert {one.name for one in plans if not one.data} == {
        "vtj.cursor",
        "vtj.ledger",
        "vtj.k3.erased",
        "vtj.k3.handled",
    }
    with_persons = {one.name for one in plans if one.data} - {"vtj.watchlist"}  # it alone has plain codes
    assert all(name.startswith("vtj.k3.") for name in with_persons)
    listed = {json.loads(line)["topic"] for line in command("schemas", "list", "--json")[1].splitlines()}
    assert with_persons - listed == {"vtj.k3.dead-letter", "vtj.k3.identity"}
    assert listed < with_persons


def position(feed: str, keys: str | None) -> Position:
    return Position(feed, "0", 7, 5, upToDate=True, fetchedAt=1, committedAt=2, instance="i", keys=keys)


def test_a_cursor_of_plain_codes_is_what_it_always_was() -> None:
    value = position("vtj", None).encode()
    assert "keys" not in orjson.loads(value)
    assert decode(value, "").keys is None
    kept = position("vtj", HIDDEN.check)
    assert decode(kept.encode(), "") == kept
    with pytest.raises(CursorUnreadable):
        decode(orjson.dumps({**orjson.loads(value), "keys": 5}), "")


OTHER_SECRET, NEXT = Pseudonyms(b"0" * 32, 3).check, Pseudonyms(SECRET.encode(), 4).check


@pytest.mark.parametrize(
    ("feed", "stored", "asked", "says"),
    [
        ("vtj", None, HIDDEN.check, "has plain codes, and the settings ask for pseudonyms of key version 3;"),
        ("vtj", HIDDEN.check, None, "has pseudonyms of key version 3, and the settings ask for plain codes;"),
        ("vtj", HIDDEN.check, NEXT, "of key version 3, and the settings ask for pseudonyms of key version 4;"),
        ("vtj", OTHER_SECRET, HIDDEN.check, "of key version 3 of another secret, and the settings ask for pseudonyms"),
        ("other", OTHER_SECRET, HIDDEN.check, "Feed other has pseudonyms of key version 3 of another secret"),
    ],
)
def test_other_keys_are_refused(feed: str, stored: str | None, asked: str | None, says: str) -> None:
    found = {f"{feed}/0".encode(): position(feed, stored)}
    with pytest.raises(SettingsError) as caught:
        refuse_other_keys(found, Names("vtj", "vtj", "0", asked))
    assert says in str(caught.value)
    assert "docs/privacy.md" in caught.value.hint
    for check in (HIDDEN.check, OTHER_SECRET, NEXT):
        assert check not in str(caught.value)


@pytest.mark.parametrize(
    ("feed", "stored", "asked"),
    [
        ("vtj", None, None),
        ("vtj", HIDDEN.check, HIDDEN.check),
        ("other", HIDDEN.check, HIDDEN.check),
        ("other", None, HIDDEN.check),
        ("other", HIDDEN.check, None),
        ("other", HIDDEN.check, NEXT),
    ],
)
def test_the_same_keys_and_those_of_other_topics_are_not(feed: str, stored: str | None, asked: str | None) -> None:
    refuse_other_keys({f"{feed}/0".encode(): position(feed, stored)}, Names("vtj", "vtj", "0", asked))
