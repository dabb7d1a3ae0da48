import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import MalformedPage
from producer.model import CURSOR_MAX, Page
from producer.upstream.answer import parse_cursor, parse_page, parse_poison
from tests.unit.upstream.conftest import CODES, SECRETS, told


def page(body: bytes | dict[str, Any], previous: int = 5) -> Page:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_page(raw, bucket="b", previous=previous, fetched_at=1_700_000_000_000)


def changes(cursor: Any = 6, records: Any = None, up_to_date: Any = True, **extra: Any) -> dict[str, Any]:
    return {"viimeisinKirjausavain": cursor, "muutokset": records or [], "ajanTasalla": up_to_date, **extra}


def test_a_page_of_changes() -> None:
    record = {"henkilotunnus": CODES[0], "tietoryhmat": []}
    got = page(changes(5446623423, [record, None, 3], up_to_date=False, sivu=2))
    assert (got.kind, got.bucket, got.previous, got.cursor) == ("CHANGE", "b", 5, 5446623423)
    assert (got.up_to_date, got.fetched_at) == (False, 1_700_000_000_000)
    assert got.records == [record, None, 3], "what a record is, is the converter's business"
    assert got.extra == {"sivu": 2}
    assert CODES[0] not in repr(got)


def test_a_snapshot_keeps_the_cursor() -> None:
    got = page({"perustiedot": [{}], "ajanTasalla": True, "poimintapv": "2026-11-01"})
    assert (got.kind, got.previous, got.cursor, got.records) == ("SNAPSHOT", 5, 5, [{}])
    assert got.extra == {"poimintapv": "2026-11-01"}


@pytest.mark.parametrize("cursor", [5, 6, CURSOR_MAX])
def test_an_empty_page_may_move_the_cursor_or_leave_it(cursor: int) -> None:
    assert page(changes(cursor)).cursor == cursor


def test_an_unknown_previous_cursor_is_before_every_other() -> None:
    assert page(changes(0, [{}]), previous=-1).cursor == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is not JSON (0 bytes, empty)"),
        (b"<html>", "is not JSON (6 bytes, looks like HTML or XML)"),
        (b'{"muutokset": [', "looks like JSON cut short"),
        (b"Bad gateway", "(11 bytes, text)"),
        (b"\x1f\x8b\x08", "is not UTF-8 (3 bytes, binary)"),
        (b'{"muutokset": NaN}', "is not JSON"),
        (b'{"muutokset": -Infinity}', "is not JSON"),
        (b'{"muutokset": 1e999}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        ('{"nimi": "Äyräväinen"}'.encode("latin-1"), "is not UTF-8"),
        (b"[]", "a list instead of an object"),
        (b"null", "null instead of an object"),
        (b"{}", "neither muutokset nor perustiedot"),
        (changes() | {"muutokset": {}}, "muutokset in upstream's answer is an object"),
        (changes() | {"muutokset": None}, "muutokset in upstream's answer is null"),
        ({"perustiedot": 1, "ajanTasalla": True}, "perustiedot in upstream's answer is a number"),
        ({"muutokset": [], "ajanTasalla": True}, "has no viimeisinKirjausavain"),
        (changes("6"), "whole number"),
        (changes(6.0), "whole number"),
        (changes(True), "whole number"),
        (changes(None), "whole number"),
        (changes(-1), "whole number"),
        (changes(CURSOR_MAX + 1), "whole number"),
        (changes(2**70), "whole number"),
        (changes(up_to_date=None), "ajanTasalla"),
        (changes(up_to_date="true"), "ajanTasalla"),
        ({"viimeisinKirjausavain": 6, "muutokset": []}, "ajanTasalla"),
        (changes(4), "backward, from 5 to 4"),
        (changes(5, [{}]), "would come again"),
        (changes(5, up_to_date=False), "would never end"),
    ],
)
def test_what_breaks_the_rules(body: bytes | dict[str, Any], reason: str) -> None:
    with pytest.raises(MalformedPage) as caught:
        page(body)
    assert reason in str(caught.value)
    assert caught.value.hint


def test_lone_surrogates_are_json_that_orjson_refuses() -> None:
    body = rb'{"viimeisinKirjausavain": 6, "muutokset": ["\ud800"], "ajanTasalla": true}'
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)
    assert page(body).records == ["\ud800"]


def test_a_byte_order_mark_does_no_harm() -> None:
    assert page(b"\xef\xbb\xbf" + json.dumps(changes()).encode()).cursor == 6


def test_of_doubled_members_the_last_counts() -> None:
    body = b'{"viimeisinKirjausavain": 9, "muutokset": [], "ajanTasalla": true, "viimeisinKirjausavain": 6}'
    assert page(body).cursor == 6
    # The same in the tolerant reader, which this lone surrogate brings in.
    assert page(body.replace(b"[]", rb'["\ud800"]')).cursor == 6


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(CODES)[:-1],
        json.dumps({"muutokset": CODES[0]}),
        json.dumps(changes(SECRETS[-1])),
        f'{{"muutokset": [NaN, "{CODES[0]}"]}}',
    ],
)
def test_nothing_of_a_body_is_in_the_error(body: str) -> None:
    with pytest.raises(MalformedPage) as caught:
        page(body.encode())
    for text in told(caught.value):
        assert not [secret for secret in SECRETS if secret in text]
    assert caught.value.__context__ is None, "the readers' errors hold the whole body"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*changes(), "perustiedot", "x"]), inner),
)


@given(st.binary() | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_a_page_or_malformed(body: bytes) -> None:
    with suppress(MalformedPage):
        assert isinstance(page(body), Page)


def test_the_first_cursor() -> None:
    assert parse_cursor(b'{ "viimeisinKirjausavain": 5446623423 }') == 5446623423
    with pytest.raises(MalformedPage, match="has no viimeisinKirjausavain"):
        parse_cursor(b"{}")
    with pytest.raises(MalformedPage, match="instead of an object"):
        parse_cursor(b"5446623423")


def poison(**members: object) -> Page:
    whole = {"viimeisinKirjausavain": 9, "ajanTasalla": True, "muutokset": [1]} | members
    body = json.dumps({name: one for name, one in whole.items() if one is not None}).encode()
    return parse_poison(body, bucket="b", previous=5, fetched_at=0)


@pytest.mark.parametrize(
    ("members", "records", "up_to_date"),
    [
        ({}, [1], True),
        ({"ajanTasalla": None}, [1], False),
        ({"ajanTasalla": "true", "muu": 1}, [1], False),
        ({"muutokset": {"a": 1}}, [{"a": 1}], True),
        ({"muutokset": "x"}, ["x"], True),
        ({"muutokset": None, "muu": 1}, [{"muu": 1}], True),
    ],
)
def test_a_page_that_can_be_passed_over(members: dict[str, object], records: list[object], up_to_date: bool) -> None:
    page = poison(**members)
    assert (page.kind, page.previous, page.cursor, page.records) == ("CHANGE", 5, 9, records)
    assert (page.up_to_date, page.poison) == (up_to_date, True)


@pytest.mark.parametrize("cursor", [None, "9", 5, 4, -1, 2**63])
def test_a_page_whose_next_cursor_is_none_cannot(cursor: object) -> None:
    with pytest.raises(MalformedPage):
        poison(viimeisinKirjausavain=cursor, ajanTasalla=None)
