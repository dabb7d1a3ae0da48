"""Which bucket a person gets, and what adding, removing and syncing make of the watchlist."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import SettingsError
from producer.kafka.watchlist import Entry
from producer.persons.allot import allot, merges, splits
from producer.persons.change import Now, added, removed, synced

CODES = [f"010190-9{at:02}A" for at in range(100)]
A, B, C, D = CODES[:4]


def entries(**buckets: list[str]) -> dict[str, Entry]:
    return {code: Entry(name.removeprefix("b"), None, 0) for name, codes in buckets.items() for code in codes}


@given(there=st.lists(st.sampled_from("0123")), new=st.integers(0, 60), size=st.integers(1, 9))
def test_no_bucket_grows_beyond_its_size_and_none_is_left_half_empty(there: list[str], new: int, size: int) -> None:
    counts = Counter(there)
    found = allot(CODES[:new], there, size, {"7"})
    after = counts + Counter(found.values())
    assert len(found) == new
    assert all(after[bucket] <= max(size, counts[bucket]) for bucket in after)
    fresh = {*after} - {*counts}
    assert not fresh & {"7"}, "a cursor that stood still may be too old"
    assert sum(after[bucket] < size for bucket in fresh) <= 1
    if fresh:
        assert all(after[bucket] >= size for bucket in counts)


def test_a_new_bucket_of_a_feed_under_way_begins_where_the_others_stand() -> None:
    now = Now(entries(b0=[A]), {}, {"0": 70, "3": 90})
    found = added(now, [B, C], size=2, at=5, reason="r")
    assert found == {B: Entry("0", None, 5, "r"), C: Entry("4", 90, 5, "r")}


def test_a_new_feed_begins_where_it_is_told() -> None:
    assert added(Now({}, {}, {}), [A, A], size=2, at=5, reason=None) == {A: Entry("0", None, 5)}


def test_a_further_code_of_a_person_goes_into_the_same_bucket_even_a_full_one() -> None:
    now = Now(entries(b0=[A], b1=[B]), {A: (A, C), C: (A, C)}, {})
    assert added(now, [C], size=1, at=5, reason=None)[C].bucket == "0"


def test_removing_a_person_removes_all_codes() -> None:
    now = Now(entries(b0=[A, C, D]), {A: (A, C), C: (A, C)}, {})
    assert list(removed(now, [C, B])) == [A, C]


def test_who_is_in_the_file_by_any_code_stays() -> None:
    now = Now(entries(b0=[A, C, D]), {A: (A, C), C: (A, C)}, {})
    changes = synced(now, [A, D, B], size=9, at=5, reason=None, shrink=False)
    assert changes == {B: Entry("0", None, 5)}


def test_a_list_that_shrinks_by_more_than_a_tenth_wants_to_be_meant() -> None:
    now = Now(entries(b0=CODES[:20]), {}, {})
    assert len(synced(now, CODES[2:20], size=99, at=5, reason=None, shrink=False)) == 2
    with pytest.raises(SettingsError, match="3 of 20 codes"):
        synced(now, CODES[3:20], size=99, at=5, reason=None, shrink=False)
    assert len(synced(now, CODES[3:20], size=99, at=5, reason=None, shrink=True)) == 3


def test_what_is_too_large_is_split_and_what_is_small_and_equal_put_together() -> None:
    names = iter("789")
    found = list(splits({"0": CODES[:7], "1": CODES[7:9]}, 3, lambda _: next(names)))
    assert found == [("0", "7", CODES[3:6]), ("0", "8", CODES[6:7])]
    members = {"0": CODES[:1], "1": CODES[1:3], "2": CODES[3:4], "3": CODES[4:5]}
    cursors = {"0": 5, "1": 5, "2": 6}
    assert list(merges(members, cursors, 3)) == [("0", "1", CODES[:1])]
    assert list(merges(members, {**cursors, "2": 5}, 3)) == [("0", "1", CODES[:1])], "the others have no room"
