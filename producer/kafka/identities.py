"""A publisher that knows which codes are one person's, as far as that is committed, before anything is encoded."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition

from producer.config import Kafka
from producer.events.identities import Codes, Identities
from producer.kafka.connection import deadline
from producer.kafka.publisher import Publisher, Shard
from producer.kafka.reader import reader


class RememberingPublisher:
    """topic, partitions: of the identities. follow: told of all codes of each person. decode: a value → its fields."""

    def __init__(
        self,
        publisher: Publisher,
        settings: Kafka,
        instance: str,
        identities: Identities,
        *,
        topic: str,
        partitions: int,
        decode: Callable[[bytes], Awaitable[dict[str, Any]]],
        follow: Callable[..., None],
    ) -> None:
        self._publisher, self._settings, self._instance = publisher, settings, instance
        self._identities = identities
        self._here = [TopicPartition(topic, at) for at in range(partitions)]
        self._decode, self._follow = decode, follow

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shard]:
        """Raises what the publisher does, and CursorUnreadable."""
        async with self._publisher.open() as shard:
            async with deadline(self._settings.commit_timeout, "reading the identities"):
                self._identities.begin(await self._known())
            self._follow(*self._identities.known.values())
            yield shard

    async def _known(self) -> dict[str, Codes]:
        found: dict[str, Codes] = {}
        async with reader(self._settings, self._instance) as consumer:
            consumer.assign(self._here)
            ends = await consumer.end_offsets(self._here)  # the shard is open: nobody else writes there
            while [one for one in self._here if await consumer.position(one) < ends[one]]:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        if record.value is not None and record.key is not None:
                            found[record.key.decode()] = tuple((await self._decode(record.value))["codes"])
        return found
