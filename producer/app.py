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
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from producer.config import Settings
from producer.errors import CursorUnreadable, Doubt, KafkaGone, SettingsError, Stop
from producer.events.convert import Converter
from producer.events.deadletter import dead_letter_topic
from producer.events.decode import Decoder
from producer.events.framing import Framing, SingleObject, schema_id
from producer.events.groups import Catalogue, change_topic, state_topic
from producer.events.identities import Identities, identity_topic
from producer.events.state import Blanks
from producer.kafka import ownership, topics
from producer.kafka.connection import administration, deadline, reached
from producer.kafka.cursor import positions
from producer.kafka.identities import RememberingPublisher
from producer.kafka.names import STATE, Names
from producer.kafka.publisher import Publisher
from producer.operate import service
from producer.operate.commits import LoggedPublisher
from producer.operate.pace import Pace
from producer.operate.service import Service
from producer.pipeline import line
from producer.state import load as state_load
from producer.state.line import READ, StateLine
from producer.state.load import Progress, Wanted
from producer.upstream.client import Upstream
from producer.upstream.persons import read_persons
from producer.upstream.retrying import Retrying
from producer.upstream.snapshots import Snapshots

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
    """Checks the topics, joins the group, runs the line, and the state's beside it, whenever their shards are ours."""
    upstream, kafka = settings.upstream, settings.kafka
    catalogue = Catalogue.load().within(settings.permit.groups)
    persons = read_persons(upstream.persons_file) if upstream.persons_file else None
    names = Names(settings.topics.prefix, settings.feed.name, BUCKET)
    plans = topics.planned(settings, catalogue)
    instance = _named_instance()
    async with administration(kafka) as admin:
        await topics.refuse_differences(admin, plans)
    framed = await framing(settings, catalogue)
    identities = Identities(catalogue, framed, prefix=names.prefix, feed=names.feed)
    converter = Converter(catalogue, framed, prefix=names.prefix, feed=names.feed, identities=identities)
    if once:
        await _wait_until_free(settings, instance, names.group)
    quiet_collector()

    def join(release: Callable[[], Awaitable[None]]) -> AbstractAsyncContextManager[service.Member]:
        return ownership.membership(kafka, instance, group=names.group, topic=names.cursor_topic, release=release)

    serving = Service(join, once=once, patience=kafka.session_timeout + GRACE)
    publisher = Publisher(
        kafka,
        names,
        data_topics={plan.name: plan.partitions for plan in plans if plan.data},
        oversized=converter.oversized,
        instance=instance,
        still_ours=lambda: serving.holds(names.shard),
    )
    async with Upstream(upstream, bucket=BUCKET, persons=persons) as client:
        feed = Retrying(client, upstream, patience=upstream.patience if once else None)

        caught_up, decode = asyncio.Event(), _decoding(settings, catalogue, framed)
        identities.told = client.follow
        remembering = RememberingPublisher(
            publisher,
            kafka,
            instance,
            identities,
            topic=identity_topic(names.prefix),
            partitions=settings.topics.partitions,
            decode=decode,
            follow=client.follow,
        )

        async def changes() -> None:
            await line(
                feed,
                converter,
                LoggedPublisher(remembering),
                lambda: start(settings, instance, feed.first_cursor),
                Pace(None if once else settings.schedule.interval).pause,
                kafka.transaction_events,
            )
            caught_up.set()

        works: dict[service.Work, int] = {changes: names.shard}
        if settings.state.enabled:
            shard = replace(names, bucket=STATE).shard
            states, (of_state, *_) = _states(settings, catalogue, framed, instance, lambda: serving.holds(shard))
            state = StateLine(
                kafka,
                instance,
                catalogue,
                of_state,
                Blanks(catalogue, catalogue.state_topics(names.prefix)),
                _snapshots(settings, catalogue, client, once=once),
                topics=dict.fromkeys(catalogue.topics(names.prefix), settings.topics.partitions),
                prefix=names.prefix,
                feed=names.feed,
                decode=decode,
                identities=identities,
            )

            async def follow() -> None:
                if once:
                    await caught_up.wait()  # it ends with what is in the change topics
                await state.run(states.open, once=once)

            works[follow] = shard
        await serving.run(works)


def _states(
    settings: Settings,
    catalogue: Catalogue,
    framed: Framing,
    instance: str,
    still_ours: Callable[[], bool],
    *,
    into_changes: bool = False,
) -> tuple[Publisher, list[Converter]]:
    """The publisher of the state topics, and what makes records for it; into_changes: events of change topics too."""
    names = Names(settings.topics.prefix, settings.feed.name, STATE)
    topics_of = (state_topic, change_topic) if into_changes else (state_topic,)
    converters = [Converter(catalogue, framed, prefix=names.prefix, feed=names.feed, topic=one) for one in topics_of]
    written = [*catalogue.state_topics(names.prefix), change_topic(names.prefix, catalogue.unmapped)]
    written += catalogue.topics(names.prefix) if into_changes else []
    publisher = Publisher(
        settings.kafka,
        names,
        data_topics={**dict.fromkeys(written, settings.topics.partitions), dead_letter_topic(names.prefix): 1},
        oversized=converters[0].oversized,
        instance=instance,
        still_ours=still_ours,
    )
    return publisher, converters


