"""`vtj-producer run --once` with a meter on the two ends of its line; settings from the environment, as ever."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from unittest.mock import patch

from producer import app
from producer.config import load
from producer.model import EncodedPage, Page
from producer.operate import logs
from producer.operate.commits import LoggedPublisher, LoggedShard
from producer.pipeline import Shard
from producer.upstream.retrying import Retrying
from tests.bench.meter import Meter

meter = Meter()


class MeteredFeed(Retrying):
    async def changes_since(self, cursor: int) -> Page:
        meter.first_request()
        return await super().changes_since(cursor)


class MeteredShard(LoggedShard):
    async def commit(self, pages: Sequence[EncodedPage]) -> None:
        await super().commit(pages)
        meter.committed(sum(len(page.events) for page in pages))


class MeteredPublisher(LoggedPublisher):
    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shard]:
        async with super().open() as shard:
            yield MeteredShard(shard)


def main() -> None:
    settings = load().settings
    logs.set_up(settings.log.level, settings.log.format)
    with patch.object(app, "Retrying", MeteredFeed), patch.object(app, "LoggedPublisher", MeteredPublisher):
        app.run(settings, once=True)
    meter.tell()


if __name__ == "__main__":
    main()
