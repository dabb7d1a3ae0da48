"""The demo's check finds what is not as it should be."""

from collections.abc import AsyncIterator, Iterable
from io import StringIO

import pytest
from aiokafka.structs import ConsumerRecord
from rich.console import Console

from producer.demo.check import Verdict, compare
from producer.demo.news import Record
from producer.demo.screen import summary
from producer.events.groups import Catalogue
from producer.kafka.cursor import Position

CATALOGUE = Catalogue.load()
A, B = "010180-900D", "010180-901E"
KOTIKUNTA = {"tietoryhma": "KOTIKUNTA"}
NEW = {"tietoryhma": "HIEKKALAATIKON_UUSI_RYHMA"}
CORRECTION = {"tietoryhma": "HENKILOTUNNUS_KORJAUS", "aktiivinenHenkilotunnus": B, "muutettuHenkilotunnus": A}
LOG = [
    (10, {"henkilotunnus": A, "tietoryhmat": [KOTIKUNTA, KOTIKUNTA, NEW]}),
    (20, {"henkilotunnus": A, "tietoryhmat": [KOTIKUNTA, CORRECTION]}),
    (30, {"henkilotunnus": B, "tietoryhmat": [KOTIKUNTA]}),
]
UP_TO_20 = ["change.kotikunta"] * 4 + ["change.unmapped"] + ["change.henkilotunnus-korjaus"] * 2


async def topics(names: Iterable[str], cursor: int | None) -> AsyncIterator[Record]:
    for name in names:
        yield record(name, b"")
    if cursor is not None:
        yield record("cursor", Position("demo", "0", cursor, 0, True, 0, 0, "i").encode())
        yield record("ledger", b"{}")


def record(topic: str, value: bytes) -> Record:
    return ConsumerRecord(f"d.{topic}", 0, 0, 0, 0, b"demo/0", value, 0, 0, len(value), ())


async def verdict(names: Iterable[str], cursor: int | None) -> Verdict:
    return await compare(topics(names, cursor), LOG, CATALOGUE, "d", "d")


def shown(of: Verdict) -> str:
    console = Console(file=StringIO(), width=100)
    console.print(summary(of))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


async def test_what_is_there_up_to_the_cursor_agrees() -> None:
    found = await verdict(UP_TO_20, 20)
    assert (found.agrees, found.records, found.cursor) == (True, 2, 20)
    assert "2 change records became 7 events on 3 topics, up to cursor 20." in shown(found)
    assert "They agree" in shown(found)


async def test_a_demo_that_committed_nothing_agrees() -> None:
    found = await verdict([], None)
    assert (found.agrees, found.records) == (True, 0)


@pytest.mark.parametrize(
    ("names", "cursor"),
    [
        pytest.param(UP_TO_20[1:], 20, id="lost"),
        pytest.param([*UP_TO_20, "change.kotikunta"], 20, id="doubled"),
        pytest.param([*UP_TO_20[1:], "change.kuolinpaiva"], 20, id="elsewhere"),
        pytest.param([*UP_TO_20, "dead-letter"], 20, id="a dead letter"),
        pytest.param(UP_TO_20, 30, id="a cursor ahead"),
        pytest.param(UP_TO_20, 10, id="a cursor behind"),
        pytest.param(UP_TO_20, None, id="no cursor"),
    ],
)
async def test_anything_else_does_not(names: list[str], cursor: int | None) -> None:
    found = await verdict(names, cursor)
    assert not found.agrees
    assert "They do NOT agree" in shown(found)
