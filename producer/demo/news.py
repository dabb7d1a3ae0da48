"""What the topics tell while the demo runs: nothing that any other read_committed consumer could not see."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, TypeAlias

import orjson
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from producer.config import Kafka
from producer.events.decode import Decoder
from producer.events.identities import identity_topic
from producer.kafka.cursor import Position, decode
from producer.kafka.reader import reader
from producer.kafka.topics import Plan

WINDOW = 5.0  # the rate is that of the last so many seconds
# Between two looks nothing is fetched: noida-db answers a fetch at once though there is nothing, and a consumer that
# may always fetch would spin.
LOOK, REST = 0.03, 0.4  # s

Record: TypeAlias = ConsumerRecord[bytes | None, bytes]


class News(logging.Handler):
    """Follows the topics.

    records: change records, as the ledger counts them. topics: last part of the name → events. grown: the same →
    when (monotonic). latest: events. position: the cursor. trouble: as a log handler it keeps the pipeline's last
    warning until the next commit.
    """

    def __init__(self, prefix: str, decoder: Decoder, data_prefix: str) -> None:
        super().__init__(logging.WARNING)
        self.records = 0
        self.topics: Counter[str] = Counter()
        self.grown: dict[str, float] = {}
        self.latest: deque[Record] = deque(maxlen=100)
        self.position: Position | None = None
        self.trouble = ""
        self._cursor, self._ledger = f"{prefix}.cursor", f"{prefix}.ledger"
        self._identity = identity_topic(data_prefix)
        self._decoder = decoder
        self._arrivals: deque[float] = deque()

    def emit(self, record: logging.LogRecord) -> None:
        self.trouble = record.getMessage()

    async def follow(self, settings: Kafka, plans: Iterable[Plan]) -> None:
        """From the beginning, for as long as it is let."""
        here = [TopicPartition(plan.name, partition) for plan in plans for partition in range(plan.partitions)]
        async with reader(settings, "vtj-producer") as consumer:
            consumer.assign(here)
            while True:
                consumer.resume(*here)
                for records in (await consumer.getmany(timeout_ms=int(LOOK * 1000))).values():
                    for record in records:
                        self.see(record)
                consumer.pause(*here)
                await asyncio.sleep(REST)

    def see(self, record: Record) -> None:
        if record.topic == self._cursor:
            self.position, self.trouble = decode(record.value, self._cursor), ""
        elif record.topic == self._ledger:
            self.records += int(orjson.loads(record.value)["records"])
        elif record.topic != self._identity:  # it tells of corrections, which are events too
            name, now = record.topic.rpartition(".")[2], time.monotonic()
            self.topics[name] += 1
            self.grown[name] = now
            self.latest.append(record)
            self._arrivals.append(now)

    def rate(self) -> float:
        """Events per second."""
        while self._arrivals and time.monotonic() - self._arrivals[0] > WINDOW:
            self._arrivals.popleft()
        return len(self._arrivals) / WINDOW

    def story(self, record: Record) -> tuple[str, str, str, str]:
        """An event in short: person, topic, kind of change, and the values without their names."""
        value = self._decoder.decode(record.value)
        content = value.get("data") or value.get("unmapped") or value.get("withheldFields") or value.get("detail")
        person = record.key.decode() if record.key else "-"
        return person, record.topic.rpartition(".")[2], value.get("changeType") or "", ", ".join(_leaves(content))


def _leaves(value: Any) -> Iterator[str]:
    """Of what is true or not, the names of what is true."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if one is True:
                yield name
            elif name != "tarkkuus":  # of a date; the date itself shows it
                yield from _leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, date):
        yield value.isoformat()
    elif value is not None and value is not False:
        yield str(value)
