"""Exactly once, whatever dies when: rounds of trouble on a real Kafka, judged by the oracle.

CHAOS_SEED gives other dice, CHAOS_ROUNDS another number of rounds, CHAOS_ONLY the kinds whose name contains it.
"""

import os
import random
import time
from collections.abc import Callable, Sequence

import pytest

from tests.broker import Broker
from tests.chaos.arena import Arena
from tests.chaos.upheavals import KINDS

pytestmark = pytest.mark.kafka
SEED = int(os.environ.get("CHAOS_SEED", "20261101"))
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "200"))
ONLY = os.environ.get("CHAOS_ONLY", "")

# One of each sort, and those that only their own cure survives.
SHORT = [
    "killed anywhere",
    "killed between events and commit",
    "killed during the commit",
    "terminated",
    "zombie",
    "fenced late",
    "put out alive",
    "cut after EndTxn",
    "late EndTxn",
    "broker killed and restarted",
    "broker paused",
    "upstream fails",
    "once",
    "limit falls",
    "stranger",
]


async def test_exactly_once(own_broker: Callable[[], Broker], prefix: str) -> None:
    dice = random.Random(SEED)
    rounds = list(SHORT)
    dice.shuffle(rounds)
    await wreak(own_broker(), prefix, dice, rounds, every=8)


@pytest.mark.long
async def test_exactly_once_at_length(own_broker: Callable[[], Broker], prefix: str) -> None:
    """Every kind as often as the others, in any order."""
    dice = random.Random(SEED)
    kinds = [name for name in KINDS if ONLY in name]
    rounds = [name for _ in range(0, ROUNDS, len(kinds)) for name in dice.sample(kinds, len(kinds))][:ROUNDS]
    await wreak(own_broker(), prefix, dice, rounds, every=12)


async def wreak(broker: Broker, prefix: str, dice: random.Random, rounds: Sequence[str], every: int) -> None:
    """The rounds, an audit after every so many and at the end, and the figures."""
    print(f"\nCHAOS_SEED={SEED}: {len(rounds)} rounds")
    began = time.monotonic()
    async with Arena.opened(broker, prefix, dice) as arena:
        for number, name in enumerate(rounds, 1):
            at = time.monotonic()
            print(f"{number:4} {name:38}", end="", flush=True)
            async with arena.round():
                await KINDS[name](arena)
                await arena.recover()
            arena.figures.rounds[name] += 1
            print(f"{time.monotonic() - at:6.1f} s   {len(arena.watch.seen)} commits", flush=True)
            if number % every == 0 or number == len(rounds):
                verdict = await arena.audit()
                print(f"     {verdict}", flush=True)
        assert arena.up_to_date
        verified = await arena.direct.run("verify")
        assert verified.code == 0, verified.out + verified.err
        print(f"\n{arena.report(time.monotonic() - began)}\noracle: {verdict}")
