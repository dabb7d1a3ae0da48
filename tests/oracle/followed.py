"""Whom each bucket follows, and from which cursor to which: what the identities say, commit by commit."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .events import Commit, where
from .reading import Slot, Stored
from .schemas import Schemas
from .upstream import IDENTITY, WATCHLIST
from .verdict import Verdict


@dataclass
class Spell:
    """A person is asked for from the cursor `begin` on, until the bucket stands at `end`; None: still."""

    bucket: str
    begin: int
    end: int | None = None

    def covers(self, kirjausavain: int) -> bool:
        return self.begin < kirjausavain and (self.end is None or kirjausavain <= self.end)


Spells = Mapping[str, Sequence[Spell]]  # code → in order


Slots = Mapping[Slot, Sequence[tuple[int, int, Commit]]]


def is_introduction(one: Stored, bucket: str, slots: Slots) -> bool:
    """Whether the record came in a commit that moved no cursor, or with a load."""
    commit = commit_of(one, bucket, slots)
    return commit is None or commit.previous == commit.cursor


def commit_of(one: Stored, bucket: str, slots: Slots) -> Commit | None:
    """The bucket's commit that a record is of; those of other buckets may lie around it."""
    name = f"/{bucket}".encode()
    covering = (commit for first, last, commit in slots.get(one.slot, ()) if first <= one.offset <= last)
    return next((commit for commit in covering if commit.key and commit.key.endswith(name)), None)


def by_slot(commits: Sequence[Commit]) -> dict[Slot, list[tuple[int, int, Commit]]]:
    found: dict[Slot, list[tuple[int, int, Commit]]] = defaultdict(list)
    for commit in commits:
        for slot, (first, last, *_) in commit.spans.items():
            found[slot].append((first, last, commit))
    return found


def spells(stored: Sequence[Stored], commits: Sequence[Commit], verdict: Verdict) -> Spells:
    """From the records and tombstones under `identity`, which must be all that there ever were."""
    schemas, slots, buckets = Schemas.load(), by_slot(commits), dict[str, str]()
    found: dict[str, list[Spell]] = defaultdict(list)
    listed, early = _listed(stored), set[str]()
    for one in stored:
        if one.topic != IDENTITY:
            continue
        code = (one.key or b"").decode()
        last = found[code][-1] if found[code] and found[code][-1].end is None else None
        if one.value is None:
            commit = commit_of(one, buckets.get(code, ""), slots)
            if last is None or commit is None:
                verdict.find("wrong", f"{where(one)} lets go of somebody who was not followed")
            else:
                last.end = commit.cursor
            continue
        told = schemas.decode(IDENTITY, one.value)
        own = not listed[code] or told["bucket"] in listed[code]
        buckets[code] = told["bucket"] if own else listed[code][0]
        if last is None and own:
            found[code].append(Spell(told["bucket"], told["cursor"]))
        elif last is None:  # a correction that another bucket is told names somebody whom the own one has yet to begin
            found[code].append(Spell(listed[code][0], 0))
            early.add(code)
        elif code in early and is_introduction(one, told["bucket"], slots):
            last.begin = told["cursor"]
            early.remove(code)
        elif commit_of(one, told["bucket"], slots) and is_introduction(one, told["bucket"], slots):  # loads may repeat
            verdict.find("doubled", f"{where(one)} begins what was begun")
    _moved(stored, slots, found)
    return found


def _listed(stored: Sequence[Stored]) -> Mapping[str, Sequence[str]]:
    """Code → every bucket that the watchlist has ever named, in order."""
    named: dict[str, list[str]] = defaultdict(list)
    for one in stored:
        if one.topic == WATCHLIST and one.value is not None:
            named[(one.key or b"").decode()].append(json.loads(one.value)["bucket"])
    return named


def _moved(stored: Sequence[Stored], slots: Slots, found: Mapping[str, list[Spell]]) -> None:
    """Who has changed the bucket, which the watchlist says, goes on in the other where the first one stopped."""
    for one in stored:
        if one.topic == WATCHLIST and one.value is not None:
            bucket, code = json.loads(one.value)["bucket"], (one.key or b"").decode()
            commit = commit_of(one, bucket, slots)
            last = found[code][-1] if found.get(code) else None
            if commit is not None and last is not None and last.bucket != bucket:
                found[code].append(Spell(bucket, commit.cursor, last.end))
                last.end = commit.cursor
