"""The chain of each bucket's ledger entries, from their bytes: pure judgement."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from producer.errors import LedgerUnreadable
from producer.kafka import ledger
from producer.kafka.names import STATE
from producer.proof.report import Chain, Report

NUMBERS = ("cursor", "pages", "records", "events", "deadLetters", "producerId", "committedAt")


@dataclass(slots=True)
class _Link:
    """The last entry of a bucket so far. anchored: whether the entry that the cursor record names has come by."""

    digest: str
    cursor: int | None  # None: of an entry that cannot be read
    at: tuple[int, int]
    anchored: bool
    spans: dict[tuple[str, str], int]  # where the bucket's events end in each topic partition


class Chains:
    """Takes the entries in the order of each partition.

    topic: of the ledger. anchors: key → digest of the entry that the cursor record names. whole: the first entry that
    is taken must be the bucket's first. truncated: whether the ledger's beginning may be gone from the broker.
    """

    def __init__(
        self, report: Report, topic: str, anchors: Mapping[bytes, str | None], *, whole: bool, truncated: bool = False
    ) -> None:
        self._report, self._topic, self._anchors = report, topic, anchors
        self._whole, self._truncated = whole, truncated
        self._links: dict[bytes, _Link] = {}

    def take(self, partition: int, offset: int, key: bytes, value: bytes) -> dict[str, Any] | None:
        """The entry, when it can be read. Raises LedgerUnreadable: of a newer release, or the beginning is gone."""
        report, at, digest = self._report, (partition, offset), ledger.digest(value)
        before = self._links.get(key)
        entry = read(key, value, f"{self._topic} partition {partition} offset {offset}")
        link = _Link(
            digest,
            None if entry is None else entry["cursor"],
            at,
            digest == self._anchors.get(key) or (before is not None and before.anchored),
            before.spans if before else {},
        )
        self._links[key] = link
        report.entries += 1
        if entry is None:
            self._find("edited", at, "the entry cannot be read")
            return None
        chain = report.chains.get(key)
        if chain is None:
            previous, cursor, since = entry["previousCursor"], entry["cursor"], entry["committedAt"]
            first = cursor if previous is None else previous
            chain = Chain(entry["feed"], entry["bucket"], first, previous is None, cursor, since)
            report.chains[key] = chain
        chain.entries, chain.last = chain.entries + 1, entry["cursor"]
        if entry.get("moved"):
            chain.moved.append((entry["previousCursor"], entry["cursor"]))
            if entry["events"] or entry["records"]:
                self._find("edited", at, "it says that it moves the position alone, and has events")
        if sum(span[2] for spans in entry["offsets"].values() for span in spans.values()) != entry["events"]:
            self._find("edited", at, "its counts contradict each other")
        self._follow(before, entry, at)
        for topic, spans in entry["offsets"].items():
            for number, (first, last, *_) in spans.items():
                if first <= link.spans.get((topic, number), -1):
                    self._find(
                        "out-of-order", at, f"its events in {topic} partition {number} stand before earlier ones"
                    )
                link.spans[topic, number] = last
        return entry

    def _follow(self, before: _Link | None, entry: Mapping[str, Any], at: tuple[int, int]) -> None:
        if before is None:
            if self._whole and entry["previousEntry"] is not None:
                if self._truncated:
                    raise LedgerUnreadable(
                        f"The beginning of {self._topic} is gone: its first entry at partition {at[0]} offset {at[1]} "
                        "goes on from another.",
                        hint="Verify what is left with --since a later day; find out who shortened the ledger.",
                    )
                self._find("gap", at, "the beginning of the bucket's chain is missing")
        elif before.cursor is not None and entry["previousCursor"] != before.cursor:
            self._find(
                "gap", at, f"goes on from cursor {entry['previousCursor']}, the entry before ends at {before.cursor}"
            )
        elif entry["previousEntry"] != before.digest:
            where = f"partition {before.at[0]} offset {before.at[1]}"
            self._find(
                "edited", at, f"names another entry before it than that at {where}: edited, or one between is gone"
            )
        elif entry["cursor"] < (before.cursor or 0) and not entry.get("moved") and entry["bucket"] != STATE:
            # the state's: a load may be of an earlier day
            self._find("gap", at, "the cursor goes backward")

    def end(self, later: Mapping[bytes, str | None]) -> None:
        """The ends, where the last entry should be the one that the cursor record names.

        later: the anchors as they are after the ledger was read: a running service moves them.
        """
        for key, anchor in self._anchors.items():
            link, name = self._links.get(key), key.decode(errors="replace")
            if link is None or not link.anchored:
                at = link.at if link else (-1, -1)
                self._find("gap", at, f"the last entry of {name}, which its cursor record names, is missing or edited")
            elif link.digest != anchor and later.get(key) == anchor:
                self._find("gap", link.at, f"{name} has entries after the one that its cursor record names")

    def _find(self, kind: str, at: tuple[int, int], what: str) -> None:
        partition, offset = at
        self._report.find(kind, (self._topic, partition), (offset, offset), 1, what)


def read(key: bytes, value: bytes, where: str) -> dict[str, Any] | None:
    """An entry; None: it is not one of this program. Raises LedgerUnreadable."""
    try:
        entry: dict[str, Any] = orjson.loads(value)
        version = entry["version"]
        if isinstance(version, int) and version > ledger.VERSION:
            raise LedgerUnreadable(
                f"The ledger entry at {where} was written by a newer release (format {version}).",
                hint="Use that release, or a newer one.",
            )
        spans = [span for spans in entry["offsets"].values() for span in spans.values()]
        whole = (
            f"{entry['feed']}/{entry['bucket']}".encode() == key
            and all(type(entry[name]) is int for name in NUMBERS)
            and {"previousCursor", "previousEntry"} <= entry.keys()
            and (not entry.get("moved") or type(entry["previousCursor"]) is int)
            and all([*map(type, span)] == [int, int, int, str] and len(bytes.fromhex(span[3])) == 32 for span in spans)
            and all(number.isdecimal() for spans in entry["offsets"].values() for number in spans)
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return entry if whole else None
