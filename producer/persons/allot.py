"""Which bucket a new person gets. It is stored with the person and never computed again."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


def allot(codes: Iterable[str], members: Iterable[str], size: int, used: Iterable[str]) -> dict[str, str]:
    """Code → bucket: the emptiest that has room, else a new one.

    members: the bucket of everybody who is followed. size: most persons of a bucket. used: every bucket that ever had
    a position; one that nobody is in is not used again, since its cursor stands still and grows old.
    """
    counts = Counter(members)
    last = max((int(bucket) for bucket in {*counts, *used} if bucket.isdecimal()), default=-1)
    room = sorted(((count, bucket) for bucket, count in counts.items() if count < size), reverse=True)
    found: dict[str, str] = {}
    for code in codes:
        if not room:
            last += 1
            room.append((0, str(last)))
        count, bucket = room.pop()
        found[code] = bucket
        if count + 1 < size:
            room.append((count + 1, bucket))
    return found


def begins(cursors: Mapping[str, int]) -> int | None:
    """Where a bucket begins that is made now: at a cursor that upstream certainly still knows; None: the feed's start.

    cursors: of the feed's buckets. Whoever is new is read from perustiedot after that, so nothing is missed.
    """
    return max(cursors.values(), default=None)


def splits(
    members: Mapping[str, Sequence[str]], size: int, free: Callable[[str], str]
) -> Iterator[tuple[str, str, Sequence[str]]]:
    """(bucket, new bucket, who moves there), until none has more than size persons. free: names one for a bucket."""
    for bucket, codes in members.items():
        for first in range(size, len(codes), size):
            yield bucket, free(bucket), codes[first : first + size]


def merges(
    members: Mapping[str, Sequence[str]], cursors: Mapping[str, int], size: int
) -> Iterator[tuple[str, str, Sequence[str]]]:
    """(bucket, bucket that takes all of it, who moves there), smallest first. Only equal cursors go together: whoever
    moves would otherwise be told of changes twice, or not at all.
    """
    room = {bucket: size - len(codes) for bucket, codes in members.items()}
    gone: set[str] = set()
    for bucket in sorted(members, key=lambda one: len(members[one])):
        at = cursors.get(bucket)
        into = [
            one
            for one in members
            if one not in gone and one != bucket and cursors.get(one) == at and room[one] >= len(members[bucket])
        ]
        if at is not None and into and room[bucket] == size - len(members[bucket]):
            target = min(into, key=lambda one: (room[one], one))
            room[target] -= len(members[bucket])
            gone.add(bucket)
            yield bucket, target, members[bucket]
