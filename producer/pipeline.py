"""The line: from upstream's pages to Kafka's transactions. What surrounds it wraps its two ends."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing
from typing import Final, Protocol, Self

from producer.model import EncodedPage, Page

# An answer that tells nothing is committed all the same when the last one that was lies so far back (ms): so Kafka
# knows at least daily, of a feed that is asked at least daily, when upstream last answered.
QUIET: Final = 12 * 3_600_000


class Feed(Protocol):
    """Upstream. Raises UpstreamRefused, UpstreamUnavailable, MalformedPage; asking has no effect upstream."""

    async def changes_since(self, cursor: int) -> Page:
        """The page after the cursor. Its own cursor never lies before.

        It moves if the page has change records; records that upstream has not told (kind FOLLOWED) leave it.
        """


class Encoder(Protocol):
    """Turns pages into Kafka records. Never raises for content: what cannot be understood becomes a dead letter."""

    def slices(self, page: Page) -> Generator[None, None, EncodedPage]:
        """Yields every millisecond or two of work, so that Kafka's answers do not wait behind the encoding."""


class Shard(Protocol):
    """Kafka, opened for one bucket. Raises Doubt, StepDown, KafkaRefused.

    After any error it must be left; only one that is opened anew knows where to go on.
    """

    @property
    def cursor(self) -> int | None:
        """Where the last commit left the bucket; None before the first one ever."""

    @property
    def answered(self) -> int | None:
        """When upstream's last answer that is committed was read (ms); None before the first commit ever."""

    async def begin(self, cursor: int) -> None:
        """Stores where a new feed begins, before its first request: `today` must not move with every restart."""

    async def commit(self, pages: Sequence[EncodedPage]) -> None:
        """All of these pages, which follow one another, with ledger entry and cursor; or nothing."""


async def line(
    feed: Feed,
    encoder: Encoder,
    shard: Shard,
    start: Callable[[], Awaitable[int]],
    pause: Callable[[], Awaitable[bool]],
    most: int,
) -> None:
    """Moves changes until `pause` says that it was enough. The cursor moves nowhere but in `commit`.

    start: gives the first cursor of a new bucket. pause: waits for the next poll, or returns False to end.
    most: events that pages may bring together into one transaction.
    """
    cursor = shard.cursor
    if cursor is None:
        cursor = await start()
        await shard.begin(cursor)
    async with Ahead(encoded(feed, encoder, cursor, pause, shard.answered), most) as batches:
        async for pages in batches:
            await shard.commit(pages)


async def encoded(
    feed: Feed, encoder: Encoder, cursor: int, pause: Callable[[], Awaitable[bool]], answered: int | None = None
) -> AsyncGenerator[EncodedPage, None]:
    """The pages after the cursor, ready to be sent. A page that tells nothing is passed over, unless it is the first in
    a long time. answered: when the last one that is committed was read (ms); None: of such pages none is wanted.
    """
    up_to_date = False
    while not up_to_date or await pause():
        page = await feed.changes_since(cursor)
        news, cursor, up_to_date = page.cursor != cursor or page.records, page.cursor, page.up_to_date
        # By either sign: a clock that was wrong and is set back must not silence it.
        due = answered is not None and abs(page.fetched_at - answered) >= QUIET
        ready = await encode(encoder, page) if news or due else None
        if answered is not None and ready is not None and ready.answered:
            answered = page.fetched_at
        del page  # a parsed page is ten times its text; it must not live through the wait for the next one
        if ready is not None:
            yield ready
            del ready


async def encode(encoder: Encoder, page: Page) -> EncodedPage:
    """The page as Kafka records, made in slices that give the event loop back."""
    slices = encoder.slices(page)
    while True:
        try:
            next(slices)
        except StopIteration as end:
            done: EncodedPage = end.value
            return done
        await asyncio.sleep(0)


class Ahead:
    """Fetches and encodes pages while earlier ones are being committed, and hands out together what is ready.

    Bounded: no new page is begun while `most` events wait. A page is never split. What was encoded before an error
    is still handed out; then the error is raised.
    """

    def __init__(self, pages: AsyncGenerator[EncodedPage, None], most: int) -> None:
        self._pages = pages
        self._most = most
        self._ready: deque[EncodedPage] = deque()
        self._events = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._filling = asyncio.create_task(self._fill())
        self._filling.add_done_callback(lambda _: self._news.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._filling.cancel()
        await asyncio.wait([self._filling])
        if not self._filling.cancelled():
            self._filling.exception()  # the caller has it already, or is leaving for a reason of its own

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[EncodedPage]:
        while not self._ready and not self._filling.done():
            self._news.clear()
            await self._news.wait()
        if not self._ready:
            self._filling.result()
            raise StopAsyncIteration
        pages = [self._ready.popleft()]
        events = len(pages[0].events)
        while self._ready and events + len(self._ready[0].events) <= self._most:
            events += len(self._ready[0].events)
            pages.append(self._ready.popleft())
        self._events -= events
        self._room.set()
        return pages

    async def _fill(self) -> None:
        async with aclosing(self._pages) as pages:
            async for page in pages:
                self._ready.append(page)
                self._events += len(page.events)
                self._news.set()
                while self._events >= self._most:
                    self._room.clear()
                    await self._room.wait()
