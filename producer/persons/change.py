"""What adding, removing and syncing make of the watchlist."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from producer.errors import SettingsError
from producer.kafka.watchlist import Entry
from producer.persons.allot import allot, begins

SHRINK: Final = 0.1  # of a list, in one sync, without being asked for

Codes = tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Now:
    """What there is. person: a code → all codes of its person, where there are several. cursors: bucket → cursor."""

    entries: Mapping[str, Entry]
    person: Mapping[str, Codes]
    cursors: Mapping[str, int]

    def codes(self, code: str) -> Codes:
        return self.person.get(code, (code,))


def added(now: Now, codes: Iterable[str], *, size: int, at: int, reason: str | None) -> dict[str, Entry]:
    """Those of the codes that are not followed yet. A further code of a followed person goes into the same bucket.

    size: most persons of a bucket. at: ms.
    """
    found: dict[str, str] = {}
    rest = []
    for code in dict.fromkeys(codes):
        if code not in now.entries:
            buckets = [now.entries[one].bucket for one in now.codes(code) if one in now.entries]
            if buckets:
                found[code] = buckets[0]
            else:
                rest.append(code)
    members = [entry.bucket for entry in now.entries.values()]
    found |= allot(rest, members, size, now.cursors)
    begun, begin = {*members, *now.cursors}, begins(now.cursors)
    return {code: Entry(bucket, None if bucket in begun else begin, at, reason) for code, bucket in found.items()}


def removed(now: Now, codes: Iterable[str]) -> dict[str, None]:
    """The entries of these persons, whichever of their codes is named."""
    gone = {one for code in codes for one in now.codes(code)}
    return {code: None for code in now.entries if code in gone}


def synced(
    now: Now, codes: Iterable[str], *, size: int, at: int, reason: str | None, shrink: bool
) -> dict[str, Entry | None]:
    """What makes the list that of the file. Who is in it by any code stays, by all of them.

    Raises SettingsError when it would lose more than a tenth of the list, unless shrink says that it may.
    """
    wanted = {one for code in codes for one in now.codes(code)}
    gone = {code: None for code in now.entries if code not in wanted}
    if len(gone) > len(now.entries) * SHRINK and not shrink:
        raise SettingsError(
            f"{len(gone)} of {len(now.entries)} codes would be followed no more, which is more than a tenth.",
            hint="Nothing was changed. If that is meant: `vtj-producer persons sync FILE --yes`.",
        )
    return {**gone, **added(now, codes, size=size, at=at, reason=reason)}
