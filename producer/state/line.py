"""The state line: follows the change topics, and tells of each person that they touch what is valid now.

What a change makes of the groups in force is not computed: upstream keeps no ids of entries, ends and corrects them
in ways that differ by group, and changes some without telling. So the touched persons are read again from perustiedot,
which is right whatever the change was (docs/adr/0001-state-from-perustiedot.md).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from producer.config import Settings
from producer.errors import Stop
from producer.events import wire
from producer.events.convert import Converter
from producer.events.groups import Catalogue, change_topic
from producer.events.identities import CORRECTION, FORMER
from producer.events.identity import usable_code
from producer.events.instant import now_ms
from producer.events.page import CORRECTED, GROUPS, PERSON
from producer.events.protection import ORDER
from producer.events.state import Blanks
from producer.kafka.deadlines import deadline
from producer.kafka.names import NO_NEWS, STATE
from producer.kafka.reader import ends, reader
from producer.kafka.shard import Shard
from producer.model import EncodedPage, Page
from producer.observe.pulse import pulse
from producer.persons.roster import Roster
from producer.state.load import BATCH, encode
from producer.upstream.retrying import Snapshots

log = logging.getLogger("vtj.state")

MOST: Final = 2500  # change events that are looked at together: a person touched by many is read once
WAIT_MS: Final = 1000
PAUSE: Final = 300.0  # s, after a Stop
PART: Final = 20  # persons that are encoded together, at up to a hundred records each
READ: Final = (CORRECTION, ORDER)  # groups whose events are decoded

OWN: Final = 160  # bytes of a value in which feed and bucket stand
Offsets = dict[str, list[int]]  # topic → the next offset of each partition


@dataclass(slots=True, repr=False)
class Touched:
    """What a batch of events says: whom to read, whose protected groups to withhold at once, whose codes are not in
    force any more, and who is not followed any more. All by key."""

    keys: dict[str, None] = field(default_factory=dict)
    protected: dict[str, None] = field(default_factory=dict)
    replaced: dict[str, None] = field(default_factory=dict)
    left: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class News:
    """What so many events have touched, and where the topics stand after them."""

    touched: Touched
    offsets: Offsets
    events: int


class Parts:
    """What a batch of events has touched, in transactions of up to `most` events, or of one page that has more.

    Where the line stands comes with the last of them: after a fault all are read again.
    """

    def __init__(self, shard: Shard, most: int) -> None:
        self._shard, self._most = shard, most
        self._pages: list[EncodedPage] = []

    async def add(self, page: EncodedPage) -> None:
        if self._pages and sum(len(one.events) for one in (*self._pages, page)) > self._most:
            await self.commit(self._shard.progress)
        self._pages.append(page)

    async def commit(self, progress: Mapping[str, Any]) -> None:
        pages, self._pages = self._pages, []
        await self._shard.commit([*pages[:-1], replace(pages[-1], progress=progress)])


class StateLine:
    """topics: those of changes, and of the identities, with their partitions. decode: a value → its fields."""

    def __init__(
        self,
        settings: Settings,
        instance: str,
        catalogue: Catalogue,
        converter: Converter,
        blanks: Blanks,
        upstream: Snapshots,
        *,
        topics: Mapping[str, int],
        decode: Callable[[bytes], Awaitable[dict[str, Any]]],
        roster: Roster,
    ) -> None:
        self._kafka, self._instance = settings.kafka, instance
        feed, prefix = settings.feed.name, settings.data_prefix
        self._converter, self._blanks, self._upstream = converter, blanks, upstream
        self._topics = topics
        self._decode = decode
        self._roster = roster
        # Topics are read in any order: what touches an old code can come long after the correction.
        self._replaced: set[str] = set()
        # How the envelope begins of what a load has put among the changes, and of what upstream was asked for again.
        self._beside = [(wire.text(feed) + wire.text(bucket)).encode("latin-1") for bucket in NO_NEWS]
        self._told = {change_topic(prefix, catalogue.groups[name]): name for name in READ if name in catalogue.groups}

    async def run(self, open_shard: Callable[[], AbstractAsyncContextManager[Shard]], *, once: bool) -> None:
        """Until cancelled; with `once` until what stood in the change topics at the beginning is dealt with.

        What ends a command is told here, and tried again: a perustiedot that refuses must not stop the changes.
        """
        while True:
            try:
                return await self._run(open_shard, once=once)
            except Stop as stop:
                if once:
                    raise
                pulse().failing("state", str(stop))
                log.error("the state topics stand still, the changes go on: %s (%s)", stop, stop.hint)
            await asyncio.sleep(PAUSE)

    async def _run(self, open_shard: Callable[[], AbstractAsyncContextManager[Shard]], *, once: bool) -> None:
        async with open_shard() as shard, reader(self._kafka, self._instance) as consumer:
            here = [TopicPartition(topic, at) for topic, count in self._topics.items() for at in range(count)]
            async with deadline(self._kafka.commit_timeout, "finding the change topics"):
                await consumer._client.set_topics([*self._topics])  # else it asks for one after the other
                consumer.assign(here)
                wanted = await ends(self._kafka, self._instance, here) if once else {}
            for topic, offsets in shard.progress.get("offsets", {}).items():
                for at, offset in enumerate(offsets):
                    if topic in self._topics:
                        consumer.seek(TopicPartition(topic, at), offset)
            while True:
                if (news := await self._news(consumer, shard.progress)) is not None:
                    await self._follow(shard, news)
                if once and not [one for one in here if await consumer.position(one) < wanted[one]]:
                    return

    async def _news(self, consumer: AIOKafkaConsumer, progress: Mapping[str, Any]) -> News | None:
        """What there is now; the records themselves are let go of before upstream is asked."""
        found = await consumer.getmany(timeout_ms=WAIT_MS, max_records=MOST)
        records = [one for some in found.values() for one in some]
        if not records:
            return None
        touched = await self._touched(records)
        return News(touched, await self._offsets(progress, consumer, records), len(records))

    async def _follow(self, shard: Shard, news: News) -> None:
        began, cursor, touched = time.monotonic(), shard.cursor or 0, news.touched
        await self._roster.current()
        asked = {code: key for key in touched.keys if (code := self._roster.code(key)) is not None}
        protected = [code for code, key in asked.items() if key in touched.protected]
        if protected:  # does not wait for perustiedot
            blank = [self._blanks.withheld(code) for code in protected]
            page = Page("SNAPSHOT", STATE, cursor, cursor, False, now_ms(), blank)
            await shard.commit([replace(await encode(page, [self._converter]), progress=shard.progress)])
        codes, answered, parts = list(asked), set[str](), Parts(shard, self._kafka.transaction_events)
        for first in range(0, len(codes), BATCH):
            page = await self._upstream.persons(codes[first : first + BATCH])
            left = deque(page.records)
            page = replace(page, bucket=STATE, previous=cursor, cursor=cursor, records=())
            while left:  # parsed they are ten times their text: each goes when it is encoded
                some = [left.popleft() for _ in range(min(PART, len(left)))]
                keys, part = await self._now(replace(page, records=some))
                answered |= keys
                await parts.add(part)
        gone = [key for key in asked.values() if key not in answered]
        # Known to have another code now. Of whom else is missing nothing is known, and nothing is taken back.
        self._replaced |= touched.replaced.keys()
        replaced = [key for key in gone if key in self._replaced or self._roster.active(key) != key]
        unfollowed = [key for key in touched.left if self._roster.code(key) is None]
        lapsed, now = [*replaced, *unfollowed], now_ms()
        for at in range(0, len(lapsed), PART):
            tombstones = [one for key in lapsed[at : at + PART] for one in self._blanks.tombstones(key, (), now)]
            await parts.add(EncodedPage(STATE, cursor, cursor, True, now, 0, tombstones))
        await parts.add(EncodedPage(STATE, cursor, cursor, True, now, 0, ()))
        await parts.commit({**shard.progress, "offsets": news.offsets})
        pulse().told(len(codes))
        log.info(
            "state of %(persons)d person(s), %(withheld)d withheld at once, %(missing)d not answered, %(left)d left, "
            "from %(events)d event(s) in %(ms).0f ms",
            {
                "persons": len(codes),
                "withheld": len(protected),
                "missing": len(gone) - len(replaced),
                "left": len(unfollowed),
                "events": news.events,
                "ms": round((time.monotonic() - began) * 1000, 1),
            },
        )

    async def _now(self, page: Page) -> tuple[set[str], EncodedPage]:
        """Of the persons of an answer their keys, and what is valid of them now; tombstones of what is not."""
        done = await encode(page, [self._converter])
        told: dict[bytes | None, set[str]] = {}
        for event in done.events:
            told.setdefault(event.key, set()).add(event.topic)
        keys = {self._roster.key(one[PERSON]) for one in page.records if usable_code(_code(one))}
        gone = [one for key in keys for one in self._blanks.tombstones(key, told.get(key.encode(), ()), now_ms())]
        return keys, replace(done, events=[*done.events, *gone])

    async def _touched(self, records: Iterable[ConsumerRecord[bytes | None, bytes]]) -> Touched:
        touched = Touched()
        for record in records:
            key = (record.key or b"").decode(errors="replace")
            if record.value is None:  # of the identities: followed no more
                touched.left[key] = None
                continue
            head = record.value[:OWN]
            if not usable_code(key) or any(one in head for one in self._beside):
                continue  # a building, or nothing new
            touched.keys[key] = None
            if record.topic in self._told:
                self._look(await self._decode(record.value), self._told[record.topic], key, touched)
        return touched

    def _look(self, event: Mapping[str, Any], group: str, key: str, touched: Touched) -> None:
        """The two groups that say more than that something has changed."""
        data = event["data"] or {}
        if group == ORDER:
            if data.get("turvakieltoAktiivinen") and event["changeType"] != "POISTETTU":
                touched.protected[key] = None
            else:
                touched.protected.pop(key, None)
            return
        active, changed = (data.get(name) for name in CORRECTED)
        if usable_code(active):
            touched.keys[active] = None
            for old in (changed, event["personId"], *(data.get(FORMER) or ())):
                if usable_code(old) and old != active:
                    touched.keys[old] = touched.replaced[old] = None

    async def _offsets(
        self,
        progress: Mapping[str, Any],
        consumer: AIOKafkaConsumer,
        records: Iterable[ConsumerRecord[bytes | None, bytes]],
    ) -> Offsets:
        """Where the topics stand after these records; of the others as it was."""
        offsets: Offsets = {topic: list(told) for topic, told in progress.get("offsets", {}).items()}
        for topic in {record.topic for record in records}:
            offsets[topic] = [await consumer.position(TopicPartition(topic, at)) for at in range(self._topics[topic])]
        return offsets


def _code(record: Any) -> Any:
    return record.get(PERSON) if isinstance(record, dict) and isinstance(record.get(GROUPS), list) else None
