"""`vtj-producer run --once` with a meter on the two ends of its line; settings from the environment, as ever."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from producer.app import feeds, run
from producer.config import load
from producer.model import EncodedPage, Page
from producer.operate import logs
from producer.operate.commits import LoggedShard
from producer.upstream.retrying import Retrying
from tests.bench.meter import Meter

meter = Meter()


class MeteredFeed(Retrying):
    async def changes_since(self, cursor: int, **asked: Any) -> Page:
        meter.first_request()
        return await super().changes_since(cursor, **asked)


class MeteredShard(LoggedShard):
    async def commit(self, pages: Sequence[EncodedPage]) -> None:
        await super().commit(pages)
        meter.committed(sum(len(page.events) for page in pages), [page.fetched_at for page in pages])


def main() -> None:
    settings = load().settings
    logs.set_up(settings.log.level, settings.log.format)
    with patch.object(run, "Retrying", MeteredFeed), patch.object(run, "LoggedShard", MeteredShard):
        feeds.run([settings], once=True)
    meter.tell()


if __name__ == "__main__":
    main()
