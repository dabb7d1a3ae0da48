"""`vtj-producer erase`: takes back what can be taken back of a person, and says what stays and until when."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiokafka import TopicPartition

from producer import __version__
from producer.app.parts import Parts
from producer.app.persons import look, remove
from producer.events.deadletter import dead_letter_topic
from producer.events.identities import identity_topic
from producer.events.instant import now_ms
from producer.kafka import topics
from producer.kafka.clients import administration
from producer.kafka.deadlines import reached, settled
from producer.kafka.names import STATE, java_hash
from producer.kafka.reader import ends, reader, until
from producer.kafka.topics import erased_topic
from producer.model import EncodedEvent, EncodedPage
from producer.observe.audit import audit


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The value of a record of the topic of erased persons; its key is what the person stands under. at: ms."""

    at: int
    reason: str | None
    instance: str
    release: str = __version__
    version: int = 1


@dataclass(frozen=True, slots=True)
class History:
    """What a topic of changes still holds of the person. until: when the latest of it is gone, by the retention."""

    topic: str
    records: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Erased:
    """codes: how many of the person's. listed: how many of them were followed. topics: those that got tombstones."""

    codes: int
    listed: int
    topics: int
    history: Sequence[History]


async def erase(made: Parts, code: str, reason: str | None) -> Erased:
    """Every code of the person: out of the watchlist; tombstones in state and identity; a record among the erased.

    The state's shard is taken for that one commit; an instance that had it begins again at its stored position. Raises
    what opening and committing raise, and KafkaGone.
    """
    settings, now = made.settings, await look(made, [code])
    codes, prefix = now.codes(code), settings.data_prefix
    listed = len((await remove(made, codes))[1]) if settings.upstream.listing else 0
    keys = [(made.hidden.of(one) if made.hidden else one).encode() for one in codes]
    states = made.with_restricted(made.catalogue.state_topics(prefix)) if settings.state.enabled else []
    emptied = [*states, identity_topic(prefix)]
    at = now_ms()
    value = orjson.dumps(asdict(Tombstone(at, reason, made.instance)))
    events = [EncodedEvent(erased_topic(prefix), key, value, [], at, 0) for key in keys]
    events += [EncodedEvent(topic, key, b"", [], at, 0) for topic in emptied for key in keys]
    publisher = made.publisher(STATE, [*emptied, erased_topic(prefix)])
    async with settled(settings.kafka, "erasing"), publisher.open() as shard:
        cursor = shard.cursor or 0
        await shard.commit([EncodedPage(STATE, cursor, cursor, True, at, 0, events, progress=shard.progress)])
    audit(
        "erased a person under %(codes)d code(s), %(followed)d of them followed, in %(topics)d topic(s)",
        {"codes": len(codes), "followed": listed, "topics": len(emptied)},
    )
    return Erased(len(codes), listed, len(emptied), await _history(made, keys))


async def _history(made: Parts, keys: Sequence[bytes]) -> list[History]:
    """Reads the person's partitions to their ends: a key is nowhere but in its own."""
    settings, prefix = made.settings, made.settings.data_prefix
    count, letters = settings.topics.partitions, made.with_restricted([dead_letter_topic(prefix)])
    here = {
        TopicPartition(topic, java_hash(key) % count)
        for topic in made.with_restricted(made.catalogue.topics(prefix))
        for key in keys
        if topic not in letters
    }
    here |= {TopicPartition(topic, 0) for topic in letters}
    found: dict[str, list[Any]] = {}
    async with reached(settings.kafka, "looking for the history"):
        wanted = await ends(settings.kafka, made.instance, sorted(here))
    async with reader(settings.kafka, made.instance) as consumer:
        consumer.assign(sorted(here))
        async for record in until(consumer, wanted):
            if record.key in keys and record.value is not None:
                told = found.setdefault(record.topic, [0, 0])
                told[0], told[1] = told[0] + 1, max(told[1], record.timestamp)
    async with administration(settings.kafka) as admin:
        kept = await topics.retentions(admin, list(found))
    return [
        History(topic, count, None if kept[topic] is None else _time(last) + timedelta(milliseconds=kept[topic] or 0))
        for topic, (count, last) in sorted(found.items())
    ]


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
