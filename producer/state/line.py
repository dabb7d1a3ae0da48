"""The state line: follows the change topics, and tells of each person that they touch what is valid now.

What a change makes of the groups in force is not computed: upstream keeps no ids of entries, ends and corrects them
in ways that differ by group, and changes some without telling. So the touched persons are read again from perustiedot,
which is right whatever the change was (docs/adr/0001-state-from-perustiedot.md).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from producer.config import Kafka
from producer.errors import Stop
from producer.events import wire
from producer.events.convert import Converter
from producer.events.fit import TIETORYHMA
from producer.events.groups import Catalogue, change_topic
from producer.events.identities import CORRECTION, FORMER, Identities
from producer.events.identity import usable_code
from producer.events.page import CORRECTED, GROUPS, PERSON, digest
from producer.events.state import Blanks
from producer.kafka.connection import deadline
from producer.kafka.names import STATE
from producer.kafka.publisher import Shard
from producer.kafka.reader import reader
from producer.model import EncodedPage, Page
from producer.state.load import BATCH, encode

log = logging.getLogger("vtj.state")

MOST: Final = 2500  # change events that are looked at together: a person touched by many is read once
WAIT_MS: Final = 1000
PAUSE: Final = 300.0  # s, after a Stop
RESTRICTION: Final = "TURVAKIELTO"
READ: Final = (CORRECTION, RESTRICTION)  # groups whose events are decoded

OWN: Final = 160  # bytes of a value in which feed and bucket stand
Offsets = dict[str, list[int]]  # topic → the next offset of each partition


class Persons(Protocol):
    async def persons(self, codes: Sequence[str]) -> Page: ...


@dataclass(slots=True, repr=False)
class Touched:
    """What a batch of change events says: whom to read, whose protected groups to withhold at once, and which codes are
    not in force any more."""

    codes: dict[str, None] = field(default_factory=dict)
    protected: dict[str, None] = field(default_factory=dict)
    replaced: dict[str, None] = field(default_factory=dict)


class StateLine:
    """topics: those of changes, with their partitions. decode: a value → its fields."""

    def __init__(
        self,
        settings: Kafka,
        instance: str,
        catalogue: Catalogue,
        converter: Converter,
        blanks: Blanks,
        upstream: Persons,
        *,
        topics: Mapping[str, int],
        prefix: str,
        feed: str,
        decode: Callable[[bytes], Awaitable[dict[str, Any]]],
        identities: Identities,
    ) -> None:
        self._settings, self._instance = settings, instance
        self._converter, self._blanks, self._upstream = converter, blanks, upstream
        self._topics = topics
        self._decode = decode
        self._identities = identities
        # Topics are read in any order: what touches an old code can come long after the correction.
        self._replaced: set[str] = set()
        self._own = (wire.text(feed) + wire.text(STATE)).encode("latin-1")  # how the envelope begins
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
                log.error("the state topics stand still, the changes go on: %s (%s)", stop, stop.hint)
            await asyncio.sleep(PAUSE)

    async def _run(self, open_shard: Callable[[], AbstractAsyncContextManager[Shard]], *, once: bool) -> None:
        async with open_shard() as shard, reader(self._settings, self._instance) as consumer:
            here = [TopicPartition(topic, at) for topic, count in self._topics.items() for at in range(count)]
            async with deadline(self._settings.commit_timeout, "finding the change topics"):
                await consumer._client.set_topics([*self._topics])  # else it asks for one after the other
                consumer.assign(here)
                ends = await self._ends(here) if once else {}
            for topic, offsets in shard.progress.get("offsets", {}).items():
                for at, offset in enumerate(offsets):
                    if topic in self._topics:
                        consumer.seek(TopicPartition(topic, at), offset)
            while True:
                records = await consumer.getmany(timeout_ms=WAIT_MS, max_records=MOST)
                if any(records.values()):
                    await self._follow(shard, consumer, [one for some in records.values() for one in some])
                if once and not [one for one in here if await consumer.position(one) < ends[one]]:
                    return

    async def _ends(self, here: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """From read_uncommitted: a commit returns before its markers, and the last stable offset, are there."""
        async with reader(self._settings, self._instance, "read_uncommitted") as whole:
            await whole._client.set_topics([*self._topics])
            ends: dict[TopicPartition, int] = await whole.end_offsets(here)
        return ends

    async def _follow(
        self, shard: Shard, consumer: AIOKafkaConsumer, records: Sequence[ConsumerRecord[bytes | None, bytes]]
    ) -> None:
        began, cursor = time.monotonic(), shard.cursor or 0
        touched = await self._touched(records)
        offsets = await self._offsets(shard, consumer, records)
        if touched.protected:  # does not wait for perustiedot
            blank = [self._blanks.withheld(code) for code in touched.protected]
            page = Page("SNAPSHOT", STATE, cursor, cursor, False, _now(), blank)
            await shard.commit([replace(await encode(page, [self._converter]), progress=shard.progress)])
        codes, answered, pages = list(touched.codes), dict[str, set[Any]](), []
        for first in range(0, len(codes), BATCH):
            page = await self._upstream.persons(codes[first : first + BATCH])
            answered |= {one[PERSON]: _kinds(one) for one in page.records if usable_code(_code(one))}
            page = replace(page, bucket=STATE, previous=cursor, cursor=cursor)
            pages.append(await encode(page, [self._converter]))
        gone = [code for code in codes if code not in answered]
        # Known to have another code now. Of whom else is missing nothing is known, and nothing is taken back.
        self._replaced |= touched.replaced.keys()
        known = self._identities.known
        replaced = [code for code in gone if code in self._replaced or known.get(code, (code,))[-1] != code]
        lapsed = answered | {code: set[Any]() for code in replaced}
        at = _now()
        tombstones = [one for code, kinds in lapsed.items() for one in self._blanks.tombstones(code, kinds, at)]
        last = EncodedPage(STATE, cursor, cursor, True, at, 0, tombstones, digest=digest(()))
        progress = {**shard.progress, "offsets": offsets}
        await shard.commit([*pages, replace(last, progress=progress)])
        log.info(
            "state of %d person(s), %d withheld at once, %d not answered, from %d change event(s) in %.0f ms",
            len(codes), len(touched.protected), len(gone) - len(replaced), len(records),
            (time.monotonic() - began) * 1000,
        )  # fmt: skip

    async def _touched(self, records: Iterable[ConsumerRecord[bytes | None, bytes]]) -> Touched:
        touched = Touched()
        for record in records:
            code = (record.key or b"").decode(errors="replace")
            if not usable_code(code) or self._own in record.value[:OWN]:
                continue  # a building, or what a load has put among the changes
            touched.codes[code] = None
            if record.topic in self._told:
                self._look(await self._decode(record.value), self._told[record.topic], code, touched)
        return touched

    def _look(self, event: Mapping[str, Any], group: str, code: str, touched: Touched) -> None:
        """The two groups that say more than that something has changed."""
        data = event["data"] or {}
        if group == RESTRICTION:
            if data.get("turvakieltoAktiivinen") and event["changeType"] != "POISTETTU":
                touched.protected[code] = None
            else:
                touched.protected.pop(code, None)
            return
        active, changed = (data.get(name) for name in CORRECTED)
        if usable_code(active):
            touched.codes[active] = None
            for old in (changed, event["personId"], *(data.get(FORMER) or ())):
                if usable_code(old) and old != active:
                    touched.codes[old] = touched.replaced[old] = None

    async def _offsets(
        self, shard: Shard, consumer: AIOKafkaConsumer, records: Sequence[ConsumerRecord[bytes | None, bytes]]
    ) -> Offsets:
        """Where the topics stand after these records; of the others as it was."""
        offsets: Offsets = {topic: list(told) for topic, told in shard.progress.get("offsets", {}).items()}
        for topic in {record.topic for record in records}:
            offsets[topic] = [await consumer.position(TopicPartition(topic, at)) for at in range(self._topics[topic])]
        return offsets


def _code(record: Any) -> Any:
    return record.get(PERSON) if isinstance(record, dict) and isinstance(record.get(GROUPS), list) else None


def _kinds(record: Mapping[str, Any]) -> set[Any]:
    return {one.get(TIETORYHMA) for one in record[GROUPS] if isinstance(one, dict)}


def _now() -> int:
    return time.time_ns() // 1_000_000
