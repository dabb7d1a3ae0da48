"""The initial load (alkulataus): what is valid now of everybody, and where the feed goes on from there."""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Final, overload

from producer import pipeline
from producer.errors import MalformedPage, SettingsError
from producer.events.convert import Converter
from producer.events.identities import former_codes
from producer.events.instant import now_ms, today
from producer.events.page import GROUPS, PERSON
from producer.events.state import gathered
from producer.kafka.names import STATE
from producer.kafka.shard import Shard
from producer.model import EncodedEvent, EncodedPage, Page
from producer.upstream.retrying import Snapshots

BATCH: Final = 1000  # persons; the most that perustiedot takes
# DVV keeps a cursor for two weeks; a day is for following from it.
OLDEST: Final = timedelta(days=13)
RULES: Final = (
    "Where the feed goes on depends on it. Load from perustiedot instead (without --weekly), and show DVV the time."
)
LISTED: Final = 1000  # of those that were silently missing, by their place in the list


@dataclass(slots=True)
class Progress:
    """How far a load is; the JSON that stands in the cursor record.

    of: a digest of what is loaded, so that another list is not taken for this one. cursor: where the feed goes on; with
    weekly snapshots not known before the end. asked, answered: persons, or municipalities asked. recoded: codes of the
    list that were answered under a newer one. missing: places in the list, from 1, of those that upstream left out, the
    first 1000; missed: how many. extracted: earliest poimintapv.
    restricted: all of it with VTJ_PRIVACY__RESTRICTED_TOPICS.
    """

    of: str
    cursor: int = 0
    asked: int = 0
    answered: int = 0
    recoded: int = 0
    missed: int = 0
    missing: list[int] = field(default_factory=list)
    extracted: str | None = None
    done: bool = False
    restricted: bool = False


class Codes(Sequence[str]):
    """Identity codes in eleven bytes each: a million of them as texts would take half of the process's memory."""

    SIZE: Final = 11

    def __init__(self, codes: Iterable[str]) -> None:
        self._text = "".join(codes)

    def __len__(self) -> int:
        return len(self._text) // self.SIZE

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        first = range(len(self))[at] * self.SIZE
        return self._text[first : first + self.SIZE]


@dataclass(frozen=True, slots=True, repr=False)
class Wanted:
    """Whom to load: persons by their codes, or everybody of municipalities. weekly: from the weekly snapshots."""

    codes: Sequence[str] = ()
    municipalities: Sequence[str] = ()
    weekly: bool = False

    @property
    def size(self) -> int:
        return len(self.codes or self.municipalities)

    @property
    def digest(self) -> str:
        """Of the whole list: nobody in it can be guessed from it."""
        kind = "weekly" if self.weekly else "today"
        digest, named = hashlib.sha256(f"{kind}\n{self.size}".encode()), self.codes or self.municipalities
        for first in range(0, self.size, BATCH):
            digest.update("".join(f"\n{one}" for one in named[first : first + BATCH]).encode())
        return digest.hexdigest()[:16]


class Introducing:
    """Identity records of those whom a load has read, so that `run` follows them without reading them again.

    converter: with the identities. buckets: code → bucket. key: of a code.
    """

    def __init__(self, converter: Converter, buckets: Mapping[str, str], key: Callable[[str], str]) -> None:
        self._converter, self._buckets, self._key = converter, buckets, key

    async def events(self, page: Page) -> list[EncodedEvent]:
        """page: an answer of perustiedot. Whom it leaves out is asked for again, when the bucket begins."""
        answered: dict[str, list[tuple[str, bool]]] = {}
        for record in page.records:
            code: Any = record.get(PERSON) if isinstance(record, dict) else None
            if isinstance(code, str) and code in self._buckets:
                answered.setdefault(self._buckets[code], []).append((self._key(code), True))
        events: list[EncodedEvent] = []
        for bucket, persons in answered.items():
            told = replace(page, kind="FOLLOWED", bucket=bucket, records=persons, extra={})
            events += (await pipeline.encode(self._converter, told)).events
        return events


