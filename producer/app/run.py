"""`vtj-producer run`: every bucket's line, and the state's beside them, whenever their shards are ours."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import date
from typing import Any

from producer.app.parts import Decoding, Parts, parts, wait_until_free
from producer.app.persons import sync_file
from producer.config import Settings
from producer.errors import SettingsError
from producer.events.convert import Converter, Joining
from producer.events.identities import identity_topic
from producer.events.instant import today
from producer.events.protection import Protection
from producer.kafka import ownership
from producer.kafka.cursor import positions
from producer.kafka.deadlines import GRACE, deadline, settled
from producer.kafka.names import SHARDS, STATE
from producer.kafka.shard import Shard
from producer.model import BUCKET
from producer.observe.audit import audit
from producer.observe.pulse import line_of, pulse
from producer.operate import service
from producer.operate.age import Age, Heard
from producer.operate.commits import LoggedShard
from producer.operate.memory import steady_memory
from producer.operate.pace import Pace
from producer.operate.poison import Poison
from producer.operate.service import Service
from producer.operate.together import together
from producer.persons.orders import Orders
from producer.persons.roster import Bucket, Roster
from producer.pipeline import Feed, line
from producer.state.line import StateLine
from producer.upstream.client import Upstream
from producer.upstream.persons import read_persons
from producer.upstream.retrying import Retrying

log = logging.getLogger("vtj.service")


async def serve(settings: Settings, *, once: bool, skip: int | None = None) -> None:
    """Checks the topics, joins the group, and works on the shards that it is given.

    skip: the cursor whose page is passed over where it is poison.
    """
    own = pulse()
    file = settings.upstream.persons_file
    codes = read_persons(file) if file is not None else None  # its faults are told before anybody is asked
    made = await parts(settings)
    await require_restricted_load(made)
    if codes is not None:
        await sync_file(made, codes)
    if once:
        await wait_until_free(made)
    names, roster = made.names(BUCKET), made.roster()
    orders = made.orders(roster)

    def join(release: Callable[[], Awaitable[None]]) -> AbstractAsyncContextManager[service.Member]:
        return ownership.membership(
            settings.kafka, made.instance, group=names.group, topic=names.cursor_topic, release=release
        )

    serving = Service(join, once=once, patience=settings.kafka.session_timeout + GRACE)
    if skip is not None:
        audit("poison in the page after cursor %(cursor)d is passed over", {"cursor": skip})
    own.instance = made.instance
    async with Upstream(settings.upstream, poison=skip) as client:
        own.quota = client.budget
        changes = Changes(made, roster, orders, client, serving, once=once)
        shards = range(SHARDS) if roster.listing else [names.shard]
        works: list[tuple[service.Work, int]] = [(changes.work(shard), shard) for shard in shards]
        if settings.state.enabled:
            works.append((_state(made, roster, client, serving, changes), made.names(STATE).shard))

        async def work() -> None:
            if roster.listing:
                async with settled(settings.kafka, "reading the watchlist"):
                    await roster.watched.current()
                if not roster.buckets:
                    log.warning("nobody is followed: `vtj-producer persons add FILE` puts somebody on the watchlist")
            steady_memory()
            await serving.run(dict(works))

        await together(work(), roster.keep(), *([orders.keep()] if orders else []))


class Changes:
    """The lines of the buckets, shard by shard."""

    def __init__(
        self, made: Parts, roster: Roster, orders: Orders | None, client: Upstream, serving: Service, *, once: bool
    ) -> None:
        settings, catalogue = made.settings, made.catalogue
        self._made, self._roster, self._client, self._serving = made, roster, client, serving
        self._orders = orders
        self.once = once
        self._ages: dict[str, Age] = {}  # by bucket
        self._poison = Poison(settings.feed.name)
        self._left = 0  # shards that are not up to date
        self.up_to_date = asyncio.Event()  # with once: when none is left
        self._converter = made.converter()
        prefix = settings.data_prefix
        self._topics = [*catalogue.topics(prefix), identity_topic(prefix), roster.topic]

    def work(self, shard: int) -> service.Work:
        self._left += 1

        async def work() -> None:
            while not (buckets := self._buckets(shard)) and not self.once:
                await self._roster.changed.wait()
            if buckets:
                await self._lines(shard, buckets)
            self._left -= 1
            if not self._left:
                self.up_to_date.set()

        return work

    def _buckets(self, shard: int) -> set[str]:
        if not self._roster.listing:
            return {BUCKET}
        return {name for name in self._roster.buckets if self._made.names(name).shard == shard}

    async def _lines(self, shard: int, buckets: set[str]) -> None:
        """The lines of a shard, side by side: any doubt of one ends all. A new bucket's line begins beside them."""
        made, roster = self._made, self._roster

        def still_ours() -> bool:
            return self._serving.holds(shard)

        identities = made.identities(roster.identities.rows)
        # What is written of pseudonyms cannot be asked for: plain codes are learnt beside it, in memory alone.
        plain = made.identities() if made.hidden else identities
        protection = Protection(identities, self._orders) if self._orders else None

        def converter(joining: Joining = lambda *_: ()) -> Converter:
            return self._converter.following(identities, plain, joining, protection)

        publisher = made.publisher(min(buckets), self._topics, converter().oversized, still_ours)
        async with publisher.open() as opened:
            await roster.current()
            if self._orders and protection:
                await self._orders.begin(protection)

            running = set(buckets)

            async def also() -> None:
                while not (new := self._buckets(shard) - running):
                    await roster.changed.wait()
                running.update(new)
                await together(also(), *(self._line(opened, name, converter) for name in new))

            lines = [self._line(opened, name, converter) for name in sorted(buckets)]
            await together(*lines, *([] if self.once or not roster.listing else [also()]), all_of_them=True)

    async def _line(self, opened: Shard, name: str, converter: Callable[..., Converter]) -> None:
        made, upstream = self._made, self._made.settings.upstream
        retrying = Retrying(self._client, upstream, patience=upstream.patience if self.once else None)
        feed: Feed = retrying
        encoder, news = converter(), None
        if self._roster.listing:
            feed = bucket = Bucket(self._roster, name, retrying)
            encoder, news = converter(bucket.joining), bucket.news
        schedule = None if self.once else made.settings.schedule

        async def begin() -> int:
            return await start(made, self._roster.begins(name), retrying.first_cursor)

        with line_of(name, alone=not self._roster.listing):
            shard = LoggedShard(opened.beside(name), name)
            age = self._ages.setdefault(name, Age(schedule))
            age.stored(shard.answered)
            pause, most = Pace(schedule, news).pause, made.settings.kafka.transaction_events
            try:
                await together(line(Heard(feed, age), encoder, shard, begin, pause, most), age.watch())
            except Exception as error:
                raise self._poison.of(error, name, shard.cursor) from None


