"""The composition root: the only place that names concrete classes and puts them together."""

import asyncio
import gc
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from zoneinfo import ZoneInfo

from producer.config import Settings
from producer.errors import Doubt, KafkaGone, SettingsError, Stop
from producer.events.convert import Converter
from producer.events.framing import Framing, SingleObject
from producer.events.groups import Catalogue
from producer.kafka import ownership, topics
from producer.kafka.connection import administration
from producer.kafka.names import Names
from producer.kafka.publisher import Publisher
from producer.operate import service
from producer.operate.commits import LoggedPublisher
from producer.operate.pace import Pace
from producer.operate.service import Service
from producer.pipeline import line
from producer.upstream.client import Upstream
from producer.upstream.persons import read_persons
from producer.upstream.retrying import Retrying

# A feed has one bucket until its persons are split up.
BUCKET = "0"
# `run --once` waits for a running instance: as long as a crashed one still counts as a member, and a little.
GRACE = 5.0
# From the stop signal to the end of the process (s).
STOP_LIMIT = 4.8
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run(settings: Settings, *, once: bool) -> None:
    """`vtj-producer run`: works until SIGTERM or SIGINT, or with `once` until upstream says `ajanTasalla`."""
    with asyncio.Runner() as runner:
        runner.run(_until_stopped(serve(settings, once=once)))


async def _until_stopped(serving: Awaitable[None]) -> None:
    """A stop signal cancels the service's task, whatever it is doing; everything it opened then closes itself."""
    task, loop = asyncio.ensure_future(serving), asyncio.get_running_loop()

    def stop() -> None:
        for name in SIGNALS:  # once: a second cancellation would cut off the abort that the first one began
            loop.add_signal_handler(name, lambda: None)
        task.cancel()
        # Closing is bounded by deadlines of its own. This is for what no deadline reaches: a name look-up hangs in a
        # thread that the interpreter waits for.
        last = threading.Timer(STOP_LIMIT, os._exit, (0,))
        last.daemon = True
        last.start()

    for name in SIGNALS:
        loop.add_signal_handler(name, stop)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def serve(settings: Settings, *, once: bool) -> None:
    """Checks the topics, joins the group, and runs the line whenever the shard is ours."""
    upstream, kafka = settings.upstream, settings.kafka
    catalogue = Catalogue.load().within(settings.permit.groups)
    persons = read_persons(upstream.persons_file) if upstream.persons_file else None
    names = Names(settings.topics.prefix, settings.feed.name, BUCKET)
    plans = topics.plan(settings.topics, catalogue.topics(names.prefix))
    instance = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    async with administration(kafka) as admin:
        await topics.refuse_differences(admin, plans)
    converter = Converter(catalogue, await framing(settings, catalogue), prefix=names.prefix, feed=names.feed)
    if once:
        await _wait_until_free(settings, instance, names.group)
    quiet_collector()

    def join(release: Callable[[], Awaitable[None]]) -> AbstractAsyncContextManager[service.Member]:
        return ownership.membership(kafka, instance, group=names.group, topic=names.cursor_topic, release=release)

    serving = Service(names.shard, join, once=once, patience=kafka.session_timeout + GRACE)
    publisher = Publisher(
        kafka,
        names,
        data_topics={plan.name: plan.partitions for plan in plans if plan.data},
        oversized=converter.oversized,
        instance=instance,
        still_ours=serving.holds,
    )
    async with Upstream(upstream, bucket=BUCKET, persons=persons) as client:
        feed = Retrying(client, upstream, patience=upstream.patience if once else None)
        await serving.run(
            lambda: line(
                feed,
                converter,
                LoggedPublisher(publisher),
                lambda: start(settings, feed.first_cursor),
                Pace(None if once else settings.schedule.interval).pause,
                kafka.transaction_events,
            )
        )


async def framing(settings: Settings, catalogue: Catalogue) -> Framing:
    """With a registry its ids, asked for here and never again: one that goes down later stops nobody."""
    if settings.registry.url is None:
        return SingleObject()
    from producer.registry import subjects  # with Avro's checker: only who has a registry pays for it

    return await subjects.framing(settings, catalogue)


async def start(settings: Settings, first_cursor: Callable[[date], Awaitable[int]]) -> int:
    """The first cursor of a new feed; somebody must have decided. Raises SettingsError otherwise."""
    begin = settings.upstream.start
    if begin is None:
        raise SettingsError(
            f"Feed {settings.feed.name} has no stored cursor, and where to begin is not decided.",
            hint="Set VTJ_UPSTREAM__START to today, to a date (2026-11-01) or to a cursor (a kirjausavain).",
        )
    if begin.isdecimal():
        return int(begin)
    day = datetime.now(ZoneInfo("Europe/Helsinki")).date() if begin == "today" else date.fromisoformat(begin)
    return await first_cursor(day)


async def _wait_until_free(settings: Settings, instance: str, group: str) -> None:
    """`run --once` joins no group that has members: the rebalance would take the work from a running instance."""
    patience = settings.kafka.session_timeout + GRACE
    until = time.monotonic() + patience
    while True:
        try:
            if not await ownership.members(settings.kafka, instance, group):
                return
            reason: Stop = service.busy(patience)
        except Doubt as doubt:  # on a new cluster the coordinator's own topic has yet to be made
            reason = KafkaGone(str(doubt), hint="Nothing was moved; run it again when Kafka answers.")
        if time.monotonic() > until:
            raise reason
        await asyncio.sleep(0.5)


def quiet_collector() -> None:
    """Keeps Python's cyclic garbage collector off the hot path.

    A parsed page is 30,000 containers, which would start a collection every few hundred; none of them is in a cycle.
    What is alive now stays for ever and need not be looked at again; the rest is collected while waiting (pace.py)
    and, far more rarely than by default, in between.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
