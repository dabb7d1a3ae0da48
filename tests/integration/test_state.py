"""The state topics: the initial load and the line that keeps them, judged against what upstream says in the end."""

import asyncio
import json
import random
import re
import signal
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from producer.app.load import load
from producer.app.parts import parts
from producer.sandbox import Sandbox
from producer.sandbox.log import Log
from producer.state.load import Wanted
from tests.broker import Broker
from tests.integration.deployment import SOON, Deployment, Instance, change, until
from tests.oracle.schemas import Schemas
from tests.oracle.state import judge_state

pytestmark = pytest.mark.kafka


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=300, history=1500, page_size=100) as running:
        yield running


@pytest.fixture
def listed(tmp_path: Path, sandbox: Sandbox) -> Path:
    path = tmp_path / "persons"
    path.write_text("\n".join(sandbox.codes()))
    return path


@pytest.fixture
def planned(broker: Broker, prefix: str, sandbox: Sandbox) -> Deployment:
    deployment = Deployment(broker.bootstrap, prefix, sandbox.url)
    return deployment.but(VTJ_STATE__ENABLED="true", VTJ_UPSTREAM__START=None)


@pytest.fixture
async def fed(planned: Deployment) -> Deployment:
    return await planned.apply_topics()


@pytest.fixture
async def small(planned: Deployment) -> Deployment:
    """For what does not depend on the groups."""
    return await planned.small.apply_topics()


async def faults(deployment: Deployment, sandbox: Sandbox, codes: Sequence[str] | None = None) -> list[str]:
    told = sandbox.codes() if codes is None else codes
    return await asyncio.to_thread(judge_state, await deployment.stored(), sandbox.url, told, deployment.permit)


async def test_a_load_tells_of_everybody_and_the_feed_goes_on_from_there(
    fed: Deployment, sandbox: Sandbox, listed: Path
) -> None:
    everybody = f"{len(sandbox.codes())} persons"
    loaded = await fed.run("load", str(listed))
    assert loaded.code == 0, loaded.err
    assert loaded.out.startswith(f"asked: {everybody}; answered: {everybody};")
    assert await faults(fed, sandbox) == []
    for _ in range(3):
        sandbox.grow(200)
        ran = await fed.run("run", "--once")
        assert ran.code == 0, ran.err
        assert await faults(fed, sandbox) == []
    verdict = await fed.audit()
    assert verdict.sound, verdict
    assert verdict.changes == 600  # those since the load, and none before


async def test_state_without_a_load_comes_from_the_changes(fed: Deployment, sandbox: Sandbox) -> None:
    """Of whom they tell. However many they are, no transaction has many more events than it may."""
    ran = await fed.but(VTJ_UPSTREAM__START="0", VTJ_KAFKA__TRANSACTION_EVENTS="3000").run("run", "--once")
    assert ran.code == 0, ran.err
    entries = [json.loads(one.value or b"") for one in await fed.stored("ledger")]
    sizes = [one["events"] for one in entries if one["bucket"] == "state"]
    assert len(sizes) > 4
    assert max(sizes) < 5000
    told = {one.key for one in await fed.stored() if one.topic.startswith("change.")}
    touched = [code for code in sandbox.codes() if code.encode() in told]
    assert len(touched) > 200
    assert await faults(fed, sandbox, touched) == []


async def says(running: Instance, pattern: str) -> None:
    await until(lambda: re.search(pattern, running.log) is not None, pattern)


async def test_a_load_that_is_killed_goes_on_where_it_was(broker: Broker, prefix: str, tmp_path: Path) -> None:
    dice = random.Random(5)
    async with Sandbox(persons=8000, history=500) as sandbox:
        deployment = Deployment(broker.bootstrap, prefix, sandbox.url)
        fed = await deployment.but(
            VTJ_STATE__ENABLED="true", VTJ_UPSTREAM__START=None, VTJ_KAFKA__TRANSACTION_EVENTS="20000"
        ).apply_topics()
        listed = tmp_path / "persons"
        listed.write_text("\n".join(sandbox.codes()))
        # So that it is at work for seconds, however fast the machine is.
        sandbox.set_faults([{"fault": "hang", "endpoint": "perustiedot", "times": None, "seconds": 0.5}])
        for time in range(3):
            async with fed.start("load", str(listed)) as loading:
                # The first time something is committed, so that there is where to go on.
                await says(loading, r'"asked": [0-9]' if time else r'"asked": [1-9]')
                await asyncio.sleep(dice.uniform(0, 1.0))
                loading.signal(signal.SIGKILL)
                await loading.end()
            early = await fed.run("run", "--once")
            while early.code == 8:  # a cursor that was not committed any more holds up its readers, up to a minute
                early = await fed.run("run", "--once")
            assert early.code == 2, early.err
        sandbox.set_faults([])
        ended = await fed.run("load", str(listed))
        assert ended.code == 0, ended.err
        first = json.loads(next(line for line in ended.err.splitlines() if line.startswith("{")))
        assert first["asked"] > 0, "it began anew"
        state = [one for one in await fed.stored() if one.topic.startswith("state.")]
        assert len({(one.topic, one.key) for one in state}) == len(state), "a finished batch was repeated"
        assert await faults(fed, sandbox) == []


