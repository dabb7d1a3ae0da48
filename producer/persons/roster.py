"""Who is followed in each bucket, as the watchlist says it and as the identities say that it has been done.

Whoever is in the watchlist and has no record under `identity` is new: the bucket's line writes that record, with the
cursor from which on it asks for the person, and the state line reads the person after that. So no change falls between.
Whoever has a record and is in the watchlist no more is let go: a tombstone takes the record's place.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Any, Final, Protocol

import orjson

from producer.config import Settings
from producer.events.identities import CORRECTION, Codes, Known, identity_topic
from producer.events.instant import now_ms
from producer.events.pseudonyms import Pseudonyms
from producer.kafka.deadlines import deadline
from producer.kafka.table import Table
from producer.kafka.watchlist import Entry, decode, watchlist_topic
from producer.model import EncodedEvent, Page

AT_ONCE: Final = 2000  # persons who join or leave in one commit


class Asking(Protocol):
    async def changes_since(self, cursor: int, *, bucket: str, listed: bytes) -> Page: ...


class Roster:
    """The watchlist and the identities, followed. keep() must run beside whatever uses it.

    listing: whether there is a watchlist; else the permit selects, and only what corrections tell is known. key: what a
    person stands under in the topics of data; hidden makes it, else it is the code.
    """

    def __init__(
        self,
        settings: Settings,
        instance: str,
        *,
        hidden: Pseudonyms | None,
        known: Callable[[bytes], Awaitable[Known]],
    ) -> None:
        kafka, partitions = settings.kafka, settings.topics.partitions
        self.listing = settings.upstream.listing
        self.key: Callable[[str], str] = hidden.of if hidden else str
        self._timeout = kafka.commit_timeout
        self.topic, identities = watchlist_topic(settings.topics.prefix), identity_topic(settings.data_prefix)
        self.watched = Table[Entry](kafka, instance, self.topic, partitions, decode, self._listed)
        self.identities = Table[Known](kafka, instance, identities, partitions, known, self._identified)
        self.members: dict[str, dict[str, None]] = defaultdict(dict)  # bucket → codes
        self.versions: Counter[str] = Counter()  # bucket → how often its members have changed
        self.joining: dict[str, dict[str, None]] = defaultdict(dict)  # bucket → keys without a record
        self.leaving: dict[str, dict[str, None]] = defaultdict(dict)  # bucket → keys whose record is left over
        self.buckets: set[str] = set()  # that have something to do
        self.changed = asyncio.Event()  # when those have; replaced by the next one each time
        self.open: dict[str, Bucket] = {}
        self._codes: dict[str, str] | None = {} if hidden else None  # key → code, where they differ

    async def keep(self) -> None:
        await asyncio.gather(*(table.keep() for table in self._tables))

    async def current(self) -> None:
        """Until all that is committed now is known. Raises Doubt, CursorUnreadable."""
        async with deadline(self._timeout, "reading the watchlist and the identities"):
            for table in self._tables:
                await table.current()

    @property
    def _tables(self) -> list[Table[Any]]:
        return [self.watched, self.identities] if self.listing else [self.identities]

    def code(self, key: str) -> str | None:
        """Whom to ask for; None: nobody who is followed now."""
        if not self.listing:
            return key
        return self._code(key) if key in self.identities.rows else None

    def active(self, key: str) -> str:
        """Key of the person's code that is in force."""
        known = self.identities.rows.get(key)
        return known.codes[-1] if known and known.codes else key

    def begins(self, bucket: str) -> int | None:
        """The cursor at which a new bucket begins, if it was made for a feed under way."""
        rows = (self.watched.rows[code] for code in self.members[bucket])
        return min((entry.begin for entry in rows if entry.begin is not None), default=None)

    def _code(self, key: str) -> str | None:
        if self._codes is not None:
            return self._codes.get(key)
        return key if key in self.watched.rows else None

    def _listed(self, code: str, before: Entry | None) -> None:
        entry, key = self.watched.rows.get(code), self.key(code)
        if before is not None:
            del self.members[before.bucket][code]
        if entry is not None:
            self.members[entry.bucket][code] = None
        if self._codes is not None:
            if entry is None:
                del self._codes[key]
            else:
                self._codes[key] = code
        concerned = {one.bucket for one in (before, entry) if one is not None}
        self.versions.update(concerned)
        self._look(key, concerned)

    def _identified(self, key: str, before: Known | None) -> None:
        self._look(key, {before.bucket} if before else set())

    def _look(self, key: str, concerned: set[str]) -> None:
        """What is to be done about one person. concerned: buckets where that may have changed, beside the present."""
        code, known = self._code(key), self.identities.rows.get(key)
        bucket = None if code is None else self.watched.rows[code].bucket
        for one in {*concerned, *([bucket] if bucket else []), *([known.bucket] if known else [])}:
            _set(self.joining[one], key, bucket == one and known is None)
            _set(self.leaving[one], key, bucket is None and known is not None and known.bucket == one)
            if one in self.open:
                self.open[one].look(key)
            if bool(self.members[one] or self.leaving[one]) != (one in self.buckets):
                self.buckets ^= {one}
                self.changed.set()
                self.changed = asyncio.Event()


