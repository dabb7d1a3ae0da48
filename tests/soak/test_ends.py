"""SIGTERM at any moment: the end within 5 s, and no transaction left open.

SOAK_ENDS gives another number of moments, SOAK_SEED other dice.
"""

import asyncio
import os
import random
import signal
import socket
import struct
from collections import Counter
from collections.abc import Callable
from io import BytesIO

import pytest

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import ENDED, Deployment, until

pytestmark = pytest.mark.kafka
SEED = int(os.environ.get("SOAK_SEED", "20261101"))
ENDS = int(os.environ.get("SOAK_ENDS", "500"))
PROMISED = 5.0  # s
LONGEST = 4.0  # s that an instance may work before it is ended
EACH = 25  # ends between two looks at the broker's list
BUSY = (b"Ongoing", b"PrepareCommit", b"PrepareAbort", b"PrepareEpochFence")


async def test_a_few_moments(own_broker: Callable[[], Broker], prefix: str) -> None:
    await end_often(own_broker(), prefix, 12)


@pytest.mark.long
async def test_hundreds_of_moments(own_broker: Callable[[], Broker], prefix: str) -> None:
    await end_often(own_broker(), prefix, ENDS)


async def end_often(broker: Broker, prefix: str, ends: int) -> None:
    dice = random.Random(SEED)
    doing: Counter[str] = Counter()
    slowest = 0.0
    async with Sandbox(persons=100, history=100, page_size=20) as sandbox:
        deployment = await Deployment(broker.bootstrap, prefix, sandbox.url).small.apply_topics()
        busy = deployment.but(VTJ_SCHEDULE__INTERVAL="1", VTJ_KAFKA__TRANSACTION_EVENTS="30")
        for number in range(1, ends + 1):
            sandbox.grow(400)
            async with busy.start("run") as running:
                await asyncio.sleep(dice.uniform(0, LONGEST))
                log = running.log
                ended = await running.stop()
            doing[_doing(log)] += 1
            # Before the first line Python itself may be starting, and ends as any process does.
            assert ended.code == 0 or (ended.code == -signal.SIGTERM and not ended.err), ended.err
            assert ended.seconds < PROMISED, ended.err
            slowest = max(slowest, ended.seconds)
            await until(deployment.nothing_open, f"the end of the transaction, end {number}:\n{ended.err}", ENDED)
            if number % EACH == 0 or number == ends:
                assert await asyncio.to_thread(_ongoing, broker.bootstrap) == []
        verdict = await deployment.audit()
        assert verdict.sound, verdict
    print(f"\n{ends} ends, the slowest {slowest:.2f} s: {dict(doing)}; {verdict}")


def _doing(log: str) -> str:
    for word, what in (
        ("committed", "committing"),
        ("opened at", "opened"),
        ("shards:", "opening"),
        ("wait", "joining"),
    ):
        if word in log:
            return what
    return "starting"


def _ongoing(bootstrap: str) -> list[str]:
    """The broker's own list of transactions: ListTransactions (66), version 0, of all that are not at rest."""
    host, _, port = bootstrap.rpartition(":")
    states = b"".join(bytes([len(one) + 1]) + one for one in BUSY)
    body = struct.pack(">hhih", 66, 0, 1, -1) + b"\0" + bytes([len(BUSY) + 1]) + states + b"\1\0"
    with socket.create_connection((host, int(port)), 10) as connection, connection.makefile("rb") as answers:
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = BytesIO(answers.read(*struct.unpack(">i", answers.read(4))))
    answer.read(5 + 4)  # correlation id, tags; throttle time
    assert struct.unpack(">h", answer.read(2)) == (0,)
    assert _short(answer) == 1  # no filter that the broker does not know
    found = []
    for _ in range(_short(answer) - 1):
        found.append(answer.read(_short(answer) - 1).decode())
        answer.read(8)
        found[-1] += f": {answer.read(_short(answer) - 1).decode()}"
        answer.read(1)
    return found


def _short(answer: BytesIO) -> int:
    """An unsigned varint; longer lengths than a byte has are not expected here."""
    (told,) = answer.read(1)
    assert told < 128
    return int(told)
