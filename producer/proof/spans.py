"""The events of a topic partition against the spans that the ledger tells of: pure judgement.

The spans of several producers interleave, those of one producer never do: its transactions follow one another. So a
batch is told by the broker's number of its producer, which stands in the batch and in the entry; no value is decoded.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, NamedTuple

from producer.proof.report import Report

Slot = tuple[str, int]
# Of the faults of one partition so many are looked at closely: no damage may fill the memory.
CLOSELY = 1000
_PACKED = Struct("<qqqqiq?i32s")  # 81 bytes a span, where objects would take 500


class Span(NamedTuple):
    """What one commit wrote to one partition.

    partition, offset: of its ledger entry. judged: it is in the range. bucket: the number given to it; -1: of
    those that upstream does not tell of.
    """

    first: int
    last: int
    events: int
    producer: int
    partition: int
    offset: int
    judged: bool
    bucket: int
    digest: bytes


class Spans:
    """All of them, by topic partition, of those topics that are compared."""

    def __init__(self, compared: Callable[[str], bool]) -> None:
        self._compared = compared
        self._packed: dict[Slot, bytearray] = defaultdict(bytearray)

    def add(self, entry: Mapping[str, Any], partition: int, offset: int, *, judged: bool, bucket: int) -> None:
        for topic, spans in entry["offsets"].items():
            for number, (first, last, count, digest) in spans.items() if self._compared(topic) else ():
                self._packed[topic, int(number)] += _PACKED.pack(
                    first, last, count, entry["producerId"], partition, offset, judged, bucket, bytes.fromhex(digest)
                )

    @property
    def slots(self) -> set[Slot]:
        return {*self._packed}

    def of(self, slot: Slot) -> list[Span]:
        """In the order of offsets."""
        return sorted(map(Span._make, _PACKED.iter_unpack(self._packed.get(slot, b""))))


@dataclass(slots=True)
class Stray:
    """Records that no span holds. ids: none when there are too many strays to look at closely."""

    first: int
    last: int
    events: int
    ids: Sequence[bytes]


@dataclass(slots=True)
class _Line:
    """One producer's spans in the partition, in order. now: the one that is being read."""

    left: Iterator[Span]
    now: Span | None
    seen: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


class PartitionJudge:
    """Takes the committed batches of a partition in the order of offsets.

    begin: the first offset that the broker keeps. broken: the spans that are not as the ledger says, with how many
    events are there. strays: what no span holds.
    """

    def __init__(self, spans: Sequence[Span], begin: int, report: Report) -> None:
        self.broken: list[tuple[Span, int]] = []
        self.strays: list[Stray] = []
        self._report = report
        self._lines: dict[int, _Line] = {}
        of: dict[int, list[Span]] = defaultdict(list)
        for span in spans:
            if span.last >= begin:
                of[span.producer].append(span)
            elif span.judged:
                report.aged += span.events
        for producer, those in of.items():
            left = iter(those)
            self._lines[producer] = _Line(left, next(left))

    def take(self, producer: int, first: int, last: int, ids: Sequence[bytes]) -> Span | None:
        """A batch, and the span that it is of. ids: the ce_id of each record, b"" without one."""
        line = self._lines.get(producer)
        while line and line.now and first > line.now.last:
            self._close(line, line.now)
        if line and line.now and line.now.first <= first and last <= line.now.last:
            line.seen += len(ids)
            line.digest.update(b"".join(ids))
            self._report.events += line.now.judged * len(ids)
            return line.now
        if len(self.strays) < CLOSELY:
            self.strays.append(Stray(first, last, len(ids), ids))
        elif self.strays[-1].ids:
            self.strays.append(Stray(first, last, len(ids), ()))
        else:
            self.strays[-1].last, self.strays[-1].events = last, self.strays[-1].events + len(ids)
        return None

    def end(self, begin: int) -> None:
        """begin: the first offset that the broker keeps by now."""
        for line in self._lines.values():
            while line.now:
                self._close(line, line.now)
        aged = [one for one in self.broken if one[0].first < begin]
        self._report.aged += sum(max(0, span.events - seen) for span, seen in aged)
        self.broken = [one for one in self.broken if one[0].first >= begin]

    def _close(self, line: _Line, span: Span) -> None:
        if span.judged and (line.seen != span.events or line.digest.digest() != span.digest):
            self.broken.append((span, line.seen))
        line.now, line.seen, line.digest = next(line.left, None), 0, hashlib.sha256()


class Record(NamedTuple):
    """A record of a broken span, looked at closely. place: cursor and position; None when it cannot be read."""

    key: bytes | None
    id: bytes
    place: tuple[int, int] | None


def classify(report: Report, slot: Slot, span: Span, records: Sequence[Record]) -> None:
    """What is wrong with a broken span."""
    there = Counter((one.key, one.id, one.place) for one in records)
    again = sum(there.values()) - len(there)
    missing, extra = max(0, span.events - (len(records) - again)), max(0, len(records) - again - span.events)

    def find(kind: str, count: int, what: str) -> None:
        if count:
            entry = f"(ledger partition {span.partition} offset {span.offset})"
            report.find(kind, slot, (span.first, span.last), count, f"{what} {entry}")

    find("missing", missing, f"{len(records)} of {span.events} events are there")
    find("repeated", again, "the same event, once more in its commit")
    find("orphaned", extra, f"{len(records)} events are there, and {span.events} were committed")
    if not missing and not again and not extra:
        latest: dict[bytes | None, tuple[int, int]] = {}
        behind = 0
        for one in records:
            if one.place is not None:
                behind += one.place < latest.get(one.key, one.place)
                latest[one.key] = max(one.place, latest.get(one.key, one.place))
        find("out-of-order", behind, "an event stands behind a later one of its person")
        find("digest", 0 if behind else 1, "the ids are not those that were committed")
