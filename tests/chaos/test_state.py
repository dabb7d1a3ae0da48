"""The state topics stay what upstream says, whatever happens to persons and whoever dies when.

CHAOS_SEED gives other dice, CHAOS_ROUNDS another number of rounds.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import Deployment
from tests.oracle.state import judge_state

pytestmark = pytest.mark.kafka
SEED = int(os.environ.get("CHAOS_SEED", "20261101"))
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "200"))
PATIENCE = 60.0


@pytest.mark.parametrize("censored", [True, False], ids=["censored", "everything"])
async def test_state(broker: Broker, prefix: str, tmp_path: Path, censored: bool) -> None:
    await wreak(broker, prefix, tmp_path, rounds=3, censored=censored)


@pytest.mark.long
async def test_state_at_length(own_broker: Callable[[], Broker], prefix: str, tmp_path: Path) -> None:
    await wreak(own_broker(), prefix, tmp_path, rounds=ROUNDS, censored=True)


async def wreak(broker: Broker, prefix: str, folder: Path, *, rounds: int, censored: bool) -> None:
    """Each round: a load or a run, killed at any moment while stories go on, and then one that is let live."""
    dice = random.Random(SEED)
    async with Sandbox(
        persons=150, history=300, page_size=40, seed=dice.randrange(2**31), censored=censored
    ) as sandbox:
        deployment = Deployment(broker.bootstrap, prefix, sandbox.url).but(
            VTJ_STATE__ENABLED="true", VTJ_UPSTREAM__START=None, VTJ_SCHEDULE__INTERVAL="1"
        )
        await deployment.apply_topics()
        listed = folder / "persons"
        listed.write_text("\n".join(sandbox.codes()))
        kills = 0
        async with deployment.start("load", str(listed)) as loading:
            await asyncio.sleep(dice.uniform(0.5, 2.5))
            loading.signal(signal.SIGKILL)
            await loading.end()
        assert (await deployment.run("load", str(listed))).code == 0
        for number in range(rounds):
            async with deployment.start("run") as doomed:
                sandbox.grow(dice.randrange(5, 60))
                await asyncio.sleep(dice.uniform(0.5, 3))
                sandbox.grow(dice.randrange(5))
                doomed.signal(signal.SIGKILL)
                await doomed.end()
                kills += 1
            sandbox.grow(dice.randrange(5, 60))
            ran = await deployment.run("run", "--once", patience=90)
            assert ran.code == 0, ran.err
            faults = await asyncio.to_thread(judge_state, await deployment.stored(), sandbox.url, sandbox.codes())
            assert faults == [], f"round {number}, CHAOS_SEED={SEED}: {faults[:5]}"
        verdict = await deployment.audit()
        assert verdict.sound, verdict
        print(f"\nCHAOS_SEED={SEED}: {rounds} rounds, {kills} kills; state is what upstream says; changes: {verdict}")
