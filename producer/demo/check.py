"""The demo's own check: the topics, read again from their beginning, against the log of the sandbox."""

from collections import Counter
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from typing import Any

from producer.demo.news import Record
from producer.events.groups import Catalogue, change_topic
from producer.events.identities import identity_topic
from producer.kafka.cursor import decode


@dataclass(frozen=True)
class Verdict:
    """cursor: the last committed one. records: of the sandbox's log, up to it. expected, found: topic → events."""

    cursor: int
    records: int
    expected: Counter[str]
    found: Counter[str]

    @property
    def agrees(self) -> bool:
        return self.expected == self.found


async def compare(
    records: AsyncIterable[Record], log: Iterable[tuple[int, Any]], catalogue: Catalogue, prefix: str, data_prefix: str
) -> Verdict:
    """records: every committed one, of the cursor topic too. log: the sandbox's kirjausavain and change record.

    prefix, data_prefix: of all topics, and of those of events."""
    cursor, found = 0, Counter[str]()
    async for record in records:
        if record.topic == f"{prefix}.cursor":
            cursor = decode(record.value, record.topic).cursor
        elif record.topic not in (f"{prefix}.ledger", identity_topic(data_prefix)):
            found[record.topic] += 1
    committed = [change for key, change in log if key <= cursor]
    return Verdict(
        cursor,
        len(committed),
        Counter(topic for change in committed for topic in _topics(change, catalogue, data_prefix)),
        found,
    )


def _topics(change: Any, catalogue: Catalogue, prefix: str) -> Iterable[str]:
    """Where the events of a change record belong, told anew and without the converter.

    Each group once under the record's code, and once more under every other code that a correction names.
    """
    codes = {change["henkilotunnus"]}
    for group in change["tietoryhmat"]:
        if group["tietoryhma"] == "HENKILOTUNNUS_KORJAUS":
            codes |= {group.get("aktiivinenHenkilotunnus"), group.get("muutettuHenkilotunnus")} - {None}
    for group in change["tietoryhmat"]:
        known = catalogue.groups.get(group["tietoryhma"], catalogue.unmapped)
        yield from [change_topic(prefix, known)] * len(codes)