def _state(made: Parts, roster: Roster, client: Upstream, serving: Service, changes: Changes) -> service.Work:
    settings, prefix, once = made.settings, made.settings.data_prefix, changes.once
    shard = made.names(STATE).shard
    publisher, (of_state, *_) = made.states(lambda: serving.holds(shard))
    followed = [*made.catalogue.topics(prefix), identity_topic(prefix)]
    state = StateLine(
        settings,
        made.instance,
        made.catalogue,
        of_state,
        made.blanks(),
        made.snapshots(client, once=once),
        topics=dict.fromkeys(made.with_restricted(followed), settings.topics.partitions),
        decode=Decoding(made),
        roster=roster,
    )

    async def follow() -> None:
        if once:
            await changes.up_to_date.wait()  # it ends with what is in the change topics
        with line_of(STATE, alone=True):
            await state.run(publisher.open, once=once)

    return follow


async def start(made: Parts, begin: int | None, first_cursor: Callable[[date], Awaitable[int]]) -> int:
    """The first cursor of a new bucket: its own, if it was made for a feed under way; of the first buckets that of an
    initial load; else somebody must have decided.

    Raises SettingsError when nobody has, or the load is not done.
    """
    settings, told = made.settings, made.settings.upstream.start
    loaded = await initial_load(made)
    if loaded and not loaded["done"]:
        raise SettingsError(
            f"The initial load of feed {settings.feed.name} is not done.",
            hint="Go on with `vtj-producer load` as it was begun; the feed begins where the load says.",
        )
    if begin is not None:
        return begin
    if loaded:
        cursor: int = loaded["cursor"]
        return cursor
    if told is None:
        raise SettingsError(
            f"Feed {settings.feed.name} has no stored cursor, and where to begin is not decided.",
            hint="Set VTJ_UPSTREAM__START to today, to a date (2026-11-01) or to a cursor (a kirjausavain), "
            "or begin with what is valid now: `vtj-producer load`.",
        )
    if told.isdecimal():
        return int(told)
    day = today() if told == "today" else date.fromisoformat(told)
    return await first_cursor(day)


async def initial_load(made: Parts) -> dict[str, Any]:
    """How far the last load is (state.load.Progress); {}: there was none. Raises Doubt."""
    settings, names = made.settings.kafka, made.names(STATE)
    async with deadline(settings.commit_timeout, "reading how far the initial load is"):
        stored = await positions(settings, made.instance, names.cursor_topic, [names.shard])
    return ((found.progress or {}).get("load") if (found := stored.get(names.key)) else None) or {}


async def require_restricted_load(made: Parts) -> None:
    """With restricted topics: without one nobody knows who is protected, or the state topics show where they live.

    Raises SettingsError.
    """
    if not made.settings.privacy.restricted_topics:
        return
    async with settled(made.settings.kafka, "reading how far the initial load is"):
        loaded = await initial_load(made)
    if not (loaded.get("done") and loaded.get("restricted")):
        raise SettingsError(
            f"With VTJ_PRIVACY__RESTRICTED_TOPICS feed {made.settings.feed.name} must know from a load who is under "
            f"turvakielto, and {'the last one was without it' if loaded.get('done') else 'no load is done'}.",
            hint="Load with `vtj-producer load`, of everybody who is followed; of a feed that has begun, with --again.",
        )
