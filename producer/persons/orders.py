"""Who is under turvakielto, as the state says it, and of whom it has not said anything yet."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from producer.config import Settings
from producer.errors import Doubt
from producer.events.groups import Group, change_topic, state_topic
from producer.events.identities import identity_topic
from producer.events.protection import Protection, order_stored
from producer.kafka import cursor
from producer.kafka.deadlines import deadline
from producer.kafka.names import SHARDS, Names
from producer.kafka.reader import stored
from producer.kafka.table import Table
from producer.persons.roster import Roster

log = logging.getLogger("vtj.persons")

PAUSE: Final = 1.0  # s


class Orders:
    """Followed; keep() must run beside whatever uses it. Persons are told of by key, as in the topics.

    state: names of the bucket of the state topics. order: the group TURVAKIELTO. decode: a value → its fields.
    """

    def __init__(
        self,
        settings: Settings,
        instance: str,
        roster: Roster,
        *,
        state: Names,
        order: Group,
        decode: Callable[[bytes], Awaitable[dict[str, Any]]],
    ) -> None:
        async def active(value: bytes) -> bool:
            return order_stored([await decode(value)]) is True

        async def progress(value: bytes) -> Mapping[str, Any]:
            return cursor.decode(value, state.cursor_topic).progress or {}

        kafka, prefix, partitions = settings.kafka, settings.data_prefix, settings.topics.partitions
        self._kafka, self._instance, self._roster = kafka, instance, roster
        self._decode, self._partitions = decode, partitions
        self._key = state.key.decode()
        self._changes, self._identities = change_topic(prefix, order), identity_topic(prefix)
        self._moved = asyncio.Event()  # the state has gone on
        self._active = Table[bool](kafka, instance, state_topic(prefix, order), partitions, active)
        self._progress = Table[Mapping[str, Any]](
            kafka, instance, state.cursor_topic, SHARDS, progress, lambda *_: self._moved.set()
        )
        self._unknown: dict[str, int] = {}  # key → which of its joinings
        self._joinings = count()

    async def keep(self) -> None:
        await asyncio.gather(self._active.keep(), self._progress.keep(), self._settle())

    def protects(self, key: str) -> bool:
        """Whether an order is in force, or nobody knows."""
        return key in self._unknown or self._active.rows.get(key, False)

    def joined(self, keys: Iterable[str]) -> None:
        """Followed from now on: the state will tell, and until then they are protected."""
        for key in keys:
            self._unknown[key] = next(self._joinings)

    async def begin(self, protection: Protection) -> None:
        """What is committed, for who opens a shard. Raises Doubt, CursorUnreadable.

        Where the state stands in the changes is read before the state itself. So that may know some of the changes
        after it, but never lacks one that is passed over.
        """
        async with deadline(self._kafka.commit_timeout, "reading who is under turvakielto"):
            await self._progress.current()
            offsets = self._offsets(self._changes)
            await self._active.current()
            later = [
                (record.key.decode(), await self._decode(record.value))
                async for record in self._from(self._changes, offsets)
                if record.key is not None and record.value is not None
            ]
            protection.begin(told for told in later if told[1]["kind"] != "REPLAY")
            if self._roster.listing:
                protection.joined(await self._unread())

    async def _settle(self) -> None:
        """Whom the state has read since they joined is not unknown any more."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            # Whose record is committed: the state can have read no other than that.
            waiting = {key: at for key, at in self._unknown.items() if key in self._roster.identities.rows}
            if not waiting:
                continue
            try:
                async with deadline(self._kafka.commit_timeout, "reading whom the state lacks"):
                    unread = await self._unread()
                    await self._active.current()
            except Doubt as doubt:
                log.warning("%s; reading on in %.0f s", doubt, PAUSE)
                self._moved.set()
                await asyncio.sleep(PAUSE)
                continue
            for key, at in waiting.items():
                if key not in unread and self._unknown.get(key) == at:
                    del self._unknown[key]

    async def _unread(self) -> set[str]:
        """The keys of identity records that the state has not handled."""
        await self._progress.current()
        offsets = self._offsets(self._identities)
        return {
            record.key.decode()
            async for record in self._from(self._identities, offsets)
            if record.key is not None and record.value is not None
        }

    def _offsets(self, topic: str) -> Sequence[int]:
        found: Sequence[int] = self._progress.rows.get(self._key, {}).get("offsets", {}).get(topic, ())
        return found

    def _from(self, topic: str, offsets: Sequence[int]) -> AsyncIterator[ConsumerRecord[bytes | None, bytes]]:
        """What is committed from these offsets on; of whole partitions where there are none."""
        here = [TopicPartition(topic, at) for at in range(self._partitions)]
        return stored(self._kafka, self._instance, here, offsets=offsets)
