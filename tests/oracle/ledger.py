"""The judgement of the commits: the cursor never ahead of the events, and a ledger that is true."""

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise

from .events import Commit, Found, Position
from .reading import Slot
from .upstream import DEAD, Change, Expected
from .verdict import Verdict

Spans = Mapping[Slot, tuple[int, int, int]]


def judge_commits(
    commits: Sequence[Commit],
    positions: Sequence[Position],
    passed: Sequence[Change],
    expected: Sequence[Expected],
    pairs: Mapping[Expected, Found],
    verdict: Verdict,
) -> None:
    """passed, expected: the changes that the cursor has passed, and what must be there for them, in order."""
    _judge_chain(commits, verdict)
    _judge_positions(commits, positions, verdict)
    changed, awaited = [one.kirjausavain for one in passed], [one.kirjausavain for one in expected]
    for commit in commits:
        first = commit.cursor if commit.previous is None else commit.previous
        records = bisect_right(changed, commit.cursor) - bisect_right(changed, first)
        own = expected[bisect_right(awaited, first) : bisect_right(awaited, commit.cursor)]
        there = [pairs[item] for item in own if item in pairs]
        _judge_ahead(commit, own, pairs, verdict)
        _judge_entry(commit, records, there, verdict)


def _judge_chain(commits: Sequence[Commit], verdict: Verdict) -> None:
    """Each entry goes on where the one before it stopped; the first says where the feed begins."""
    if commits and commits[0].previous is not None:
        verdict.find("ledger", f"{commits[0].at}: the beginning of the feed is missing")
    for before, commit in pairwise(commits):
        if commit.previous != before.cursor:
            verdict.find("ledger", f"{commit.at}: does not go on where the entry before it stopped")
        if commit.cursor < before.cursor:
            verdict.find("ledger", f"{commit.at}: goes backward")


def _judge_positions(commits: Sequence[Commit], positions: Sequence[Position], verdict: Verdict) -> None:
    """Cursor records are ledger entries, in their order; compaction may have taken all but the last."""
    entries = [(commit.previous, commit.cursor) for commit in commits]
    last = max((commit.cursor for commit in commits), default=-1)
    at = 0
    for position in positions:
        try:
            at = entries.index((position.previous, position.cursor), at) + 1
        except ValueError:
            figure = "ahead" if position.cursor > last else "ledger"
            verdict.find(figure, f"{position.at}: the ledger has no such commit at this place")
    if positions and commits and positions[-1].cursor < last:
        verdict.find("ledger", f"{positions[-1].at}: the ledger has later commits than the last cursor")


def _judge_ahead(commit: Commit, own: Sequence[Expected], pairs: Mapping[Expected, Found], verdict: Verdict) -> None:
    """Everything up to the cursor is there when the cursor is: in this commit, since it was not due before."""
    for item in own:
        one = pairs.get(item)
        _, last, _ = commit.spans.get(one.stored.slot, (0, -1, 0)) if one else (0, -1, 0)
        if one is None or one.stored.offset > last:
            verdict.find("ahead", f"{commit.at}: its cursor passed change {item.index}, which was not there yet")
            return


def _judge_entry(commit: Commit, records: int, there: Sequence[Found], verdict: Verdict) -> None:
    real = _spans(there)
    if commit.spans != real:
        verdict.find("ledger", f"{commit.at}: its offsets are not those of its events")
    letters = sum(count for (topic, _), (_, _, count) in real.items() if topic == DEAD)
    if (commit.records, commit.events, commit.letters) != (records, len(there), letters):
        verdict.find("ledger", f"{commit.at}: its counts are not those of its events")
    if commit.digest != _digest(there):
        verdict.find("ledger", f"{commit.at}: its digest is not that of its events")


def _spans(there: Sequence[Found]) -> Spans:
    offsets: dict[Slot, list[int]] = defaultdict(list)
    for one in there:
        offsets[one.stored.slot].append(one.stored.offset)
    return {slot: (min(those), max(those), len(those)) for slot, those in offsets.items()}


def _digest(there: Sequence[Found]) -> str:
    """SHA-256 over the hexadecimal digests of the pages, each of them SHA-256 over its events' ids, in order."""
    pages = [
        hashlib.sha256(bytes.fromhex("".join(one.event_id for one in page).replace("-", ""))).hexdigest()
        for _, page in groupby(there, key=lambda one: one.cursor)
    ]
    return hashlib.sha256("".join(pages).encode()).hexdigest()
