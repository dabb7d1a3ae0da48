"""The frozen values of the line: what travels from upstream to Kafka.

`cursor` is always upstream's position (the *kirjausavain*, a signed 64-bit number) and never Kafka's; `offset` is
always Kafka's and never upstream's. Times are integers: milliseconds since the epoch, UTC. Values that carry
persons have a silent `repr`, so that no log line, assertion or traceback can show them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["CHANGE", "SNAPSHOT", "REPLAY", "FOLLOWED"]
Header = tuple[str, bytes]

CURSOR_MAX: Final = 2**63 - 1
OUTSIDE: Final = "outside-permit"  # behind the name of a group that has a schema and is not in the data permit
BUCKET: Final = "0"  # of a feed whose persons the permit selects: it has no other


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of upstream, parsed and checked in its outer shape only.

    records: the elements of `muutokset` (or `perustiedot`) as they came: anything JSON can hold. Of kind
    FOLLOWED, which upstream has not told: a person's key, and whether the person is followed from this cursor on.
    extra: members of the answer that the interface description does not know, name → value.
    poison: somebody has asked for what of it cannot be encoded to be passed into the dead letters.
    request: the X-Road-Id that it was asked for with, if by X-Road.
    """

    kind: Kind
    bucket: str
    previous: int  # the cursor that was asked with
    cursor: int  # the cursor that came back: ask with it next
    up_to_date: bool  # `ajanTasalla`
    fetched_at: int  # ms
    records: Sequence[Any] = field(repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    poison: bool = False
    request: str = ""


@dataclass(slots=True, eq=False, repr=False)
class EncodedEvent:
    """One Kafka record, ready to be sent: an event, a dead letter, or a tombstone (no value: b"").

    Not frozen, which would cost: it is made on the hot path.
    position: place of the data group in its page, counted over all groups of all records, from 0.
    """

    topic: str
    key: bytes | None
    value: bytes
    headers: list[Header]
    timestamp: int
    position: int

    def __repr__(self) -> str:
        return f"<EncodedEvent {self.topic} position={self.position} {len(self.value)} bytes>"


@dataclass(frozen=True, slots=True)
class EncodedPage:
    """A page as Kafka records in upstream's order, with what the ledger says of it.

    unmapped: path of a field (or name of a group) that no schema holds → how often, on this page; a group that has one
    but is not in the data permit as `<name> (outside-permit)`.
    dead: reason → how many dead letters, on this page.
    changed: muutospv of the first and of the last change record (ms); None where one of them tells none.
    progress: what the cursor record is to say beside the cursor, as JSON; None for pages of the feed.
    request: as of Page.
    """

    bucket: str
    previous: int
    cursor: int
    up_to_date: bool
    fetched_at: int
    records: int
    events: Sequence[EncodedEvent] = field(repr=False)
    unmapped: Mapping[str, int] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)
    changed: tuple[int, int] | None = None
    progress: Mapping[str, Any] | None = None
    request: str = ""

    @property
    def answered(self) -> bool:
        """Whether upstream has told it: only what it has not leaves the cursor where it is with more to come."""
        return self.cursor != self.previous or self.up_to_date
