"""Pages that break the rules: no crash, nothing vanishes, and nothing personal in what people see."""

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from producer.cli.convert import lines, summary
from producer.errors import MalformedPage
from producer.events.convert import Converter
from producer.events.deadletter import REASONS
from producer.events.decode import Decoder
from producer.events.fit import whole
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.events.protection import Protection
from producer.events.pseudonyms import Pseudonyms
from producer.model import EncodedPage, Page
from producer.upstream.answer import parse_page
from tests import privacy
from tests.contract.converting import changes, snapshot
from tests.contract.rebuild import rebuild, same
from tests.oracle.upstream import usable

FOLDER = Path(__file__).parents[2] / "schemas" / "examples"
EXAMPLES = [json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.iterdir())]
CODE = "140385-917Y"  # the person of the examples
LETTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
THOROUGH = settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow])

CODEPOINTS = st.characters(codec=None)  # lone surrogates too: JSON can spell them
WORDS = st.sampled_from(
    ["arvo", "tarkkuus", "tietoryhma", "muutosattribuutti", "voimassaolevatTiedot", "turvakiellonAlaisetKentat"]
) | st.sampled_from(
    ["tietoryhmat", "henkilotunnus", "muutospv", "huoltaja", "uusi", "a.b", "huoltaja.x", "[0]", "..", "../x"]
)
TEXTS = st.one_of(
    st.text(CODEPOINTS, max_size=8),
    WORDS,
    st.sampled_from([CODE, "010180-9945", "KOTIKUNTA", "HENKILOTUNNUS_KORJAUS", "LISATTY", "POISTETTU", "EI_TIEDOSSA"]),
    st.sampled_from(["2026-02-30", "2026-11-02", "0000-01-01", "٢٠٢٦-01-01", "2026-11-02T07:15:04.394Z", "x" * 200]),
    st.sampled_from(
        ["2026-11-02T07:15:04.3941Z", "0001-01-01T00:00:00+14:00", "2026-11-02T07:15:04", "2026-W01-1T07:15:04Z"]
    ),
)
NUMBERS = (
    st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0, 1, 2**31])
)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
NAMES = WORDS | TEXTS
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@cache
def machinery() -> tuple[Converter, Decoder]:
    catalogue, framing = Catalogue.load(), SingleObject()
    return Converter(catalogue, framing, prefix="vtj", feed="vtj"), Decoder(catalogue)


def converted(answer: dict[str, Any]) -> tuple[Page, EncodedPage, list[dict[str, Any]]]:
    """What the answer's bytes become; the answer is parsed as upstream's are."""
    converter, decoder = machinery()
    page = parse_page(json.dumps(answer).encode(), bucket="0", previous=1, fetched_at=0)
    encoded = converter.convert(page)
    return page, encoded, [json.loads(line) for line in lines(encoded, decoder)]


def containers(value: Any) -> list[Any]:
    """Every object and list in the value, itself included."""
    found = []
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, dict | list):
            found.append(one)
            rest += one.values() if isinstance(one, dict) else one
    return found


@st.composite
def mutated(draw: st.DrawFn) -> list[Any]:
    """Two records of one to three example groups, then up to four changes anywhere in them."""
    records = []
    for _ in range(draw(st.integers(1, 2))):
        parts = draw(st.lists(st.sampled_from(EXAMPLES), min_size=1, max_size=3))
        record = json.loads(json.dumps(parts[0]))
        record["tietoryhmat"] += json.loads(json.dumps([part["tietoryhmat"][0] for part in parts[1:]]))
        if draw(st.booleans()):
            group = record["tietoryhmat"][-1]
            valid = {n: v for n, v in group.items() if n != "muutosattribuutti"}
            group["voimassaolevatTiedot"] = [valid, {**valid, "uusi": 2}]
        if draw(st.booleans()):
            record["tietoryhmat"].append(
                {
                    "tietoryhma": "KOTIKUNTA",
                    "muutosattribuutti": "MUUTETTU",
                    "turvakiellonAlaisetKentat": ["kuntakoodi"],
                }
            )
        records.append(record)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(containers(records)))
        if isinstance(place, dict):
            names = st.sampled_from(sorted(place)) if place else NAMES
            name = draw(names | NAMES)
            if draw(st.booleans()):
                place[name] = draw(JSON)
            else:
                place.pop(name, None)
        elif place and draw(st.booleans()):
            at = draw(st.integers(0, len(place) - 1))
            if draw(st.booleans()):
                place[at] = draw(JSON)
            else:
                del place[at]
        else:
            place.insert(draw(st.integers(0, len(place))), draw(JSON))
    return records


