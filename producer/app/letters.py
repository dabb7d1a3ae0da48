"""What no event could be made of, and what no schema described: where it stands, and what has been done about it."""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from producer import __version__
from producer.app.parts import Decoding, Parts
from producer.errors import CursorUnreadable, SettingsError
from producer.events.deadletter import REASONS, dead_letter_topic
from producer.events.fit import label, spelled
from producer.events.groups import change_topic
from producer.events.page import PROTECTED
from producer.kafka import topics
from producer.kafka.clients import administration
from producer.kafka.deadlines import reached, settled
from producer.kafka.reader import ends, latest, partitions, reader
from producer.kafka.scan import scan
from producer.kafka.topics import handled_topic
from producer.model import OUTSIDE, Header
from producer.observe.audit import audit

# Reasons beside those of dead letters: why something has no event, and why it still gets none.
NO_SCHEMA, UNREADABLE, UNEXPECTED = "no-schema", "unreadable", "unexpected"
ERASED, HIDDEN, SNAPSHOT = "erased", "protected", "snapshot"
WORDS: Final = {
    **REASONS,
    "oversized": "the content is upstream's alone: raise max.message.bytes, and `vtj-producer backfill` the cursors",
    NO_SCHEMA: "no schema describes its group",
    OUTSIDE: "VTJ_PERMIT__GROUPS does not name its group",
    UNREADABLE: "written with a schema that this version does not know",
    UNEXPECTED: "it could not be encoded: a fault of this program",
    ERASED: "the person is among the erased",
    HIDDEN: "it may tell an address of somebody under turvakielto, or nobody knows who is: that takes state topics",
    SNAPSHOT: "it tells what was valid: `vtj-producer load --again` reads that anew",
}
KNOWN: Final = ("feed", "bucket", "cursor", "previousCursor", "position", "fetchedAt", "kind", "rawSize", "cut")


class Place(NamedTuple):
    """topic: without the prefix."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return ":".join(map(str, self))

    @classmethod
    def read(cls, text: str) -> "Place":
        """Raises SettingsError."""
        topic, *numbers = text.split(":")
        if len(numbers) != 2 or not all(one.isascii() and one.isdecimal() for one in numbers):
            raise SettingsError(
                "What is meant is not named by its place.",
                hint="Give places as `vtj-producer dead-letters list` shows them, such as dead-letter:0:17.",
            )
        return cls(topic, *map(int, numbers))


@dataclass(frozen=True, slots=True)
class Handled:
    """The value of a marker; its key is the place. id: ce_id of what stood there, since a topic may be made anew.

    how: retried or discarded. at: ms.
    """

    how: str
    at: int
    reason: str | None
    id: str
    instance: str
    release: str = __version__
    version: int = 1


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, or an event of a group that had no topic of its own. value: decoded.

    reason: of the letter; of an event no-schema or outside-permit. group: of the event. handled: None: not yet.
    """

    place: Place
    id: str
    reason: str
    detail: str
    group: str | None = field(repr=False)
    handled: Handled | None
    key: bytes | None = field(repr=False)
    headers: Sequence[Header] = field(repr=False)
    value: Mapping[str, Any] = field(repr=False)

    def told(self) -> dict[str, Any]:
        """What anybody may know of it: never content."""
        members = sorted({label(path) for path in self.value.get("unmapped", ())})
        return {
            "place": str(self.place),
            "id": self.id,
            "reason": self.reason,
            "detail": self.detail,
            **({} if self.group is None else {"group": label(spelled(self.group))}),
            **{name: self.value[name] for name in KNOWN if name in self.value},
            **({"members": members} if members else {}),
            **({"handled": asdict(self.handled)} if self.handled else {}),
        }

    @property
    def content(self) -> str | None:
        """All that came, as JSON text; of an event by the paths of `unmapped`. None: it is not here."""
        if "unmapped" in self.value:
            members = (f"{json.dumps(path)}: {text}" for path, text in self.value["unmapped"].items())
            return f"{{{', '.join(members)}}}"
        raw: str | None = self.value.get("raw")
        return raw


