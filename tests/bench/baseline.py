"""The straightforward script: what a good engineer writes in an afternoon. The product is compared with it.

Same content for well-formed pages: topics, keys, headers, schemas, values (ids apart: UUIDv5 here). One transaction
per page with the cursor in it. What it does not do: anything about failures, two instances, or odd input.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer
from fastavro import parse_schema, schemaless_writer

from producer.events.framing import SingleObject
from producer.events.groups import Catalogue, change_topic
from tests.bench.meter import Meter

NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:vtj")
ENVELOPE: Final = {"tietoryhma", "muutosattribuutti", "voimassaolevatTiedot", "turvakiellonAlaisetKentat"}

Record = tuple[str, bytes, bytes, list[tuple[str, bytes]]]  # topic, key, value, headers


class Conversion:
    def __init__(self, prefix: str, feed: str) -> None:
        self._feed = feed
        self._groups = {
            name: (
                change_topic(prefix, group),
                parse_schema(group.schema),
                SingleObject().prefix(group.schema),
                f"fi.vtj.change.{group.suffix}".encode(),
            )
            for name, group in Catalogue.load().groups.items()
        }

    def records(self, page: dict[str, Any], fetched_at: int) -> Iterator[Record]:
        position = 0
        for record in page["muutokset"]:
            person, changed_at = record["henkilotunnus"], record["muutospv"]
            record_id = uuid5(NAMESPACE, orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode())
            for place, group in enumerate(record["tietoryhmat"]):
                topic, schema, prefix, ce_type = self._groups[group["tietoryhma"]]
                event_id = uuid5(NAMESPACE, f"{record_id}/{place}/{person}")
                event = {
                    "feed": self._feed,
                    "bucket": "0",
                    "cursor": page["viimeisinKirjausavain"],
                    "fetchedAt": fetched_at,
                    "kind": "CHANGE",
                    "recordId": record_id,
                    "recordSize": len(record["tietoryhmat"]),
                    "personId": person,
                    "changedAt": datetime.fromisoformat(changed_at),
                    "eventId": event_id,
                    "position": position,
                    "group": group["tietoryhma"],
                    "changeType": group["muutosattribuutti"],
                    "data": {name: value for name, value in group.items() if name not in ENVELOPE},
                    "inForce": group.get("voimassaolevatTiedot"),
                    "withheldFields": group.get("turvakiellonAlaisetKentat"),
                    "unmapped": {},
                }
                value = BytesIO()
                value.write(prefix)
                schemaless_writer(value, schema, event)
                yield topic, person.encode(), value.getvalue(), self._headers(event_id, ce_type, changed_at)
                position += 1

    def _headers(self, event_id: UUID, ce_type: bytes, changed_at: str) -> list[tuple[str, bytes]]:
        return [
            ("ce_id", str(event_id).encode()),
            ("ce_type", ce_type),
            ("ce_specversion", b"1.0"),
            ("ce_source", f"urn:vtj:feed:{self._feed}".encode()),
            ("content-type", b"application/avro"),
            ("ce_time", changed_at.encode()),
        ]


async def run(bootstrap: str, url: str, prefix: str, feed: str) -> None:
    meter, conversion = Meter(), Conversion(prefix, feed)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=f"baseline.{feed}",
        compression_type="zstd",
        max_batch_size=256 * 1024,
        linger_ms=5,
    )
    async with aiohttp.ClientSession() as session, producer:
        cursor, more = 0, True
        while more:
            meter.first_request()
            async with session.post(f"{url}/api/v1/muutokset", json={"viimeisinKirjausavain": cursor}) as response:
                page = orjson.loads(await response.read())
            fetched_at = time.time_ns() // 1_000_000
            async with producer.transaction():
                sent = [
                    await producer.send(topic, value, key, timestamp_ms=fetched_at, headers=headers)
                    for topic, key, value, headers in conversion.records(page, fetched_at)
                ]
                position = orjson.dumps({"feed": feed, "cursor": page["viimeisinKirjausavain"]})
                # The product's cursor topic takes nothing from strangers.
                sent.append(await producer.send(f"{prefix}.ledger", position, feed.encode()))
                await producer.flush()
                for future in sent:
                    future.result()
            meter.committed(len(sent) - 1)
            cursor, more = page["viimeisinKirjausavain"], not page["ajanTasalla"]
    meter.tell()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
