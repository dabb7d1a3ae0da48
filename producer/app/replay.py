"""`vtj-producer replay` into a topic: the changes of a range, copied with kind REPLAY.

The ledger is what is followed: commit by commit, each with its events in upstream's order. So the events of a person
keep their order, whichever topics they come from, and nothing comes that is not the range's.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from producer.app.discretion import Discretion
from producer.app.history import Ledger, Since, policies
from producer.app.parts import Decoding, Parts, resumable
from producer.app.rewind import refuse_others
from producer.errors import Busy, SettingsError
from producer.events.instant import now_ms
from producer.kafka.clients import administration
from producer.kafka.names import NO_NEWS, REPLAY, java_hash
from producer.kafka.reader import reader
from producer.kafka.scan import BYTES, scan
from producer.kafka.shard import Shard
from producer.kafka.topics import require_target
from producer.model import EncodedEvent, EncodedPage
from producer.observe.audit import audit
from producer.operate.together import together

log = logging.getLogger("vtj.replay")

RECORD: Final = 512  # bytes of a record in a compressed batch, more or less


class Span(NamedTuple):
    """What a commit has written to a topic partition. commit: its number among those that are copied together."""

    first: int
    last: int
    events: int
    producer: int
    commit: int


Spans = Mapping[TopicPartition, Span]


@dataclass(frozen=True, slots=True, repr=False)
class Wanted:
    """What to copy, and where to. topics: of change events; none: all. codes: of persons; none: everybody's."""

    since: Since
    topic: str
    topics: Sequence[str] = ()
    codes: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """Nobody in the list can be guessed from it."""
        parts = [self.since.text, self.topic, *sorted(self.topics), str(len(self.codes)), *sorted(self.codes)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a copy is; the JSON that stands in the cursor record of its bucket.

    of: a digest of what is wanted. at, until: offsets in each partition of the ledger. counts: of events that are
    copied, left out because the person is erased or protected, and gone: the topics keep them no more.
    """

    of: str
    at: Sequence[int]
    until: Sequence[int]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.at == self.until


async def replay(made: Parts, wanted: Wanted, report: Callable[[int, int], None], *, again: bool) -> Progress:
    """Copies what the range holds now. Killed at any point it goes on where it was. report: how far, of how far.

    again: begin anew, whatever was begun or done. Raises SettingsError (also when another one is under way, or nobody
    knows who is protected), TopicsDiffer, LedgerUnreadable, CursorUnreadable, KafkaRefused; and KafkaGone and Busy,
    after which it may be run again.
    """
    topics = await _topics(made, wanted)
    discretion = await Discretion.over(made, topics)
    with resumable(Busy("Another `replay` has taken over.", hint="It goes on where this one was.")):
        return await _Copying(made, wanted, topics, discretion, report).run(again=again)


async def _topics(made: Parts, wanted: Wanted) -> Sequence[str]:
    """Those to copy from."""
    settings, found = made.settings, await policies(made)
    topics = list(dict.fromkeys(wanted.topics)) or made.catalogue.topics(settings.data_prefix)
    refuse_others(made, found, topics)
    if letters := [one for one in topics if ".change." not in one]:
        raise SettingsError(f"{letters[0]} has no change events.", hint="Dead letters are not copied.")
    async with administration(settings.kafka) as admin:
        await require_target(admin, settings.topics, wanted.topic)
    return topics


class _Copying:
    def __init__(
        self,
        made: Parts,
        wanted: Wanted,
        topics: Sequence[str],
        discretion: Discretion,
        report: Callable[[int, int], None],
    ) -> None:
        self._made, self._wanted, self._topics, self._report = made, wanted, topics, report
        self._discretion, self._decoding = discretion, Decoding(made)
        self._kafka, self._partitions = made.settings.kafka, made.settings.topics.partitions
        self._keys, self._theirs = set[str](), set[int]()  # of the persons of the file, and their partitions

    async def run(self, *, again: bool) -> Progress:
        publisher = self._made.publisher(REPLAY, [self._wanted.topic])

        async def work() -> Progress:
            await self._discretion.current()
            self._keys = self._discretion.persons(self._wanted.codes)
            self._theirs = {java_hash(key.encode()) % self._partitions for key in self._keys}
            async with publisher.open() as shard, reader(self._kafka, self._made.instance) as consumer:
                return await self._work(shard, consumer, again=again)

        done: Progress = await together(work(), *self._discretion.keep())
        return done

    async def _work(self, shard: Shard, consumer: AIOKafkaConsumer, *, again: bool) -> Progress:
        ledger = Ledger(self._made, consumer)
        wanted, until = await ledger.range(self._wanted.since), await ledger.ends()
        here = sorted(until)
        first = [wanted.begins[one] for one in here]
        progress = await self._begin(shard, first, [until[one] for one in here], again=again)
        begins, ends = (dict(zip(here, offsets, strict=True)) for offsets in (progress.at, progress.until))
        at, commits, events = [*progress.at], list[Spans](), 0
        async for one, offset, entry in ledger.entries(wanted, begins, ends):
            at[here.index(one)] = offset + 1
            if spans := self._spans(entry, len(commits)):
                commits.append(spans)
                events += sum(span.events for span in spans.values())
            if events >= self._kafka.transaction_events:
                progress = await self._copy(shard, consumer, commits, replace(progress, at=[*at]))
                self._report(sum(at) - sum(first), sum(progress.until) - sum(first))
                commits, events = [], 0
        if not progress.done:
            progress = await self._copy(shard, consumer, commits, replace(progress, at=progress.until))
        return progress

    async def _begin(self, shard: Shard, at: Sequence[int], until: Sequence[int], *, again: bool) -> Progress:
        """What is under way or done; else the beginning, which is stored: the range ends where the ledger does now."""
        told = Progress(**shard.progress) if shard.progress and not again else None
        if told and told.of == self._wanted.digest:
            if told.done:
                log.warning("this was copied before; --again copies it once more")
            return told
        if told and not told.done:
            raise SettingsError(
                f"Another replay is under way; {told.counts.get('copied', 0)} events are copied.",
                hint="Go on with the options that it began with, or give it up and begin this one: --again.",
            )
        progress = Progress(self._wanted.digest, at, until)
        await self._store(shard, [], progress)
        audit("copying since %(since)s to %(topic)s", {"since": self._wanted.since.text, "topic": self._wanted.topic})
        return progress

    def _spans(self, entry: Mapping[str, Any], number: int) -> Spans:
        """Of a commit of changes, those with events that may be wanted."""
        if entry["bucket"] in NO_NEWS:
            return {}
        return {
            TopicPartition(topic, int(at)): Span(span[0], span[1], span[2], entry["producerId"], number)
            for topic in self._topics
            for at, span in entry["offsets"].get(topic, {}).items()
            if not self._keys or int(at) in self._theirs
        }

    async def _copy(
        self, shard: Shard, consumer: AIOKafkaConsumer, commits: Sequence[Spans], progress: Progress
    ) -> Progress:
        """The events of these commits, one after the other, in one transaction. progress: after it, but for counts."""
        await self._discretion.current()
        slots: dict[TopicPartition, list[Span]] = {}
        for spans in commits:
            for slot, span in spans.items():
                slots.setdefault(slot, []).append(span)
        found: list[list[tuple[int, EncodedEvent]]] = [[] for _ in commits]  # each with its cursor
        counts = Counter(progress.counts)
        for slot, those in slots.items():
            await self._read(consumer, slot, those, found, counts)
        ordered = (sorted(one, key=lambda told: (told[0], told[1].position)) for one in found)
        events = [event for one in ordered for _, event in one]
        counts["copied"] += len(events)
        return await self._store(shard, events, replace(progress, counts=dict(counts)))

    async def _read(
        self,
        consumer: AIOKafkaConsumer,
        slot: TopicPartition,
        spans: Sequence[Span],
        into: Sequence[list[tuple[int, EncodedEvent]]],
        counts: Counter[str],
    ) -> None:
        """What of the topic partition is to be copied; the spans of one producer follow one another."""
        lines: dict[int, list[Span]] = {}
        for span in sorted(spans):
            lines.setdefault(span.producer, []).append(span)
            counts["gone"] += span.events
        first, end = min(span.first for span in spans), max(span.last for span in spans) + 1
        size = min(BYTES, RECORD * (end - first))
        async for batch in scan(consumer, self._kafka, slot, first, end, size):
            line = lines.get(batch.producer, [])
            while line and line[0].last < batch.first:
                line.pop(0)
            if line and line[0].first <= batch.first:
                counts["gone"] -= len(batch.records)
                for record in batch.records:
                    if told := await self._retold(slot.topic, record, counts):
                        into[line[0].commit].append(told)

    async def _retold(self, topic: str, record: Any, counts: Counter[str]) -> tuple[int, EncodedEvent] | None:
        """The event with its cursor; None: it is left out."""
        key = record.key.decode()
        if self._keys and key not in self._keys:
            return None
        if self._discretion.erased(key):
            counts["erased"] += 1
            return None
        event = self._discretion.tellable(key, topic, await self._decoding(record.value))
        if event is None:
            counts["protected"] += 1
            return None
        value, now = self._decoding.encode(event | {"kind": "REPLAY"}, record.value), now_ms()
        copied = EncodedEvent(self._wanted.topic, record.key, value, [*record.headers], now, event["position"])
        return event["cursor"], copied

    async def _store(self, shard: Shard, events: Sequence[EncodedEvent], progress: Progress) -> Progress:
        cursor, now = shard.cursor or 0, now_ms()
        page = EncodedPage(REPLAY, cursor, cursor, progress.done, now, 0, events, progress=asdict(progress))
        await shard.commit([page])
        return progress
