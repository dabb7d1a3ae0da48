"""The judgement: what upstream told against what stands in the topics."""

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .content import Content
from .events import BESIDE, Commit, Found, Position, decode_commits, decode_events, decode_positions, where
from .followed import Spells, by_slot, is_introduction, spells
from .ledger import judge_commits
from .reading import Stored
from .schemas import Schemas
from .upstream import DEAD, IDENTITY, WATCHLIST, Change, Expected, expect, fed, fed_in_spells
from .verdict import Verdict

Person = tuple[str, bytes | None]  # topic, key
Pairs = dict[Expected, Found]


def judge(
    changes: Sequence[Change],
    stored: Sequence[Stored],
    prefix: str,
    *,
    persons: frozenset[str] | None = None,
    permit: frozenset[str] | None = None,
) -> Verdict:
    """Compare. stored: of each partition in the order of offsets.

    persons: whom the feed follows; permit: the data groups that have topics of their own. None: all.
    """
    verdict = Verdict()
    schemas = Schemas.load()
    _judge_partitions(stored, verdict)
    stored = [one for one in stored if not _beside(one)]
    positions = decode_positions((one for one in stored if one.topic == "cursor"), verdict)
    commits = decode_commits((one for one in stored if one.topic == "ledger"), prefix, verdict)
    listing = any(one.topic == WATCHLIST for one in stored)
    followed = spells(stored, commits, verdict) if listing else None
    slots = by_slot(commits)
    data = [one for one in stored if one.topic not in ("cursor", "ledger", "erased", "handled", WATCHLIST)]
    if listing:
        data = [one for one in data if one.topic != IDENTITY or one.value is not None]
    found = [one for one in decode_events(data, schemas, verdict) if one.bucket not in BESIDE]
    if listing:
        found = [
            one for one in found if one.stored.topic != IDENTITY or not is_introduction(one.stored, one.bucket, slots)
        ]
    verdict.events, verdict.commits = len(data), len(commits)

    groups = schemas.groups if permit is None else schemas.groups & permit
    buckets = {one.key for one in commits} | {one.key for one in positions}
    if len(buckets) > 1 and not listing:
        raise ValueError("a feed whose persons the permit selects has one bucket")
    _judge_owners(found, buckets, verdict)
    for bucket in sorted(buckets, key=str):
        name = (bucket or b"").decode().rpartition("/")[2]
        one = _Bucket(
            commits=[commit for commit in commits if commit.key == bucket],
            positions=[position for position in positions if position.key == bucket],
            found=[event for event in found if event.bucket == name],
        )
        follows = followed and {code: [at for at in those if at.bucket == name] for code, those in followed.items()}
        _judge_bucket(one, changes, persons, follows, groups, verdict)
    return verdict


@dataclass(frozen=True)
class _Bucket:
    commits: Sequence[Commit]
    positions: Sequence[Position]
    found: Sequence[Found]


def _judge_bucket(
    bucket: _Bucket,
    changes: Sequence[Change],
    persons: frozenset[str] | None,
    follows: Spells | None,
    groups: frozenset[str],
    verdict: Verdict,
) -> None:
    commits, positions = bucket.commits, bucket.positions
    start, cursor = _reach(changes, commits, positions, verdict)
    verdict.cursor = max(cursor, verdict.cursor or 0) if cursor is not None else verdict.cursor
    own = fed(changes, persons) if follows is None else fed_in_spells(changes, follows)
    passed, expected = _expected(own, start, cursor, groups)
    verdict.changes += len(passed)
    pairs = _pair(expected, bucket.found, verdict)
    _judge_order(pairs, verdict)
    _judge_places(pairs, {one.cursor for one in commits}, verdict)
    judge_commits(commits, positions, passed, expected, pairs, verdict)


def _beside(one: Stored) -> bool:
    """The state topics and what is told again, and the positions of their lines, have judges: state.py, again.py."""
    bucket = (one.key or b"").decode(errors="replace").rpartition("/")[2]
    return one.topic.startswith("state.") or (one.topic in ("cursor", "ledger") and bucket in BESIDE)


def _reach(
    changes: Sequence[Change], commits: Sequence[Commit], positions: Sequence[Position], verdict: Verdict
) -> tuple[int, int | None]:
    """Where the feed began, and the last committed cursor: changes between them must be there."""
    if not positions:
        return 0, None
    first = commits[0] if commits else positions[0]
    start = first.cursor if first.previous is None else first.previous
    cursor = positions[-1].cursor
    if cursor != start and cursor not in {change.kirjausavain for change in changes}:
        verdict.find("ahead", f"{positions[-1].at}: no change has this kirjausavain")
    return start, cursor


def _expected(
    own: Iterable[tuple[int, Change]], start: int, cursor: int | None, groups: frozenset[str]
) -> tuple[list[Change], list[Expected]]:
    """The changes that the cursor has passed, and what must be there for them."""
    passed, expected, ordinal, same = [], [], 0, dict[str, list[str]]()
    for index, change in own:
        if cursor is not None and start < change.kirjausavain <= cursor:
            passed.append(change)
            more, ordinal = expect(index, change, ordinal, groups, same)
            expected += more
    return passed, expected


