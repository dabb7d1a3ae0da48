"""Every committed record of a prefix's topics, read with another Kafka client than the product's."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

Slot = tuple[str, int]  # topic without the prefix, partition


@dataclass(frozen=True, eq=False)
class Stored:
    """One committed record. topic: without the prefix."""

    topic: str
    partition: int
    offset: int
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: Sequence[tuple[str, bytes]] = field(default=(), repr=False)

    @property
    def slot(self) -> Slot:
        return self.topic, self.partition


def read_topics(
    bootstrap: str, prefix: str, *, patience: float = 120, access: Mapping[str, str] | None = None
) -> list[Stored]:
    """All records by topic, partition and offset. access: librdkafka's settings of TLS and the account.

    Raises TimeoutError when a transaction is still open after `patience` seconds, so that the end cannot be reached.
    """
    reached: dict[str, str | int] = {"bootstrap.servers": bootstrap, "log_level": 0, **(access or {})}
    slots = _slots(reached, prefix)
    deadline = time.monotonic() + patience
    ends = _ends(reached, slots, deadline)
    consumer = Consumer(
        {
            **reached,
            # Asked for, and never joined; an account may have groups of its own name alone.
            "group.id": (access or {}).get("sasl.username", f"oracle-{prefix}"),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in slots])
        return _read(consumer, ends, prefix, deadline)
    finally:
        consumer.close()


def _read(consumer: Consumer, ends: dict[Slot, int], prefix: str, deadline: float) -> list[Stored]:
    """Until every partition's end is reached.

    The end event tells the fetch position, which has passed commit markers and aborted records too; a record to say
    so never comes. While a transaction is open it tells a position before the end, and comes again later.
    """
    found: dict[Slot, list[Stored]] = defaultdict(list)
    left = set(ends)
    while left:
        if time.monotonic() > deadline:
            raise TimeoutError(f"an open transaction hides the end of {len(left)} partitions, one of {min(left)}")
        for message in consumer.consume(1000, timeout=0.2):
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            assert topic is not None
            assert partition is not None
            assert offset is not None
            slot = topic, partition
            error = message.error()
            if error is None:
                name = topic.removeprefix(f"{prefix}.")
                headers = cast("list[tuple[str, bytes]]", message.headers() or [])
                key, value = message.key(), message.value()
                found[slot].append(Stored(name, partition, offset, key, value, headers))
            elif error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            elif offset >= ends[slot]:
                left.discard(slot)
    return [stored for slot in sorted(found) for stored in found[slot]]


def _slots(reached: Mapping[str, str | int], prefix: str) -> list[Slot]:
    admin = AdminClient({**reached})
    topics = admin.list_topics(timeout=30).topics
    return sorted(
        (name, partition)
        for name, topic in topics.items()
        if name.startswith(f"{prefix}.")
        for partition in topic.partitions
    )


def _ends(reached: Mapping[str, str | int], slots: Sequence[Slot], deadline: float) -> dict[Slot, int]:
    """Where each partition ends, open transactions included: what read_committed must get past."""
    admin = AdminClient({**reached})
    latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(topic, partition): latest for topic, partition in slots}
    while wanted:
        answers = admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=30)
        try:
            return {(slot.topic, slot.partition): future.result().offset for slot, future in answers.items()}
        except KafkaException:  # as a rule a partition whose leader is just being found
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
    return {}
