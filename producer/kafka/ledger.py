"""The ledger: one JSON entry per commit, in the commit's own transaction, with where its events stand at Kafka."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import orjson

from producer import __version__
from producer.model import EncodedPage

VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """The value of a ledger record.

    offsets: topic → partition → [first offset, last offset, count], of the data topics and the dead letters.
    digest: SHA-256 (hex) over the digests of the pages that have events, in order; a page's events are those that
    carry its cursor. previousCursor: None in the entry that says where a feed begins. Times in ms.
    """

    feed: str
    bucket: str
    previousCursor: int | None  # noqa: N815
    cursor: int
    pages: int
    records: int
    events: int
    deadLetters: int  # noqa: N815
    offsets: Mapping[str, Mapping[str, Sequence[int]]]
    digest: str
    fetchedAt: int  # noqa: N815
    committedAt: int  # noqa: N815
    instance: str
    release: str = __version__
    version: int = VERSION

    def encode(self) -> bytes:
        return orjson.dumps(asdict(self))


def by_topic(offsets: Mapping[tuple[str, int], Sequence[int]]) -> dict[str, dict[str, Sequence[int]]]:
    """(topic, partition) → span, as the JSON has it."""
    nested: dict[str, dict[str, Sequence[int]]] = {}
    for (topic, partition), span in sorted(offsets.items()):
        nested.setdefault(topic, {})[str(partition)] = span
    return nested


def digest(pages: Sequence[EncodedPage]) -> str:
    return hashlib.sha256("".join(page.digest for page in pages if page.events).encode()).hexdigest()