def _by_person(items: Iterable[Found]) -> dict[Person, list[Found]]:
    grouped: dict[Person, list[Found]] = defaultdict(list)
    for item in items:
        grouped[item.stored.topic, item.stored.key].append(item)
    return grouped


def _pair(expected: Sequence[Expected], found: Sequence[Found], verdict: Verdict) -> Pairs:
    """Find for everything expected the record that holds it: by content, person by person and topic by topic."""
    awaited: dict[Person, dict[Content, deque[Expected]]] = defaultdict(lambda: defaultdict(deque))
    for item in expected:
        awaited[item.topic, item.key][item.content].append(item)
    told = {person: set(contents) for person, contents in awaited.items()}
    pairs: Pairs = {}
    strays: list[Found] = []
    seen: set[tuple[object, ...]] = set()
    for person, records in _by_person(found).items():
        for one in records:
            waiting = awaited[person].get(one.content) if one.content is not None else None
            if one.identity in seen:
                verdict.find("doubled", f"{where(one.stored)} repeats a place upstream")
            elif waiting:
                pairs[waiting.popleft()] = one
            elif one.content is not None and one.content in told.get(person, ()):
                verdict.find("doubled", f"{where(one.stored)} repeats a content more often than it was told")
            else:
                strays.append(one)
            seen.add(one.identity)
    _pair_by_place([item for item in expected if item not in pairs], strays, pairs, verdict)
    for item in expected:
        if item not in pairs:
            verdict.find("lost", f"change {item.index}: nothing in {item.topic}")
    return pairs


def _pair_by_place(missing: Sequence[Expected], strays: Sequence[Found], pairs: Pairs, verdict: Verdict) -> None:
    """What has no counterpart by content may have one by its place: a dead letter that was cut, or damage."""
    bases = _bases(pairs)
    by_place = {(item.ordinal, item.key): item for item in missing}
    for one in strays:
        base = bases.get(one.cursor, _end(pairs, one.cursor))
        item = by_place.get((base + one.position, one.stored.key))
        cut = one.content is None
        if item is None or item in pairs or not (cut or item.topic == one.stored.topic):
            verdict.find("orphans", f"{where(one.stored)}: not told, or not passed by the cursor")
            continue
        pairs[item] = one
        if not cut:
            verdict.find("wrong", f"change {item.index}: other content at {where(one.stored)}")


def _bases(pairs: Pairs) -> dict[int, int]:
    """Page → the ordinal of its position 0, as most of its events say."""
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for item, one in pairs.items():
        votes[one.cursor][item.ordinal - one.position] += 1
    return {page: counts.most_common(1)[0][0] for page, counts in votes.items()}


def _end(pairs: Pairs, page: int) -> int:
    """The ordinal after the pages before this one."""
    return max((item.ordinal + 1 for item, one in pairs.items() if one.cursor < page), default=0)


def _judge_order(pairs: Pairs, verdict: Verdict) -> None:
    """Per person and topic, upstream's order is the order of offsets."""
    ordinals = {one: item.ordinal for item, one in pairs.items()}
    for records in _by_person(ordinals).values():
        records.sort(key=lambda one: (one.stored.partition, one.stored.offset))
        for before, one in pairwise(records):
            if one.place < before.place or ordinals[one] < ordinals[before]:
                verdict.find("out_of_order", f"{where(one.stored)} belongs before offset {before.stored.offset}")


def _judge_places(pairs: Pairs, cursors: set[int], verdict: Verdict) -> None:
    """The cursor and the position that an event carries, and the record that it says it belongs to."""
    bases = _bases(pairs)
    pages = sorted(cursors | {one.cursor for one in pairs.values()})
    records: dict[int, set[str]] = defaultdict(set)
    for item, one in pairs.items():
        page = bisect_left(pages, item.kirjausavain)
        if page == len(pages) or pages[page] != one.cursor:
            verdict.find("wrong", f"change {item.index}: not of the page that {where(one.stored)} names")
        elif item.ordinal - one.position != bases[one.cursor]:
            verdict.find("wrong", f"change {item.index}: not at the position that {where(one.stored)} names")
        if one.record_id is not None:
            records[item.index].add(one.record_id)
    for index, ids in records.items():
        if len(ids) > 1:
            verdict.find("wrong", f"change {index}: its events have {len(ids)} recordIds")


def _judge_owners(found: Sequence[Found], keys: set[bytes | None], verdict: Verdict) -> None:
    """All is of the one feed, and no header names a person."""
    for one in found:
        if f"{one.feed}/{one.bucket}".encode() not in keys:
            verdict.find("wrong", f"{where(one.stored)} is of a feed or bucket without cursor")
        if one.stored.key and any(one.stored.key in value for _, value in one.stored.headers):
            verdict.find("wrong", f"{where(one.stored)} has a header that names the person")


def _judge_partitions(stored: Sequence[Stored], verdict: Verdict) -> None:
    """A key has one partition in all topics keyed by person: changes, state, identities, watchlist, the erased."""
    lies: dict[bytes, set[int]] = defaultdict(set)
    for one in stored:
        if one.key and one.topic not in ("cursor", "ledger") and DEAD not in one.topic:
            lies[one.key].add(one.partition)
    for partitions in lies.values():
        if len(partitions) > 1:
            verdict.find("wrong", f"a person lies in partitions {sorted(partitions)}")