async def test_a_list_with_unknown_codes_is_reconciled(
    small: Deployment, sandbox: Sandbox, listed: Path, tmp_path: Path
) -> None:
    unknown = "010101-999X"
    source = sandbox._source
    assert isinstance(source, Log)
    [recoded] = source._register.find([sandbox.codes()[2]])
    old = recoded.code
    source._register.recode(recoded)
    codes = {"aktiivinenHenkilotunnus": recoded.code, "edellisetHenkilotunnukset": [old]}
    recoded.put("HENKILOTUNNUS_KORJAUS", voimassaolo="AKTIIVI", muutettuHenkilotunnus=recoded.code, **codes)
    listed.write_text("\n".join([sandbox.codes()[0], unknown, old, *sandbox.codes()[3:5]]))
    missing = tmp_path / "missing"
    loaded = await small.run("load", str(listed), "--missing", str(missing))
    assert loaded.code == 0, loaded.err
    assert "asked: 5 persons; answered: 4 persons, 1 codes under a newer one" in loaded.out
    assert "silently missing: 1, place in the list: 2 " in loaded.out
    assert missing.read_text().split() == [unknown]
    assert all(code not in loaded.out + loaded.err for code in (unknown, old, recoded.code))


async def test_municipalities_come_from_the_weekly_snapshot(
    fed: Deployment, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox has a calendar of its own."""
    refused = await fed.run("load", "--municipalities", "091")
    assert refused.code == 2
    assert "The weekly snapshot is of 2026-01-" in refused.err
    wanted = Wanted(municipalities=["091"], weekly=True)
    monkeypatch.setattr("producer.state.load.today", lambda: date(2026, 1, 14))
    done = await load(await parts(fed.settings), wanted, lambda *_: None, into_changes=False, again=False)
    extracted = date.fromisoformat(done.extracted or "")
    sandbox.grow(300)
    assert (await fed.run("run", "--once")).code == 0
    first = (await fed.entries())[0]
    assert first["cursor"] == done.cursor == sandbox_cursor(sandbox, extracted - timedelta(days=1))
    verdict = await fed.audit()
    assert verdict.sound, verdict
    there = {one.key.decode() for one in await fed.stored("state.kotikunta") if one.key}
    assert len(there) >= done.answered > 0
    assert await faults(fed, sandbox, sorted(there & {*sandbox.codes()})) == []


def sandbox_cursor(sandbox: Sandbox, day: date) -> int:
    """The key after which the registrations of that day follow."""
    before = 0
    for key, record in sandbox.log():
        when = datetime.fromisoformat(record["muutospv"]).astimezone(ZoneInfo("Europe/Helsinki")).date()
        if when >= day:
            return before
        before = key
    raise AssertionError


async def test_a_feed_that_follows_asks_for_a_decision(fed: Deployment, sandbox: Sandbox, listed: Path) -> None:
    assert (await fed.but(VTJ_UPSTREAM__START="0").run("run", "--once")).code == 0
    before = await fed.committed()
    refused = await fed.run("load", str(listed))
    assert refused.code == 2
    assert "--again" in refused.err
    assert await fed.committed() == before
    assert (await fed.run("load", str(listed), "--again")).code == 0
    assert await faults(fed, sandbox) == []
    assert (await fed.audit()).sound


async def test_changes_go_on_while_perustiedot_is_refused(small: Deployment, sandbox: Sandbox) -> None:
    sandbox.set_faults([{"fault": 403, "endpoint": "perustiedot", "times": None}])
    async with small.but(VTJ_UPSTREAM__START="0").start("run") as running:
        await running.says(f"committed cursor {sandbox.state()['last']}:")
        await running.says("the state topics stand still, the changes go on")
        ended = await running.stop()
    assert ended.code == 0
    assert (await small.audit()).sound


async def test_when_a_turvakielto_begins_the_state_is_withheld_before_perustiedot_answers(
    fed: Deployment, sandbox: Sandbox, listed: Path
) -> None:
    """In every group that the schemas call restricted; the change of an account that sees everything says no more."""
    person = next(record for _, record in sandbox.log() if record["henkilotunnus"] in sandbox.codes())["henkilotunnus"]
    assert (await fed.run("load", str(listed))).code == 0
    assert (await withheld(fed, person)) == set()
    sandbox.set_faults([{"fault": 503, "endpoint": "perustiedot", "times": None}])
    begun = {"muutosattribuutti": "LISATTY", "turvakieltoAktiivinen": True}
    sandbox.append([change(person, {"tietoryhma": "TURVAKIELTO", **begun})])
    async with fed.start("run") as running:
        restricted = {"kotikunta", "vakinainen-kotimainen-osoite", "sahkopostiosoite"}
        async with asyncio.timeout(SOON):
            while not restricted <= await withheld(fed, person):
                await asyncio.sleep(0.1)
        sandbox.set_faults([])
        await running.says("state of 1 person(s), 1 withheld at once")
        await running.stop()
    assert await faults(fed, sandbox) == []  # the account sees everything, and so does the state again


async def withheld(deployment: Deployment, person: str) -> set[str]:
    """The groups whose state says that it is withheld."""
    last = {one.topic: one for one in await deployment.stored() if one.key == person.encode()}
    return {
        topic.removeprefix("state.")
        for topic, one in last.items()
        if topic.startswith("state.") and one.value
        if Schemas.load().decode(topic.replace("state.", "change.", 1), one.value)["data"] is None
    }
