"""The limit: aiokafka's `send_batch` of ready bytes, in transactions of four pages, and nothing else."""

import asyncio
import sys
import time
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from producer.events.convert import Converter
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.kafka.names import java_hash
from producer.model import EncodedEvent, Page
from producer.operate.memory import steady_memory
from tests.bench.meter import Meter
from tests.bench.pages import pages

PAGES: Final = 4
Slot = tuple[str, int]


def ready(prefix: str, feed: str) -> list[tuple[Slot, EncodedEvent]]:
    converter = Converter(Catalogue.load(), SingleObject(), prefix=prefix, feed=feed)
    now = time.time_ns() // 1_000_000
    return [
        ((event.topic, java_hash(event.key or b"") % 6), event)
        for number, records in enumerate(pages(PAGES))
        for event in converter.convert(Page("CHANGE", "0", number, number + 1, False, now, records)).events
    ]


async def run(bootstrap: str, prefix: str, feed: str, transactions: int) -> None:
    meter, records = Meter(), ready(prefix, feed)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=f"limit.{feed}",
        compression_type="zstd",
        max_batch_size=256 * 1024,
    )
    steady_memory()
    async with producer:
        meter.first_request()
        for _ in range(transactions):
            async with producer.transaction():
                filling: dict[Slot, BatchBuilder] = {}
                sent = []
                for slot, event in records:
                    batch = filling.get(slot)
                    if batch is None:
                        batch = filling[slot] = producer.create_batch()
                    key, value = event.key, event.value
                    if batch.append(timestamp=event.timestamp, key=key, value=value, headers=event.headers) is None:
                        sent.append(await producer.send_batch(batch, slot[0], partition=slot[1]))
                        batch = filling[slot] = producer.create_batch()
                        batch.append(timestamp=event.timestamp, key=key, value=value, headers=event.headers)
                for slot, batch in filling.items():
                    sent.append(await producer.send_batch(batch, slot[0], partition=slot[1]))
                await asyncio.gather(*sent)
            meter.committed(len(records))
    meter.tell()


if __name__ == "__main__":
    bootstrap, prefix, feed, transactions = sys.argv[1:]
    asyncio.run(run(bootstrap, prefix, feed, int(transactions)))