PAGES = st.one_of(
    st.builds(changes, mutated()),
    st.builds(snapshot, mutated()),
    st.builds(changes, st.lists(JSON, max_size=3)),
    st.builds(
        lambda records, extra: {**extra, **changes(records)}, mutated(), st.dictionaries(NAMES, JSON, max_size=2)
    ),
)


BODIES = st.builds(
    lambda answer, at, size, put: (body := json.dumps(answer).encode())[:at] + put + body[at + size :],
    PAGES,
    st.integers(0, 3000),
    st.integers(0, 40),
    st.binary(max_size=6) | st.sampled_from([b"", b'"', b"]", b"}", b"null", b"\xef\xbb\xbf", b"1e999", b"NaN", b"-"]),
)


def due(record: Any) -> int:
    """How many Kafka records a change record must become, first principles; the page's test is that many are there."""
    if not isinstance(record, dict):
        return 1
    code, groups, others = record.get("henkilotunnus"), record.get("tietoryhmat"), set[str]()
    if not usable(code):
        prt = record.get("rakennustunnus")
        if not (
            isinstance(prt, str) and re.fullmatch(r"[0-9]{9}[0-9A-Y]", prt) and prt[9] == LETTERS[int(prt[:9]) % 31]
        ):
            return 1
        code = prt
    if not isinstance(groups, list) or not any(isinstance(group, dict) for group in groups):
        return 1
    for group in groups:
        if isinstance(group, dict) and group.get("tietoryhma") == "HENKILOTUNNUS_KORJAUS":
            named = (group.get("aktiivinenHenkilotunnus"), group.get("muutettuHenkilotunnus"))
            others |= {str(one) for one in named if usable(one) and one != code}
    objects = sum(isinstance(group, dict) for group in groups)
    return len(groups) + objects * len(others)


def judge_page(answer: dict[str, Any]) -> None:
    """Whatever the settings, everything is there: rebuilt from its bytes, or at least counted."""
    page, _, out = converted(answer)
    records, extra = rebuild(out)
    assert len(records) == len(page.records)
    assert all(map(same, page.records, records))
    if any("eventId" in line["value"] for line in out):
        assert same(dict(page.extra), extra)
    snapshot = "perustiedot" in answer
    expected = len(page.records) if snapshot else sum(map(due, page.records))
    for one in ways():
        events = [event for event in one.convert(page).events if ("ce_reason", b"turvakielto") not in event.headers]
        assert len(events) >= expected if snapshot else len(events) == expected


def judge_body(body: bytes) -> None:
    """Bytes that are no answer are refused in a sentence that quotes nothing of them, or they are one."""
    try:
        page = parse_page(body, bucket="0", previous=1, fetched_at=0)
    except MalformedPage as error:
        told = f"{error} {error.hint} {error.__context__}"
    else:
        told = repr(machinery()[0].convert(page))
    assert not privacy.shown(told)


@settings(deadline=None, max_examples=250)
@given(BODIES)
def test_bytes_that_are_no_answer(body: bytes) -> None:
    judge_body(body)


@THOROUGH
@given(PAGES)
@example(changes([{"henkilotunnus": CODE, "tietoryhmat": [{"tietoryhma": "KOTIKUNTA", "..": 1}], "..": 2}]))
@example(changes([{"henkilotunnus": CODE, "tietoryhmat": [{"tietoryhma": "", "uusi": 1}]}]))
@example(changes([{"henkilotunnus": CODE, "tietoryhmat": [5], "muutospv": "x"}]))
@example(changes([{"henkilotunnus": CODE, "tietoryhmat": [None, {"tietoryhma": "KOTIKUNTA"}], "uusi": 1}]))
@example(changes([{"henkilotunnus": CODE, "tietoryhmat": [{"tietoryhma": "KOTIKUNTA", "a.b": 1, "a": {"b": 2}}]}]))
def test_a_page_can_be_rebuilt_from_its_events(answer: dict[str, Any]) -> None:
    judge_page(answer)


