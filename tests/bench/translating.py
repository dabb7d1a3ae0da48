"""How fast a date and a cursor become offsets, by a ledger of many entries."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from producer.app.history import Ledger, Since
from producer.app.parts import Parts, parts
from producer.config import load
from producer.kafka.clients import administration
from producer.kafka.reader import partitions, reader
from producer.kafka.topics import apply, planned
from tests.histories import Commit, write

STEP: Final = 10_000  # ms from one commit to the next
# Topic → of how many commits one writes to it; the last one is written to at the very beginning alone.
TOPICS: Final = {"kotikunta": 1, "henkilon-nimi": 20_000, "siviilisaaty": 2**31}
PLACES: Final = (0.001, 0.1, 0.5, 0.9, 0.999)  # in the ledger


@dataclass(frozen=True, slots=True)
class Translating:
    """Seconds for each of the places, in all topic partitions of three groups."""

    entries: int
    dates: list[float]
    cursors: list[float]


async def _measured(environment: dict[str, str], entries: int) -> Translating:
    made = await parts(load(environ=environment).settings, check=False)
    settings, names = made.settings, made.names("0")
    async with administration(settings.kafka) as admin:
        await apply(admin, planned(settings, made.catalogue), None)
    topics = [f"{names.prefix}.change.{topic}" for topic in TOPICS]
    begun = time.time_ns() // 1_000_000 - entries * STEP

    def commits() -> Iterator[Commit]:
        for at in range(entries):
            now = begun + at * STEP
            of = zip(topics, TOPICS.values(), strict=True)
            writes = {(topic, at % settings.topics.partitions): 1 for topic, one_of in of if at % one_of == 0}
            yield Commit("0", now, now, at if at else None, at + 1, writes)

    for _ in write(environment["VTJ_KAFKA__BOOTSTRAP_SERVERS"], names, commits()):
        pass
    dates = [Since("", time=begun + int(entries * place) * STEP) for place in PLACES]
    cursors = [Since("", cursor=int(entries * place)) for place in PLACES]
    return Translating(
        entries,
        [await _seconds(made, topics, one) for one in dates],
        [await _seconds(made, topics, one) for one in cursors],
    )


async def _seconds(made: Parts, topics: list[str], since: Since) -> float:
    """As the command does it, connecting included."""
    began = time.monotonic()
    async with reader(made.settings.kafka, made.instance) as consumer:
        here, ledger = await partitions(consumer, topics), Ledger(made, consumer)
        offsets = await ledger.offsets(await ledger.range(since), here)
    seconds = time.monotonic() - began
    assert len(offsets) == len(here)
    return seconds


def measured(bootstrap: str, entries: int) -> Translating:
    """Makes a ledger of its own."""
    environment = {
        "VTJ_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "VTJ_TOPICS__PREFIX": f"translate-{secrets.token_hex(3)}",
        "VTJ_STATE__ENABLED": "false",
        "VTJ_PERMIT__GROUPS": "HENKILON_NIMI,KOTIKUNTA,SIVIILISAATY",
    }
    return asyncio.run(_measured(environment, entries))
