"""The line and what runs ahead of it, between an upstream and a Kafka that are lists."""

import asyncio
import itertools
from collections.abc import Generator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import Doubt, MalformedPage
from producer.model import EncodedEvent, EncodedPage, Page
from producer.pipeline import encoded, line


class Log:
    """Upstream: entries 1…n, `size` a page; fails once it is asked with `broken`."""

    def __init__(self, entries: int, size: int, broken: int | None = None) -> None:
        self.entries, self.size, self.broken = entries, size, broken
        self.asked: list[int] = []

    async def changes_since(self, cursor: int) -> Page:
        self.asked.append(cursor)
        await asyncio.sleep(0)
        if cursor == self.broken:
            raise MalformedPage("broken", hint="")
        end = min(cursor + self.size, self.entries)
        return Page("CHANGE", "0", cursor, end, end == self.entries, 0, list(range(cursor + 1, end + 1)))


class Numbers:
    """An encoder that makes one event of each record."""

    def slices(self, page: Page) -> Generator[None, None, EncodedPage]:
        yield
        events = [EncodedEvent("t", None, str(record).encode(), [], 0, 0) for record in page.records]
        at = page.fetched_at
        return EncodedPage(page.bucket, page.previous, page.cursor, page.up_to_date, at, len(events), events)


class Topic:
    """Kafka: what was committed, in order, with the transactions it came in."""

    def __init__(self, cursor: int | None = 0, fails_at: int | None = None) -> None:
        self.cursor, self.fails_at = cursor, fails_at
        self.answered: int | None = None
        self.transactions: list[list[int]] = []
        self.begun: list[int] = []

    async def begin(self, cursor: int) -> None:
        self.begun.append(cursor)
        self.cursor = cursor

    async def commit(self, pages: Sequence[EncodedPage]) -> None:
        for _ in range(20):  # a commit takes longer than a page
            await asyncio.sleep(0)
        if self.fails_at == len(self.transactions):
            raise Doubt("planted")
        assert pages[0].previous == self.cursor
        for earlier, later in itertools.pairwise(pages):
            assert earlier.cursor == later.previous
        self.cursor = pages[-1].cursor
        self.transactions.append([int(event.value) for page in pages for event in page.events])

    @property
    def committed(self) -> list[int]:
        return [number for transaction in self.transactions for number in transaction]


async def start() -> int:
    return 3


async def enough() -> bool:
    return False


@given(entries=st.integers(0, 60), size=st.integers(1, 20), most=st.integers(1, 50))
def test_every_entry_is_committed_once_and_in_order(entries: int, size: int, most: int) -> None:
    topic = Topic()
    asyncio.run(line(Log(entries, size), Numbers(), topic, start, enough, most))
    assert topic.committed == list(range(1, entries + 1))
    assert all(len(transaction) <= max(most, size) for transaction in topic.transactions)


async def test_pages_share_a_transaction_while_one_is_being_committed() -> None:
    topic = Topic()
    await line(Log(100, 1), Numbers(), topic, start, enough, 10)
    assert 1 < max(map(len, topic.transactions)) <= 10


async def test_a_new_feed_stores_its_beginning_before_its_first_request() -> None:
    log, topic = Log(5, 10), Topic(cursor=None)
    await line(log, Numbers(), topic, start, enough, 10)
    assert (topic.begun, log.asked[0], topic.committed) == ([3], 3, [4, 5])


async def test_a_stored_cursor_goes_before_the_start() -> None:
    topic = Topic(cursor=4)
    await line(Log(5, 10), Numbers(), topic, start, enough, 10)
    assert (topic.begun, topic.committed) == ([], [5])


async def test_a_page_that_moves_nothing_is_not_committed() -> None:
    topic = Topic(cursor=5)
    await line(Log(5, 10), Numbers(), topic, start, enough, 10)
    assert topic.transactions == []


