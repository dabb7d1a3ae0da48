"""`vtj-producer load` of so many persons with a meter on its two ends; settings from the environment, as ever."""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from producer.app import parts
from producer.app.load import load as load_state
from producer.config import Settings, load
from producer.kafka.shard import Shard
from producer.model import EncodedPage, Page
from producer.operate import logs
from producer.sandbox.hetu import identity
from producer.state.load import Codes, Progress, Wanted
from producer.upstream.persons import read_persons
from producer.upstream.retrying import Snapshots
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


async def _load(settings: Settings, wanted: Wanted) -> Progress:
    made = await parts.parts(settings)
    return await load_state(made, wanted, lambda *_: None, into_changes=False, again=False)


def main(count: int) -> None:
    settings = load().settings
    logs.set_up("warning", settings.log.format)
    with tempfile.NamedTemporaryFile("w") as file:  # as a customer has it
        file.writelines(f"{identity(SEED, at)[0]}\n" for at in range(count))
        file.flush()
        wanted = Wanted(codes=Codes(read_persons(Path(file.name))))
    with patch.object(parts, "Snapshots", MeteredSnapshots), patch.object(Shard, "commit", metered):
        done = asyncio.run(_load(settings, wanted))
    assert (done.answered, done.missed) == (count, 0)
    meter.tell()


if __name__ == "__main__":
    main(int(sys.argv[1]))
