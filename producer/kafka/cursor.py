"""The cursor topic: where each bucket stands. One JSON record per bucket, written in the transaction of its events."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from aiokafka import TopicPartition

from producer.config import Kafka
from producer.errors import CursorUnreadable, SettingsError
from producer.kafka.names import Names
from producer.kafka.reader import latest
from producer.model import CURSOR_MAX

VERSION = 1


@dataclass(frozen=True, slots=True)
class Position:
    """The value of a cursor record.

    previousCursor: the cursor before the commit; None in the first one, which only says where the feed begins.
    committedAt: ms. fetchedAt: when upstream last answered (ms); of a bucket that has only begun, when that was.
    instance: who committed. entry: digest of the commit's ledger entry, for the next one to carry. progress: of the
    bucket of the state topics, how far its load is and where it stands in the change topics; else None. keys: as in
    Names; not in the JSON when None, so that a feed of plain codes stays readable for older releases. Names are
    camelCase because this is the JSON.
    """

    feed: str
    bucket: str
    cursor: int
    previousCursor: int | None  # noqa: N815
    upToDate: bool  # noqa: N815
    fetchedAt: int  # noqa: N815
    committedAt: int  # noqa: N815
    instance: str
    entry: str | None = None
    progress: Mapping[str, Any] | None = None
    version: int = VERSION
    keys: str | None = None

    def encode(self) -> bytes:
        fields = asdict(self)
        if self.keys is None:
            del fields["keys"]
        return orjson.dumps(fields)


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
        texts = (position.keys, position.entry)
        if not 0 <= position.cursor <= CURSOR_MAX or not all(isinstance(text, str | None) for text in texts):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise CursorUnreadable(
            f"The cursor record at {where} is not one of this program.",
            hint="Find out who else writes to the cursor topic; nothing was changed.",
        ) from None
    return position


def refuse_other_keys(found: Mapping[bytes, Position], names: Names) -> None:
    """Raises SettingsError where persons would get other keys than those they have: on this feed, or by another secret
    in the topics of the same key version, whichever feed filled them.
    """
    for key, position in found.items():
        has, asked = _version(position.keys), _version(names.keys)
        if position.keys != names.keys and (of_feed(names.feed, key) or has == asked):
            other = " of another secret" if has == asked else ""
            raise SettingsError(
                f"Feed {position.feed} has {has}{other}, and the settings ask for {asked}; nothing was moved.",
                hint="Set VTJ_PRIVACY__KEYS, VTJ_PRIVACY__SECRET_FILE and VTJ_PRIVACY__KEY_VERSION as they were. "
                "Other keys are for another feed: docs/privacy.md says how to begin it.",
            )


def of_feed(feed: str, key: bytes) -> bool:
    """Whether a key of the cursor or the ledger topic is of a bucket of the feed."""
    return key.startswith(f"{feed}/".encode())


def _version(keys: str | None) -> str:
    """keys: as in Names."""
    return "plain codes" if keys is None else f"pseudonyms of key version {keys.partition(':')[0][1:]}"


async def positions(settings: Kafka, client_id: str, topic: str, partitions: list[int]) -> dict[bytes, Position]:
    """The latest committed position of every bucket in these partitions: key → position.

    Call it only after InitProducerId of the shard, which ends the shard's own open transaction; bound it with a
    deadline, since an open transaction of a stranger would hold it for as long as it lasts.
    """
    found = await latest(settings, client_id, [TopicPartition(topic, partition) for partition in partitions])
    return {
        key: decode(record.value, f"{topic} partition {record.partition} offset {record.offset}")
        for key, record in found.items()
    }
