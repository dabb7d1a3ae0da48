"""What upstream tells when it is asked again, against what is there."""

from producer.model import EncodedEvent
from producer.proof.report import Report
from producer.proof.told import Told

SLOT = ("vtj.change.kotikunta", 1)
ANNA, PEKKA, LATER = b"anna", b"pekka", b"later"


def event(event_id: bytes, key: bytes | None) -> EncodedEvent:
    return EncodedEvent(SLOT[0], key, b"value", [("ce_id", event_id)], 0, 0)


def judged(steady: dict[bytes, int] | None, there: dict[bytes, bytes | None]) -> list[tuple[str, int, int]]:
    """there: id → key. Returns what is found: words, partition, count."""
    report = Report()
    told = Told(report, steady)
    told.tell([event(b"1", ANNA), event(b"2", PEKKA), event(b"3", None), event(b"4", LATER)], due=True)
    told.tell([event(b"5", ANNA), event(b"6", PEKKA)], due=False)
    told.compare(SLOT, 3, 0, len(there) - 1, there.values(), [*there])
    told.end()
    return [(one.what, one.partition, one.count) for one in report.findings]


ALL: dict[bytes, bytes | None] = {b"1": ANNA, b"2": PEKKA, b"3": None, b"4": LATER}
STRANGE, MISSING = "upstream does not tell them any more", "upstream tells them, and they are not there"


def test_the_same_on_both_sides() -> None:
    assert judged(None, ALL) == []
    assert judged(None, {**ALL, b"5": ANNA}) == []  # of a page that reaches beyond the range


def test_what_only_one_side_has() -> None:
    assert judged(None, {b"1": ANNA, b"3": None, b"4": LATER}) == [(MISSING, -1, 1)]
    assert judged(None, {**ALL, b"9": PEKKA}) == [(STRANGE, 1, 1)]


def test_who_was_not_followed_all_the_time_is_not_compared() -> None:
    steady = {ANNA: 3, PEKKA: 3}
    assert judged(steady, {b"1": ANNA, b"2": PEKKA, b"3": None, b"8": b"left"}) == []
    assert judged(steady, {b"1": ANNA, b"8": b"left"}) == [(MISSING, -1, 2)]


def test_of_who_was_moved_meanwhile_nothing_is_strange() -> None:
    """Their bucket of now is asked, and of what was before it began it tells nothing."""
    assert judged({ANNA: 3, PEKKA: 4}, {**ALL, b"9": PEKKA}) == []
    assert judged({ANNA: 3, PEKKA: 4}, {**ALL, b"9": ANNA}) == [(STRANGE, 1, 1)]
    assert judged({ANNA: 3, PEKKA: 4}, {b"1": ANNA, b"3": None, b"4": LATER}) == [(MISSING, -1, 1)]