async def test_what_was_fetched_before_an_error_is_committed_first() -> None:
    topic = Topic()
    with pytest.raises(MalformedPage):
        await line(Log(50, 10, broken=30), Numbers(), topic, start, enough, 1000)
    assert topic.committed == list(range(1, 31))


async def test_a_failed_commit_ends_the_line_and_the_cursor_stays() -> None:
    topic = Topic(fails_at=1)
    with pytest.raises(Doubt):
        await line(Log(50, 10), Numbers(), topic, start, enough, 10)
    assert topic.cursor == len(topic.committed)


async def test_not_more_is_fetched_ahead_than_allowed() -> None:
    log, release = Log(1000, 10), asyncio.Event()

    class Stuck(Topic):
        async def commit(self, pages: Sequence[EncodedPage]) -> None:
            await release.wait()
            await super().commit(pages)

    topic = Stuck()
    running = asyncio.create_task(line(log, Numbers(), topic, start, enough, 50))
    asked = -1
    while asked != len(log.asked):  # until it stands still
        asked = len(log.asked)
        for _ in range(50):
            await asyncio.sleep(0)
    assert log.asked[-1] <= 10 + 50 + 10
    release.set()
    await running
    assert topic.committed == list(range(1, 1001))


async def test_cancelling_ends_the_line() -> None:
    topic = Topic()

    async def for_ever() -> bool:
        await asyncio.Event().wait()
        return True

    running = asyncio.create_task(line(Log(5, 10), Numbers(), topic, start, for_ever, 50))
    while not topic.transactions:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


class Quiet:
    """Upstream: nothing new at cursor 5, asked at these hours."""

    def __init__(self, *hours: float) -> None:
        self.hours = list(hours)

    async def changes_since(self, cursor: int) -> Page:
        return Page("CHANGE", "0", cursor, cursor, True, int(self.hours.pop(0) * 3_600_000), [])

    async def again(self) -> bool:
        return bool(self.hours)


@pytest.mark.parametrize(
    ("hours", "kept"),
    [
        ((1, 11.9, 12, 13, 23.9, 24.1, 25), 2),
        (range(1, 101), 8),
        ((24, 48, 72), 3),  # asked once a day it is known once a day
        ((11.9, 23.8, 35.7, 47.6), 2),
        ((-500, -499), 1),  # the clock was wrong when the last answer was stored
    ],
)
async def test_of_answers_that_tell_nothing_one_is_committed_now_and_then(hours: Sequence[float], kept: int) -> None:
    feed = Quiet(*hours)
    pages = [page async for page in encoded(feed, Numbers(), 5, feed.again, 0)]
    assert [(page.previous, page.cursor, page.up_to_date, page.records) for page in pages] == [(5, 5, True, 0)] * kept


async def test_the_line_goes_by_what_is_stored() -> None:
    for stored, kept in ((0, [[]]), (40 * 3_600_000, []), (None, [])):
        feed, topic = Quiet(50), Topic(cursor=5)
        topic.answered = stored
        await line(feed, Numbers(), topic, start, feed.again, 10)
        assert topic.transactions == kept


async def test_who_joins_is_no_answer_of_upstream() -> None:
    """Nothing but persons who come and go, twice a day: what was last heard must not seem younger by that."""
    feed, joins = Quiet(6, 12, 18), [True, False, True, False, True, False]

    class Joining(Quiet):
        async def changes_since(self, cursor: int) -> Page:
            if not joins.pop(0):
                return await feed.changes_since(cursor)
            return Page("FOLLOWED", "0", cursor, cursor, False, int(feed.hours[0] * 3_600_000), [1])

        async def again(self) -> bool:
            return bool(joins)

    joining = Joining()
    pages = [page async for page in encoded(joining, Numbers(), 5, joining.again, 0)]
    assert [(page.records, page.answered) for page in pages] == [(1, False), (1, False), (0, True), (1, False)]
