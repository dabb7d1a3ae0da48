"""Two feeds of two permits in one process: what one meets leaves the other alone, and neither loses anything."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import FEW, Deployment, Instance

pytestmark = pytest.mark.kafka

PROMISED = 5.0  # s from SIGTERM to the end
FEWER = "HENKILON_NIMI,KOTIKUNTA"


@dataclass
class Feed:
    """deployment: the feed as if it were alone, to make its topics and to judge it."""

    name: str
    sandbox: Sandbox
    deployment: Deployment

    @property
    def table(self) -> str:
        """What is its own; all else comes from the top level, here from the environment."""
        return (
            f'[feeds.{self.name}.upstream]\nurl = "{self.sandbox.url}"\nusername = "{self.name}"\nretry_wait = 0.5\n'
            f'[feeds.{self.name}.topics]\nprefix = "{self.deployment.prefix}"\n'
            f'[feeds.{self.name}.permit]\ngroups = "{",".join(sorted(self.deployment.permit or ()))}"\n'
        )

    async def current(self, running: Instance) -> None:
        await running.says(f"feed {self.name}: committed cursor {self.sandbox.state()['last']}:")

    async def assert_sound(self) -> None:
        verdict = await self.deployment.audit()
        assert verdict.sound, verdict
        assert await self.deployment.cursor() == self.sandbox.state()["last"]


@dataclass
class Two:
    first: Feed
    second: Feed
    process: Deployment
    file: Path

    @asynccontextmanager
    async def start(self, *arguments: str) -> AsyncIterator[Instance]:
        async with self.process.start("--config", str(self.file), *arguments) as running:
            yield running


@pytest.fixture
async def two(broker: Broker, prefix: str, tmp_path: Path) -> AsyncIterator[Two]:
    """The second one's password comes from a variable of its own."""
    async with AsyncExitStack() as stack:
        found = list[Feed]()
        (tmp_path / "password").write_text("toinen")
        for name, permit, more in (
            ("eka", FEW, {"seed": 1}),
            ("toka-2", FEWER, {"seed": 2, "password_file": tmp_path / "password"}),
        ):
            sandbox = Sandbox(persons=100, history=300, page_size=20, username=name, **more)
            await stack.enter_async_context(sandbox)
            alone = Deployment(broker.bootstrap, f"{prefix}-{name}", sandbox.url)
            alone = alone.but(VTJ_FEED__NAME=name, VTJ_PERMIT__GROUPS=permit)
            found.append(Feed(name, sandbox, await alone.apply_topics()))
        file = tmp_path / "vtj.toml"
        file.write_text("".join(feed.table for feed in found))
        process = Deployment(broker.bootstrap, prefix).but(
            VTJ_TOPICS__PREFIX=None,
            VTJ_UPSTREAM__URL=None,
            VTJ_UPSTREAM__USERNAME=None,
            VTJ_SCHEDULE__INTERVAL="1",
            VTJ_KAFKA__SESSION_TIMEOUT="6",
            VTJ_KAFKA__TRANSACTION_EVENTS="50",
            VTJ_FEEDS__TOKA_2__UPSTREAM__PASSWORD="toinen",
        )
        first, second = found
        yield Two(first, second, process, file)


async def test_each_goes_on_by_itself(two: Two) -> None:
    first, second = two.first, two.second
    async with two.start("run") as running:
        await first.current(running)
        await second.current(running)
        second.sandbox.set_faults([{"fault": 403, "times": None}])
        await running.says("feed toka-2: stands still, the other feeds go on")
        for feed in (first, second):
            feed.sandbox.grow(200)
        await first.current(running)
        refused = await second.deployment.cursor()
        assert refused is not None
        assert refused < second.sandbox.state()["last"]
        second.sandbox.set_faults([])
        await second.current(running)
        assert "feed eka: stands still" not in running.log
        # In the middle of catching up, in both.
        for feed in (first, second):
            feed.sandbox.grow(5000)
        more = [
            (f"feed {feed.name}: comm", running.log.count(f"feed {feed.name}: comm") + 2) for feed in (first, second)
        ]
        await asyncio.gather(*(running.says(*one) for one in more))
        running.signal(signal.SIGKILL)
        assert (await running.end()).code == -signal.SIGKILL
        for feed in (first, second):
            assert f"committed cursor {feed.sandbox.state()['last']}:" not in running.log
    async with two.start("run") as running:
        await first.current(running)
        await second.current(running)
        ended = await running.stop()
    assert ended.code == 0, ended.err
    assert ended.seconds < PROMISED
    for trace in ("Traceback", "never retrieved", "Unclosed", "was destroyed"):
        assert trace not in ended.err
    for feed in (first, second):
        await feed.assert_sound()
        assert feed.deployment.nothing_open()


async def test_once_and_the_commands_that_name_a_feed(two: Two) -> None:
    first, second = two.first, two.second
    second.sandbox.set_faults([{"fault": 403, "times": None}])
    async with two.start("run", "--once") as running:
        ended = await running.end()
    assert ended.code == 3, ended.err
    assert "vtj-producer: Feed toka-2: " in ended.err
    second.sandbox.set_faults([])
    async with two.start("run", "--once", "--feed", "toka-2") as running:  # many processes: this is another one
        assert (await running.end()).code == 0
    assert "feed toka-2: " not in running.log  # there is one
    for feed in (first, second):
        await feed.assert_sound()
    async with two.start("status", "--json") as running:
        ended = await running.end()
    assert ended.code == 2
    assert "There are several feeds: eka, toka-2." in ended.err
    for feed in (first, second):
        async with two.start("verify", "--feed", feed.name) as running:
            ended = await running.end()
        assert (ended.code, f"{feed.name}/0" in ended.out) == (0, True), ended.out + ended.err
