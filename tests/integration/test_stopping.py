"""SIGTERM ends the service within 5 s with code 0, whatever it is doing, and leaves no transaction open."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from producer.operate import stopping
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import ENDED, Deployment, Ended, until

pytestmark = pytest.mark.kafka

PROMISED = 5.0  # s


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=100, history=300, page_size=50) as running:
        yield running


@pytest.fixture
async def fed(broker: Broker, prefix: str, sandbox: Sandbox) -> Deployment:
    return await Deployment(broker.bootstrap, prefix, sandbox.url).small.apply_topics()


async def assert_well_ended(deployment: Deployment, ended: Ended) -> None:
    assert ended.code == 0, ended.err
    assert ended.seconds < PROMISED
    for trace in ("Traceback", "never retrieved", "Unclosed", "was destroyed"):
        assert trace not in ended.err
    await until(deployment.nothing_open, "the end of the transaction", ENDED)
    verdict = await deployment.audit()
    assert verdict.sound, verdict


async def test_while_it_waits_for_the_next_poll(fed: Deployment, sandbox: Sandbox) -> None:
    async with fed.start("run") as running:
        await running.says(f"committed cursor {sandbox.state()['last']}")
        ended = await running.stop()
    await assert_well_ended(fed, ended)


@pytest.mark.parametrize("endpoint", ["kirjausavain", "muutokset"])
async def test_while_upstream_hangs(fed: Deployment, sandbox: Sandbox, endpoint: str) -> None:
    sandbox.set_faults([{"fault": "hang", "endpoint": endpoint}])
    async with fed.but(VTJ_UPSTREAM__START="2026-01-01").start("run") as running:
        await until(lambda: sandbox.state()["faults"] == {"hang": 1}, "a request that hangs")
        ended = await running.stop()
    await assert_well_ended(fed, ended)


async def test_while_upstream_is_away(fed: Deployment, sandbox: Sandbox) -> None:
    sandbox.set_faults([{"fault": 503, "times": None, "retry_after": 600}])
    async with fed.start("run") as running:
        await running.says("Asking again in 600.0 s")
        ended = await running.stop()
    await assert_well_ended(fed, ended)


async def test_in_the_middle_of_catching_up(fed: Deployment, sandbox: Sandbox) -> None:
    sandbox.grow(5_000)
    async with fed.start("run") as running:
        await running.says("more to come")
        ended = await running.stop()
    assert 0 < (await fed.cursor() or 0) < sandbox.state()["last"]
    await assert_well_ended(fed, ended)


async def test_who_presses_ctrl_c_again_cuts_off_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one has begun to abort the transaction."""
    monkeypatch.setattr(stopping, "STOP_LIMIT", 1e6)  # its timer would end the tests
    begun, go_on, heard = asyncio.Event(), asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def service() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            begun.set()
            await go_on.wait()
            ended.append("well")

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, heard.set)
    try:
        stopped = asyncio.ensure_future(stopping.until_stopped(service()))
        loop.call_soon(os.kill, os.getpid(), signal.SIGTERM)
        await begun.wait()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):  # heard in this order
            os.kill(os.getpid(), number)
        await heard.wait()
        go_on.set()
        await stopped
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
    assert ended == ["well"]


async def test_while_it_joins_the_group(fed: Deployment) -> None:
    async with fed.start("run") as running:
        await running.says("waiting for shard")
        ended = await running.stop()
    await assert_well_ended(fed, ended)
