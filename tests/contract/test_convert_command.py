"""`vtj-producer convert` from the outside: a process, its streams and its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from producer.events.codesets import Codesets
from tests.contract.converting import Convert, changes, snapshot
from tests.contract.rebuild import rebuild, same

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
CODE = "140385-917Y"
RECORD = {
    "henkilotunnus": CODE,
    "tietoryhmat": [{"tietoryhma": "KOTIKUNTA", "muutosattribuutti": "LISATTY", "kuntakoodi": "091"}],
    "muutospv": "2026-11-02T07:15:04.394Z",
}
ODD = {**RECORD, "tietoryhmat": [{**RECORD["tietoryhmat"][0], "uusi": "Kallioniemi"}, 5, {"tietoryhma": "JOKU_MUU"}]}  # type: ignore[dict-item]


def vtj(*arguments: str, standard_input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "producer", "convert", *arguments]
    return subprocess.run(command, input=standard_input, capture_output=True, check=False)


def test_a_line_for_each_kafka_record(convert: Convert) -> None:
    [line] = convert(changes([RECORD]))
    assert list(line) == ["topic", "key", "headers", "value"]
    assert (line["topic"], line["key"]) == ("vtj.change.kotikunta", CODE)
    assert line["headers"]["ce_time"] == "2026-11-02T07:15:04.394Z"
    assert line["value"]["fetchedAt"] == "1970-01-01T00:00:00Z"
    assert line["value"]["data"]["kuntakoodi"] == "091"
    assert convert.exit_code == 0
    assert convert.summary == "muutokset, cursor 5446623423, ajanTasalla true: 1 records, 1 events\n"


def test_what_was_odd_is_summed_up_by_name_alone(convert: Convert) -> None:
    lines = convert(changes([ODD, 7, ODD]))
    assert [line["topic"].removeprefix("vtj.") for line in lines[:4]] == [
        "change.kotikunta",
        "dead-letter",
        "change.unmapped",
        "dead-letter",
    ]
    assert convert.exit_code == 0
    assert convert.summary.splitlines() == [
        "muutokset, cursor 5446623423, ajanTasalla true: 3 records, 4 events",
        "unmapped:",
        "  2 × JOKU_MUU",
        "  2 × KOTIKUNTA.uusi",
        "dead letters:",
        "  2 × group-not-object",
        "  1 × record-not-object",
    ]


def test_what_the_permit_does_not_cover_is_summed_up_and_whole(
    convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VTJ_PERMIT__GROUPS", "KUOLINPAIVA")
    lines = convert(changes([ODD]), "--strict")
    assert (lines[0]["topic"], lines[0]["headers"]["ce_reason"]) == ("vtj.change.unmapped", "outside-permit")
    assert "ce_reason" not in lines[2]["headers"]
    assert convert.exit_code == 1
    assert convert.summary.splitlines()[1:4] == ["unmapped:", "  1 × JOKU_MUU", "  1 × KOTIKUNTA (outside-permit)"]
    [rebuilt], _ = rebuild(lines)
    assert same(ODD, rebuilt)


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (changes([RECORD]), 0),
        (changes([]), 0),
        (snapshot([]), 0),
        (changes([RECORD, 5]), 1),
        (changes([ODD]), 1),
        (snapshot([], poimintapv="2026-11-01"), 0),  # known, though no field of the envelope
        (snapshot([], uusi="2026-11-01"), 1),
    ],
)
def test_strict(convert: Convert, answer: object, exit_code: int) -> None:
    convert(answer, "--strict")
    assert convert.exit_code == exit_code


def test_an_answer_without_changes_prints_nothing(convert: Convert) -> None:
    assert convert(changes([])) == []
    assert convert.summary == "muutokset, cursor 5446623423, ajanTasalla true: 0 records, 0 events\n"


def test_labels_stand_beside_the_event_which_stays_as_it_was(convert: Convert) -> None:
    examples = [json.loads(path.read_text("utf-8")) for path in sorted(EXAMPLES.iterdir())]
    answer = changes([*examples, ODD])
    plain = convert(answer)
    assert all("labels" not in line for line in plain)
    labelled = convert(answer, "--labels")
    labels = [line.pop("labels") for line in labelled]
    assert labelled == plain
    by_topic = {line["topic"].removeprefix("vtj.change."): one for line, one in zip(plain, labels, strict=True)}
    assert by_topic["kotikunta"]["data.kuntakoodi"] == "Helsinki"
    assert by_topic["huoltaja"]["data.huoltaja.sukupuoli"] == "Mies"
    assert by_topic["kansalaisuus"]["data.korjatutKansalaisuudet[0].kansalaisuuskoodi"] == "Ruotsi"
    assert by_topic["vtj.dead-letter"] == by_topic["unmapped"] == {}
    assert b"Kallioniemi" not in json.dumps(labels).encode()


@pytest.mark.parametrize(("language", "label"), [("fi", "Helsinki"), ("sv", "Helsingfors"), ("en", "Helsinki")])
def test_labels_in_a_language(convert: Convert, language: str, label: str) -> None:
    [line] = convert(changes([RECORD]), "--labels", language)
    assert line["labels"]["data.kuntakoodi"] == label


def test_code_sets_are_read_for_labels_alone(convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("the code sets were read")

    monkeypatch.setattr(Codesets, "load", refuse)
    convert(changes([RECORD]))
    with pytest.raises(AssertionError):
        convert(changes([RECORD]), "--labels")


def test_the_same_answer_gives_the_same_output(convert: Convert) -> None:
    answer = changes([RECORD, ODD, None])
    convert(answer)
    first = (convert.output, convert.summary)
    convert(answer)
    assert (convert.output, convert.summary) == first


def test_the_prefix_and_the_feed_are_settings(convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VTJ_TOPICS__PREFIX", "koe")
    monkeypatch.setenv("VTJ_FEED__NAME", "kunta")
    [line] = convert(changes([RECORD]))
    assert (line["topic"], line["headers"]["ce_source"]) == ("koe.change.kotikunta", "urn:vtj:feed:kunta")


def test_standard_input() -> None:
    body = json.dumps(changes([RECORD])).encode()
    for arguments in ((), ("-",), ("-", "--strict")):
        done = vtj(*arguments, standard_input=body)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
        assert b"1 records, 1 events" in done.stderr


@pytest.mark.parametrize(
    ("body", "exit_code", "says"),
    [
        (b"", 4, "empty"),
        (b"  \n", 4, "empty"),
        (b'{"henkilotunnus": "140385-917Y", "muutokset": [', 4, "not JSON"),
        (b"<html>140385-917Y</html>", 4, "not JSON"),
        (b'"140385-917Y"', 4, "instead of an object"),
        (b'{"140385-917Y": []}', 4, "neither muutokset nor perustiedot"),
        (b'{"muutokset": {"140385-917Y": 1}}', 4, "not a list"),
        (b'{"muutokset": [], "ajanTasalla": true}', 4, "viimeisinKirjausavain"),
        (b'{"perustiedot": ["140385-917Y"]}', 4, "ajanTasalla"),
        (b"\xff140385-917Y", 4, "not UTF-8"),
    ],
)
def test_what_is_no_answer_is_told_in_a_sentence(body: bytes, exit_code: int, says: str) -> None:
    done = vtj("--strict", standard_input=body)
    told = done.stderr.decode()
    assert (done.returncode, done.stdout) == (exit_code, b"")
    assert says in told
    assert "cursor stays" not in told
    assert "Traceback" not in told
    assert CODE not in told
    assert told.startswith("vtj-producer: ")
    assert "\n  → " in told


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        done = vtj(str(path))
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"cannot be read" in done.stderr
        assert b"Traceback" not in done.stderr
