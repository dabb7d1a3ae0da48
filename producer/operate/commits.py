"""A publisher that tells what it commits: one log line each."""

import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from producer.model import EncodedPage
from producer.pipeline import Publisher, Shard

log = logging.getLogger("vtj.line")


class LoggedPublisher:
    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shard]:
        async with self._publisher.open() as shard:
            log.info("opened at cursor %s", "none: a new feed" if shard.cursor is None else shard.cursor)
            yield LoggedShard(shard)


class LoggedShard:
    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    @property
    def cursor(self) -> int | None:
        return self._shard.cursor

    async def begin(self, cursor: int) -> None:
        await self._shard.begin(cursor)
        log.info("the feed begins at cursor %d", cursor)

    async def commit(self, pages: Sequence[EncodedPage]) -> None:
        began = time.monotonic()
        await self._shard.commit(pages)
        log.info(
            "committed cursor %d: %d page(s), %d record(s), %d event(s), %d dead letter(s), %d unmapped in %.0f ms%s",
            pages[-1].cursor,
            len(pages),
            sum(page.records for page in pages),
            sum(len(page.events) for page in pages),
            sum(sum(page.dead.values()) for page in pages),
            sum(sum(page.unmapped.values()) for page in pages),
            (time.monotonic() - began) * 1000,
            "" if pages[-1].up_to_date else ", more to come",
        )
