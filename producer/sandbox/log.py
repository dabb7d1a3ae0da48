"""The registration log: change records in the order of their registration, each with its kirjausavain.

Entry n has a key of 64 bits, greater than that of entry n - 1, with gaps between. Records come from the chronicle when
somebody reads them, and from `append`. An entry is the same registration for every permit: where one selects
municipalities, the entries of persons elsewhere are there, and told to nobody. How long the log is says the clock
alone; how far it has been written is nobody's business. What has been written is packed, so that a million entries
take some hundred megabytes.
"""

import asyncio
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache, partial
from time import monotonic
from typing import Any, Final

import cramjam

from producer.sandbox.chronicle import BEGIN, Chronicle, registered_on
from producer.sandbox.hetu import scramble
from producer.sandbox.register import Group, Person, Register

_FIRST_KEY: Final = 5_446_000_000  # needs more than 32 bits, as the real ones do
_GAP: Final = 10
_DRAWER: Final = 500
_SLICE: Final = 200


def key(position: int) -> int:
    """The kirjausavain of entry `position`; of -1: the one from which everything follows."""
    return _FIRST_KEY + _GAP * position + scramble(position) % _GAP


@lru_cache(maxsize=8)
def _unpack(drawer: bytes) -> list[bytes]:
    return bytes(cramjam.zstd.decompress(drawer)).split(b"\n")


