"""Every way in which a ledger can be damaged shows in its chains."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from producer.errors import LedgerUnreadable
from producer.kafka import ledger
from producer.proof.chain import Chains
from producer.proof.report import Chain, Report

KEY = b"vtj/0"
TOPIC = "vtj.change.kotikunta"
Values = list[bytes]
Damage = Callable[[Values], Values]


def entries(*, count: int = 5, jump: int | None = None, back: int | None = None, **members: Any) -> Values:
    """An honest bucket, each of whose commits is ten further. jump, back: commits whose cursor does not follow."""
    values: Values = []
    for at in range(count):
        previous, cursor = 10 * at, 10 * (at + 1)
        told = {
            "feed": "vtj",
            "bucket": "0",
            "previousCursor": None if at == 0 else previous + 3 * (at == jump),
            "cursor": cursor - 20 * (at == back),
            "pages": 1,
            "records": 2,
            "events": 2 if at else 0,
            "deadLetters": 0,
            "offsets": {TOPIC: {"1": [3 * at, 3 * at + 1, 2, "ab" * 32]}} if at else {},
            "fetchedAt": 1,
            "committedAt": 1,
            "instance": "test",
            "producerId": 7,
            "previousEntry": ledger.digest(values[-1]) if values else None,
            "release": "0",
            "version": 1,
        }
        values.append(json.dumps(told | (members if at == 2 else {})).encode())
    return values


def judged(
    values: Values,
    *,
    anchor: str | None = None,
    later: str | None = None,
    whole: bool = True,
    truncated: bool = False,
) -> Report:
    """anchor: what the cursor record says at first, later at the end; None: the last entry's digest."""
    report = Report()
    named = anchor or ledger.digest(values[-1])
    chains = Chains(report, "vtj.ledger", {KEY: named}, whole=whole, truncated=truncated)
    for offset, value in enumerate(values):
        chains.take(3, offset, KEY, value)
    chains.end({KEY: later or named})
    return report


def faults(report: Report) -> dict[str, int]:
    return {kind: count for kind, count in report.faults.items() if count}


def test_an_honest_chain_is_sound() -> None:
    report = judged(entries())
    assert report.sound
    assert report.entries == 5
    [chain] = report.chains.values()
    assert (chain.first, chain.began, chain.last, chain.entries) == (10, True, 50, 5)
    assert judged(entries()[2:], whole=False).sound


def edited(values: Values) -> Values:
    return [*values[:2], values[2].replace(b'"records": 2', b'"records": 3'), *values[3:]]


def without(values: Values) -> Values:
    return [*values[:2], *values[3:]]


def garbled(values: Values) -> Values:
    return [*values[:2], values[2][:40], *values[3:]]


def beheaded(values: Values) -> Values:
    return values[1:]


def swapped(values: Values) -> Values:
    return [*values[:2], values[3], values[2], *values[4:]]


def written_twice(values: Values) -> Values:
    return [*values[:3], values[2], *values[3:]]


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (edited, {"edited": 1}),
        (without, {"gap": 1}),
        (garbled, {"edited": 2}),
        (beheaded, {"gap": 1}),
        (swapped, {"gap": 3, "out-of-order": 1}),
        (written_twice, {"gap": 1, "out-of-order": 1}),
    ],
)
def test_damage_is_found(damage: Damage, kinds: dict[str, int]) -> None:
    whole = entries()
    assert faults(judged(damage(whole), anchor=ledger.digest(whole[-1]))) == kinds


def test_the_last_entry_is_anchored_in_the_cursor_record() -> None:
    values = entries()
    last = ledger.digest(values[-1])
    assert faults(judged(values[:-1], anchor=last)) == {"gap": 1}
    assert faults(judged([*values[:-1], values[-1] + b" "], anchor=last)) == {"gap": 1}
    # An entry behind it is a forgery, unless the service has gone on meanwhile.
    before = ledger.digest(values[-2])
    assert faults(judged(values, anchor=before)) == {"gap": 1}
    assert judged(values, anchor=before, later=last).sound


def test_cursors_that_do_not_follow() -> None:
    assert faults(judged(entries(jump=2))) == {"gap": 1}
    assert faults(judged(entries(back=4))) == {"gap": 1}


def test_a_move_that_is_told() -> None:
    move: dict[str, Any] = {"moved": True, "events": 0, "records": 0, "offsets": {}}
    values = entries(count=3, back=2, **move)
    report = judged(values)
    assert report.sound
    [chain] = report.chains.values()
    assert (chain.moved, chain.last, chain.ranges) == ([(20, 10)], 10, [(10, 20)])
    assert faults(judged(entries(count=3, back=2, events=0, records=0, offsets={}))) == {"gap": 1}  # untold
    assert faults(judged(entries(moved=True))) == {"edited": 1}  # and something else beside
    assert "edited" in faults(judged(entries(count=3, **move | {"previousCursor": None})))


def test_what_moves_leave_in() -> None:
    chain = Chain("vtj", "0", first=100, began=True, last=500, since=1)
    assert chain.ranges == [(100, 500)]
    chain.moved += [(200, 300), (400, 50), (120, 450)]
    assert chain.ranges == [(50, 200), (300, 400), (450, 500)]


def test_events_before_those_of_an_earlier_commit() -> None:
    report = judged(entries(offsets={TOPIC: {"1": [2, 3, 2, "ab" * 32]}}))
    assert faults(report) == {"out-of-order": 1}


@pytest.mark.parametrize(
    "members",
    [
        {"events": 3},
        {"offsets": {TOPIC: {"1": [6, 7, 2]}}},
        {"offsets": {TOPIC: {"1": [6, 7, 2, "no hex"]}}},
        {"offsets": []},
        {"feed": "other"},
        {"producerId": None},
    ],
)
def test_an_entry_that_is_none(members: dict[str, Any]) -> None:
    assert "edited" in faults(judged(entries(**members)))


def test_of_a_newer_release_or_cut_short() -> None:
    with pytest.raises(LedgerUnreadable, match="newer release"):
        judged(entries(version=2))
    with pytest.raises(LedgerUnreadable, match="beginning") as caught:
        judged(entries()[2:], truncated=True)
    assert caught.value.exit_code == 6
    assert "--since" in caught.value.hint
