"""The judgement of what is told again beside the feed: a range of changes once, and in upstream's order."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from .events import decode_events
from .reading import Stored
from .schemas import Schemas
from .upstream import IDENTITY, Change, expect, fed
from .verdict import Verdict


def judge_again(
    changes: Sequence[Change],
    stored: Sequence[Stored],
    since: int,
    until: int,
    *,
    persons: frozenset[str] | None = None,
    permit: frozenset[str] | None = None,
    bucket: str = "backfill",
) -> Verdict:
    """stored: every record of the topics. since, until: cursors; the changes behind the one, up to the other."""
    verdict, schemas = Verdict(), Schemas.load()
    data = [one for one in stored if one.topic.startswith(("change.", "dead-letter"))]
    found = [one for one in decode_events(data, schemas, verdict) if one.bucket == bucket]
    groups = schemas.groups if permit is None else schemas.groups & permit
    expected = []
    for index, one in fed(changes, persons):
        if since < one.kirjausavain <= until:
            told, _ = expect(index, one, 0, groups, {})
            expected += [item for item in told if item.topic != IDENTITY]
            verdict.changes += 1
    verdict.events = len(found)
    lists = defaultdict[tuple[str, bytes | None], tuple[list[object], list[object]]](lambda: ([], []))
    for item in expected:
        lists[item.topic, item.key][0].append(item.content)
    for event in sorted(found, key=lambda event: (event.stored.partition, event.stored.offset)):
        lists[event.stored.topic, event.stored.key][1].append(event.content)
    for (topic, _), (told_, there) in lists.items():
        missing, more = Counter(told_) - Counter(there), Counter(there) - Counter(told_)
        if missing:
            verdict.find("lost", f"in {topic}", missing.total())
        if more:
            verdict.find("doubled", f"or told by nobody, in {topic}", more.total())
        if told_ != there and not missing and not more:
            verdict.find("out_of_order", f"in {topic}")
    return verdict
