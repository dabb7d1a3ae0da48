"""The encoder alone against fastavro's `schemaless_writer`, on the example of every data group, from the same JSON."""

import json
import timeit
from collections.abc import Callable
from io import BytesIO
from statistics import median
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
    """ours, fastavro: µs per event over all groups. faster: how many times, as the median of the groups; slowest: the
    group that gains least, and how many times that is."""

    ours: float
    fastavro: float
    groups: int
    faster: float
    slowest: tuple[str, float]


def measure(repeats: int) -> Encoding:
    """Whole events, envelope and data, each group by itself, the best of the repeats of each.

    Both write the same bytes, or AssertionError.
    """
    catalogue = Catalogue.load()
    envelope = Envelope(catalogue, SingleObject(), "vtj")
    pairs = {path.stem: _pair(catalogue, envelope, json.loads(path.read_text())) for path in EXAMPLES.glob("*.json")}
    for ours, theirs in pairs.values():
        assert ours() == theirs()
    times = {name: [(_microseconds(a), _microseconds(b)) for _ in range(repeats)] for name, (a, b) in pairs.items()}
    best = {name: (min(a for a, _ in turns), min(b for _, b in turns)) for name, turns in times.items()}
    faster = {name: theirs / ours for name, (ours, theirs) in best.items()}
    slowest = min(faster, key=faster.__getitem__)
    return {
        "ours": sum(ours for ours, _ in best.values()) / len(best),
        "fastavro": sum(theirs for _, theirs in best.values()) / len(best),
        "groups": len(pairs),
        "faster": median(faster.values()),
        "slowest": (slowest, faster[slowest]),
    }


def _microseconds(call: Callable[[], bytes], number: int = 50) -> float:
    return timeit.timeit(call, number=number) / number * 1e6


def _pair(
    catalogue: Catalogue, envelope: Envelope, record: dict[str, Any]
) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    """Two functions that encode the record's group as an event; what its schema does not know is unmapped for both."""
    shown = record["tietoryhmat"][0]
    name, change_type = shown["tietoryhma"], shown["muutosattribuutti"]
    known = {"tietoryhma", "muutosattribuutti", *catalogue.groups[name].record.fields}
    group = {name: value for name, value in shown.items() if name in known}
    unmapped = {name: json.dumps(value) for name, value in shown.items() if name not in known}
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
        "unmapped": unmapped,
    }

    def ours() -> bytes:
        head = envelope.page("", 0, "vtj", "0", 7, WHEN, "CHANGE")
        head = envelope.record(head, 0, ID, 1, PERSON, WHEN)
        return plan.encode(head, 2, ID, 0, name, change_type, group, None, None, unmapped).encode("latin-1")

    def theirs() -> bytes:
        value = BytesIO()
        schemaless_writer(value, schema, event)
        return value.getvalue()

    return ours, theirs
