"""`vtj-producer backfill`: upstream is asked again, beside the running feed, for what Kafka does not hold any more."""

import hashlib
import logging
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import orjson

from producer import pipeline
from producer.app.cursor import own
from producer.app.discretion import Discretion
from producer.app.parts import Parts, resumable
from producer.app.run import require_restricted_load
from producer.errors import Busy, SettingsError
from producer.events.deadletter import dead_letter_topic
from producer.events.groups import RESTRICTED, restricted_topic
from producer.events.identity import usable_code
from producer.events.instant import now_ms, today
from producer.events.page import PERSON
from producer.kafka import topics
from producer.kafka.clients import administration
from producer.kafka.names import BACKFILL, java_hash
from producer.kafka.shard import Shard
from producer.model import EncodedPage, Page
from producer.observe.audit import audit
from producer.observe.pulse import line_of
from producer.operate.commits import LoggedShard
from producer.operate.together import together
from producer.state.load import BATCH
from producer.upstream.client import Upstream
from producer.upstream.retrying import Retrying

log = logging.getLogger("vtj.backfill")

KEPT: Final = timedelta(days=14)  # by DVV
Place = int | date  # a cursor, or a Finnish day


@dataclass(frozen=True, slots=True, repr=False)
class Wanted:
    """The changes behind since, up to until (of a day its end; None: where the feed is), or what is valid now of the
    persons. topic: that all of it goes to; None: the topics of changes.
    """

    since: Place | None = None
    until: Place | None = None
    codes: Sequence[str] = ()
    topic: str | None = None

    @property
    def digest(self) -> str:
        text = f"{self.since}\n{self.until}\n{self.topic}\n{len(self.codes)}\n" + "\n".join(self.codes)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill is; the JSON that stands in the cursor record of its bucket.

    of: a digest of what is wanted. since, until: cursors. part: of how many parts the one that is under way, from 0:
    shares of the followed persons, or batches of the file. missing: persons whom perustiedot has left out.
    """

    of: str
    since: int
    until: int
    parts: int
    part: int = 0
    missing: int = 0
    done: bool = False


async def backfill(made: Parts, wanted: Wanted, *, budget: int, again: bool) -> Progress:
    """budget: requests a minute. again: begin anew, whatever was begun or done.

    Killed at any point it goes on where it was, and what is done is not done twice. Raises SettingsError (another one
    is under way, or there is nothing to do), TopicsDiffer, what asking upstream raises, and KafkaGone and Busy, after
    which it may be run again.
    """
    if wanted.topic is not None:
        async with administration(made.settings.kafka) as admin:
            await topics.require_target(admin, made.settings.topics, *_with_restricted(made, wanted.topic))
    await require_restricted_load(made)
    settings = made.settings.upstream.model_copy(update={"requests_per_minute": budget})
    with resumable(Busy("Another `backfill` has taken over.", hint="It goes on where this one was.")):
        async with Upstream(settings) as client:
            return await _Backfill(made, wanted, client).run(again=again)


def _with_restricted(made: Parts, topic: str) -> list[str]:
    return [topic, restricted_topic(topic)] if made.settings.privacy.restricted_topics else [topic]


class _Backfill:
    """Between upstream and the shard of a bucket of its own: the line's feed, and its encoder."""

    def __init__(self, made: Parts, wanted: Wanted, client: Upstream) -> None:
        settings = made.settings
        self._made, self._wanted = made, wanted
        self._asking = Retrying(client, settings.upstream, patience=settings.upstream.patience)
        self._snapshots = made.snapshots(client, once=True)
        self._discretion = Discretion(made, known=settings.privacy.restricted_topics)
        self._roster = self._discretion.roster
        # Without identities: what is told again says nothing new of them.
        self._converter = made.converter(protection=self._discretion.restriction)
        self._letters = set(made.with_restricted([dead_letter_topic(settings.data_prefix)]))
        self._listed, self._until = b"", 0  # of the part that is under way

    async def run(self, *, again: bool) -> Progress:
        made, wanted = self._made, self._wanted
        written = (
            _with_restricted(made, wanted.topic) if wanted.topic else made.catalogue.topics(made.settings.data_prefix)
        )
        publisher = made.publisher(BACKFILL, written, self._converter.oversized)

        async def work() -> Progress:
            async with publisher.open() as shard:
                await self._discretion.current()
                await shard.recall()
                with line_of(BACKFILL, alone=False):
                    return await self._work(shard, LoggedShard(shard, BACKFILL), again=again)

        done: Progress = await together(work(), *self._discretion.keep())
        return done

    async def _work(self, shard: Shard, logged: LoggedShard, *, again: bool) -> Progress:
        progress = await self._begin(shard, again=again)
        while progress.part < progress.parts:
            if self._wanted.codes:
                progress = await self._persons(logged, progress)
            else:
                await self._changes(shard, logged, progress)
                progress = replace(progress, part=progress.part + 1)
        if not progress.done:
            cursor, progress = shard.cursor or 0, replace(progress, done=True)
            nothing = EncodedPage(BACKFILL, cursor, cursor, True, now_ms(), 0, (), progress=asdict(progress))
            await shard.commit([nothing])
        return progress

    async def _begin(self, shard: Shard, *, again: bool) -> Progress:
        """What is under way or done, or the beginning. Before that is stored upstream is asked: it may refuse."""
        wanted = self._wanted
        told = Progress(**shard.progress) if shard.progress and not again else None
        if told and told.of == wanted.digest:
            return told
        if told and not told.done:
            raise SettingsError(
                f"Another backfill is under way: cursors {told.since} to {told.until}, part {told.part + 1} of "
                f"{told.parts}.",
                hint="Go on with the options and persons that it began with, or give it up for this one with --again.",
            )
        if wanted.codes:
            since = until = await self._asking.first_cursor(today())
            parts = -(-len(wanted.codes) // BATCH)
        else:
            since, until = await self._range()
            parts = max(1, -(-len(self._roster.watched.rows) // self._made.settings.upstream.bucket_size))
            if not any(self._list(part, parts) for part in range(parts)):
                raise SettingsError(
                    "Nobody is followed.", hint="`vtj-producer persons add FILE` puts somebody on the watchlist."
                )
            await self.changes_since(since)
        progress = Progress(wanted.digest, since, until, parts)
        await shard.begin(since, asdict(progress))
        audit(
            "backfill of cursors %(since)d to %(until)d, of %(persons)d named person(s)",
            {"since": since, "until": until, "persons": len(wanted.codes)},
        )
        return progress

    async def _range(self) -> tuple[int, int]:
        wanted = self._wanted
        since, until = wanted.since, wanted.until
        if isinstance(since, date):
            if today() - since > KEPT:
                log.warning("DVV keeps changes for two weeks; of earlier ones nobody knows whether all come")
            since = await self._asking.first_cursor(since)
        if isinstance(until, date):
            until = await self._asking.first_cursor(until + timedelta(days=1)) if until < today() else None
        if until is None:
            until = max((one.cursor for one in (await own(self._made)).values()), default=None)
        if since is None or until is None or since >= until:
            raise SettingsError(
                "The feed has not begun." if until is None else f"There is nothing from cursor {since} to {until}.",
                hint="Name an earlier --since, or a later --until; without it all is told up to where the feed is.",
            )
        return since, until

    async def _changes(self, shard: Shard, logged: LoggedShard, progress: Progress) -> None:
        """The range once, of a share of the followed persons or of all whom the permit selects. Each part goes back."""
        if not self._list(progress.part, progress.parts):
            return
        if progress.part != shard.progress["part"]:
            await shard.begin(progress.since, asdict(progress))
        self._until = progress.until
        cursor, told = shard.cursor or 0, asdict(progress)
        if cursor < progress.until:
            pages = pipeline.encoded(self, self, cursor, _enough)
            async with pipeline.Ahead(pages, self._made.settings.kafka.transaction_events) as batches:
                async for batch in batches:
                    await logged.commit([replace(page, progress=told) for page in batch])

    async def _persons(self, logged: LoggedShard, progress: Progress) -> Progress:
        """What is valid now of a batch of the file."""
        codes = self._wanted.codes[progress.part * BATCH : (progress.part + 1) * BATCH]
        codes = [code for code in codes if not self._is_erased(code)]
        after = replace(progress, part=progress.part + 1)
        if not codes:
            return after
        page = await self._snapshots.persons(codes)
        after = replace(after, missing=progress.missing + len({*codes} - {_code(one) for one in page.records}))
        page = replace(page, bucket=BACKFILL, previous=progress.since, cursor=progress.since)
        await logged.commit([replace(await pipeline.encode(self, page), progress=asdict(after))])
        return after

    def _list(self, part: int, parts: int) -> bool:
        """Whom to ask for; False: nobody. A person stays in one part, whoever is added or corrected meanwhile."""
        roster = self._roster
        if not roster.listing:
            return True

        def share(code: str) -> int:
            key = roster.key(code)
            known = roster.identities.rows.get(key)
            return java_hash((known.codes[0] if known and known.codes else key).encode()) % parts

        codes = [code for code in roster.watched.rows if share(code) == part and not self._is_erased(code)]
        self._listed = orjson.dumps(codes)
        return bool(codes)

    def _is_erased(self, code: Any) -> bool:
        return usable_code(code) and self._discretion.erased(self._roster.key(code))

    async def changes_since(self, cursor: int) -> Page:
        page = await self._asking.changes_since(cursor, bucket=BACKFILL, listed=self._listed)
        records = [one for one in page.records if not self._is_erased(_code(one))]
        return replace(page, kind="REPLAY", records=records, up_to_date=page.up_to_date or page.cursor >= self._until)

    def slices(self, page: Page) -> Generator[None, None, EncodedPage]:
        encoded = yield from self._converter.slices(page)
        if self._wanted.topic:
            for event in encoded.events:
                if event.topic not in self._letters:
                    restricted = event.topic.endswith(RESTRICTED)
                    event.topic = restricted_topic(self._wanted.topic) if restricted else self._wanted.topic
        return encoded


async def _enough() -> bool:
    return False


def _code(record: Any) -> Any:
    return record.get(PERSON) if isinstance(record, dict) else None
