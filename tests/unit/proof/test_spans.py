"""Every way in which a partition can differ from the ledger is found, and told apart."""

import hashlib
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from producer.proof.report import Report
from producer.proof.spans import PartitionJudge, Record, Span, Spans, classify

SLOT = ("vtj.change.kotikunta", 1)


@dataclass
class Commit:
    """One span, and what is there of it."""

    span: Span
    offsets: list[int]
    ids: list[bytes]


def honest(producers: Sequence[int], seed: int = 1) -> list[Commit]:
    """Commits of these producers whose records interleave at random, a marker behind each."""
    dice, free = random.Random(seed), 0
    running: dict[int, Commit] = {}
    done: list[Commit] = []
    for turn in range(200):
        producer = dice.choice(producers)
        span = Span(free, free, 0, producer, 0, turn, judged=True, bucket=0, digest=b"")
        commit = running.setdefault(producer, Commit(span, [], []))
        commit.offsets.append(free)
        commit.ids.append(str(uuid.UUID(int=dice.getrandbits(128))).encode())
        free += 1
        if dice.random() < 0.2:
            done.append(running.pop(producer))
            free += 1
    done += running.values()
    for commit in done:
        digest = hashlib.sha256(b"".join(commit.ids)).digest()
        first, last = commit.offsets[0], commit.offsets[-1]
        commit.span = commit.span._replace(first=first, last=last, events=len(commit.ids), digest=digest)
    return done


def judged(commits: Sequence[Commit], begin: int = 0, batch: int = 1) -> tuple[PartitionJudge, Report]:
    report = Report()
    spans = sorted(commit.span for commit in commits)
    judge = PartitionJudge(spans, begin, report)
    records = sorted(
        (at, commit.span.producer, event_id)
        for commit in commits
        for at, event_id in zip(commit.offsets, commit.ids, strict=True)
    )
    for at, producer, event_id in records:
        if at >= begin:
            judge.take(producer, at, at, [event_id])
    judge.end(begin)
    return judge, report


@pytest.mark.parametrize("seed", range(20))
def test_interleaved_commits_are_told_by_their_producer(seed: int) -> None:
    commits = honest([1, 2, 3], seed)
    spans = sorted(commit.span for commit in commits)
    assert any(one.last > other.first for one, other in pairwise(spans))
    judge, report = judged(commits)
    assert (judge.broken, judge.strays) == ([], [])
    assert report.events == sum(commit.span.events for commit in commits) == 200


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_changed_breaks_exactly_its_commit(seed: int) -> None:
    dice = random.Random(seed)
    for damage in ("missing", "id", "swap"):
        commits = honest([1, 2, 3], seed)
        one = dice.choice([commit for commit in commits if len(commit.ids) > 2])
        if damage == "missing":
            at = dice.randrange(len(one.ids))
            del one.ids[at], one.offsets[at]
        elif damage == "id":
            one.ids[1] = b"0" * 36
        else:
            one.ids[0], one.ids[1] = one.ids[1], one.ids[0]
        judge, _ = judged(commits)
        assert [span for span, _ in judge.broken] == [one.span], damage
        assert judge.strays == []


def test_what_no_commit_tells_of() -> None:
    commits = honest([1, 2])
    end = max(commit.span.last for commit in commits) + 5
    foreign = Commit(commits[0].span._replace(first=end, last=end, producer=9), [end], [b"x" * 36])
    within = Commit(foreign.span._replace(producer=-1), [commits[3].offsets[0]], [b"y" * 36])
    report = Report()
    judge = PartitionJudge(sorted(commit.span for commit in commits), 0, report)
    for commit in (*commits, foreign, within):
        for at, event_id in zip(commit.offsets, commit.ids, strict=True):
            if commit in (foreign, within):
                judge.take(commit.span.producer, at, at, [event_id])
    assert [stray.ids for stray in judge.strays] == [[b"x" * 36], [b"y" * 36]]


def test_what_retention_has_taken_is_not_lost() -> None:
    commits = honest([1, 2, 3])
    begin = commits[10].offsets[1] if len(commits[10].offsets) > 1 else commits[10].offsets[0] + 1
    judge, report = judged(commits, begin)
    gone = sum(at < begin for commit in commits for at in commit.offsets)
    assert (judge.broken, report.aged, report.events) == ([], gone, 200 - gone)
    assert report.sound


def test_what_is_taken_while_it_is_read() -> None:
    [commit, *_] = honest([1])
    report = Report()
    judge = PartitionJudge([commit.span], 0, report)
    judge.end(commit.span.last + 1)
    assert (judge.broken, report.aged, report.sound) == ([], commit.span.events, True)


def test_spans_are_packed_and_come_back_in_order() -> None:
    spans = Spans(lambda topic: ".change." in topic)
    for at, first in enumerate((50, 10)):
        offsets = {SLOT[0]: {"1": [first, first + 4, 5, "ab" * 32]}, "vtj.identity": {"0": [0, 0, 1, "ab" * 32]}}
        spans.add({"offsets": offsets, "producerId": 7}, 3, at, judged=at == 0, bucket=0)
    assert spans.slots == {SLOT}
    assert spans.of(SLOT) == [
        Span(10, 14, 5, 7, 3, 1, judged=False, bucket=0, digest=b"\xab" * 32),
        Span(50, 54, 5, 7, 3, 0, judged=True, bucket=0, digest=b"\xab" * 32),
    ]
    assert spans.of(("vtj.change.kotikunta", 0)) == []


A, B, C = (Record(key, bytes([at]), (5, at)) for at, key in enumerate((b"anna", b"anna", b"pekka")))
OTHER = Record(b"pekka", b"other", (5, 2))
LATER = Record(b"pekka", b"later", None)


@pytest.mark.parametrize(
    ("records", "kinds"),
    [
        ([A, C], {"missing": 1}),
        ([A, B, B, C], {"repeated": 1}),
        ([A, A, C], {"missing": 1, "repeated": 1}),
        ([A, B, C, OTHER], {"orphaned": 1}),
        ([B, A, C], {"out-of-order": 1}),
        ([A, B, OTHER], {"digest": 1}),
        ([A, B, LATER], {"digest": 1}),
        ([], {"missing": 3}),
    ],
)
def test_what_is_wrong_with_a_commit(records: list[Record], kinds: dict[str, int]) -> None:
    report = Report()
    classify(report, SLOT, Span(0, 3, 3, 7, 3, 1, judged=True, bucket=0, digest=b""), records)
    assert report.faults == kinds
    assert all("anna" not in one.what and "pekka" not in one.what for one in report.findings)
