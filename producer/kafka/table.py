"""A compacted topic as a dict in memory: read from its beginning, and followed from then on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from sys import intern
from typing import Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from producer.config import Kafka
from producer.errors import Doubt
from producer.kafka.deadlines import deadline
from producer.kafka.reader import ends, reader

log = logging.getLogger("vtj.kafka")

T = TypeVar("T")
WAIT_MS = 500
PAUSE = 1.0  # s


class Table(Generic[T]):
    """What Kafka Streams calls a global table. rows: key → what `decode` makes of its latest committed value.

    changed: called with each key whose row is new, another one or gone, and the row before, once its row says so.
    """

    def __init__(
        self,
        settings: Kafka,
        instance: str,
        topic: str,
        partitions: int,
        decode: Callable[[bytes], Awaitable[T]],
        changed: Callable[[str, T | None], None] = lambda *_: None,
    ) -> None:
        self.topic = topic
        self.rows: dict[str, T] = {}
        self._settings, self._instance = settings, instance
        self._here = [TopicPartition(topic, at) for at in range(partitions)]
        self._decode, self._changed = decode, changed
        self._read = dict.fromkeys(self._here, 0)
        self._news = asyncio.Condition()
        self._broken: BaseException | None = None

    async def keep(self) -> None:
        """Follows the topic until cancelled. A row that cannot be read ends it, and everybody who waits for it."""
        try:
            while True:
                try:
                    await self._follow()
                except Doubt as doubt:
                    log.warning("%s; reading on in %.0f s", doubt, PAUSE)
                await asyncio.sleep(PAUSE)
        except Exception as error:
            self._broken = error
            raise
        finally:
            async with self._news:
                self._news.notify_all()

    async def current(self) -> None:
        """Until the rows are no older than this call. Raises what broke the table; bound it with a deadline.

        A transaction that is open there is waited for.
        """
        wanted = await ends(self._settings, self._instance, self._here)
        async with self._news:
            await self._news.wait_for(lambda: self._broken or all(self._read[one] >= wanted[one] for one in self._here))
        if self._broken is not None:
            raise self._broken

    async def _follow(self) -> None:
        async with (
            reader(self._settings, self._instance, wait_ms=WAIT_MS) as consumer,
            deadline(None, f"following {self.topic}"),
        ):
            consumer.assign(self._here)
            for one in self._here:
                consumer.seek(one, self._read[one])
            while True:
                await self._take(consumer)

    async def _take(self, consumer: AIOKafkaConsumer) -> None:
        for records in (await consumer.getmany(timeout_ms=WAIT_MS)).values():
            for record in records:
                if record.key is not None:
                    await self._put(intern(record.key.decode(errors="replace")), record.value)
        read = {one: await consumer.position(one) for one in self._here}
        if read != self._read:
            async with self._news:
                self._read = read
                self._news.notify_all()

    async def _put(self, key: str, value: bytes | None) -> None:
        before = self.rows.get(key)
        if value is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = await self._decode(value)
        if self.rows.get(key) != before:
            self._changed(key, before)