def _snapshots(settings: Settings, catalogue: Catalogue, client: Upstream, *, once: bool) -> Snapshots:
    kinds = None if settings.permit.groups is None else list(catalogue.groups)
    patience = settings.upstream.patience if once else None
    return Snapshots(client, settings.upstream, kinds=kinds, patience=patience)


def _decoding(
    settings: Settings, catalogue: Catalogue, framed: Framing
) -> Callable[[bytes], Awaitable[dict[str, Any]]]:
    """Reads what this program has written. A registry is asked only for what an older release wrote."""
    decoder = Decoder(catalogue)
    read = [catalogue.identity, *(catalogue.groups[name].schema for name in READ if name in catalogue.groups)]
    for schema in read:
        if (number := schema_id(framed.prefix(schema))) is not None:
            decoder.learn(number, schema)

    async def decode(value: bytes) -> dict[str, Any]:
        number = decoder.unknown(value)
        if number is not None and settings.registry.url is not None:
            from producer.registry.client import Registry

            async with Registry(settings.registry) as registry:
                decoder.learn(number, await registry.schema(number))
        try:
            return decoder.decode(value)
        except LookupError as error:
            raise CursorUnreadable(
                f"A record that was written earlier cannot be read: {error}.",
                hint="Run the release that wrote it, or name the registry that has its schema.",
            ) from None

    return decode


async def load(
    settings: Settings, wanted: Wanted, report: Callable[[Progress, int], None], *, into_changes: bool, again: bool
) -> Progress:
    """`vtj-producer load`. report: how far, and requests so far. again: also when the feed has begun.

    Raises SettingsError, Busy, and what the line does.
    """
    kafka, names = settings.kafka, Names(settings.topics.prefix, settings.feed.name, BUCKET)
    catalogue = Catalogue.load().within(settings.permit.groups)
    instance = _named_instance()
    async with administration(kafka) as admin:
        await topics.refuse_differences(admin, topics.planned(settings, catalogue))
    await _wait_until_free(settings, instance, names.group)
    async with reached(kafka, "reading the cursor"):
        begun = names.key in await positions(kafka, instance, names.cursor_topic, [names.shard])
    if begun and not again:
        raise SettingsError(
            f"Feed {names.feed} follows changes already.",
            hint="--again loads the state topics anew, and the feed goes on where it is; no change is lost either way.",
        )
    framed = await framing(settings, catalogue)
    publisher, converters = _states(settings, catalogue, framed, instance, lambda: True, into_changes=into_changes)
    async with Upstream(settings.upstream, bucket=STATE, persons=None) as client, publisher.open() as shard:
        asking = _snapshots(settings, catalogue, client, once=True)

        def told(progress: Progress) -> None:
            report(progress, client.requests)

        return await state_load.load(shard, wanted, asking, converters, told, kafka.transaction_events)


def _named_instance() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


async def framing(settings: Settings, catalogue: Catalogue) -> Framing:
    """With a registry its ids, asked for here and never again: one that goes down later stops nobody."""
    if settings.registry.url is None:
        return SingleObject()
    from producer.registry import subjects  # with Avro's checker: only who has a registry pays for it

    return await subjects.framing(settings, catalogue)


async def start(settings: Settings, instance: str, first_cursor: Callable[[date], Awaitable[int]]) -> int:
    """The first cursor of a new feed: after an initial load its own; else somebody must have decided.

    Raises SettingsError when nobody has, or the load is not done.
    """
    names, begin = Names(settings.topics.prefix, settings.feed.name, STATE), settings.upstream.start
    async with deadline(settings.kafka.commit_timeout, "reading the initial load's cursor"):
        stored = await positions(settings.kafka, instance, names.cursor_topic, [names.shard])
    loaded = ((found.progress or {}).get("load") if (found := stored.get(names.key)) else None) or {}
    if loaded:
        if not loaded["done"]:
            raise SettingsError(
                f"The initial load of feed {settings.feed.name} is not done.",
                hint="Go on with `vtj-producer load` as it was begun; the feed begins where the load says.",
            )
        cursor: int = loaded["cursor"]
        return cursor
    if begin is None:
        raise SettingsError(
            f"Feed {settings.feed.name} has no stored cursor, and where to begin is not decided.",
            hint="Set VTJ_UPSTREAM__START to today, to a date (2026-11-01) or to a cursor (a kirjausavain), "
            "or begin with what is valid now: `vtj-producer load`.",
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
