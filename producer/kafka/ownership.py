"""Who may work: Kafka's group coordinator hands the shards, the partitions of the cursor topic, to the instances."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from producer.config import Kafka
from producer.kafka.clients import Admin, started
from producer.kafka.connection import connection
from producer.kafka.deadlines import ENDING, deadline
from producer.kafka.groups import described
from producer.observe.pulse import pulse

log = logging.getLogger("vtj.kafka")

# An instance hears of a rebalance at its next heartbeat: one second keeps a planned hand-over below three.
HEARTBEAT_MS = 1000
# A broker that comes up may not know the topic yet; who shares out the shards then gives nobody any, until it looks
# again: after 5 minutes by default.
METADATA_MS = 5000


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Our place in the consumer group on the cursor topic.

    shards: what the coordinator last gave us. `changed` is set whenever that changes. `release` is called in each
    rebalance, before the coordinator may give our shards away, and must let go of them: rebalances are eager, every
    member loses everything for a moment. fetching: ends only with an error that ends the membership.
    """

    def __init__(self, release: Callable[[], Awaitable[None]], pause: Callable[..., None]) -> None:
        self.shards: frozenset[int] = frozenset()
        self.changed = asyncio.Event()
        self.fetching: asyncio.Task[None]
        self._release = release
        self._pause = pause

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._now(())
        await self._release()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._pause(*assigned)  # the records do not matter here: opening a shard reads them its own way
        self._now(assigned)

    def _now(self, assigned: Iterable[TopicPartition]) -> None:
        self.shards = frozenset(partition.partition for partition in assigned)
        self.changed.set()
        pulse().has(self.shards)
        log.info("shards: %s", ", ".join(map(str, sorted(self.shards))) or "none")


@asynccontextmanager
async def membership(
    settings: Kafka, instance: str, *, group: str, topic: str, release: Callable[[], Awaitable[None]]
) -> AsyncIterator[Membership]:
    """Joins the group, keeps the membership alive, and leaves it at the end so that another takes over at once."""
    consumer = AIOKafkaConsumer(
        **connection(settings, instance),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="latest",
        partition_assignment_strategy=(StickyPartitionAssignor,),
        session_timeout_ms=int(settings.session_timeout * 1000),
        heartbeat_interval_ms=HEARTBEAT_MS,
        metadata_max_age_ms=METADATA_MS,
    )
    async with started(consumer, settings, "joining the consumer group", stop_timeout=ENDING):
        member = Membership(release, consumer.pause)
        consumer.subscribe([topic], listener=member)
        member.fetching = asyncio.create_task(_keep_fetching(consumer))
        # aiokafka forgets the coordinator as soon as it leaves a heartbeat without an answer.
        pulse().answers = lambda: consumer._coordinator.coordinator_id is not None
        try:
            yield member
        finally:
            pulse().answers = lambda: False
            member.fetching.cancel()
            await asyncio.wait([member.fetching])


async def _keep_fetching(consumer: AIOKafkaConsumer) -> None:
    """A member that only heartbeats is put out of the group after max.poll.interval: it must ask for records too.

    That the partitions are paused does not matter: asking is what counts.
    """
    async with deadline(None, "the membership in the consumer group"):
        while True:
            await consumer.getmany(timeout_ms=60_000)


async def owners(settings: Kafka, instance: str, group: str) -> dict[str, list[int]]:
    """Each member of the group now, by its client id, and the shards that it has. Raises Doubt."""
    admin, what = Admin(**connection(settings, instance)), "asking for the members of the consumer group"
    async with deadline(settings.commit_timeout, what), started(admin, settings, what):
        _, members = await described(admin, group)
    return {client: _shards(assignment) for _, client, _, _, assignment, *_ in members}


def by_shard(found: Mapping[str, Iterable[int]]) -> dict[int, str]:
    """Shard → who has it, of what `owners` found."""
    return {shard: instance for instance, shards in found.items() for shard in shards}


def _shards(assignment: bytes) -> list[int]:
    """Of a member that is still joining there is none."""
    if not assignment:
        return []
    return sorted(at for _, those in ConsumerProtocolMemberAssignment.decode(assignment).assignment for at in those)
