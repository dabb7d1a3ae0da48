"""The watchlist: whom the feed follows, and in which bucket. One JSON record per code; a tombstone ends it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition

from producer.config import Kafka
from producer.errors import CursorUnreadable
from producer.kafka.clients import started
from producer.kafka.connection import connection
from producer.kafka.deadlines import deadline, settled
from producer.kafka.names import java_hash
from producer.kafka.reader import latest

VERSION = 1
SLICE = 500  # records that are on their way together


@dataclass(frozen=True, slots=True)
class Entry:
    """The value of a watchlist record; the key is the identity code.

    bucket: stored when the person is added, never computed again. begin: cursor at which a bucket begins that was made
    for a feed under way; None: where the feed begins. since: ms. reason: in the user's words; of a code that a
    correction brought, the name of that group.
    """

    bucket: str
    begin: int | None
    since: int
    reason: str | None = None
    version: int = VERSION

    def encode(self) -> bytes:
        return orjson.dumps(asdict(self))


def watchlist_topic(prefix: str) -> str:
    return f"{prefix}.watchlist"


async def decode(value: bytes) -> Entry:
    """Raises CursorUnreadable."""
    return _decode(value)


@lru_cache  # of a list that was added at once all have the same
def _decode(value: bytes) -> Entry:
    """Raises CursorUnreadable when the record is not ours, is damaged, or was written by a newer release."""
    try:
        fields: dict[str, Any] = orjson.loads(value)
        entry = Entry(**fields)
        if entry.version != VERSION or not isinstance(entry.bucket, str):
            raise ValueError
    except (ValueError, TypeError):
        raise CursorUnreadable(
            "A record of the watchlist is not one of this release.",
            hint="Find out who else writes to the watchlist topic, or run the newer release; nothing was changed.",
        ) from None
    return entry


class Watchlist:
    """The topic, opened to be changed. entries: as they are; nobody else changes them meanwhile but a correction."""

    def __init__(self, producer: AIOKafkaProducer, settings: Kafka, topic: str, partitions: int) -> None:
        self.entries: dict[str, Entry] = {}
        self._producer, self._settings = producer, settings
        self._topic, self._partitions = topic, partitions

    async def change(self, changes: Mapping[str, Entry | None]) -> None:
        """All of them in one transaction. None: the code is followed no more. Raises Doubt, StepDown, KafkaRefused."""
        producer, timeout = self._producer, self._settings.commit_timeout
        async with deadline(timeout, "beginning a transaction"):
            await producer.begin_transaction()
        try:
            waiting = []
            async with deadline(self._settings.transaction_timeout, "writing the watchlist"):
                for code, entry in changes.items():
                    key = code.encode()
                    value = None if entry is None else entry.encode()
                    at = java_hash(key) % self._partitions
                    waiting.append(await producer.send(self._topic, value, key, at))
                    if len(waiting) >= SLICE:
                        for future in waiting:
                            await future
                        waiting.clear()
                for future in waiting:
                    await future
            async with deadline(timeout, "the commit"):
                await producer.commit_transaction()
        except BaseException:
            async with deadline(timeout, "ending the transaction"):
                await producer.abort_transaction()
            raise


async def read(settings: Kafka, topic: str, partitions: int) -> dict[str, Entry]:
    """The committed entries, by code."""
    async with settled(settings, "reading the watchlist"):
        found = await latest(settings, "vtj-producer", [TopicPartition(topic, at) for at in range(partitions)])
    return {key.decode(): await decode(record.value) for key, record in found.items()}


@asynccontextmanager
async def opened(
    settings: Kafka, instance: str, transactional_id: str, topic: str, partitions: int
) -> AsyncIterator[Watchlist]:
    """Fences whoever else is changing it, and only then reads it."""
    producer = AIOKafkaProducer(
        **connection(settings, instance),
        transactional_id=transactional_id,
        transaction_timeout_ms=int(settings.transaction_timeout * 1000),
        compression_type="zstd",
    )
    async with started(producer, settings, f"InitProducerId of {transactional_id}"):
        watchlist = Watchlist(producer, settings, topic, partitions)
        watchlist.entries = await read(settings, topic, partitions)
        yield watchlist
