"""Opening a shard and committing to it: fence, then read the cursor; events, ledger and cursor in one transaction."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import aiokafka.producer.sender
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IllegalOperation
from aiokafka.producer.transaction_manager import TransactionState

from producer.config import Kafka
from producer.errors import Doubt, KafkaRefused, ProducerError, StepDown, TopicsDiffer
from producer.kafka import ledger, once, recovery, topics
from producer.kafka.batches import Batches
from producer.kafka.connection import connection, deadline, started
from producer.kafka.cursor import Position, positions
from producer.kafka.names import Names
from producer.model import EncodedEvent, EncodedPage

# After a commit the broker still writes markers, and answers the next transaction's first AddPartitionsToTxn with
# CONCURRENT_TRANSACTIONS; aiokafka then sleeps for this constant, 20 ms, longer than all the rest of a small
# commit takes. A test notices when aiokafka drops or renames it.
aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002
once.install()

# The share of the broker's transaction timeout that filling a transaction may take; the rest is for ending it.
FILLING_SHARE = 0.75
END_TIMEOUT = 1.2  # (s); part of the 5 s from SIGTERM to the end

Oversized = Callable[[EncodedPage, EncodedEvent, int], EncodedEvent]


class Publisher:
    """Opens the shard of one bucket, again after any doubt, with a new producer each time.

    data_topics: topic → partitions, of everything that events and dead letters go to.
    oversized: makes the dead letter of a record that its topic would refuse (page, event, limit in bytes).
    still_ours: whether the group coordinator's last word gives us the shard.
    """

    def __init__(
        self,
        settings: Kafka,
        names: Names,
        *,
        data_topics: Mapping[str, int],
        oversized: Oversized,
        instance: str,
        still_ours: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._names = names
        self._data_topics = data_topics
        self._oversized = oversized
        self._instance = instance
        self._still_ours = still_ours

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Shard"]:
        """Fences older instances, and only then reads the cursor. Leaving ends what is open and the producer.

        Raises StepDown (not ours any more), Doubt (no answer in time), KafkaRefused, TopicsDiffer, CursorUnreadable.
        """
        settings, names = self._settings, self._names
        limits = await self._limits()
        producer = AIOKafkaProducer(
            **connection(settings, self._instance),
            transactional_id=names.transactional_id,
            transaction_timeout_ms=int(settings.transaction_timeout * 1000),
            compression_type="zstd",
            max_batch_size=min(settings.batch_size, min(limits.values()) - 1024),
        )
        shard = Shard(settings, names, producer, self._data_topics, limits, self._oversized, self._instance)
        what = (
            f"InitProducerId of {names.transactional_id} (on a single broker, are "
            "transaction.state.log.replication.factor and transaction.state.log.min.isr 1?)"
        )
        async with started(producer, settings, what):
            try:
                if not self._still_ours():
                    raise StepDown("the shard went to another instance while it was being opened")
                await shard.complete()
                async with deadline(settings.commit_timeout, "sealing the partitions"):
                    await recovery.seal(producer, names, self._data_topics)
                async with deadline(settings.commit_timeout, "reading the cursor"):
                    found = await positions(settings, self._instance, names.cursor_topic, [names.shard])
                if position := found.get(names.key):
                    shard.cursor, shard.progress = position.cursor, position.progress or {}
                yield shard
            finally:
                await shard.end()

    async def _limits(self) -> dict[str, int]:
        """A topic that is missing is a Doubt: it was there at the start, and a restarting broker forgets for a bit."""
        async with deadline(self._settings.commit_timeout, "reading the limits of the topics"):
            admin = AIOKafkaAdminClient(**connection(self._settings, self._instance))
            try:
                await admin.start()
                return await topics.limits(admin, list(self._data_topics))
            except TopicsDiffer as missing:
                raise Doubt(str(missing)) from None
            finally:
                await admin.close()


class Shard:
    """An open shard. After any error it must be left: only a new producer can know where to go on.

    cursor: where the last commit left the bucket, or None before the first one ever. progress: what it said beside.
    """

    def __init__(
        self,
        settings: Kafka,
        names: Names,
        producer: AIOKafkaProducer,
        data_topics: Mapping[str, int],
        limits: Mapping[str, int],
        oversized: Oversized,
        instance: str,
    ) -> None:
        self.cursor: int | None = None
        self.progress: Mapping[str, Any] = {}
        self._settings = settings
        self._names = names
        self._producer = producer
        self._data_topics = data_topics
        self._limits = limits
        self._oversized = oversized
        self._instance = instance
        self._in_transaction = False
        self._coordinator: AIOKafkaConnection | None = None  # its connection when it said that we had committed

    async def complete(self) -> None:
        """Makes sure that the last commit is whole; a broker that has come back may have committed a part of it."""
        async with deadline(self._settings.commit_timeout, "completing the last commit"):
            await recovery.complete(self._producer, self._settings, self._names, certain=self._coordinator is not None)

    async def begin(self, cursor: int) -> None:
        """Stores where a new feed begins, before its first request: `today` must not move with every restart."""
        await self._commit([EncodedPage(self._names.bucket, cursor, cursor, False, _now(), 0, ())], None)

    async def commit(self, pages: Sequence[EncodedPage]) -> None:
        """Everything of these pages, which follow one another, or nothing. Raises Doubt, StepDown, KafkaRefused."""
        await self._commit(pages, pages[0].previous)

    async def _commit(self, pages: Sequence[EncodedPage], previous: int | None) -> None:
        try:
            await self._transact(pages, previous)
        except (Doubt, IllegalOperation, AssertionError) as error:
            # aiokafka keeps to itself why a transaction cannot go on, and what is sent next fails for other reasons.
            outcome = self._producer._txn_manager.wait_for_transaction_end()
            async with deadline(None, "the transaction"):
                if outcome.done() and not outcome.cancelled():
                    outcome.result()
            if isinstance(error, Doubt):
                raise
            raise Doubt(f"the transaction: {type(error).__name__}") from None

    async def _transact(self, pages: Sequence[EncodedPage], previous: int | None) -> None:
        began, timeout = time.monotonic(), self._settings.commit_timeout
        batches = Batches(self._producer, self._data_topics, self._limits, timeout)
        if self._coordinator is not None and once.coordinator(self._producer) is not self._coordinator:
            await self.complete()
        async with deadline(timeout, "beginning a transaction"):
            await self._producer.begin_transaction()
        self._in_transaction = True
        for page in pages:
            await self._fill(batches, page, began)
        await batches.delivered()
        position, entry = self._describe(pages, previous, batches)
        async with deadline(timeout, "delivery of ledger entry and cursor"):
            names = self._names
            for future in [
                await self._producer.send(topic, value, names.key, names.shard)
                for topic, value in (
                    (names.ledger_topic, entry.encode()),
                    (names.cursor_topic, position.encode()),
                )
            ]:
                await future
        async with deadline(timeout, "the commit"):
            await self._producer.commit_transaction()
        self._in_transaction = False
        self._coordinator = once.coordinator(self._producer)
        self.cursor, self.progress = position.cursor, position.progress or {}

    async def _fill(self, batches: Batches, page: EncodedPage, began: float) -> None:
        """In chunks: what waits for delivery is bounded, however large the page."""
        size, timeout = self._settings.transaction_events, self._settings.transaction_timeout
        for first in range(0, len(page.events), size):
            chunk_began = time.monotonic()
            if batches.waiting >= size:
                await batches.delivered()
            await batches.add(
                islice(page.events, first, first + size),
                lambda event, limit: self._oversized(page, event, limit),
            )
            now = time.monotonic()
            if now - began > timeout * FILLING_SHARE:
                if now - chunk_began > self._settings.commit_timeout:
                    raise Doubt("the process stood still while it filled a transaction")  # or the machine slept
                raise KafkaRefused(
                    f"A page of {len(page.events)} events does not fit into one transaction of {timeout:g} s.",
                    hint="Raise VTJ_KAFKA__TRANSACTION_TIMEOUT (the broker's transaction.max.timeout.ms bounds it).",
                )

    def _describe(
        self, pages: Sequence[EncodedPage], previous: int | None, batches: Batches
    ) -> tuple[Position, ledger.Entry]:
        last = pages[-1]
        position = Position(
            feed=self._names.feed,
            bucket=self._names.bucket,
            previousCursor=previous,
            cursor=last.cursor,
            upToDate=last.up_to_date,
            fetchedAt=last.fetched_at,
            committedAt=_now(),
            instance=self._instance,
            progress=last.progress,
        )
        entry = ledger.Entry(
            feed=position.feed,
            bucket=position.bucket,
            previousCursor=previous,
            cursor=position.cursor,
            pages=len(pages),
            records=sum(page.records for page in pages),
            events=sum(len(page.events) for page in pages),
            deadLetters=sum(sum(page.dead.values()) for page in pages) + batches.oversize,
            offsets=ledger.by_topic(batches.offsets),
            digest=ledger.digest(pages),
            fetchedAt=position.fetchedAt,
            committedAt=position.committedAt,
            instance=position.instance,
        )
        return position, entry

    async def end(self) -> None:
        """Ends the open transaction, before the producer is stopped; never raises.

        Abort first: the producer's `stop()` flushes but leaves an open transaction, which would hold every
        read_committed reader until the broker's timeout. A commit under way can not be aborted any more; it gets the
        same time to end.
        """
        producer = self._producer
        with contextlib.suppress(ProducerError, AssertionError):  # aiokafka asserts its states
            async with deadline(END_TIMEOUT, "ending the transaction"):
                if not self._in_transaction:
                    pass
                elif producer._txn_manager.state is TransactionState.COMMITTING_TRANSACTION:
                    await asyncio.shield(producer._txn_manager.wait_for_transaction_end())
                else:
                    await producer.abort_transaction()


def _now() -> int:
    return time.time_ns() // 1_000_000
