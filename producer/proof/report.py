"""What a verification found: figures, and each fault by topic, partition and offset; never a person."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

FAULTS = {
    "gap": "a commit is missing from the ledger, or the cursor jumps",
    "edited": "an entry of the ledger is not what was committed",
    "missing": "events that were committed and are not there",
    "repeated": "events that are there once more",
    "orphaned": "events that no commit tells of",
    "out-of-order": "events of a person in another order than upstream's",
    "digest": "other events than those that were committed",
    "upstream": "events that upstream tells otherwise",
}
DETAILS = 100  # findings that are kept; all are counted


@dataclass(frozen=True, slots=True)
class Finding:
    """first, last: offsets in the partition. count: events, or entries of the ledger."""

    kind: str
    topic: str
    partition: int
    first: int
    last: int
    count: int
    what: str


@dataclass(slots=True)
class Chain:
    """The entries of a bucket. first: the cursor from which they lead; began: that cursor is where the bucket begins.

    last: the cursor that they lead to. since: when the first of them was committed (ms). moved: from where to where the
    position was moved, as somebody asked for and the ledger says, in order.
    """

    feed: str
    bucket: str
    first: int
    began: bool
    last: int
    since: int
    entries: int = 0
    moved: list[tuple[int, int]] = field(default_factory=list)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The cursors that they lead over, put together: moves leave some out, and lead over others again."""
        begins, ends = [self.first, *(to for _, to in self.moved)], [*(at for at, _ in self.moved), self.last]
        found: list[tuple[int, int]] = []
        for begin, end in sorted(zip(begins, ends, strict=True)):
            if found and begin <= found[-1][1]:
                found[-1] = found[-1][0], max(end, found[-1][1])
            else:
                found.append((begin, end))
        return found


@dataclass(slots=True)
class Report:
    """entries: of the ledger. events: compared. aged: committed, and gone by the topic's retention.

    chains: by key. uncompared: topics that are compacted and keep no history. seconds: that it took.
    """

    entries: int = 0
    events: int = 0
    aged: int = 0
    seconds: float = 0
    chains: dict[bytes, Chain] = field(default_factory=dict)
    uncompared: set[str] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.faults

    def find(self, kind: str, slot: tuple[str, int], span: tuple[int, int], count: int, what: str) -> None:
        self.faults[kind] += count
        if len(self.findings) < DETAILS:
            self.findings.append(Finding(kind, *slot, *span, count, what))

    def json(self) -> Iterable[dict[str, Any]]:
        """One object for each finding, then the figures."""
        for one in self.findings:
            yield asdict(one)
        yield {
            "sound": self.sound,
            "entries": self.entries,
            "events": self.events,
            "beyondRetention": self.aged,
            "faults": {kind: self.faults[kind] for kind in FAULTS},
            "chains": [asdict(chain) for _, chain in sorted(self.chains.items())],
            "notCompared": sorted(self.uncompared),
            "seconds": round(self.seconds, 3),
        }
