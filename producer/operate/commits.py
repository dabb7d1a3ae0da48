"""A shard that tells what it commits: one log line each."""

import logging
import time
from collections.abc import Sequence
from typing import Final

from producer.model import EncodedPage
from producer.observe.pulse import pulse
from producer.pipeline import Shard

log = logging.getLogger("vtj.line")

COMMITTED: Final = (
    "committed cursor %(cursor)d: %(pages)d page(s), %(records)d record(s), %(events)d event(s), "
    "%(dead)d dead letter(s), %(unmapped)d unmapped in %(ms).0f ms"
)


class LoggedShard:
    def __init__(self, shard: Shard, bucket: str) -> None:
        self._shard = shard
        self._bucket = bucket
        pulse().opened(bucket, shard.cursor, shard.answered)
        if shard.cursor is None:
            log.info("opened at cursor none: a new feed")
        else:
            log.info("opened at cursor %(cursor)d", {"cursor": shard.cursor})

    @property
    def cursor(self) -> int | None:
        return self._shard.cursor

    @property
    def answered(self) -> int | None:
        return self._shard.answered

    async def begin(self, cursor: int) -> None:
        await self._shard.begin(cursor)
        log.info("the feed begins at cursor %(cursor)d", {"cursor": cursor})

    async def commit(self, pages: Sequence[EncodedPage]) -> None:
        began = time.monotonic()
        await self._shard.commit(pages)
        took, last = time.monotonic() - began, pages[-1]
        pulse().committed(self._bucket, pages, took)
        told: dict[str, object] = {
            "cursor": last.cursor,
            "pages": len(pages),
            "records": sum(page.records for page in pages),
            "events": sum(len(page.events) for page in pages),
            "dead": sum(sum(page.dead.values()) for page in pages),
            "unmapped": sum(sum(page.unmapped.values()) for page in pages),
            "ms": round(took * 1000, 1),
            "upToDate": last.up_to_date,
        }
        # Pages are fetched ahead, in another task: the request that this one may know is not theirs.
        if requests := [page.request for page in pages if page.request]:
            told["xRoadId"] = ", ".join(requests)
        log.info(COMMITTED if last.up_to_date else f"{COMMITTED}, more to come", told)