class Shelf:
    """An append-only list of JSON texts, packed by the drawer."""

    def __init__(self) -> None:
        self._drawers: list[bytes] = []
        self._open: list[bytes] = []

    def __len__(self) -> int:
        return len(self._drawers) * _DRAWER + len(self._open)

    def append(self, record: bytes) -> None:
        self._open.append(record)
        if len(self._open) == _DRAWER:
            self._drawers.append(bytes(cramjam.zstd.compress(b"\n".join(self._open), level=1)))
            self._open = []

    def _drawer(self, number: int) -> list[bytes]:
        return _unpack(self._drawers[number]) if number < len(self._drawers) else self._open

    def __getitem__(self, position: int) -> bytes:
        return self._drawer(position // _DRAWER)[position % _DRAWER]

    def between(self, start: int, end: int) -> Iterator[bytes]:
        for number in range(start // _DRAWER, -(-end // _DRAWER)):
            base = number * _DRAWER
            yield from self._drawer(number)[max(0, start - base) : end - base]


class Log:
    """history: entries that are there at the start. changes_per_day: how many more the clock adds.

    municipalities: the permit selects who lives there; none: everybody. Perustiedot then tell of them alone: that DVV
    allows queries of single persons from outside is left out.

    Synchronous methods write what they need first; `prepare` does the same for the whole log and lets other tasks run.
    """

    def __init__(
        self,
        seed: int,
        persons: int,
        *,
        censored: bool,
        municipalities: Iterable[str] = (),
        history: int = 0,
        changes_per_day: float = 0,
    ) -> None:
        self._register = Register(seed, persons, censored=censored, municipalities=municipalities)
        self._past = partial(Log, seed, persons, censored=censored, municipalities=self._register.municipalities)
        self._chronicle = Chronicle(self._register)
        self._shelf = Shelf()
        self._codes: list[str | None] = []  # of each entry; None: it names no person; "": told to nobody
        self._appended: list[int] = []  # positions that did not come from the chronicle
        self._length = history
        self._rate = changes_per_day / 86_400
        self._since = monotonic()
        self._released = 0
        self._weekly: tuple[int, Log] | None = None

    def __len__(self) -> int:
        due = int((monotonic() - self._since) * self._rate)
        self._length += due - self._released
        self._released = due
        return self._length

    def _write(self, until: int) -> None:
        while len(self._shelf) < until:
            code, record = next(self._chronicle)
            self._codes.append(code)
            self._shelf.append(record)

    async def prepare(self) -> None:
        """Writes the log to its end, a slice at a time."""
        length = len(self)
        while (written := len(self._shelf)) < length:
            self._write(min(length, written + _SLICE))
            await asyncio.sleep(0)

    # what upstream answers

    def page(self, cursor: int, persons: frozenset[str] | None, size: int) -> bytes:
        """The answer of `muutokset`: entries after the cursor, at most `size` records of the persons (None: of all).

        The key that it returns is the last one looked at, also when nothing of it was for these persons, and the
        asked one when there was nothing to look at. Up to date means that the end of the log was reached. A record
        that names no person is for everybody.
        """
        length = len(self)
        start = end = self._after(cursor, length)
        if persons is None and not self._register.selective:
            end = min(start + size, length)
            self._write(end)
            records: Iterable[bytes] = self._shelf.between(start, end)
        else:
            hits: list[int] = []
            for end in range(start, length + 1):
                if end == length or len(hits) == size:
                    break
                self._write(end + 1)
                code = self._codes[end]
                if code is None or (code and (persons is None or code in persons)):
                    hits.append(end)
            records = [self._shelf[position] for position in hits]
        last = key(end - 1) if end > start else cursor
        up_to_date = b"true" if end == length else b"false"
        head = b'{"viimeisinKirjausavain":%d,"muutokset":[' % last
        return head + b",".join(records) + b'],"ajanTasalla":' + up_to_date + b"}"

    def cursor_before(self, day: date) -> int:
        """The key after which every registration of the day, and nothing of an earlier one, follows."""
        length = len(self)
        return key(bisect_left(range(length), day, key=self._day) - 1)

    def persons(self, codes: Sequence[str], kinds: Sequence[str] | None) -> list[Group]:
        """`perustiedot` of the persons that exist. An old code leads to the person under the code of today."""
        self._write(len(self))
        return self._tell(self._register.find(codes), kinds)

    async def weekly(
        self, codes: Sequence[str] | None, municipalities: Sequence[str], kinds: Sequence[str] | None
    ) -> tuple[str, list[Group]]:
        """`poimintapv`, the Sunday before the log's last day, and the persons as they were when it began.

        codes: None selects by home municipality.
        """
        length = len(self)
        today = self._day(length - 1) if length else BEGIN
        sunday = today - timedelta(days=today.isoweekday())
        told = bisect_left(range(length - len(self._appended)), sunday, key=registered_on)
        if self._weekly is None or self._weekly[0] != told:
            self._weekly = told, self._past(history=told)
        past = self._weekly[1]
        await past.prepare()
        register = past._register
        found = register.living_in(municipalities) if codes is None else register.find(codes)
        return sunday.isoformat(), past._tell(found, kinds)

    # what a test asks for

    def grow(self, changes: int) -> None:
        """The next changes of the chronicle are in the log at once."""
        self._length = len(self) + changes

    def append(self, records: Iterable[Any]) -> list[int]:
        """Records as they are, whatever JSON they may be. Returns their keys."""
        self._write(len(self))
        keys = []
        for record in records:
            code = record.get("henkilotunnus") if isinstance(record, dict) else None
            self._codes.append(code if isinstance(code, str) else None)
            self._appended.append(len(self._shelf))
            keys.append(key(len(self._shelf)))
            self._shelf.append(json.dumps(record, separators=(",", ":")).encode())
            self._length += 1
        return keys

    def entries(self, after: int) -> Iterator[tuple[int, bytes]]:
        """(key, the very JSON that is served) of every entry after a cursor that is told to anybody."""
        length = len(self)
        self._write(length)
        start = self._after(after, length)
        for position, record in enumerate(self._shelf.between(start, length), start):
            if record:
                yield key(position), record

    def codes(self) -> list[str]:
        """Today's code of every person that the permit selects."""
        self._write(len(self))
        return self._register.codes()

    def state(self) -> dict[str, Any]:
        length = len(self)
        first, last = (key(0), key(length - 1)) if length else (None, key(-1))
        return {"entries": length, "first": first, "last": last}

    def _tell(self, persons: Iterable[Person], kinds: Sequence[str] | None) -> list[Group]:
        return [self._register.tell(person, kinds) for person in persons if self._register.selects(person)]

    def _day(self, position: int) -> date:
        """The day of registration; an appended entry has that of what follows it."""
        return registered_on(position - bisect_left(self._appended, position))

    def _after(self, cursor: int, length: int) -> int:
        """The position of the first entry whose key is greater."""
        position = max(0, (cursor - _FIRST_KEY) // _GAP)
        if key(position) <= cursor:
            position += 1
        return min(position, length)
