"""`vtj-producer replay` of a consumer group: it is set to where a range begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from producer.app.history import Ledger, Since, historical, policies
from producer.app.parts import Parts
from producer.errors import SettingsError
from producer.kafka import groups
from producer.kafka.deadlines import reached
from producer.kafka.reader import partitions, reader
from producer.observe.audit import audit


@dataclass(frozen=True, slots=True)
class Move:
    """Of one topic partition. before: where the group stood, if anywhere. gone: offsets of the range, kept no more."""

    topic: str
    partition: int
    before: int | None
    offset: int
    gone: int


@dataclass(frozen=True, slots=True)
class Rewind:
    """members: of the group; while it has any nothing can be set."""

    moves: Sequence[Move]
    members: int


async def rewind(made: Parts, group: str, topics: Sequence[str], since: Since, *, sure: bool) -> Rewind:
    """Sets the group to the range's first events in these topics; without `sure` it says where they are.

    Raises SettingsError, TopicsDiffer, LedgerUnreadable, CursorUnreadable, Busy (the group is at work), KafkaGone,
    KafkaRefused. Then nothing was set.
    """
    kafka = made.settings.kafka
    refuse_others(made, await policies(made), topics)
    there = await groups.look(kafka, group)
    if sure and there.members:
        raise groups.at_work(group)
    async with reader(kafka, made.instance) as consumer:
        async with reached(kafka, "finding the partitions"):
            here = await partitions(consumer, topics)
            kept = await consumer.beginning_offsets(here)
        ledger = Ledger(made, consumer)
        begins = await ledger.offsets(await ledger.range(since), here)
    offsets = {one: max(begins[one], kept[one]) for one in here}
    if sure:
        await groups.put(kafka, made.instance, group, offsets)
        audit(
            "group %(group)s set to since %(since)s in %(topics)d topic(s)",
            {"group": group, "since": since.text, "topics": len(topics)},
        )
    moves = [
        Move(one.topic, one.partition, there.offsets.get(one), offsets[one], offsets[one] - begins[one]) for one in here
    ]
    return Rewind(moves, there.members)


def refuse_others(made: Parts, found: Mapping[str, str], topics: Sequence[str]) -> None:
    """Raises SettingsError when one of these topics has no history that the ledger tells. found: as of `policies`."""
    for topic in topics:
        if not historical(made.settings.topics.prefix, topic):
            why = "is no topic of change events or dead letters"
        elif topic not in found:
            why = "is not there"
        elif "compact" in found[topic]:
            why = "is compacted, so it keeps no history"
        else:
            continue
        raise SettingsError(f"{topic} {why}.", hint="`vtj-producer schemas list` shows the topics of change events.")
