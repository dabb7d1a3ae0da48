"""`vtj-producer load` of so many persons with a meter on its two ends; settings from the environment, as ever."""

import asyncio
import sys
from collections.abc import Sequence
from unittest.mock import patch

from producer import app
from producer.config import load
from producer.kafka.publisher import Shard
from producer.model import EncodedPage, Page
from producer.operate import logs
from producer.sandbox.hetu import identity
from producer.state.load import Wanted
from producer.upstream.snapshots import Snapshots
from tests.bench.meter import Meter
from tests.bench.pages import SEED

meter = Meter()
commit = Shard.commit


class MeteredSnapshots(Snapshots):
    async def persons(self, codes: Sequence[str]) -> Page:
        meter.first_request()
        return await super().persons(codes)


async def metered(shard: Shard, pages: Sequence[EncodedPage]) -> None:
    await commit(shard, pages)
    meter.committed(sum(len(page.events) for page in pages))


def main(count: int) -> None:
    settings = load().settings
    logs.set_up("warning", settings.log.format)
    wanted = Wanted(codes=[identity(SEED, at)[0] for at in range(count)])
    with patch.object(app, "Snapshots", MeteredSnapshots), patch.object(Shard, "commit", metered):
        app.quiet_collector()
        done = asyncio.run(app.load(settings, wanted, lambda *_: None, into_changes=False, again=False))
    assert (done.answered, done.missed) == (count, 0)
    meter.tell()


if __name__ == "__main__":
    main(int(sys.argv[1]))