@THOROUGH
@given(PAGES)
def test_what_came_of_a_page_is_counted_and_has_a_readable_reason(answer: dict[str, Any]) -> None:
    _, encoded, out = converted(answer)
    letters = [line["value"] for line in out if line["topic"] == "vtj.dead-letter"]
    assert sum(encoded.dead.values()) == len(letters)
    assert {letter["reason"]: letter["detail"] for letter in letters}.items() <= REASONS.items()
    for line in out:
        headers = line["headers"]
        assert headers.keys() - {"ce_time"} == {"ce_id", "ce_source", "ce_type", "ce_specversion", "content-type"}
        if "unmapped" in line["value"]:
            assert headers["ce_id"] == line["value"]["eventId"]
            assert encoded.unmapped or not line["value"]["unmapped"]


@THOROUGH
@given(PAGES)
def test_ids_do_not_depend_on_fetch_or_key_order(answer: dict[str, Any]) -> None:
    def backward(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: backward(value[name]) for name in reversed(value)}
        return [backward(item) for item in value] if isinstance(value, list) else value

    _, encoded, _ = converted(answer)
    converter, _ = machinery()
    if "muutokset" in answer:
        answer = {**answer, "viimeisinKirjausavain": 9}
    again = converter.convert(
        parse_page(json.dumps(backward(answer)).encode(), bucket="7", previous=5, fetched_at=1_800_000_000_000)
    )
    assert [event.headers[0] for event in again.events] == [event.headers[0] for event in encoded.events]
    assert [event.key for event in again.events] == [event.key for event in encoded.events]


@cache
def of_no_permit(*, hidden: bool) -> tuple[Converter, Converter]:
    """One that knows no group, and one that knows all."""
    catalogue = Catalogue.load()
    secret = Pseudonyms(b"k" * 32, 1) if hidden else None
    made = [Converter(one, SingleObject(), prefix="vtj", feed="vtj", hidden=secret) for one in _permits(catalogue)]
    return made[0], made[1]


def _permits(catalogue: Catalogue) -> list[Catalogue]:
    return [catalogue.within(()), catalogue]


@cache
def ways() -> list[Converter]:
    """Of plain codes, of pseudonyms, each with and without groups; and with restricted topics."""
    restricted = Converter(Catalogue.load(), SingleObject(), prefix="vtj", feed="vtj", protection=Protection())
    return [*of_no_permit(hidden=False), *of_no_permit(hidden=True), restricted]


@THOROUGH
@given(PAGES, st.booleans())
def test_what_had_no_schema_becomes_what_it_would_have_been(answer: dict[str, Any], hidden: bool) -> None:
    judge_again(answer, hidden=hidden)


def judge_again(answer: dict[str, Any], *, hidden: bool) -> None:
    """Byte by byte, from the unmapped event alone."""
    narrow, wide = of_no_permit(hidden=hidden)
    page = replace(parse_page(json.dumps(answer).encode(), bucket="0", previous=1, fetched_at=7), kind="CHANGE")
    expected = {
        (event.key, event.position, event.headers[0]): event
        for event in wide.convert(replace(page, kind="REPLAY", bucket="letters")).events
    }
    for event in narrow.convert(page).events:
        if event.topic == "vtj.change.unmapped":
            told = machinery()[1].decode(event.value)
            if told["group"] in Catalogue.load().groups:
                group = whole(told)
                again = replace(page, kind="REPLAY", bucket="letters", records=(), extra=group.page)
                encoding = wide.encoding(again, told["position"])
                encoding.add_again(told, group, event.key or b"", event.headers, restricted=False)
                [found] = encoding.done().events
                same_as = expected[event.key, event.position, event.headers[0]]
                assert (found.topic, found.timestamp, found.headers) == (
                    same_as.topic,
                    same_as.timestamp,
                    same_as.headers,
                )
                assert found.value == same_as.value


@THOROUGH
@given(PAGES)
def test_nothing_personal_where_people_look(answer: dict[str, Any]) -> None:
    page, encoded, _ = converted(answer)
    seen = "\n".join([summary(page, encoded), repr(page), repr(encoded), *map(repr, encoded.events)])
    for personal in (CODE, "010180-9945", "Kallioniemi", "Hillevi", "Keksittykatu", "example.fi"):
        assert personal not in seen
    headers = json.dumps([[value.decode() for _, value in event.headers] for event in encoded.events])
    for personal in (CODE, "010180-9945", "Kallioniemi", "Hillevi", "Keksittykatu", "example.fi"):
        assert personal not in headers


def test_a_record_nested_deeper_than_json_writers_go() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    for record in (deep, {"henkilotunnus": CODE, "tietoryhmat": [{"tietoryhma": "KOTIKUNTA", "kuntakoodi": deep}]}):
        _, encoded, _ = converted(changes([record]))
        assert len(encoded.events) == 1
