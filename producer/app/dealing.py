"""`vtj-producer dead-letters retry` and `discard`: dead letters and unmapped events are told again, or given up.

What has been dealt with has a marker under its place, in a compacted topic. It is committed in one transaction with the
events: so whatever is killed when, each is told once. Whoever opens the bucket has fenced the one before, and only then
reads the markers.
"""

import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from producer.app.discretion import Discretion
from producer.app.letters import (
    ERASED,
    HIDDEN,
    SNAPSHOT,
    UNEXPECTED,
    UNREADABLE,
    Handled,
    Letter,
    Letters,
    Place,
    letters,
)
from producer.app.parts import Decoding, Parts, resumable
from producer.app.run import require_restricted_load
from producer.errors import Busy
from producer.events.deadletter import dead_letter_topic
from producer.events.fit import whole
from producer.events.groups import RESTRICTED
from producer.events.instant import now_ms
from producer.kafka.names import LETTERS, STATE
from producer.kafka.shard import Shard
from producer.kafka.topics import handled_topic
from producer.model import EncodedEvent, EncodedPage, Page
from producer.observe.audit import audit
from producer.operate.together import together

log = logging.getLogger("vtj.letters")

DEALT = RETRIED, DISCARDED, BEFORE = "retried", "discarded", "dealt with before"
PARTS: Final = ("group-not-object", "oversized")  # reasons of letters that hold no change record


@dataclass(frozen=True, slots=True)
class Dealt:
    """letters: how many, by what came of them: told again or given up, or why they stay. events: that were told."""

    letters: Mapping[str, int]
    events: int


# What is to be told of each letter; else why it stays. Asked before each transaction.
Tell = Callable[[Sequence[Letter]], Awaitable[Sequence[EncodedPage | str]]]


async def discard(made: Parts, places: Collection[Place], reason: str) -> Dealt:
    """Gives up what stands at these places.

    Killed at any point it may be run again. Raises SettingsError (nothing stands at one of the places; then nothing is
    done), what opening and committing raise, and KafkaGone and Busy, after which it may be run again.
    """

    async def nothing(some: Sequence[Letter]) -> Sequence[EncodedPage]:
        return [EncodedPage(LETTERS, 0, 0, True, 0, 0, ())] * len(some)

    return await _Dealing(made, places, DISCARDED, nothing, reason).run()


async def retry(made: Parts, places: Collection[Place] = ()) -> Dealt:
    """Tells again what today's schemas can. places: none: all.

    Raises what discard does, and SettingsError where restricted topics lack a load.
    """
    await require_restricted_load(made)
    discretion = await Discretion.over(made, ())
    dealing = _Dealing(made, places, RETRIED, _Retelling(made, discretion))
    done: Dealt = await together(dealing.run(), *discretion.keep())
    return done


class _Dealing:
    def __init__(self, made: Parts, places: Collection[Place], how: str, tell: Tell, reason: str | None = None) -> None:
        self._made, self._places, self._how, self._tell, self._reason = made, places, how, tell, reason
        self._handled = handled_topic(made.settings.data_prefix)
        self._counts, self._events = Counter[str](), 0

    async def run(self) -> Dealt:
        made, size = self._made, self._made.settings.kafka.transaction_events
        # Of all topics that such a command may have written to before.
        publisher = made.publisher(LETTERS, [*made.catalogue.topics(made.settings.data_prefix), self._handled])
        with resumable(Busy("Another such command has taken over.", hint="Run this one when it has ended.")):
            async with publisher.open() as shard, letters(made) as there:
                if self._places:  # none of it where one is wrong
                    async for _ in there.all(self._places):
                        pass
                some = list[Letter]()
                async for letter in there.all(self._places):
                    if letter.handled is None:
                        some.append(letter)
                    elif self._places:
                        self._counts[BEFORE] += 1
                    if len(some) == size:
                        await self._deal(shard, there, some)
                        some = []
                await self._deal(shard, there, some)
        return Dealt(self._counts, self._events)

    async def _deal(self, shard: Shard, there: Letters, some: Sequence[Letter]) -> None:
        """With all of these, in one transaction."""
        events, told, dead = list[EncodedEvent](), Counter[str](), Counter[str]()
        now = now_ms()

        def mark(place: Place, value: bytes) -> None:
            events.append(EncodedEvent(self._handled, str(place).encode(), value, [], now, 0))

        for letter, page in zip(some, await self._tell(some), strict=True):
            if isinstance(page, str):
                self._counts[page] += 1
                continue
            told.update(letters=1, events=len(page.events))
            dead.update(page.dead)
            events += page.events
            mark(letter.place, orjson.dumps(Handled(self._how, now, self._reason, letter.id, self._made.instance)))
        if told:
            for place in there.forget():
                mark(place, b"")
            cursor = shard.cursor or 0
            await shard.commit([EncodedPage(LETTERS, cursor, cursor, True, now, told["letters"], events, dead=dead)])
            self._counts[self._how] += told["letters"]
            self._events += told["events"]
            why = " (%(reason)s)" if self._reason else ""
            audit(f"{self._how} %(letters)d dead letter(s){why}", {"letters": told["letters"], "reason": self._reason})


class _Retelling:
    """discretion: what it follows must be kept beside."""

    def __init__(self, made: Parts, discretion: Discretion) -> None:
        settings = made.settings
        self._discretion, self._decoding, self._groups = discretion, Decoding(made), made.catalogue.groups
        self._restricting = settings.privacy.restricted_topics
        self._dead = made.with_restricted([dead_letter_topic(settings.data_prefix)])
        # Without identities: an old correction would stand there behind a newer one.
        self._converter = made.converter(protection=discretion.restriction)

    async def __call__(self, some: Sequence[Letter]) -> Sequence[EncodedPage | str]:
        await self._discretion.current()
        return [await self._told(letter) for letter in some]

    async def _told(self, letter: Letter) -> EncodedPage | str:
        value, reason = letter.value, letter.reason
        if reason in (UNREADABLE, *PARTS) or value.get("cut"):
            return reason
        if value["bucket"] == STATE or value.get("kind") == "SNAPSHOT":
            return SNAPSHOT
        if letter.group is not None and letter.group not in self._groups:
            return reason
        try:
            page = self._encoded(letter)
        except Exception as error:  # one that cannot be encoded must not hold up the others
            log.error("%s cannot be encoded: %s", letter.place, type(error).__name__)
            return UNEXPECTED
        events = [event for event in page.events if event.topic not in self._dead]
        if not events:
            return next(iter(page.dead))
        for event in events:
            if why := await self._untellable(event):
                return why
        return page

    def _encoded(self, letter: Letter) -> EncodedPage:
        value = letter.value
        cursor, fetched_at = value["cursor"], round(value["fetchedAt"].timestamp() * 1000)
        group = whole(value) if letter.group is not None else None
        page = Page("REPLAY", LETTERS, cursor, cursor, True, fetched_at, (), group.page if group else {})
        encoding = self._converter.encoding(page, value["position"])
        if group is None:
            encoding.add(json.loads(value["raw"]))
        else:
            restricted = letter.place.topic.endswith(RESTRICTED)
            encoding.add_again(value, group, letter.key or b"", letter.headers, restricted=restricted)
        return encoding.done()

    async def _untellable(self, event: EncodedEvent) -> str | None:
        key = (event.key or b"").decode()
        if self._discretion.erased(key):
            return ERASED
        if not self._restricting:  # else what is protected has topics of its own
            told = await self._decoding(event.value)
            if self._discretion.tellable(key, event.topic, told) != told:
                return HIDDEN
        return None
