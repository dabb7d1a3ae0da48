"""The judgement of the commits: the cursor never ahead of the events, and a ledger that is true."""

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from .events import Commit, Found, Position, Span
from .reading import Slot
from .upstream import DEAD, IDENTITY, WATCHLIST, Change, Expected
from .verdict import Verdict

Spans = Mapping[Slot, Span]


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
    if commits and (commits[0].previous, commits[0].before) != (None, None):
        verdict.find("ledger", f"{commits[0].at}: the beginning of the feed is missing")
    for before, commit in pairwise(commits):
        if commit.previous != before.cursor:
            verdict.find("ledger", f"{commit.at}: does not go on where the entry before it stopped")
        if commit.before != before.own:
            verdict.find("ledger", f"{commit.at}: does not carry the digest of the entry before it")
        if commit.cursor < before.cursor:
            verdict.find("ledger", f"{commit.at}: goes backward")


def _judge_positions(commits: Sequence[Commit], positions: Sequence[Position], verdict: Verdict) -> None:
    """Cursor records are ledger entries, in their order; compaction may have taken all but the last."""
    entries = [(commit.previous, commit.cursor, commit.own) for commit in commits]
    last = max((commit.cursor for commit in commits), default=-1)
    at = 0
    for position in positions:
        try:
            at = entries.index((position.previous, position.cursor, position.entry), at) + 1
        except ValueError:
            figure = "ahead" if position.cursor > last else "ledger"
            verdict.find(figure, f"{position.at}: the ledger has no such commit at this place")
    if positions and commits and positions[-1].cursor < last:
        verdict.find("ledger", f"{positions[-1].at}: the ledger has later commits than the last cursor")


def _judge_ahead(commit: Commit, own: Sequence[Expected], pairs: Mapping[Expected, Found], verdict: Verdict) -> None:
    """Everything up to the cursor is there when the cursor is: in this commit, since it was not due before."""
    for item in own:
        one = pairs.get(item)
        span = commit.spans.get(one.stored.slot) if one else None
        if one is None or span is None or one.stored.offset > span[1]:
            verdict.find("ahead", f"{commit.at}: its cursor passed change {item.index}, which was not there yet")
            return


def _judge_entry(commit: Commit, records: int, there: Sequence[Found], verdict: Verdict) -> None:
    if commit.previous == commit.cursor:
        _judge_followed(commit, verdict)
        return
    real = _spans(there)
    told = {slot: span for slot, span in commit.spans.items() if slot[0] != WATCHLIST}
    if {slot: span[:3] for slot, span in told.items()} != {slot: span[:3] for slot, span in real.items()}:
        verdict.find("ledger", f"{commit.at}: its offsets are not those of its events")
    if {slot: span[3] for slot, span in told.items()} != {slot: span[3] for slot, span in real.items()}:
        verdict.find("ledger", f"{commit.at}: its digests are not those of its events")
    letters = sum(count for (topic, _), (_, _, count, _) in real.items() if topic == DEAD)
    beside = sum(count for slot, (_, _, count, _) in commit.spans.items() if slot not in told)
    if (commit.records, commit.events, commit.letters) != (records, len(there) + beside, letters):
        verdict.find("ledger", f"{commit.at}: its counts are not those of its events")


def _judge_followed(commit: Commit, verdict: Verdict) -> None:
    """A commit that moves no cursor says who is followed from there on, and in which bucket, and nothing else."""
    counts = [count for (topic, _), (_, _, count, _) in commit.spans.items() if topic in (IDENTITY, WATCHLIST)]
    if commit.records or commit.letters or len(counts) != len(commit.spans) or sum(counts) != commit.events:
        verdict.find("ledger", f"{commit.at}: its counts are not those of its events")


def _spans(there: Sequence[Found]) -> Spans:
    """First and last offset, count, and SHA-256 over the ids, as text, in the order of offsets."""
    found: dict[Slot, dict[int, str]] = defaultdict(dict)
    for one in there:
        found[one.stored.slot][one.stored.offset] = one.event_id
    spans = {}
    for slot, ids in found.items():
        text = "".join(ids[offset] for offset in sorted(ids))
        spans[slot] = min(ids), max(ids), len(ids), hashlib.sha256(text.encode()).hexdigest()
    return spans
