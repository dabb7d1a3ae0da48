"""`vtj-producer verify`: the topics, read again, against the ledger."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from producer import pipeline
from producer.app.history import historical, policies
from producer.app.parts import Decoding, Parts
from producer.app.persons import look
from producer.errors import CursorUnreadable, SettingsError
from producer.events.instant import in_finland, midnight
from producer.kafka.cursor import positions
from producer.kafka.deadlines import reached, settled
from producer.kafka.names import BESIDE, SHARDS
from producer.kafka.reader import by_time, ends, partitions, reader
from producer.kafka.scan import scan
from producer.proof.chain import Chains, read
from producer.proof.report import Report
from producer.proof.spans import CLOSELY, PartitionJudge, Record, Slot, Span, Spans, Stray, classify
from producer.proof.told import Told
from producer.upstream.client import Upstream
from producer.upstream.retrying import Retrying

Progress = Callable[[int, int], None]  # offsets that are read, of how many


@dataclass(frozen=True, slots=True)
class Range:
    """Which commits: by the time of their ledger record (ms), and by feed. None: no bound."""

    since: int | None = None
    until: int | None = None
    feed: str | None = None


async def verify(made: Parts, wanted: Range, progress: Progress, *, upstream: bool = False) -> Report:
    """Raises SettingsError, TopicsDiffer, LedgerUnreadable, CursorUnreadable, KafkaGone, KafkaRefused."""
    async with AsyncExitStack() as stack:
        async with reached(made.settings.kafka, "connecting to Kafka"):
            consumer = await stack.enter_async_context(reader(made.settings.kafka, made.instance))
        return await Verification(made, wanted, consumer).run(progress, upstream=upstream)


class Verification:
    def __init__(self, made: Parts, wanted: Range, consumer: AIOKafkaConsumer) -> None:
        self._made, self._wanted, self._consumer = made, wanted, consumer
        self._kafka, self._names = made.settings.kafka, made.names("")
        self._decoding = Decoding(made)
        self._report, self._spans = Report(), Spans(self._compared)
        self._topic = self._names.ledger_topic
        self._told: Told | None = None
        self._numbers: dict[str, int] = {}  # of buckets

    async def run(self, progress: Progress, *, upstream: bool) -> Report:
        began, report = time.monotonic(), self._report
        compared = await self._topics()
        anchors = await self._anchors()
        # The topics' ends before the ledger's: whatever is committed there has its entry in the ledger by then.
        async with reached(self._kafka, "finding the partitions"):
            here = await partitions(self._consumer, [*compared, self._topic])
            there = [one for one in here if one.topic != self._topic]
            until = await self._ends(there)
        chains = await self._ledger([one for one in here if one.topic == self._topic], anchors)
        if self._wanted.until is None:
            chains.end(await self._anchors())
        if upstream:
            self._told = await self._retold()
        plan = self._plan(until, await self._ends(there))
        total, done = sum(end - first for first, end, _ in plan.values()), 0
        for slot, (first, end, strays) in sorted(plan.items()):
            async for position in self._partition(slot, first, end, strays):
                progress(done + position - first, total)
            done += end - first
        if self._told:
            self._told.end()
        report.seconds = time.monotonic() - began
        return report

    async def _retold(self) -> Told:
        """What upstream tells of the range now. It refuses cursors that are too old."""
        made, settings = self._made, self._made.settings
        chains = [one for one in self._report.chains.values() if one.feed == self._names.feed]
        chains = [one for one in chains if one.bucket not in BESIDE]
        listed = (await look(made)).entries if settings.upstream.listing else None
        key = made.hidden.of if made.hidden else str
        began = {one.bucket: one.since for one in chains}
        steady = {
            key(code).encode(): self._number(one.bucket)
            for code, one in (listed or {}).items()
            if one.since < began.get(one.bucket, 0)
        }
        told = Told(self._report, None if listed is None else steady)
        converter = made.converter()
        async with Upstream(settings.upstream) as client:
            asking = Retrying(client, settings.upstream, patience=settings.upstream.patience)
            for one in chains:
                codes = [code for code, entry in (listed or {}).items() if entry.bucket == one.bucket]
                if listed is not None and not codes:
                    continue
                asked = orjson.dumps(codes) if codes else b""
                for first, last in one.ranges:
                    cursor, up_to_date = first, False
                    while cursor < last and not up_to_date:
                        page = await asking.changes_since(cursor, bucket=one.bucket, listed=asked)
                        cursor, up_to_date = page.cursor, page.up_to_date
                        told.tell((await pipeline.encode(converter, page)).events, due=cursor <= last)
        return told

    async def _topics(self) -> list[str]:
        """Those whose history the ledger can be compared with."""
        found = await policies(self._made)
        compacted = {name for name, policy in found.items() if "compact" in policy}
        self._report.uncompared = compacted - {self._names.cursor_topic}
        return [name for name in sorted(found) if self._compared(name)]

    def _compared(self, topic: str) -> bool:
        return topic not in self._report.uncompared and historical(self._names.prefix, topic)

    async def _anchors(self) -> dict[bytes, str | None]:
        """Key → digest of the entry that the cursor record names, of the buckets with a last commit in the range.

        Raises SettingsError: nobody has heard of the feed.
        """
        async with settled(self._kafka, "reading the cursor"):
            found = await positions(self._kafka, self._made.instance, self._names.cursor_topic, list(range(SHARDS)))
        feeds, feed = sorted({one.feed for one in found.values()}), self._wanted.feed
        if feed is not None and feed not in feeds:
            raise SettingsError(
                f"No feed {feed} has committed anything under {self._names.prefix}.",
                hint=f"Feeds are: {', '.join(feeds) or 'none yet'}.",
            )
        since = self._wanted.since or 0  # what a bucket committed last may be older
        return {key: one.entry for key, one in found.items() if feed in (None, one.feed) and one.committedAt >= since}

    async def _ends(self, here: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        async with reached(self._kafka, "finding the ends of the topics"):
            return await ends(self._kafka, self._made.instance, here) if here else {}

    async def _ledger(self, here: Sequence[TopicPartition], anchors: Mapping[bytes, str | None]) -> Chains:
        """Reads the entries of the range, and so much around it that whatever interleaves with them is known."""
        wanted = self._wanted
        around = int(self._kafka.transaction_timeout * 1000)
        async with reached(self._kafka, "finding the ledger's range"):
            begin = await self._consumer.beginning_offsets(here)
            end = await ends(self._kafka, self._made.instance, here)
            truncated = any(begin.values())
            if wanted.since is not None:
                await self._refuse_before(wanted.since, here, around if truncated else 0)
                begin |= await by_time(self._consumer, wanted.since - around, end)
            if wanted.until is not None:
                end |= await by_time(self._consumer, wanted.until + around, end)
        chains = Chains(self._report, self._topic, anchors, whole=wanted.since is None, truncated=truncated)
        for one in here:
            async for batch in scan(self._consumer, self._kafka, one, begin[one], end[one]):
                for record in batch.records:
                    judged = (wanted.since or 0) <= record.timestamp and record.timestamp < (wanted.until or 2**63)
                    key, value = record.key or b"", record.value or b""
                    if judged and wanted.feed in (None, key.decode(errors="replace").partition("/")[0]):
                        entry = chains.take(one.partition, record.offset, key, value)
                    else:
                        entry, judged = read(key, value, f"partition {one.partition} offset {record.offset}"), False
                    if entry is not None:
                        told = entry["feed"] == self._names.feed and entry["bucket"] not in BESIDE
                        bucket = self._number(entry["bucket"]) if told else -1
                        self._spans.add(entry, one.partition, record.offset, judged=judged, bucket=bucket)
        if (wanted.since or wanted.until) and not self._report.entries:
            raise SettingsError("Nothing was committed in that range.", hint="Widen --since and --until.")
        return chains

    def _number(self, bucket: str) -> int:
        return self._numbers.setdefault(bucket, len(self._numbers))

    async def _refuse_before(self, since: int, here: Sequence[TopicPartition], around: int) -> None:
        """around: 0 for a whole ledger, of whose first day the rest may be meant."""
        first = [
            one.timestamp for one in (await self._consumer.offsets_for_times(dict.fromkeys(here, 0))).values() if one
        ]
        begins = min(first, default=0) + around
        if not first or (since < begins and (around or since != midnight(begins))):
            at = in_finland((begins + 999) // 1000 * 1000).isoformat() if first else "nowhere: it is empty"
            raise SettingsError(
                f"--since is before the ledger, which can be verified from {at} on.",
                hint="Leave --since out to verify from its beginning, or name a later time.",
            )

    def _plan(
        self, until: Mapping[TopicPartition, int], now: Mapping[TopicPartition, int]
    ) -> dict[Slot, tuple[int, int, int]]:
        """Topic partition → from where to where it is read, and up to where a record must be in a span.

        until, now: where the partitions ended before and after the ledger was read. Behind that nothing is waited for.
        """
        plan: dict[Slot, tuple[int, int, int]] = {}
        for slot in {*self._spans.slots, *until}:
            end = until.get(TopicPartition(*slot), 0)
            those = [span for span in self._spans.of(slot) if span.judged]
            first = min((span.first for span in those), default=end) if self._wanted.since is not None else 0
            last = max((span.last + 1 for span in those), default=first)
            strays = end if self._wanted.until is None else min(end, last)
            plan[slot] = first, max(first, min(max(strays, last), now.get(TopicPartition(*slot), 0))), strays
        return plan

    async def _begin(self, one: TopicPartition) -> int:
        async with reached(self._kafka, f"asking where {one.topic} begins"):
            return int((await self._consumer.beginning_offsets([one]))[one])

    async def _partition(self, slot: Slot, first: int, end: int, strays: int) -> AsyncIterator[int]:
        """Yields how far it is."""
        one, report = TopicPartition(*slot), self._report
        there = end > first
        begin = await self._begin(one) if there else 0
        judge = PartitionJudge(self._spans.of(slot), begin, report)
        if there:
            async for batch in scan(self._consumer, self._kafka, one, max(first, begin), end):
                span = judge.take(batch.producer, batch.first, batch.last, ids := batch.ids)
                if self._told and span and span.judged and span.bucket >= 0:
                    keys = (record.key for record in batch.records)
                    self._told.compare(slot, span.bucket, batch.first, batch.last, keys, ids)
                yield batch.last
            begin = await self._begin(one)
        judge.end(begin)
        for number, (span, seen) in enumerate(judge.broken):
            if there and number < CLOSELY:
                classify(report, slot, span, [at async for at in self._records(one, span)])
            else:
                kind, events = ("missing", span.events - seen) if seen < span.events else ("digest", 1)
                report.find(kind, slot, span[:2], events, f"{seen} of {span.events} events are there")
        if found := [stray for stray in judge.strays if stray.first < strays]:
            await self._judge_strays(slot, found, max(first, begin), end)
        yield end

    async def _records(self, one: TopicPartition, span: Span) -> AsyncIterator[Record]:
        async for batch in scan(self._consumer, self._kafka, one, span.first, span.last + 1):
            if batch.producer == span.producer:
                for record, event_id in zip(batch.records, batch.ids, strict=True):
                    yield await self._looked_at(record, event_id)

    async def _looked_at(self, record: Any, event_id: bytes) -> Record:
        return Record(record.key, event_id, await self._place(record.value))

    async def _place(self, value: bytes | None) -> tuple[int, int] | None:
        try:
            told = await self._decoding(value or b"")
            return told["cursor"], told["position"]
        except (CursorUnreadable, KeyError):
            return None

    async def _judge_strays(self, slot: Slot, strays: Sequence[Stray], first: int, end: int) -> None:
        """Are they events that a commit has too? The partition is read once more, since nothing of it is kept.

        An id alone does not tell: a change that upstream tells twice has the same one.
        """
        found, known = dict[int, list[Record]](), set[Record]()
        places, ids = {stray.first for stray in strays}, {one for stray in strays for one in stray.ids}
        async for batch in scan(self._consumer, self._kafka, TopicPartition(*slot), first, end):
            of_interest = zip(batch.records, batch.ids, strict=True) if not ids.isdisjoint(batch.ids) else ()
            those = [await self._looked_at(record, one) for record, one in of_interest if one in ids]
            if batch.first in places:
                found[batch.first] = those
            else:
                known.update(those)
        for stray in strays:
            again = sum(one in known for one in found.get(stray.first, ()))
            for kind, count in (("repeated", again), ("orphaned", stray.events - again)):
                if count:
                    self._report.find(kind, slot, (stray.first, stray.last), count, "in no commit's span")
