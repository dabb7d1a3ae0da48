"""What stands in the topics, decoded: events and dead letters, cursor records and ledger entries."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .content import Content, Unreadable, content_found, content_told, letter_found
from .reading import Slot, Stored
from .schemas import Schemas
from .upstream import DEAD, IDENTITY
from .verdict import Verdict

Span = tuple[int, int, int, str]

BESIDE = {
    "state": {"SNAPSHOT"},
    "backfill": {"REPLAY", "SNAPSHOT"},
    "letters": {"REPLAY"},
}  # buckets beside the feed's → kinds


@dataclass(frozen=True, eq=False)
class Found:
    """An event or a dead letter. content: None of a dead letter that was cut."""

    stored: Stored
    feed: str
    bucket: str
    cursor: int
    position: int
    record_id: str | None
    event_id: str
    content: Content | None = field(repr=False)

    @property
    def place(self) -> tuple[int, int]:
        return self.cursor, self.position

    @property
    def identity(self) -> tuple[Any, ...]:
        """What no two records of a topic may share."""
        return self.stored.topic, self.feed, self.bucket, *self.place, self.stored.key


@dataclass(frozen=True)
class Commit:
    """One ledger entry. previous: None where the feed begins. spans: first and last offset, count, digest of the ids.

    own: SHA-256 of the entry itself; before: the same of the bucket's entry before it, as it says.
    """

    at: str
    key: bytes | None
    previous: int | None
    cursor: int
    records: int
    events: int
    letters: int
    spans: Mapping[Slot, Span]
    own: str
    before: str | None


@dataclass(frozen=True)
class Position:
    """One cursor record. entry: SHA-256 of its commit's ledger entry."""

    at: str
    key: bytes | None
    previous: int | None
    cursor: int
    entry: str


def where(stored: Stored) -> str:
    return f"{stored.topic} partition {stored.partition} offset {stored.offset}"


def decode_events(stored: Iterable[Stored], schemas: Schemas, verdict: Verdict) -> list[Found]:
    """What cannot be read is wrong, and then missing where it was expected."""
    found = []
    for one in stored:
        try:
            found.append(_event(one, schemas))
        except (ValueError, KeyError, TypeError, Unreadable) as error:
            reason = str(error) if isinstance(error, Unreadable) else type(error).__name__
            verdict.find("wrong", f"{where(one)} cannot be read: {reason}")
    return found


def _event(stored: Stored, schemas: Schemas) -> Found:
    if stored.value is None:
        raise Unreadable("no value")
    try:
        decoded = schemas.decode(stored.topic, stored.value)
    except KeyError:
        raise Unreadable("no schema for this topic") from None
    except ValueError as error:
        raise Unreadable(str(error)) from None
    headers = dict(stored.headers)
    if headers.get("ce_specversion") != b"1.0" or "ce_id" not in headers:
        raise Unreadable("no CloudEvents headers")
    event_id = headers["ce_id"].decode()
    feed, bucket, cursor, position = (decoded[name] for name in ("feed", "bucket", "cursor", "position"))
    if stored.topic == DEAD:
        content = None if decoded["cut"] else letter_found(decoded)
        return Found(stored, feed, bucket, cursor, position, None, event_id, content)
    if stored.topic == IDENTITY:
        content = content_told([decoded["active"], decoded["codes"]])
        return Found(stored, feed, bucket, cursor, position, None, event_id, content)
    if str(decoded["eventId"]) != event_id:
        raise Unreadable("eventId and ce_id differ")
    if decoded["kind"] not in BESIDE.get(bucket, {"CHANGE"}):
        raise Unreadable(f"kind is {decoded['kind']}")
    if stored.key is None:
        raise Unreadable("no key")
    content = content_found(decoded)
    return Found(stored, feed, bucket, cursor, position, str(decoded["recordId"]), event_id, content)


def decode_commits(stored: Iterable[Stored], prefix: str, verdict: Verdict) -> list[Commit]:
    commits = []
    for one in stored:
        try:
            entry = json.loads(one.value or b"")
            if entry["version"] != 1:
                raise ValueError
            commits.append(
                Commit(
                    where(one),
                    _key(one, entry),
                    _cursor(entry["previousCursor"]),
                    int(entry["cursor"]),
                    entry["records"],
                    entry["events"],
                    entry["deadLetters"],
                    _spans(entry["offsets"], prefix),
                    hashlib.sha256(one.value or b"").hexdigest(),
                    entry["previousEntry"],
                )
            )
        except (ValueError, KeyError, TypeError):
            verdict.find("ledger", f"{where(one)} cannot be read")
    return commits


def decode_positions(stored: Iterable[Stored], verdict: Verdict) -> list[Position]:
    positions = []
    for one in stored:
        try:
            record = json.loads(one.value or b"")
            if record["version"] != 1:
                raise ValueError
            previous = _cursor(record["previousCursor"])
            cursor = int(record["cursor"])
            positions.append(Position(where(one), _key(one, record), previous, cursor, record["entry"]))
        except (ValueError, KeyError, TypeError):
            verdict.find("wrong", f"{where(one)} cannot be read")
    return positions


def _key(stored: Stored, record: dict[str, Any]) -> bytes | None:
    """The key, which must name the feed and the bucket of the value."""
    if stored.key != f"{record['feed']}/{record['bucket']}".encode():
        raise ValueError
    return stored.key


def _cursor(value: Any) -> int | None:
    return None if value is None else int(value)


def _spans(offsets: Mapping[str, Mapping[str, Sequence[Any]]], prefix: str) -> dict[Slot, Span]:
    return {
        (topic.removeprefix(f"{prefix}."), int(partition)): (first, last, count, digest)
        for topic, partitions in offsets.items()
        for partition, (first, last, count, digest) in partitions.items()
    }
