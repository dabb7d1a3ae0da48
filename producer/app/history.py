"""Where a range of commits stands at Kafka, as the ledger says: found by bisection, however long the ledger is."""

import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from producer.app.cursor import own
from producer.app.parts import Parts
from producer.errors import LedgerUnreadable, SettingsError
from producer.events.instant import in_finland, midnight
from producer.kafka import topics
from producer.kafka.clients import administration
from producer.kafka.deadlines import reached
from producer.kafka.reader import by_time, ends, partitions
from producer.kafka.scan import scan
from producer.proof.chain import read

# An event's time is when its page was read, its entry's when it was committed. Nothing lies so far between (ms): every
# step has a deadline, and what misses one is thrown away and read again.
APART: Final = 3_600_000
PROBE: Final = 16 << 10  # bytes, where one entry is wanted


@dataclass(frozen=True, slots=True)
class Since:
    """Where a range begins: behind a cursor of upstream, or at a time (ms). text: as the user wrote it."""

    text: str
    cursor: int | None = None
    time: int | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """Commits, by their ledger entries. time: of the first (ms), or earlier. begins: partition of the ledger → offset.

    buckets: key → offset of its first entry in the range, where only some buckets' are in it; None: all are.
    """

    time: int
    begins: Mapping[TopicPartition, int]
    buckets: Mapping[bytes, int] | None = None

    def holds(self, key: bytes, offset: int) -> bool:
        """Of an entry that does not lie before the partition's beginning."""
        return self.buckets is None or offset >= self.buckets.get(key, offset + 1)


async def policies(made: Parts) -> dict[str, str]:
    """Topic → cleanup policy, of all under the prefix. Raises TopicsDiffer: no ledger; LedgerUnreadable: compacted."""
    names = made.names("")
    async with administration(made.settings.kafka) as admin:
        found = await topics.policies(admin, f"{names.prefix}.")
        await topics.limits(admin, [names.ledger_topic, names.cursor_topic])  # are they there at all?
    if "compact" in found[names.ledger_topic]:
        raise LedgerUnreadable(
            f"{names.ledger_topic} is compacted: of each bucket it keeps the last entry alone.",
            hint="Mend it with `vtj-producer topics apply`; what is gone cannot be verified or translated any more.",
        )
    return found


def historical(prefix: str, topic: str) -> bool:
    """Whether the ledger tells of a topic's history: of changes, and of dead letters, unless it is compacted."""
    return re.fullmatch(rf"{re.escape(prefix)}(\.k\d+)?\.(change\..+|dead-letter(\.restricted)?)", topic) is not None