async def load(
    shard: Shard,
    wanted: Wanted,
    asking: Snapshots,
    converters: Sequence[Converter],
    report: Callable[[Progress], None],
    most: int,
    introducing: Introducing | None = None,
    offsets: Callable[[], Awaitable[Mapping[str, Sequence[int]]]] | None = None,
    *,
    restricted: bool = False,
) -> Progress:
    """Loads what is not loaded yet. converters: of the state topics, then of those of changes if they take it too.

    offsets: tells at the end from where on the state line must read.

    With perustiedot the feed's cursor is taken before the first call, so whatever changes meanwhile comes again in the
    feed. Weekly snapshots are older than today: the feed goes on from the day before the earliest of them. Raises
    SettingsError when another load is under way, or the weekly snapshot is too old to go on from.
    """
    told = shard.progress.get("load")
    progress = Progress(**told) if told else Progress(of=wanted.digest, restricted=restricted)
    if progress.of != wanted.digest and not progress.done:
        raise SettingsError(
            f"Another load is under way: {progress.asked} are loaded of a list that is not this one.",
            hint="Go on with the list that it began with, the same codes in the same order.",
        )
    if progress.done:
        progress = Progress(of=wanted.digest, restricted=restricted)
    progress.restricted &= restricted
    if not wanted.weekly and not progress.cursor:
        progress.cursor = await asking.first_cursor(today())
    if not told or told["done"]:
        await _store(shard, progress)
    report(progress)
    pages = _pages(wanted, progress, asking, converters, introducing, shard.progress)
    async with pipeline.Ahead(pages, most) as batches:
        async for batch in batches:
            await shard.commit(batch)
            report(Progress(**shard.progress["load"]))
    progress = Progress(**shard.progress["load"])
    if wanted.weekly and progress.extracted:
        progress.cursor = await _cursor_before(date.fromisoformat(progress.extracted), asking.first_cursor)
    progress = replace(progress, done=True)
    await _store(shard, progress, {"offsets": await offsets()} if offsets else {})
    return progress


async def _store(shard: Shard, progress: Progress, beside: Mapping[str, Any] = MappingProxyType({})) -> None:
    """A commit without events."""
    cursor = progress.cursor
    before = cursor if shard.cursor is None else shard.cursor
    nothing = EncodedPage(STATE, before, cursor, progress.done, now_ms(), 0, ())
    await shard.commit([replace(nothing, progress={**shard.progress, "load": asdict(progress), **beside})])


async def _pages(
    wanted: Wanted,
    progress: Progress,
    asking: Snapshots,
    converters: Sequence[Converter],
    introducing: Introducing | None,
    beside: Any,
) -> AsyncGenerator[EncodedPage, None]:
    """A page for each batch that is left, with the progress after it."""
    size = BATCH if wanted.codes else 1
    for at in range(progress.asked, wanted.size, size):
        part = (wanted.codes or wanted.municipalities)[at : at + size]
        if wanted.weekly:
            page = await asking.weekly(*((part, ()) if wanted.codes else ((), part)))
            if _day(page.extra.get("poimintapv")) is None:
                raise MalformedPage("The weekly snapshot has no poimintapv that can be read.", hint=RULES)
        else:
            page = await asking.persons(part)
        progress = _after(progress, wanted, part, page)
        page = replace(page, bucket=STATE, previous=progress.cursor, cursor=progress.cursor)
        encoded = await encode(page, converters)
        if introducing is not None:
            events = [*encoded.events, *await introducing.events(page)]
            encoded = replace(encoded, events=events)
        yield replace(encoded, progress={**beside, "load": asdict(progress)})


async def encode(page: Page, converters: Sequence[Converter]) -> EncodedPage:
    """The records of the state topics, and with a second converter the events of the change topics too.

    A group without a schema has no state: all of a person's would share one key. The change topics have them.
    """
    done = await pipeline.encode(converters[0], replace(page, records=[gathered(record) for record in page.records]))
    events = [event for event in done.events if ".change.unmapped" not in event.topic]
    for other in converters[1:]:
        events = [event for event in events if ".state." in event.topic]  # what is buried, both have buried
        events += (await pipeline.encode(other, page)).events
    return replace(done, events=events)


def _after(progress: Progress, wanted: Wanted, part: Sequence[str], page: Page) -> Progress:
    answered = {record.get(PERSON) for record in page.records if isinstance(record, dict)}
    former = {code for record in page.records if isinstance(record, dict) for code in former_codes(record.get(GROUPS))}
    known = answered | former
    missing = [progress.asked + at for at, code in enumerate(part, 1) if code not in known] if wanted.codes else []
    days = [one for one in (progress.extracted, _day(page.extra.get("poimintapv"))) if one]
    return replace(
        progress,
        asked=progress.asked + len(part),
        answered=progress.answered + len(answered),
        recoded=progress.recoded + sum(code in former and code not in answered for code in part),
        missed=progress.missed + len(missing),
        missing=(progress.missing + missing)[:LISTED],
        extracted=min(days) if days else None,
    )


def _day(told: Any) -> str | None:
    """poimintapv as yyyy-MM-dd; its format is not known for certain, so a time behind it is passed over."""
    try:
        return date.fromisoformat(told[:10]).isoformat()
    except (TypeError, ValueError):
        return None


async def _cursor_before(extracted: date, first_cursor: Callable[[date], Awaitable[int]]) -> int:
    day = extracted - timedelta(days=1)
    if today() - day > OLDEST:
        raise SettingsError(
            f"The weekly snapshot is of {extracted}: changes since the day before are no longer kept upstream.",
            hint="Load from perustiedot instead (without --weekly), or wait for the next snapshot.",
        )
    return await first_cursor(day)