def _set(keys: dict[str, None], key: str, wanted: bool) -> None:
    if wanted:
        keys[key] = None
    else:
        keys.pop(key, None)


class Bucket:
    """A feed: what upstream tells of the persons of one bucket, and between its pages who has joined and left."""

    def __init__(self, roster: Roster, name: str, asking: Asking) -> None:
        self._roster, self._name, self._asking = roster, name, asking
        self._told: dict[str, bool] = {}  # what the line has been told, be it committed or not
        self._own: dict[str, str] = {}  # key → code that a correction brought, which the watchlist may not have yet
        self._encoded: tuple[object, bytes] = None, b""
        self._news: dict[str, bool] = {}  # key → joined, or left
        self._any = asyncio.Event()
        for key in (*roster.joining[name], *roster.leaving[name]):
            self.look(key)
        roster.open[name] = self

    def look(self, key: str) -> None:
        """To be called whenever what is to be done about somebody may have changed."""
        joining = key in self._roster.joining[self._name]
        if (joining or key in self._roster.leaving[self._name]) and self._told.get(key) is not joining:
            self._news[key] = joining
            self._any.set()
        else:
            self._news.pop(key, None)

    async def changes_since(self, cursor: int) -> Page:
        """A page of upstream, or one of kind FOLLOWED. Raises Doubt too."""
        if self._news:
            # The two topics are read side by side, so one of them may be ahead: of a commit that brings a new code, the
            # identity may be there and the watchlist not, as if the person had left.
            await self._roster.current()
        if self._news:
            news = list(islice(self._news.items(), AT_ONCE))
            for key, joining in news:
                self._told[key] = joining
                del self._news[key]
                if not joining:
                    self._own.pop(key, None)
            return Page("FOLLOWED", self._name, cursor, cursor, False, now_ms(), news)
        listed = self._listed()
        if not listed:
            return Page("CHANGE", self._name, cursor, cursor, True, now_ms(), ())
        return await self._asking.changes_since(cursor, bucket=self._name, listed=listed)

    async def news(self) -> None:
        """Until somebody has joined or left."""
        while not self._news:
            self._any.clear()
            await self._any.wait()

    def joining(self, codes: Codes, page: Page) -> Iterator[EncodedEvent]:
        """Watchlist records for the codes of a person who is followed here: a new code inherits the bucket."""
        members, key = self._roster.members[self._name], self._roster.key
        if not any(code in members or key(code) in self._own for code in codes):
            return
        for code in codes:
            if key(code) not in self._own and code not in self._roster.watched.rows:
                self._own[key(code)] = code
                self._told[key(code)] = True  # by the correction itself
                entry = Entry(self._name, None, page.fetched_at, CORRECTION)
                yield EncodedEvent(self._roster.topic, code.encode(), entry.encode(), [], page.fetched_at, 0)

    def _listed(self) -> bytes:
        """The codes as JSON: there may be thousands, and every request needs them. Empty when there are none."""
        state = self._roster.versions[self._name], tuple(self._own)
        if self._encoded[0] != state:
            codes = [*dict.fromkeys([*self._roster.members[self._name], *self._own.values()])]
            self._encoded = state, orjson.dumps(codes) if codes else b""
        return self._encoded[1]
