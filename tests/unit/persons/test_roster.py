"""Who has joined and who has left, whatever order the two topics are read in; and each is told once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.config import Settings, Upstream
from producer.events.identities import Known
from producer.kafka.watchlist import Entry
from producer.model import EncodedEvent, Page
from producer.persons.roster import Bucket, Roster

CODES = [f"010190-9{at:02}A" for at in range(6)]
A, B, C, *_ = CODES

# What is read: a code, and the bucket that the watchlist, or the identities, name for it; None: a tombstone.
STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from(CODES), st.sampled_from(["0", "1", None])), max_size=30)


class Asking:
    def __init__(self) -> None:
        self.listed: list[list[str]] = []

    async def changes_since(self, cursor: int, *, bucket: str, listed: bytes) -> Page:
        self.listed.append(orjson.loads(listed))
        return Page("CHANGE", bucket, cursor, cursor, True, 0, ())


async def known(value: bytes) -> Known:
    return Known((), value.decode())


class Read(Roster):
    """late: what is read only when somebody waits for it."""

    late: Sequence[tuple[bool, str, str | None]] = ()

    async def current(self) -> None:
        for step in self.late:
            await read(self, *step)


def roster() -> Read:
    return Read(Settings(upstream=Upstream(watchlist=True)), "test", hidden=None, known=known)


async def read(one: Roster, watchlist: bool, code: str, bucket: str | None) -> None:
    table: Any = one.watched if watchlist else one.identities
    value = None if bucket is None else Entry(bucket, None, 0).encode() if watchlist else bucket.encode()
    await table._put(code, value)


@given(STEPS)
def test_joining_and_leaving_are_what_the_two_topics_say(steps: list[tuple[bool, str, str | None]]) -> None:
    one = roster()

    async def go() -> None:
        for step in steps:
            await read(one, *step)

    asyncio.run(go())
    listed = {code: entry.bucket for code, entry in one.watched.rows.items()}
    there = {key: row.bucket for key, row in one.identities.rows.items()}
    for bucket in ("0", "1"):
        assert {*one.members[bucket]} == {code for code in listed if listed[code] == bucket}
        assert {*one.joining[bucket]} == {code for code in listed if listed[code] == bucket and code not in there}
        assert {*one.leaving[bucket]} == {key for key in there if there[key] == bucket and key not in listed}
        assert (bucket in one.buckets) == bool(one.members[bucket] or one.leaving[bucket])


async def test_each_is_told_once_and_the_list_is_asked_for_after_that() -> None:
    one, asking = roster(), Asking()
    await read(one, True, A, "0")
    await read(one, False, B, "0")
    bucket = Bucket(one, "0", asking)
    page = await bucket.changes_since(7)
    assert (page.kind, page.previous, page.cursor, page.up_to_date) == ("FOLLOWED", 7, 7, False)
    assert dict(page.records) == {A: True, B: False}
    assert (await bucket.changes_since(7)).kind == "CHANGE"
    await read(one, False, A, "0")  # what was told is committed
    await read(one, False, B, None)
    await read(one, True, C, "0")
    assert dict((await bucket.changes_since(7)).records) == {C: True}
    await bucket.changes_since(7)
    await read(one, True, A, None)
    assert dict((await bucket.changes_since(7)).records) == {A: False}
    await bucket.changes_since(7)
    assert asking.listed == [[A], [A, C], [C]]


async def test_who_was_told_to_a_line_that_did_not_commit_is_told_to_the_next() -> None:
    one = roster()
    await read(one, True, A, "0")
    for _ in range(2):
        assert dict((await Bucket(one, "0", Asking()).changes_since(7)).records) == {A: True}


async def test_an_empty_bucket_asks_nobody() -> None:
    """A request without a list would be one for everybody."""
    asking = Asking()
    page = await Bucket(roster(), "0", asking).changes_since(7)
    assert (page.cursor, page.up_to_date, asking.listed) == (7, True, [])


async def test_news_wake_whoever_waits() -> None:
    one = roster()
    bucket = Bucket(one, "0", Asking())
    waiting = asyncio.ensure_future(bucket.news())
    await read(one, True, A, "1")
    await asyncio.sleep(0)
    assert not waiting.done()
    await read(one, True, A, "0")
    async with asyncio.timeout(5):
        await waiting


async def test_a_new_code_goes_beside_the_old_one() -> None:
    one, asking = roster(), Asking()
    await read(one, True, A, "0")
    await read(one, False, A, "0")
    await read(one, True, B, "1")
    bucket = Bucket(one, "0", asking)
    page = Page("CHANGE", "0", 1, 2, True, 1000, ())
    assert list(bucket.joining((B, C), page)) == [], "nobody of this bucket"
    (event,) = bucket.joining((A, B, C), page)
    assert isinstance(event, EncodedEvent)
    assert (event.topic, event.key) == ("vtj.watchlist", C.encode())
    assert orjson.loads(event.value)["bucket"] == "0"
    assert list(bucket.joining((A, C), page)) == []
    await bucket.changes_since(2)
    assert asking.listed == [[A, C]]


async def test_a_new_code_has_not_left_when_its_identity_is_read_before_the_watchlist() -> None:
    one, asking = roster(), Asking()
    for topic in (True, False):
        await read(one, topic, A, "0")
    bucket = Bucket(one, "0", asking)
    assert len(list(bucket.joining((A, B), Page("CHANGE", "0", 1, 2, True, 1000, ())))) == 1
    await read(one, False, B, "0")
    one.late = [(True, B, "0")]
    assert (await bucket.changes_since(2)).kind == "CHANGE"
    one.late = []
    await read(one, True, B, None)  # somebody removes the new code
    assert dict((await bucket.changes_since(2)).records) == {B: False}
    await bucket.changes_since(2)
    assert asking.listed == [[A, B], [A]]


async def test_who_is_erased_has_not_joined_when_the_identity_goes_before_the_watchlist() -> None:
    one, asking = roster(), Asking()
    for topic, code in ((True, A), (False, A), (True, B), (False, B)):
        await read(one, topic, code, "0")
    bucket = Bucket(one, "0", asking)
    await read(one, False, A, None)
    one.late = [(True, A, None)]
    assert (await bucket.changes_since(2)).kind == "CHANGE"
    assert asking.listed == [[B]]


def test_the_watchlist_is_read_strictly() -> None:
    from producer.errors import CursorUnreadable
    from producer.kafka.watchlist import decode

    for value in (b"", b"{}", b"[1]", b'{"bucket":1,"begin":null,"since":0}', Entry("0", None, 0, version=2).encode()):
        with pytest.raises(CursorUnreadable):
            asyncio.run(decode(value))
