"""The cursor topic: where each bucket stands. One JSON record per bucket, written in the transaction of its events."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from aiokafka import TopicPartition

from producer.config import Kafka
from producer.errors import CursorUnreadable
from producer.kafka.reader import reader
from producer.model import CURSOR_MAX

VERSION = 1


@dataclass(frozen=True, slots=True)
class Position:
    """The value of a cursor record.

    previousCursor: the cursor before the commit; None in the first one, which only says where the feed begins.
    committedAt, fetchedAt: ms. instance: who committed. progress: of the bucket of the state topics, how far its load
    is and where it stands in the change topics; else None. Names are camelCase because this is the JSON.
    """

    feed: str
    bucket: str
    cursor: int
    previousCursor: int | None  # noqa: N815
    upToDate: bool  # noqa: N815
    fetchedAt: int  # noqa: N815
    committedAt: int  # noqa: N815
    instance: str
    progress: Mapping[str, Any] | None = None
    version: int = VERSION

    def encode(self) -> bytes:
        return orjson.dumps(asdict(self))


def decode(value: bytes, where: str) -> Position:
    """Raises CursorUnreadable when the record is not ours, is damaged, or was written by a newer release."""
    try:
        fields: dict[str, Any] = orjson.loads(value)
        version = fields["version"]
        if isinstance(version, int) and version > VERSION:
            raise CursorUnreadable(
                f"The cursor record at {where} was written by a newer release (format {version}).",
                hint="Run that release, or a newer one.",
            )
        position = Position(**fields)
        if not 0 <= position.cursor <= CURSOR_MAX:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise CursorUnreadable(
            f"The cursor record at {where} is not one of this program.",
            hint="Find out who else writes to the cursor topic; nothing was changed.",
        ) from None
    return position


async def positions(settings: Kafka, client_id: str, topic: str, partitions: list[int]) -> dict[bytes, Position]:
    """The latest committed position of every bucket in these partitions: key → position.

    Two consumers, because each knows a half. The end comes from read_uncommitted: to read_committed the end is the
    last stable offset, which another shard's open transaction can hold before our own last record, and a stale
    cursor means doubled changes. The records come from read_committed, read until its *position* reaches that end:
    the tail may be commit markers and aborted data, for which no record ever arrives. Call it only after
    InitProducerId of the shard, which ends the shard's own open transaction; bound it with a deadline, since an
    open transaction of a stranger would hold it for as long as it lasts.
    """
    shards = [TopicPartition(topic, partition) for partition in partitions]
    found: dict[bytes, Position] = {}
    async with reader(settings, client_id, "read_uncommitted") as consumer:
        ends = await consumer.end_offsets(shards)
    async with reader(settings, client_id) as consumer:
        consumer.assign(shards)
        left = {shard for shard in shards if ends[shard]}
        while left:
            for shard, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if record.value is None:
                        found.pop(record.key, None)
                    else:
                        where = f"{topic} partition {shard.partition} offset {record.offset}"
                        found[record.key] = decode(record.value, where)
            left = {shard for shard in left if await consumer.position(shard) < ends[shard]}
    return found
