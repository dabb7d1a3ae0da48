"""An open shard: the buckets that live in it, and their transactions."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import aiokafka.producer.sender
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError
from aiokafka.producer.transaction_manager import TransactionState

from producer.config import Kafka
from producer.errors import CursorUnreadable, Doubt, ProducerError, Rejected, StepDown
from producer.events.instant import now_ms
from producer.kafka import ledger, once, recovery, stable
from producer.kafka.batches import Batches
from producer.kafka.cursor import Position, positions
from producer.kafka.deadlines import deadline
from producer.kafka.names import BESIDE, Names
from producer.model import EncodedEvent, EncodedPage
from producer.observe.pulse import pulse

# After a commit the broker still writes markers, and answers the next transaction's first AddPartitionsToTxn with
# CONCURRENT_TRANSACTIONS; aiokafka then sleeps for this constant, 20 ms, longer than all the rest of a small
# commit takes. A test notices when aiokafka drops or renames it.
aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002
once.install()

# The share of the broker's transaction timeout that filling a transaction may take; the rest is for ending it.
FILLING_SHARE = 0.75
END_TIMEOUT = 1.2  # (s); part of the 5 s from SIGTERM to the end

MARKERS = 2.0  # (s) in which a broker has written all markers of a commit, unless it has passed over one
SHORTEST_WAIT, LONGEST_WAIT = 0.002, 0.25  # (s) between two looks

Oversized = Callable[[EncodedPage, EncodedEvent, int], EncodedEvent]
Describe = Callable[[Batches], tuple[Position, bytes]]  # and the ledger's entry


class Shard:
    """One bucket of an open shard. After any error the shard must be left: only a new producer can know where to go on.

    cursor: where the last commit left the bucket, or None before the first one ever. progress: what it said beside.
    answered: when upstream's last answer of it was read (ms).
    """

    def __init__(
        self, names: Names, transactions: "Transactions", found: Mapping[bytes, Position], instance: str
    ) -> None:
        position = found.get(names.key)
        self.cursor = position.cursor if position else None
        self.answered = position.fetchedAt if position else None
        self.progress: Mapping[str, Any] = (position.progress if position else None) or {}
        self._entry = position.entry if position else None
        self._names = names
        self._transactions = transactions
        self._found = found
        self._instance = instance

    def beside(self, bucket: str) -> "Shard":
        """Another bucket that lives in this shard. Their commits take turns."""
        names = replace(self._names, bucket=bucket)
        if not names.beside(self._names.bucket, names.feed):
            raise ValueError(f"bucket {bucket} lives in another shard")
        return Shard(names, self._transactions, self._found, self._instance)

    async def begin(self, cursor: int, progress: Mapping[str, Any] | None = None) -> None:
        """Stores where a new bucket begins, before its first request: `today` must not move with every restart.

        One that has begun is moved there, back or ahead, and its ledger entry says so.
        """
        page = EncodedPage(self._names.bucket, cursor, cursor, False, now_ms(), 0, (), progress=progress)
        await self._commit([page], self.cursor, moved=self.cursor is not None)

    async def recall(self) -> None:
        """A bucket whose cursor record is gone stands where its last ledger entry says, for who means to mend that."""
        if self.cursor is None and (found := await self._transactions.last_entry(self._names)):
            self.cursor, self._entry = found

    async def move(self, into: "Shard", events: Sequence[EncodedEvent]) -> None:
        """Persons go into another bucket, which must stand where this one does, or begins there. events: watchlist's.

        Both must be open, so that neither goes on meanwhile. Raises ValueError when the cursors are not equal.
        """
        if self.cursor is None or into.cursor not in (None, self.cursor):
            raise ValueError("the cursors are not equal")
        page = EncodedPage(into._names.bucket, self.cursor, self.cursor, False, now_ms(), 0, events)
        into.answered = into.answered or self.answered
        await into._commit([page], into.cursor)

    async def commit(self, pages: Sequence[EncodedPage]) -> None:
        """Everything of these pages, which follow one another, or nothing. Raises Doubt, StepDown, KafkaRefused."""
        await self._commit(pages, pages[0].previous)

    async def _commit(self, pages: Sequence[EncodedPage], previous: int | None, *, moved: bool = False) -> None:
        if self.cursor is None:
            await self._refuse_lost()
            previous = previous if self.cursor is None else self.cursor

        def describe(batches: Batches) -> tuple[Position, bytes]:
            return self._describe(pages, previous, batches, moved=moved)

        position = await self._transactions.commit(self._names, pages, describe)
        self.cursor, self.progress, self._entry = position.cursor, position.progress or {}, position.entry
        self.answered = position.fetchedAt

    async def _refuse_lost(self) -> None:
        """Before the first commit ever: is it? Who begins anew would leave out what lies between.

        Not so a line beside the feed's: it goes on with its chain.
        """
        names = self._names
        await self.recall()
        if self.cursor is not None and names.bucket not in BESIDE:
            raise CursorUnreadable(
                f"The ledger has bucket {names.bucket} of feed {names.feed} at cursor {self.cursor}, and "
                f"{names.cursor_topic} has no cursor of it: somebody has emptied the topic.",
                hint="Nothing was moved. Go on where the ledger ends: "
                f"`vtj-producer cursor set {self.cursor} --bucket {names.bucket} --yes`.",
            )

    def _describe(
        self, pages: Sequence[EncodedPage], previous: int | None, batches: Batches, *, moved: bool
    ) -> tuple[Position, bytes]:
        last, now = pages[-1], now_ms()
        answers = [page.fetched_at for page in pages if page.answered]
        entry = ledger.Entry(
            feed=self._names.feed,
            bucket=self._names.bucket,
            previousCursor=previous,
            cursor=last.cursor,
            pages=len(pages),
            records=sum(page.records for page in pages),
            events=sum(len(page.events) for page in pages),
            deadLetters=sum(sum(page.dead.values()) for page in pages) + batches.oversize,
            offsets=ledger.by_topic(batches.offsets),
            fetchedAt=last.fetched_at,
            committedAt=now,
            instance=self._instance,
            producerId=self._transactions.producer_id,
            previousEntry=self._entry,
            moved=moved,
        ).encode()
        position = Position(
            feed=self._names.feed,
            bucket=self._names.bucket,
            previousCursor=previous,
            cursor=last.cursor,
            upToDate=last.up_to_date,
            fetchedAt=answers[-1] if answers else self.answered or last.fetched_at,
            committedAt=now,
            instance=self._instance,
            entry=ledger.digest(entry),
            progress=last.progress,
            keys=self._names.keys,
        )
        return position, entry


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
        pulse().wrote(batches.offsets)
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
            async with deadline(END_TIMEOUT, "ending the transaction"):
                if not self._in_transaction:
                    pass
                elif producer._txn_manager.state is TransactionState.COMMITTING_TRANSACTION:
                    await asyncio.shield(producer._txn_manager.wait_for_transaction_end())
                else:
                    pulse().aborts += 1
                    await producer.abort_transaction()
