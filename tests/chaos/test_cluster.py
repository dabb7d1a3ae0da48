"""Exactly once with three instances on three brokers, whoever dies when; judged by the oracle and by `verify`.

CHAOS_SEED gives other dice, CHAOS_ROUNDS another number of rounds, CHAOS_ONLY the kinds whose name contains it.
"""

import os
import random
import time
from collections.abc import Iterator, Sequence

import pytest

from producer.kafka.names import SHARDS
from tests.broker import NoKafka
from tests.broker.cluster import Cluster
from tests.chaos.swarm import KINDS, Swarm

pytestmark = pytest.mark.kafka
SEED = int(os.environ.get("CHAOS_SEED", "20261101"))
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "100"))
ONLY = os.environ.get("CHAOS_ONLY", "")

SHORT = ["an instance killed", "broker killed", "zombie"]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Of its own, on the JVM, whatever Kafka the other tests have. Fails with the cure where it cannot be had."""
    try:
        made = Cluster()
    except NoKafka as reason:
        pytest.fail(str(reason), pytrace=False)
    with made:
        yield made


# Three brokers and three instances want more than two cores beside the other tests: left out of `make test`.
@pytest.mark.long
async def test_exactly_once_on_three_brokers(cluster: Cluster, prefix: str) -> None:
    await wreak(cluster, prefix, random.Random(SEED), SHORT, every=len(SHORT))


@pytest.mark.long
async def test_exactly_once_on_three_brokers_at_length(cluster: Cluster, prefix: str) -> None:
    """Every kind as often as the others, in any order."""
    dice = random.Random(SEED)
    kinds = [name for name in KINDS if ONLY in name]
    rounds = [name for _ in range(0, ROUNDS, len(kinds)) for name in dice.sample(kinds, len(kinds))][:ROUNDS]
    await wreak(cluster, prefix, dice, rounds, every=10)


async def wreak(cluster: Cluster, prefix: str, dice: random.Random, rounds: Sequence[str], every: int) -> None:
    """The rounds, an audit after every so many and at the end, and the figures."""
    print(f"\nCHAOS_SEED={SEED}: {len(rounds)} rounds")
    began = time.monotonic()
    async with Swarm.opened(cluster, prefix, dice) as swarm:
        assert swarm.shards == set(range(SHARDS))
        print(f"all at work after {time.monotonic() - began:.1f} s", flush=True)
        for number, name in enumerate(rounds, 1):
            at = time.monotonic()
            print(f"{number:4} {name:32}", end="", flush=True)
            if not swarm.instances:
                await swarm.recover()  # from the audit
            await KINDS[name](swarm)
            await swarm.recover()
            swarm.figures.rounds[name] += 1
            print(f"{time.monotonic() - at:6.1f} s   {len(swarm.watch.seen)} commits", flush=True)
            if number % every == 0 or number == len(rounds):
                verdict = await swarm.audit()
                print(f"     {verdict}", flush=True)
        print(f"\n{swarm.report(time.monotonic() - began)}\noracle: {verdict}")
