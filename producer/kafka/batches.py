"""From encoded events to delivered batches: the hot half of a commit."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from producer.errors import Doubt
from producer.kafka.deadlines import deadline
from producer.kafka.names import java_hash
from producer.kafka.topics import refuse_count
from producer.model import EncodedEvent

# Record and batch framing, and what zstd may add to bytes that it cannot shrink.
OVERHEAD = 2048
# So many events between two turns of the event loop: heartbeats and other answers must not wait.
SLICE = 500

Slot = tuple[str, int]  # topic, partition
Oversized = Callable[[EncodedEvent, int], EncodedEvent]  # (record, limit in bytes) → its dead letter


class Batches:
    """The records of one open transaction, sent as batches of our own making.

    Raises TopicsDiffer when somebody has changed the partition count of a topic: keys would move.

    `create_batch` and `send_batch`, because `send()` costs ten times as much per record and writes keys and values
    to DEBUG logs. After `delivered`, `offsets` tells of each topic partition what the ledger tells.
    """

    def __init__(
        self, producer: AIOKafkaProducer, partitions: Mapping[str, int], limits: Mapping[str, int], timeout: float
    ) -> None:
        self._spans: dict[Slot, list[int]] = {}  # first offset, last offset, count
        self._digests: dict[Slot, Any] = {}
        self.oversize = 0
        self.waiting = 0  # events appended and not yet delivered
        self._producer = producer
        self._partitions = partitions
        self._limits = limits
        self._smallest = min(limits.values()) - OVERHEAD
        self._timeout = timeout
        self._filling: dict[Slot, tuple[BatchBuilder, list[bytes]]] = {}  # and the ids in it
        self._sent: list[tuple[Slot, int, asyncio.Future[RecordMetadata]]] = []

    async def add(self, events: Iterable[EncodedEvent], oversized: Oversized) -> None:
        """Appends in the order given, which becomes the order in each partition. Raises Doubt, StepDown."""
        filling, partitions, create = self._filling, self._partitions, self._producer.create_batch
        key: bytes | None = None
        spread = 0
        for count, given in enumerate(events, 1):
            event = given if len(given.value) < self._smallest else self._fitting(given, oversized)
            if event.key != key:
                key = event.key
                spread = java_hash(key) if key is not None else 0
            slot = (event.topic, spread % partitions[event.topic])
            batch, ids = filling.get(slot) or filling.setdefault(slot, (create(), []))
            value, headers = event.value, event.headers
            if batch.append(timestamp=event.timestamp, key=key, value=value or None, headers=headers) is None:
                await self._send([slot])
                batch, ids = filling[slot] = create(), []
                # The first record of a batch is always taken.
                batch.append(timestamp=event.timestamp, key=key, value=value or None, headers=headers)
            if value and headers:  # tombstones have no id, nor has the watchlist
                ids.append(headers[0][1])
            if not count % SLICE:
                await asyncio.sleep(0)
            self.waiting += 1

    async def delivered(self) -> None:
        """Sends what is open and waits for every delivery. Raises Doubt, StepDown.

        Every future must be looked at: aiokafka's commit does not notice a batch that the broker refused, and would
        move the cursor past lost events.
        """
        await self._send([*self._filling])
        sent, self._sent = self._sent, []
        async with deadline(self._timeout, "delivery of the events"):
            results = await asyncio.gather(*(future for _, _, future in sent), return_exceptions=True)
            _raise_first(results)
        for (slot, count, _), result in zip(sent, results, strict=True):
            first: int = result.offset  # type: ignore[union-attr]
            if first < 0:
                # A repeated sequence number: the batch stands at Kafka, at offsets that nobody can tell.
                raise Doubt("the broker did not say where a batch stands")
            span = self._spans.setdefault(slot, [first, first, 0])
            span[1] = first + count - 1
            span[2] += count
        self.waiting = 0

    @property
    def counts(self) -> dict[Slot, int]:
        """Records in each partition."""
        return {slot: span[2] for slot, span in self._spans.items()}

    @property
    def offsets(self) -> dict[Slot, list[int | str]]:
        """(topic, partition) → first offset, last offset, count, SHA-256 (hex) over the ids in the order of offsets."""
        return {slot: [*span, self._digests[slot].hexdigest()] for slot, span in self._spans.items()}

    @property
    def last(self) -> dict[TopicPartition, int]:
        """The last offset in each partition."""
        return {TopicPartition(*slot): span[1] for slot, span in self._spans.items()}

    async def _send(self, slots: Sequence[Slot]) -> None:
        async with deadline(self._timeout, "sending batches"):
            for topic in {topic for topic, _ in slots}:
                refuse_count(topic, len(await self._producer.partitions_for(topic)), self._partitions[topic])
            for slot in slots:
                batch, ids = self._filling.pop(slot)
                self._digests.setdefault(slot, hashlib.sha256()).update(b"".join(ids))
                future = await self._producer.send_batch(batch, slot[0], partition=slot[1])
                self._sent.append((slot, batch.record_count(), future))

    def _fitting(self, event: EncodedEvent, oversized: Oversized) -> EncodedEvent:
        size = len(event.value) + len(event.key or b"") + sum(len(value) for _, value in event.headers)
        limit = self._limits[event.topic] - OVERHEAD
        if size < limit:
            return event
        self.oversize += 1
        return oversized(event, limit)


def _raise_first(results: Iterable[RecordMetadata | BaseException]) -> None:
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if isinstance(error, ProducerFenced) or not isinstance(error, KafkaError):
            raise error
    if errors:
        raise errors[0]
