"""The ledger: one JSON entry per commit, in the commit's own transaction, with where its events stand at Kafka.

docs/ledger.md is its format.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from producer import __version__

VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """The value of a ledger record.

    offsets: topic → partition → [first offset, last offset, count, SHA-256 (hex) over the ce_id headers in the order of
    offsets], of the data topics and the dead letters. producerId: of the batches that they stand in.
    previousCursor: None in the entry that says where a bucket begins. previousEntry: digest of the bucket's entry
    before; None in its first. moved: nothing but a move of the position, as somebody asked for. Times in ms.
    """

    feed: str
    bucket: str
    previousCursor: int | None  # noqa: N815
    cursor: int
    pages: int
    records: int
    events: int
    deadLetters: int  # noqa: N815
    offsets: Mapping[str, Mapping[str, Sequence[int | str]]]
    fetchedAt: int  # noqa: N815
    committedAt: int  # noqa: N815
    instance: str
    producerId: int  # noqa: N815
    previousEntry: str | None  # noqa: N815
    moved: bool = False
    release: str = __version__
    version: int = VERSION

    def encode(self) -> bytes:
        return orjson.dumps(self)


def by_topic(offsets: Mapping[tuple[str, int], Sequence[int | str]]) -> dict[str, dict[str, Sequence[int | str]]]:
    """(topic, partition) → span, as the JSON has it."""
    nested: dict[str, dict[str, Sequence[int | str]]] = {}
    for (topic, partition), span in sorted(offsets.items()):
        nested.setdefault(topic, {})[str(partition)] = span
    return nested


def digest(entry: bytes) -> str:
    """SHA-256 (hex) of an entry's bytes, by which the next entry and the cursor record name it."""
    return hashlib.sha256(entry).hexdigest()
