"""The state topics stay what upstream says, whatever happens to persons and whoever dies when.

CHAOS_SEED gives other dice, CHAOS_ROUNDS another number of rounds.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.chaos.group import put_out
from tests.integration.deployment import Deployment
from tests.oracle.state import judge_state

pytestmark = pytest.mark.kafka
SEED = int(os.environ.get("CHAOS_SEED", "20261101"))
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "200"))
PATIENCE = 60.0


@pytest.mark.parametrize("listing", [True, False], ids=["listed", "permit"])
async def test_state(broker: Broker, prefix: str, tmp_path: Path, listing: bool) -> None:
    await wreak(broker, prefix, tmp_path, rounds=3, listing=listing)


@pytest.mark.long
async def test_state_at_length(own_broker: Callable[[], Broker], prefix: str, tmp_path: Path) -> None:
    await wreak(own_broker(), prefix, tmp_path, rounds=ROUNDS, listing=True)


async def wreak(broker: Broker, prefix: str, folder: Path, *, rounds: int, listing: bool) -> None:
    """Each round: a run, killed at any moment while stories go on, and then one that is let live.

    listing: upstream censors, a watchlist says who is followed, and persons join and leave all the while; else the
    permit selects, and what upstream tells is not censored.
    """
    dice = random.Random(SEED)
    async with Sandbox(persons=150, history=300, page_size=40, seed=dice.randrange(2**31), censored=listing) as sandbox:
        deployment = Deployment(broker.bootstrap, prefix, sandbox.url).but(
            VTJ_STATE__ENABLED="true",
            VTJ_UPSTREAM__START=None,
            VTJ_SCHEDULE__INTERVAL="1",
            VTJ_KAFKA__TRANSACTION_EVENTS="5000",
            VTJ_UPSTREAM__WATCHLIST=str(listing).lower(),
            VTJ_UPSTREAM__BUCKET_SIZE="40",
        )
        await deployment.apply_topics()
        followed = Followed(deployment, sandbox, folder, listing=listing)
        await followed.add(sandbox.codes()[:100])
        kills = 0
        # So that it is at work when it is killed, on any machine.
        sandbox.set_faults([{"fault": "hang", "endpoint": "perustiedot", "times": None, "seconds": 3}])
        async with deployment.start("load", str(followed.file)) as loading:
            await asyncio.sleep(dice.uniform(0.5, 2.5))
            loading.signal(signal.SIGKILL)
            await loading.end()
        sandbox.set_faults([])
        assert (await deployment.run("load", str(followed.file))).code == 0
        for number in range(rounds):
            async with deployment.start("run") as doomed:
                sandbox.grow(dice.randrange(5, 60))
                if listing:
                    await followed.add(dice.sample(sandbox.codes(), 3))
                await asyncio.sleep(dice.uniform(0.5, 3))
                sandbox.grow(dice.randrange(5))
                if listing:
                    await followed.remove(dice.sample(await followed.codes(), 2))
                doomed.signal(signal.SIGKILL)
                await doomed.end()
                kills += 1
            await put_out(broker.bootstrap, deployment.names.group, doomed.pid)  # else the next waits for its session
            sandbox.grow(dice.randrange(5, 60))
            ran = await deployment.run("run", "--once", patience=90)
            assert ran.code == 0, ran.err
            codes = await followed.codes()
            faults = await asyncio.to_thread(judge_state, await deployment.stored(), sandbox.url, codes)
            assert faults == [], f"round {number}, CHAOS_SEED={SEED}: {faults[:5]}"
        verdict = await deployment.audit()
        assert verdict.sound, verdict
        verified = await deployment.run("verify")
        assert verified.code == 0, verified.out + verified.err
        print(f"\nCHAOS_SEED={SEED}: {rounds} rounds, {kills} kills; state is what upstream says; changes: {verdict}")


class Followed:
    """Who is followed: the watchlist, or everybody."""

    def __init__(self, deployment: Deployment, sandbox: Sandbox, folder: Path, *, listing: bool) -> None:
        self._deployment, self._sandbox, self._listing = deployment, sandbox, listing
        self.file = folder / "persons"
        self.file.write_text("\n".join(sandbox.codes()[:100] if listing else sandbox.codes()))

    async def add(self, codes: Sequence[str]) -> None:
        if self._listing:
            await self._change("add", codes)

    async def remove(self, codes: Sequence[str]) -> None:
        await self._change("remove", codes)

    async def codes(self) -> list[str]:
        """Today's."""
        there = self._sandbox.codes()
        if not self._listing:
            return there
        listed = {one.key: one.value for one in await self._deployment.stored("watchlist")}
        return [code for code in there if listed.get(code.encode())]

    async def _change(self, action: str, codes: Sequence[str]) -> None:
        ended = await self._deployment.run("persons", action, "-", given="\n".join(codes).encode())
        assert ended.code == 0, ended.err
