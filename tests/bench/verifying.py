"""`vtj-producer verify`: how fast it reads what stands in the topics, and in how much memory."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import replace
from typing import Final

from producer.app.parts import parts
from producer.app.verify import Range, verify
from producer.config import Settings, load
from producer.events.convert import Converter
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.kafka.clients import administration
from producer.kafka.names import Names
from producer.kafka.publisher import Publisher
from producer.kafka.topics import apply, planned
from producer.model import Page
from tests.bench.meter import Reading, resident
from tests.bench.pages import pages

PAGES: Final = 4  # of a commit; every commit has the same ones


async def fill(settings: Settings, events: int) -> int:
    """Writes at least so many events as `run` does; returns how many."""
    catalogue = Catalogue.load()
    async with administration(settings.kafka) as admin:
        await apply(admin, planned(settings, catalogue), None)
    converter = Converter(catalogue, SingleObject(), prefix=settings.topics.prefix, feed=settings.feed.name)
    now = time.time_ns() // 1_000_000
    commit = [
        converter.convert(Page("CHANGE", "0", at, at + 1, False, now, records))
        for at, records in enumerate(pages(PAGES), 1)
    ]
    of_topics = dict.fromkeys(catalogue.topics(settings.topics.prefix), settings.topics.partitions)
    publisher = Publisher(
        settings.kafka,
        Names(settings.topics.prefix, settings.feed.name, "0"),
        data_topics={**of_topics, f"{settings.topics.prefix}.dead-letter": 1},
        oversized=converter.oversized,
        instance="bench",
        still_ours=lambda: True,
    )
    written, cursor = 0, 1
    async with publisher.open() as shard:
        await shard.begin(cursor)
        while written < events:
            some = [replace(page, previous=cursor + at, cursor=cursor + at + 1) for at, page in enumerate(commit)]
            await shard.commit(some)
            cursor += len(some)
            written += sum(len(page.events) for page in some)
    return written


async def read() -> None:
    """One line of JSON on standard output, a Reading; resident megabytes at each hundredth of the way."""
    made, rss = await parts(load().settings, check=False), list[float]()

    def progress(done: int, total: int) -> None:
        if done * 100 >= total * (len(rss) + 1):
            rss.append(round(resident(os.getpid()), 1))

    before = time.process_time()
    report = await verify(made, Range(), progress)
    assert report.sound
    reading: Reading = {
        "events": report.events,
        "latencies": [],
        "course": [],
        "commits": report.entries,
        "seconds": report.seconds,
        "cpu": time.process_time() - before,
        "start_cpu": before,
        "rss": rss,
        "peak": resident(os.getpid(), "VmHWM"),
    }
    print(json.dumps(reading))


def measured(bootstrap: str, events: int) -> Reading:
    """Fills topics of its own, and verifies them in a process of its own."""
    environment = {
        "VTJ_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "VTJ_TOPICS__PREFIX": f"verify-{secrets.token_hex(3)}",
        "VTJ_STATE__ENABLED": "false",
    }
    written = asyncio.run(fill(load(environ=environment).settings, events))
    command = [sys.executable, "-m", "tests.bench.verifying"]
    reading: Reading = json.loads(subprocess.check_output(command, env={**os.environ, **environment}))
    assert reading["events"] == written
    return reading


if __name__ == "__main__":
    asyncio.run(read())
