"""Who is followed: what the commands change of the watchlist, and look at."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from typing import Final

from aiokafka import TopicPartition

from producer.app.cursor import own
from producer.app.parts import Decoding, Parts
from producer.errors import Busy, KafkaGone, ProducerError, SettingsError, StepDown
from producer.events.identities import identity_topic
from producer.events.instant import now_ms
from producer.kafka import watchlist
from producer.kafka.deadlines import settled
from producer.kafka.names import STATE
from producer.kafka.reader import latest
from producer.kafka.watchlist import Entry, watchlist_topic
from producer.model import EncodedEvent
from producer.observe.audit import audit
from producer.persons.allot import merges, splits
from producer.persons.change import Codes, Now, added, removed, synced

Changes = Mapping[str, Entry | None]
TRIES: Final = 5


async def add(made: Parts, codes: Sequence[str], reason: str | None) -> tuple[Now, Changes]:
    size = made.settings.upstream.bucket_size
    return await _change(made, codes, lambda now: added(now, codes, size=size, at=now_ms(), reason=reason))


async def remove(made: Parts, codes: Sequence[str]) -> tuple[Now, Changes]:
    return await _change(made, codes, lambda now: removed(now, codes))


async def sync(made: Parts, codes: Sequence[str], reason: str | None, *, shrink: bool) -> tuple[Now, Changes]:
    size = made.settings.upstream.bucket_size

    def change(now: Now) -> Changes:
        return synced(now, codes, size=size, at=now_ms(), reason=reason, shrink=shrink)

    return await _change(made, codes, change)


async def rebalance(made: Parts) -> tuple[int, int]:
    """Splits buckets that have grown too large, and puts small ones together whose cursors are equal.

    A new bucket lives in the shard of the one that it comes from, and begins at its cursor. Whoever works on the shards
    is fenced for a moment, and begins again. Returns how many were split off, and how many put together.
    """
    now, size = await look(made), made.settings.upstream.bucket_size
    members: dict[str, list[str]] = {}
    for code, entry in now.entries.items():
        members.setdefault(entry.bucket, []).append(code)
    used = {*members, *now.cursors}

    def free(beside: str) -> str:
        names = made.names(beside)
        found = next(name for name in map(str, count()) if name not in used and names.beside(name, names.feed))
        used.add(found)
        return found

    done = []
    for plan in ([*splits(members, size, free)], [*merges(members, now.cursors, size)]):
        moved = 0
        for bucket, into, codes in plan:
            moved += await _move(made, now, bucket, into, codes)
        done.append(moved)
    audit("buckets: %(split)d split off, %(merged)d put together", {"split": done[0], "merged": done[1]})
    return done[0], done[1]


async def _move(made: Parts, now: Now, bucket: str, into: str, codes: Sequence[str]) -> bool:
    """Whether it was done: a bucket without a cursor has not begun, and cursors may have moved since they were read."""
    topic, at = watchlist_topic(made.settings.topics.prefix), now_ms()
    events = [
        EncodedEvent(topic, code.encode(), replace(now.entries[code], bucket=into).encode(), [], at, 0)
        for code in codes
    ]
    names = made.names(bucket)
    async with settled(made.settings.kafka, "moving persons between buckets"), AsyncExitStack() as stack:
        first = await stack.enter_async_context(made.publisher(bucket, [topic]).open())
        other = (
            first.beside(into)
            if names.beside(into, names.feed)
            else await stack.enter_async_context(made.publisher(into, [topic]).open())
        )
        if first.cursor is None or other.cursor not in (None, first.cursor):
            return False
        await first.move(other, events)
        return True


async def sync_file(made: Parts, codes: Sequence[str]) -> None:
    """The watchlist as the configured file has it; several instances may do it at once."""
    for left in reversed(range(TRIES)):
        try:
            await sync(made, codes, "VTJ_UPSTREAM__PERSONS_FILE", shrink=False)
        except Busy:
            if not left:
                raise
            await asyncio.sleep(1)
        else:
            return


async def _change(made: Parts, codes: Iterable[str], change: Callable[[Now], Changes]) -> tuple[Now, Changes]:
    """What there was, and what has been changed. Raises SettingsError, Busy, KafkaGone, KafkaRefused, TopicsDiffer."""
    if not made.settings.upstream.listing:
        raise SettingsError(
            "The permit selects the persons, not the watchlist.",
            hint="Set VTJ_UPSTREAM__WATCHLIST=true, for `run` too, to follow those who are added here.",
        )
    settings, topics = made.settings, made.settings.topics
    now = await look(made, codes)
    if not change(now):  # the usual case of a sync, and no reason to fence anybody
        return now, {}
    topic = watchlist_topic(topics.prefix)
    try:
        async with watchlist.opened(
            settings.kafka, made.instance, f"{made.names(STATE).group}.watchlist", topic, topics.partitions
        ) as opened:
            now = Now(opened.entries, now.person, now.cursors)
            changes = change(now)
            await opened.change(changes)
            joined = sum(entry is not None for entry in changes.values())
            audit(
                "watchlist: %(added)d person(s) added, %(removed)d removed",
                {"added": joined, "removed": len(changes) - joined},
            )
            return now, changes
    except StepDown:
        raise Busy("Somebody else is changing the watchlist.", hint="Nothing was changed here. Run it again.") from None
    except (SettingsError, KafkaGone):
        raise
    except ProducerError as error:
        raise KafkaGone(
            f"The watchlist was not changed for certain: {error}", hint="Run it again: what is done is done once."
        ) from None


async def look(made: Parts, codes: Iterable[str] = ()) -> Now:
    """Who is followed, under which codes, and where the buckets stand. codes: further ones, of whom it matters."""
    settings, topics = made.settings, made.settings.topics
    entries = await watchlist.read(settings.kafka, watchlist_topic(topics.prefix), topics.partitions)
    cursors = {bucket: position.cursor for bucket, position in (await own(made)).items()}
    return Now(entries, await _persons(made, {*entries, *codes}), cursors)


async def _persons(made: Parts, codes: Iterable[str]) -> dict[str, Codes]:
    """Code → all codes of the person, of those who have several. codes: where they are hidden no others are found."""
    settings, decoding, found = made.settings, Decoding(made), dict[str, Codes]()
    of = {made.hidden.of(code): code for code in codes} if made.hidden else None
    topic = identity_topic(settings.data_prefix)
    async with settled(settings.kafka, "reading the identities"):
        here = [TopicPartition(topic, at) for at in range(settings.topics.partitions)]
        records = await latest(settings.kafka, made.instance, here)
    for record in records.values():
        keys = (await decoding(record.value))["codes"]
        one = tuple(keys) if of is None else tuple(of[key] for key in keys if key in of)
        if len(one) > 1:
            found |= dict.fromkeys(one, one)
    return found
