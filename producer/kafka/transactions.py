"""The transactions of one open producer."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError
from aiokafka.producer.transaction_manager import TransactionState

from producer.config import Kafka
from producer.errors import Doubt, ProducerError, Rejected, StepDown
from producer.kafka import once, recovery, stable, zstd
from producer.kafka.batches import Batches
from producer.kafka.cursor import Position, positions
from producer.kafka.deadlines import ENDING, deadline
from producer.kafka.names import Names
from producer.model import EncodedEvent, EncodedPage
from producer.observe.pulse import pulse

once.install()
zstd.install()

# The share of the broker's transaction timeout that filling a transaction may take; the rest is for ending it.
FILLING_SHARE = 0.75

MARKERS = 2.0  # (s) in which a broker has written all markers of a commit, unless it has passed over one
SHORTEST_WAIT, LONGEST_WAIT = 0.002, 0.25  # (s) between two looks

Oversized = Callable[[EncodedPage, EncodedEvent, int], EncodedEvent]
Describe = Callable[[Batches], tuple[Position, bytes]]  # and the ledger's entry


class Transactions:
    """The transactions of one open producer, one at a time."""

    def __init__(
        self,
        settings: Kafka,
        names: Names,
        producer: AIOKafkaProducer,
        data_topics: Mapping[str, int],
        limits: Mapping[str, int],
        oversized: Oversized,
    ) -> None:
        self._settings = settings
        self._names = names
        self._producer = producer
        self._data_topics = data_topics
        self._limits = limits
        self._oversized = oversized
        self._turn = asyncio.Lock()
        self._in_transaction = False

    @property
    def producer_id(self) -> int:
        """The broker's number for the transactional id; it stands in every batch."""
        return int(self._producer._txn_manager.producer_id)

    async def last_entry(self, names: Names) -> tuple[int, str] | None:
        """As of recovery.last_entry, of a bucket without a cursor. Raises StepDown when somebody has begun it since."""
        settings, client_id = self._settings, self._producer.client._client_id
        async with deadline(settings.commit_timeout, "reading the ledger"):
            found = await recovery.last_entry(settings, client_id, names)
            if found and names.key in await positions(settings, client_id, names.cursor_topic, [names.shard]):
                raise StepDown(f"another instance has begun bucket {names.bucket}")
        return found

    async def commit(self, names: Names, pages: Sequence[EncodedPage], describe: Describe) -> Position:
        """All of these pages of a bucket, or nothing; when it returns, every reader gets to them.

        describe: makes position and entry of where the events stand.
        """
        async with self._turn:
            if self._in_transaction:
                raise Doubt("the commit of another bucket of the shard did not end")
            try:
                return await self._transact(names, pages, describe)
            except (Doubt, IllegalOperation, AssertionError) as error:
                # aiokafka keeps to itself why a transaction cannot go on; what is sent next fails for other reasons.
                outcome = self._producer._txn_manager.wait_for_transaction_end()
                async with deadline(None, "the transaction"):
                    if outcome.done() and not outcome.cancelled():
                        outcome.result()
                if isinstance(error, Doubt):
                    raise
                raise Doubt(f"the transaction: {type(error).__name__}") from None

    async def _transact(self, names: Names, pages: Sequence[EncodedPage], describe: Describe) -> Position:
        began, timeout = time.monotonic(), self._settings.commit_timeout
        batches = Batches(self._producer, self._data_topics, self._limits, timeout)
        async with deadline(timeout, "beginning a transaction"):
            await self._producer.begin_transaction()
        self._in_transaction = True
        for page in pages:
            await self._fill(batches, page, began)
        await batches.delivered()
        position, entry = describe(batches)
        async with deadline(timeout, "delivery of ledger entry and cursor"):
            told = [
                await future
                for future in [
                    await self._producer.send(topic, value, names.key, names.shard)
                    for topic, value in ((names.ledger_topic, entry), (names.cursor_topic, position.encode()))
                ]
            ]
        async with deadline(timeout, "the commit"):
            await self._producer.commit_transaction()
        self._in_transaction = False
        pulse().wrote(batches.counts)
        await self._seen(batches.last | {one.topic_partition: one.offset for one in told})
        return position

    async def _seen(self, records: Mapping[TopicPartition, int]) -> None:
        """Waits until readers get to these records, which are committed; makes it so where the broker does not.

        Here and not later: what is written behind them would be decided with them. And a feed that is quiet now would
        leave them unseen until it moves again. A transaction of another shard can be open before them as well; then
        ours is committed once more, which does no harm.
        """
        until, wait = time.monotonic() + MARKERS, SHORTEST_WAIT
        async with deadline(self._settings.commit_timeout, "the markers of the commit"):
            while True:
                answered = False
                with contextlib.suppress(KafkaError):  # a leader that has just gone
                    records, answered = await stable.unseen(self._producer.client, records)
                if not records:
                    return
                if answered and time.monotonic() > until:  # without a leader a marker would be passed over again
                    await recovery.commit_rest(self._producer, records)
                    return
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
                if not answered:
                    await self._producer.client.force_metadata_update()

    async def _fill(self, batches: Batches, page: EncodedPage, began: float) -> None:
        """In chunks: what waits for delivery is bounded, however large the page."""
        size, timeout = self._settings.transaction_events, self._settings.transaction_timeout
        for first in range(0, len(page.events), size):
            chunk_began = time.monotonic()
            if batches.waiting >= size:
                await batches.delivered()
            await batches.add(
                islice(page.events, first, first + size), lambda event, limit: self._oversized(page, event, limit)
            )
            now = time.monotonic()
            if now - began > timeout * FILLING_SHARE:
                if now - chunk_began > self._settings.commit_timeout:
                    raise Doubt("the process stood still while it filled a transaction")  # or the machine slept
                raise Rejected(
                    f"a page of {len(page.events)} events did not get into a transaction of {timeout:g} s: unless "
                    "Kafka was slow just now, raise VTJ_KAFKA__TRANSACTION_TIMEOUT (the broker's "
                    "transaction.max.timeout.ms bounds it)"
                )

    async def end(self) -> None:
        """Ends the open transaction, before the producer is stopped; never raises.

        Abort first: the producer's `stop()` flushes but leaves an open transaction, which would hold every
        read_committed reader until the broker's timeout. A commit under way can not be aborted any more; it gets the
        same time to end.
        """
        producer = self._producer
        with contextlib.suppress(ProducerError, AssertionError):  # aiokafka asserts its states
            async with deadline(ENDING, "ending the transaction"):
                if not self._in_transaction:
                    pass
                elif producer._txn_manager.state is TransactionState.COMMITTING_TRANSACTION:
                    await asyncio.shield(producer._txn_manager.wait_for_transaction_end())
                else:
                    pulse().aborts += 1
                    await producer.abort_transaction()
