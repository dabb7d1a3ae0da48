"""A person is taken back: no state, no identity, not followed, an entry among the erased, and the history is told."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import SOON, Deployment, change
from tests.integration.test_identities import corrected
from tests.integration.test_persons import LISTING, listed, text

pytestmark = pytest.mark.kafka


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=40, history=0, page_size=50) as running:
        yield running


async def states(fed: Deployment, code: str) -> dict[str, bool]:
    """Topic → whether the person has a state there, of those that ever had one."""
    key = code.encode()
    return {
        one.topic: one.value is not None for one in await fed.stored() if one.topic[:6] == "state." and one.key == key
    }


async def times_told(fed: Deployment, code: str) -> int:
    """How many records of the state topics are about the person."""
    return sum(one.topic.startswith("state.") and one.key == code.encode() for one in await fed.stored())


async def told_again(fed: Deployment, code: str, before: int) -> None:
    """Waits until they are more than before."""
    async with asyncio.timeout(SOON):
        while await times_told(fed, code) == before:
            await asyncio.sleep(0.1)


async def test_a_person_is_erased_under_every_code(broker: Broker, prefix: str, sandbox: Sandbox) -> None:
    fed = await Deployment(broker.bootstrap, prefix, sandbox.url).small.but(**LISTING).apply_topics()
    old, other, new = (*sandbox.codes()[:2], sandbox.codes()[35])
    assert (await fed.run("persons", "add", "-", given=text([old, other]))).code == 0
    async with fed.but(**LISTING, VTJ_SCHEDULE__INTERVAL="1").start("run") as running:
        async with asyncio.timeout(SOON):
            while not all([any((await states(fed, code)).values()) for code in (old, other)]):
                await asyncio.sleep(0.1)
        before = await times_told(fed, other)
        [*_, key] = sandbox.append([change(other), change(old), corrected(old, new)])
        await running.says(f"committed cursor {key}")
        await told_again(fed, other, before)
        erased = await fed.run("erase", "--reason", "asked for it", given=old.encode())
        assert erased.code == 0, erased.err
        lines = erased.out.splitlines()
        assert lines[0].startswith("erased under 2 code(s); 2 of them followed until now; tombstones in ")
        told = {line.split(":")[0].strip().removeprefix(f"{prefix}."): line for line in lines[2:]}
        assert {*told} == {"change.kotikunta", "change.henkilotunnus-korjaus"}
        assert " 1 record(s), until 20" in told["change.kotikunta"]
        await running.says("beginning again at the stored cursor")
        # What is taken back is told by the state's line as well, so its log does not say of whom it told.
        before = await times_told(fed, other)
        [*_, key] = sandbox.append([change(other), change(new), change(old)])
        await running.says(f"committed cursor {key}")
        await told_again(fed, other, before)
    assert {*await listed(fed)} == {other}
    for code in (old, new):
        assert not any((await states(fed, code)).values())
    assert any((await states(fed, other)).values())
    last = {one.key: one.value for one in await fed.stored("identity")}
    assert (last[old.encode()], last[new.encode()]) == (None, None)
    entries = {one.key: json.loads(one.value or b"") for one in await fed.stored("erased")}
    assert {*entries} == {old.encode(), new.encode()}
    assert {entry["reason"] for entry in entries.values()} == {"asked for it"}
    assert "vtj.audit: erased a person under 2 code(s)" in erased.err
    assert not [code for code in (old, new) if code in erased.out + erased.err]
    keys = [one.key for one in await fed.stored("change.kotikunta")]
    assert (keys.count(old.encode()), keys.count(new.encode()), keys.count(other.encode())) == (1, 0, 2)


async def test_somebody_unknown_is_entered_all_the_same(broker: Broker, prefix: str, sandbox: Sandbox) -> None:
    """What is replayed later, or comes from a backup, must heed it."""
    fed = await Deployment(broker.bootstrap, prefix, sandbox.url).apply_topics()
    erased = await fed.run("erase", given=sandbox.codes()[3].encode())
    assert erased.code == 0, erased.err
    assert "no topic of changes holds anything" in erased.out
    assert [one.key for one in await fed.stored("erased")] == [sandbox.codes()[3].encode()]


@pytest.mark.parametrize("given", [b"", b"010594Y9032\n020594X903P", b"010594y9032", b"\xff\xfe"])
async def test_anything_but_one_code_is_refused(broker: Broker, prefix: str, given: bytes) -> None:
    ended = await Deployment(broker.bootstrap, prefix).run("erase", given=given)
    assert ended.code == 2
    assert "0594" not in ended.out + ended.err