class Letters:
    """Reads what stands there of this feed."""

    def __init__(self, made: Parts, consumer: AIOKafkaConsumer) -> None:
        self._made, self._consumer, self._kafka = made, consumer, made.settings.kafka
        self._prefix, self._decoding = made.settings.data_prefix, Decoding(made)
        self._begins: Mapping[TopicPartition, int] = {}
        self._markers: dict[Place, Handled] = {}

    async def all(self, places: Collection[Place] = ()) -> AsyncIterator[Letter]:
        """What is there now. places: only that. Raises SettingsError when nothing is at one of them; KafkaGone."""
        async with reached(self._kafka, "finding the dead letters"):
            here = await partitions(self._consumer, _topics(self._made))
            self._begins = await self._consumer.beginning_offsets(here)
            until = await ends(self._kafka, self._made.instance, here)
        async with settled(self._kafka, "reading what has been dealt with"):
            self._markers = await self._handled()
        missing = {*places}
        for one in here:
            wanted = {place.offset for place in places if self._at(place) == one}
            first, end = (min(wanted, default=0), max(wanted, default=-1) + 1) if places else (0, until[one])
            first, end = max(first, self._begins[one]), min(end, until[one])
            async for batch in scan(self._consumer, self._kafka, one, first, end):
                for record in batch.records:
                    if (not places or record.offset in wanted) and (letter := await self._letter(one, record)):
                        missing.discard(letter.place)
                        yield letter
        if missing:
            raise SettingsError(
                f"Nothing to deal with stands at {', '.join(map(str, sorted(missing)))}.",
                hint="`vtj-producer dead-letters list --all` shows what there is.",
            )

    def forget(self) -> list[Place]:
        """The markers of what the topics do not keep any more; each is named once."""
        gone = [place for place in self._markers if place.offset < self._begins.get(self._at(place), 0)]
        for place in gone:
            del self._markers[place]
        return gone

    def _at(self, place: Place) -> TopicPartition:
        return TopicPartition(f"{self._prefix}.{place.topic}", place.partition)

    async def _handled(self) -> dict[Place, Handled]:
        topic, count = handled_topic(self._prefix), self._made.settings.topics.partitions
        found = await latest(self._kafka, self._made.instance, [TopicPartition(topic, at) for at in range(count)])
        return {Place.read(key.decode()): Handled(**orjson.loads(one.value)) for key, one in found.items()}

    async def _letter(self, one: TopicPartition, record: Any) -> Letter | None:
        """None: it is another feed's, or its event stands in a topic of its own already."""
        place = Place(one.topic.removeprefix(f"{self._prefix}."), one.partition, record.offset)
        headers, marker = dict(record.headers), self._markers.get(place)
        identity = headers.get("ce_id", b"").decode(errors="replace")
        group, value = None, dict[str, Any]()
        try:
            value = await self._decoding(record.value or b"")
        except CursorUnreadable:
            reason, detail = UNREADABLE, WORDS[UNREADABLE]
        else:
            if value["feed"] != self._made.settings.feed.name or PROTECTED in record.headers:
                return None
            if "reason" in value:
                reason, detail = value["reason"], value["detail"]
            else:
                reason, group = OUTSIDE if "ce_reason" in headers else NO_SCHEMA, value["group"]
                known = group in self._made.catalogue.groups
                detail = "its group has a topic of its own by now" if known else WORDS[reason]
        handled = marker if marker and marker.id == identity else None
        return Letter(place, identity, reason, detail, group, handled, record.key, record.headers, value)


def _topics(made: Parts) -> list[str]:
    prefix = made.settings.data_prefix
    return made.with_restricted([dead_letter_topic(prefix), change_topic(prefix, made.catalogue.unmapped)])


@asynccontextmanager
async def letters(made: Parts) -> AsyncIterator[Letters]:
    """Raises TopicsDiffer, KafkaGone."""
    async with administration(made.settings.kafka) as admin:
        await topics.limits(admin, [*_topics(made), handled_topic(made.settings.data_prefix)])  # are they there at all?
    async with reader(made.settings.kafka, made.instance) as consumer:
        yield Letters(made, consumer)


async def look(made: Parts, place: Place, *, reveal: bool) -> Letter:
    """reveal: its content is to be shown, of which the audit log hears before anybody sees it."""
    async with letters(made) as there:
        [letter] = [one async for one in there.all([place])]
    if reveal:
        audit("the content of %(place)s was shown", {"place": place})
    return letter
