"""Consumer groups: who is in them; where others' stand, and how they are set elsewhere while they are at rest."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, GroupCoordinatorNotAvailableError, GroupLoadInProgressError, for_code

from producer.config import Kafka
from producer.errors import Busy, SettingsError
from producer.kafka.clients import Admin, administration, started
from producer.kafka.connection import connection
from producer.kafka.deadlines import reached


@dataclass(frozen=True, slots=True)
class Group:
    """members: how many it has now; of the new consumer protocol Kafka shows none. offsets: what it has committed."""

    members: int
    offsets: Mapping[TopicPartition, int]


async def described(admin: Admin, group: str) -> tuple[str, Sequence[Any]]:
    """Its state, and its members as Kafka describes them. Bound it with a deadline: it waits for the coordinator."""
    while True:
        try:
            (answer,) = await admin.describe_consumer_groups([group])
            ((code, _, state, _, _, members, *_),) = answer.groups
            if code:  # a coordinator that is still loading knows of no members yet
                raise for_code(code)
            return state, members
        except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
            await asyncio.sleep(0.2)  # a new cluster has yet to make the coordinator's topic


async def look(settings: Kafka, group: str) -> Group:
    """Raises SettingsError when Kafka knows no such group, KafkaRefused, KafkaGone."""
    async with administration(settings) as admin:
        state, members = await described(admin, group)
        told = await admin.list_consumer_group_offsets(group)
        if state == "Dead" and not told:
            known = sorted(name for name, *_ in await admin.list_consumer_groups())
            raise SettingsError(
                f"Kafka knows no consumer group {group}.",
                hint=f"Groups are: {', '.join(known[:20]) or 'none'}. One that is new must have run once.",
            )
    return Group(len(members), {one: place.offset for one, place in told.items()})


async def put(settings: Kafka, client_id: str, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Sets all of these offsets, in one request. Raises Busy, when the group has members: the broker itself refuses."""
    consumer = AIOKafkaConsumer(**connection(settings, client_id), group_id=group, enable_auto_commit=False)
    async with started(consumer, settings, "connecting to Kafka"):
        consumer.assign([*offsets])
        consumer.pause(*offsets)
        async with reached(settings, f"setting the offsets of group {group}"):
            try:
                await consumer.commit(dict(offsets))
            except CommitFailedError:
                raise at_work(group) from None


def at_work(group: str) -> Busy:
    return Busy(
        f"Consumer group {group} is at work.", hint="Nothing was set. Stop all its consumers, and run it again."
    )
