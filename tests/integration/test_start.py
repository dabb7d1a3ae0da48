"""Where a feed begins, that it goes on from there, and what keeps a run from starting."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from urllib.request import Request, urlopen

import pytest
from confluent_kafka import Producer

from producer.sandbox import ACCOUNT, Sandbox
from tests.broker import Broker
from tests.broker.contract import SETTINGS
from tests.broker.ports import free_port
from tests.integration.deployment import SOON, Deployment, places

pytestmark = pytest.mark.kafka


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Sixty changes, ten a page: of the first days of 2026."""
    async with Sandbox(persons=50, history=60, page_size=10) as running:
        yield running


@pytest.fixture
def fed(broker: Broker, prefix: str, sandbox: Sandbox) -> Deployment:
    return Deployment(broker.bootstrap, prefix, sandbox.url).small


def kirjausavain(url: str, day: str) -> int:
    """What upstream says."""
    login = base64.b64encode(f"{ACCOUNT}:{ACCOUNT}".encode()).decode()
    request = Request(f"{url}/api/v1/kirjausavain/{day}", headers={"Authorization": f"Basic {login}"})
    with urlopen(request, timeout=SOON) as answer:
        key = json.load(answer)["viimeisinKirjausavain"]
    assert isinstance(key, int)
    return key


async def test_every_change_is_committed_once_and_a_second_run_adds_nothing(fed: Deployment, sandbox: Sandbox) -> None:
    fed = await fed.but(VTJ_PERMIT__GROUPS=None).apply_topics()  # every group
    first = await fed.run("run", "--once")
    assert (first.code, first.out) == (0, ""), first.err
    verdict = await fed.audit()
    assert verdict.sound, verdict
    assert (verdict.changes, verdict.cursor) == (60, sandbox.state()["last"])
    before = await fed.committed()
    # START has no meaning any more, not even one that leads elsewhere.
    second = await fed.but(VTJ_UPSTREAM__START="today").run("run", "--once")
    assert second.code == 0, second.err
    assert await fed.committed() == before
    sandbox.grow(25)
    assert (await fed.run("run", "--once")).code == 0
    verdict = await fed.audit()
    assert verdict.sound, verdict
    assert verdict.changes == 85


async def test_without_a_stored_cursor_somebody_must_decide(fed: Deployment) -> None:
    await fed.apply_topics()
    before = await fed.committed()
    ended = await fed.but(VTJ_UPSTREAM__START=None).run("run", "--once")
    assert ended.code == 2
    assert "VTJ_UPSTREAM__START" in ended.err
    assert "Traceback" not in ended.err
    assert await fed.committed() == before


@pytest.mark.parametrize("start", ["2026-01-02", "cursor"])
async def test_a_feed_begins_where_start_says(fed: Deployment, sandbox: Sandbox, start: str) -> None:
    await fed.apply_topics()
    keys = [key for key, _ in sandbox.log()]
    expected = keys[41] if start == "cursor" else await asyncio.to_thread(kirjausavain, sandbox.url, start)
    assert keys[0] < expected < keys[-1]
    decided = str(expected) if start == "cursor" else start
    ended = await fed.but(VTJ_UPSTREAM__START=decided).run("run", "--once")
    assert ended.code == 0, ended.err
    assert places(await fed.entries())[0] == (None, expected)
    verdict = await fed.audit()
    assert verdict.sound, verdict
    assert verdict.changes == sum(key > expected for key in keys)


async def test_today_is_stored_before_the_first_poll_and_does_not_move_with_a_restart(
    fed: Deployment, sandbox: Sandbox
) -> None:
    await fed.apply_topics()
    today = fed.but(VTJ_UPSTREAM__START="today")
    first_today = sandbox.state()["last"]
    sandbox.set_faults([{"fault": 401, "endpoint": "muutokset"}])
    refused = await today.run("run", "--once")
    assert refused.code == 3, refused.err
    assert places(await fed.entries("cursor")) == places(await fed.entries()) == [(None, first_today)]
    sandbox.grow(30)  # asked again, upstream would now call a later kirjausavain today's
    ended = await today.run("run", "--once")
    assert ended.code == 0, ended.err
    verdict = await fed.audit()
    assert verdict.sound, verdict
    assert verdict.changes == 30


async def test_a_cursor_of_a_newer_release_ends_the_run_and_nothing_moved(fed: Deployment) -> None:
    await fed.apply_topics()
    names = fed.names
    writer = Producer({"bootstrap.servers": fed.bootstrap, "log_level": 0})
    writer.produce(names.cursor_topic, b'{"version": 2}', names.key, names.shard)
    assert writer.flush(SOON) == 0
    before = await fed.committed()
    ended = await fed.run("run", "--once")
    assert ended.code == 6
    assert "newer release" in ended.err
    assert "Traceback" not in ended.err
    assert await fed.committed() == before


async def test_a_kafka_that_is_away_ends_the_start(deployment: Deployment) -> None:
    away = deployment.but(VTJ_KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    for arguments in ("run", "run --once", "topics plan", "cursor show", "tail --once", "status", "verify"):
        ended = await away.run(*arguments.split())
        assert ended.code == 8, ended.err
        assert "Is Kafka up and reachable at 127.0.0.1:" in ended.err
        assert "Traceback" not in ended.err


async def test_a_new_broker_that_is_set_up_for_three_is_told_what_to_set(
    own_broker: Callable[[], Broker], prefix: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its coordinators' topics are made when they are first asked for: that is no Kafka that is away."""
    for name in ("replication.factor", "min.isr"):
        monkeypatch.setitem(SETTINGS, f"transaction.state.log.{name}", "3")
    new = Deployment((await asyncio.to_thread(own_broker)).bootstrap, prefix, sandbox.url).small
    await new.apply_topics()
    async with new.but(VTJ_KAFKA__COMMIT_TIMEOUT="2").start("run", "--once") as running:
        await running.says("are transaction.state.log.replication.factor and transaction.state.log.min.isr 1?")
        ended = await running.stop()
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