class Ledger:
    """Reads only what it must: a reader without a group does."""

    def __init__(self, made: Parts, consumer: AIOKafkaConsumer) -> None:
        self._made, self._consumer, self._kafka = made, consumer, made.settings.kafka
        self._names = made.names("")
        self._topic = self._names.ledger_topic
        self._here: list[TopicPartition] = []

    async def range(self, since: Since) -> Range:
        """Raises SettingsError (nothing is there, or only a part of it), LedgerUnreadable."""
        end = await self.ends()
        if since.cursor is not None:
            return await self._behind(since.cursor, end)
        assert since.time is not None
        return await self._from(since.time, end)

    async def ends(self) -> dict[TopicPartition, int]:
        async with reached(self._kafka, "finding the ledger's end"):
            self._here = self._here or await partitions(self._consumer, [self._topic])
            return await ends(self._kafka, self._made.instance, self._here)

    async def offsets(self, wanted: Range, there: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """From which offset on each topic partition has the range's events; the end where it has none.

        The entries of a bucket are in the order of its events, so its first one in the range decides; other buckets'
        lie so close that their transactions may have overlapped. Between what is rare the ledger is passed over: where
        nothing was read from upstream nothing was committed. Raises LedgerUnreadable.
        """
        async with reached(self._kafka, "finding where the topics end"):
            # Before the ledger's: whatever is committed later stands behind these, be its transaction open already.
            stable = await self._consumer.end_offsets([*there])
        end, left, read_to = await self.ends(), set(there), wanted.time
        found: dict[TopicPartition, tuple[int, int]] = {}  # offset, and time of the earliest entry
        while left:
            async with reached(self._kafka, "looking for events"):
                first = await self._consumer.offsets_for_times(dict.fromkeys(left, max(0, read_to - APART)))
                left = {one for one in left if first.get(one)}
                if not left:
                    break
                begin = max(read_to, min(first[one].timestamp for one in left) - APART)
                read_to = begin + 2 * APART
                begins, until = [await by_time(self._consumer, time, end) for time in (begin, read_to)]
            for one in end:
                async for record, entry in self._entries(one, max(begins[one], wanted.begins[one]), until[one]):
                    for slot, offset in _first(entry, left) if wanted.holds(record.key, record.offset) else ():
                        known = found.get(slot, (offset, record.timestamp))
                        found[slot] = min(known[0], offset), min(known[1], record.timestamp)
            left = {one for one in left if one not in found or found[one][1] + APART > read_to}
        return {one: min(found[one][0], stable[one]) if one in found else stable[one] for one in there}

    async def entries(
        self, wanted: Range, begins: Mapping[TopicPartition, int], until: Mapping[TopicPartition, int]
    ) -> AsyncIterator[tuple[TopicPartition, int, dict[str, Any]]]:
        """Those of the range between these offsets, in the order of their times: partition, offset, entry."""
        sources = {one: self._entries(one, max(begins[one], wanted.begins[one]), end) for one, end in until.items()}
        heads = [(one, head) for one, source in sources.items() if (head := await anext(source, None))]
        while heads:
            at = min(range(len(heads)), key=lambda at: heads[at][1][0].timestamp)
            one, (record, entry) = heads[at]
            if wanted.holds(record.key, record.offset):
                yield one, record.offset, entry
            head = await anext(sources[one], None)
            heads[at : at + 1] = [(one, head)] if head else []

    async def _from(self, time: int, end: Mapping[TopicPartition, int]) -> Range:
        async with reached(self._kafka, "finding the ledger's range"):
            begin = await self._consumer.beginning_offsets([*end])
            told = await self._consumer.offsets_for_times(dict.fromkeys(end, 0))
            begins = await by_time(self._consumer, time, end)
        first = {one: told[one].timestamp for one in end if told.get(one)}
        if not first:
            raise SettingsError("Nothing has been committed yet.", hint="There is nothing to be told again.")
        for one in end:
            if begin[one] and first.get(one, time + 1) > time:
                self._cut_short(one)
        if time < (begun := min(first.values())) and time != midnight(begun):  # of its first day the rest is meant
            at = in_finland(begun).isoformat(timespec="milliseconds")
            raise SettingsError(
                f"--since is before the ledger, which begins at {at}.", hint="Name that time, or a later one."
            )
        if not [one for one in end if await self._next(one, begins[one], end[one])]:
            raise SettingsError("Nothing was committed since then.", hint="Name an earlier --since.")
        return Range(time, begins)

    async def _behind(self, cursor: int, end: Mapping[TopicPartition, int]) -> Range:
        """What leads beyond a cursor, in each bucket of the feed. A commit of several pages may begin before it."""
        names = self._names
        stands = await own(self._made)
        if not stands:
            raise SettingsError(f"Feed {names.feed} has not begun.", hint="There is nothing to be told again.")
        if cursor >= (last := max(one.cursor for one in stands.values())):
            raise SettingsError(
                f"Nothing was committed behind cursor {cursor}: the feed stands at {last}.", hint="Name an earlier one."
            )
        firsts: dict[bytes, Any] = {}
        begun, begins = list[int](), dict(end)
        for bucket in stands:
            own_names = self._made.names(bucket)
            key, one = own_names.key, TopicPartition(self._topic, own_names.shard)
            async with reached(self._kafka, "finding the ledger's range"):
                begin = (await self._consumer.beginning_offsets([one]))[one]
            at = await self._bisect(one, key, cursor, begin, end[one])
            if (first := await self._next(one, at, end[one], key)) is None:
                continue
            entry = self._read(one, first)
            previous = entry["previousCursor"]
            if previous is not None and previous > cursor:
                self._cut_short(one)
            begun.append(entry["cursor"] if previous is None else cursor)
            firsts[key], begins[one] = first, min(begins[one], first.offset)
        if not begun:
            raise LedgerUnreadable(
                f"{self._topic} does not tell what the cursor topic says was committed behind cursor {cursor}.",
                hint="`vtj-producer verify` says what else is missing.",
            )
        if min(begun) > cursor:
            raise SettingsError(
                f"Cursor {cursor} is before the ledger, in which feed {names.feed} begins at {min(begun)}.",
                hint="Name that one, or a later one.",
            )
        time = min(first.timestamp for first in firsts.values())
        return Range(time, begins, {key: first.offset for key, first in firsts.items()})

    async def _bisect(self, one: TopicPartition, key: bytes, cursor: int, low: int, high: int) -> int:
        """An offset: the bucket's last entry before it leads to the cursor at most, its next one beyond."""
        while low < high:
            middle = (low + high) // 2
            found = await self._next(one, middle, high, key)
            if found is None or self._read(one, found)["cursor"] > cursor:
                high = middle
            else:
                low = int(found.offset) + 1
        return low

    async def _next(self, one: TopicPartition, begin: int, end: int, key: bytes | None = None) -> Any | None:
        """The first record from an offset on, of a bucket or of any."""
        async for batch in scan(self._consumer, self._kafka, one, begin, end, PROBE):
            for record in batch.records:
                if key in (None, record.key):
                    return record
        return None

    async def _entries(self, one: TopicPartition, begin: int, end: int) -> AsyncIterator[tuple[Any, dict[str, Any]]]:
        async for batch in scan(self._consumer, self._kafka, one, begin, end):
            for record in batch.records:
                yield record, self._read(one, record)

    def _read(self, one: TopicPartition, record: Any) -> dict[str, Any]:
        where = f"partition {one.partition} offset {record.offset}"
        entry = read(record.key or b"", record.value or b"", where)
        if entry is None:
            raise LedgerUnreadable(
                f"The entry of {self._topic} at {where} cannot be read, so nobody knows where its events stand.",
                hint="`vtj-producer verify` says what else is damaged. Choose a range behind it.",
            )
        return entry

    def _cut_short(self, one: TopicPartition) -> None:
        raise LedgerUnreadable(
            f"{self._topic} is cut short: what partition {one.partition} told of the range's beginning is gone.",
            hint="Choose a later --since; find out who shortened the ledger.",
        )


def _first(entry: Mapping[str, Any], there: Collection[TopicPartition]) -> list[tuple[TopicPartition, int]]:
    """Where the commit's events begin in those of these topic partitions that have some."""
    return [
        (slot, span[0])
        for topic, spans in entry["offsets"].items()
        for number, span in spans.items()
        if (slot := TopicPartition(topic, int(number))) in there
    ]
