"""An open shard: the buckets that live in it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from producer.errors import CursorUnreadable
from producer.events.instant import now_ms
from producer.kafka import ledger
from producer.kafka.batches import Batches
from producer.kafka.cursor import Position
from producer.kafka.names import BESIDE, Names
from producer.kafka.transactions import Transactions
from producer.model import EncodedEvent, EncodedPage


class Shard:
    """One bucket of an open shard. After any error the shard must be left: only a new producer can know where to go on.

    cursor: where the last commit left the bucket, or None before the first one ever. progress: what it said beside.
    answered: when upstream's last answer of it was read (ms).
    """

    def __init__(
        self, names: Names, transactions: Transactions, found: Mapping[bytes, Position], instance: str
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
