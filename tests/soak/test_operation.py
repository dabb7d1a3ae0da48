"""Hours of operation in minutes: nothing is lost, nothing grows, and the log stays readable.

SOAK_HOURS gives other hours (of sixty faults each), SOAK_SEED other dice.
"""

import os
import random
import time
from collections.abc import Callable
from statistics import median

import pytest

from tests.bench.meter import resident
from tests.broker import Broker
from tests.soak.day import PATIENCE as RECOVERS
from tests.soak.day import Day

pytestmark = pytest.mark.kafka
SEED = int(os.environ.get("SOAK_SEED", "20261101"))
HOURS = int(os.environ.get("SOAK_HOURS", "8"))
PATIENCE = 300.0  # with verify (s)
GROWTH = 1.05  # from the second hour's memory to that of any later one
LINES = 60  # of the log, a fault; most are its commits
# What Python says of a task or a coroutine that nobody waited for, and of what nobody closed.
LOST = ("never retrieved", "never awaited", "was destroyed", "Unclosed", "Traceback", "Future exception")


# Three minutes on two cores; beside all else that would take `make test` beyond its twenty.
@pytest.mark.long
async def test_two_minutes_of_faults(own_broker: Callable[[], Broker], prefix: str) -> None:
    await operate(own_broker(), prefix, hours=4, faults=6)


@pytest.mark.long
async def test_hours_of_faults(own_broker: Callable[[], Broker], prefix: str) -> None:
    await operate(own_broker(), prefix, hours=HOURS, faults=60)


async def operate(broker: Broker, prefix: str, *, hours: int, faults: int) -> None:
    dice = random.Random(SEED)
    began = time.monotonic()
    async with Day.opened(broker, prefix, SEED) as day:
        async with day.instance() as running:
            memory = []
            for hour in range(hours):
                seen = []
                for _ in range(faults):
                    await day.minute(running, dice)
                    seen.append(resident(running.pid))
                memory.append(median(seen))
                print(f"hour {hour + 1}: {memory[-1]:.1f} MB, {len(day.watch.seen)} commits, "
                      f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
            lines = running.log.count("\n")
            ended = await running.stop()
        assert ended.code == 0, ended.err[-4000:]
        assert ended.seconds < 5
        assert not any(word in ended.err for word in LOST), _around(ended.err)
        await day.direct.at_rest(RECOVERS)
        verdict = await day.direct.audit()
        assert verdict.sound, verdict
        assert not day.watch.faults
        verified = await day.direct.run("verify", patience=PATIENCE)
        assert verified.code == 0, verified.out + verified.err
        print(f"{hours * faults} faults ({', '.join(f'{count} {name}' for name, count in day.faults.items())}); "
              f"slowest recovery {day.slowest:.1f} s; {lines} log lines; {verdict}")  # fmt: skip
        assert lines < LINES * hours * faults
        assert max(memory[1:]) < GROWTH * memory[1], memory  # the first hour fills what is kept for ever


def _around(log: str) -> str:
    """The first lost thing in a log, with what stands round it."""
    at = min(log.index(word) for word in LOST if word in log)
    return log[max(0, at - 2000) : at + 4000]
