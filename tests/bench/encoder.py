"""The encoder alone against fastavro's `schemaless_writer`, on the example of every data group, from the same JSON."""

import json
import timeit
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final, TypedDict

from fastavro import parse_schema, schemaless_writer

from producer.events.envelope import Envelope
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from tests.bench.pages import EXAMPLES

ID: Final = "0190163d-8694-839b-aea5-966c26f8ad91"
PERSON: Final = "140385-917Y"
WHEN: Final = 1_793_517_304_394


class Encoding(TypedDict):
    """µs per event, the best of the repeats of each."""

    ours: float
    fastavro: float
    groups: int


def measure(repeats: int) -> Encoding:
    """Whole events, envelope and data. Both write the same bytes, or AssertionError."""
    catalogue = Catalogue.load()
    envelope = Envelope(catalogue, SingleObject(), "vtj")
    pairs = [_pair(catalogue, envelope, json.loads(path.read_text())) for path in sorted(EXAMPLES.glob("*.json"))]
    for ours, theirs in pairs:
        assert ours() == theirs()
    turns = [
        (_microseconds([ours for ours, _ in pairs]), _microseconds([theirs for _, theirs in pairs]))
        for _ in range(repeats)
    ]
    return {
        "ours": min(ours for ours, _ in turns),
        "fastavro": min(theirs for _, theirs in turns),
        "groups": len(pairs),
    }


def _microseconds(calls: list[Callable[[], bytes]], number: int = 50) -> float:
    def once() -> None:
        for call in calls:
            call()

    return timeit.timeit(once, number=number) / number / len(calls) * 1e6


def _pair(
    catalogue: Catalogue, envelope: Envelope, record: dict[str, Any]
) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    """Two functions that encode the record's group as an event."""
    group = record["tietoryhmat"][0]
    name, change_type = group["tietoryhma"], group["muutosattribuutti"]
    plan, schema = envelope.plans[name], parse_schema(catalogue.groups[name].schema)
    event = {
        "feed": "vtj",
        "bucket": "0",
        "cursor": 7,
        "fetchedAt": WHEN,
        "kind": "CHANGE",
        "recordId": ID,
        "recordSize": 1,
        "personId": PERSON,
        "changedAt": WHEN,
        "eventId": ID,
        "position": 0,
        "group": name,
        "changeType": change_type,
        "data": {name: value for name, value in group.items() if name not in ("tietoryhma", "muutosattribuutti")},
        "inForce": None,
        "withheldFields": None,
        "unmapped": {},
    }

    def ours() -> bytes:
        head = envelope.page("", 0, "vtj", "0", 7, WHEN, "CHANGE")
        head = envelope.record(head, 0, ID, 1, PERSON, WHEN)
        return plan.encode(head, 2, ID, 0, name, change_type, group, None, None, {}).encode("latin-1")

    def theirs() -> bytes:
        value = BytesIO()
        schemaless_writer(value, schema, event)
        return value.getvalue()

    return ours, theirs
