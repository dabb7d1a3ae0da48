"""Who is followed: the watchlist, its buckets with cursors of their own, and persons who join and leave."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import Deployment, change
from tests.integration.test_identities import corrected
from tests.oracle.state import judge_state

pytestmark = pytest.mark.kafka


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=120, history=400, page_size=50) as running:
        yield running


@pytest.fixture
async def fed(broker: Broker, prefix: str, sandbox: Sandbox) -> Deployment:
    return await Deployment(broker.bootstrap, prefix, sandbox.url).but(**LISTING).apply_topics()


LISTING = {
    "VTJ_UPSTREAM__WATCHLIST": "true",
    "VTJ_UPSTREAM__BUCKET_SIZE": "30",
    "VTJ_UPSTREAM__START": "today",
    "VTJ_STATE__ENABLED": "true",
}


def text(codes: Sequence[str]) -> bytes:
    return "\n".join(codes).encode()


async def listed(fed: Deployment) -> dict[str, str]:
    """Code → bucket, as the topic has it."""
    found: dict[str, str] = {}
    for one in await fed.stored("watchlist"):
        code = (one.key or b"").decode()
        found.pop(code, None)
        if one.value is not None:
            found[code] = json.loads(one.value)["bucket"]
    return found


async def test_each_bucket_has_its_cursor_and_the_state_is_that_of_the_followed(
    fed: Deployment, sandbox: Sandbox
) -> None:
    codes = sandbox.codes()
    added = await fed.run("persons", "add", "-", "--reason", "day care", given=text(codes[:100]))
    assert (added.code, added.out) == (0, "added: 100; removed: 0; followed now: 100, 4 new bucket(s)\n"), added.err
    assert (await fed.run("run", "--once")).code == 0
    sandbox.grow(200)
    ran = await fed.run("run", "--once")
    assert ran.code == 0, ran.err
    verdict = await fed.audit()
    assert verdict.sound, verdict
    assert verdict.changes > 100
    there = await listed(fed)
    followed = [code for code in sandbox.codes() if code in there]  # the corrected too
    assert await asyncio.to_thread(judge_state, await fed.stored(), sandbox.url, followed) == []
    shown = await fed.run("persons", "list", "--json")
    rows = [json.loads(line) for line in shown.out.splitlines()]
    assert [row["persons"] // 10 for row in rows] == [3, 3, 3, 1]  # and whom a correction brought
    assert sum(row["persons"] for row in rows) == len(await listed(fed))
    assert None not in {row["cursor"] for row in rows}
    assert not [code for code in sandbox.codes() if code in added.out + added.err + shown.out + ran.err]


async def test_who_joins_or_leaves_is_followed_or_let_go_at_once(fed: Deployment, sandbox: Sandbox) -> None:
    """The next poll would be in an hour."""
    first, second, *others = sandbox.codes()
    assert (await fed.run("persons", "add", "-", given=text(others[:40]))).code == 0
    async with fed.start("run") as running:
        await running.says("committed cursor", 2)
        assert (await fed.run("persons", "add", "-", given=text([first, second]))).code == 0
        await state(fed, first, there=True)
        removed = await fed.run("persons", "remove", "-", given=text([second, others[60]]))
        assert removed.out == "added: 0; removed: 1; followed now: 41\n"
        await state(fed, second, there=False)
        assert (await running.stop()).code == 0
    sandbox.append([change(first), change(second)])
    assert (await fed.run("run", "--once")).code == 0
    keys = [one.key for one in await fed.stored("change.kotikunta")]
    assert first.encode() in keys
    assert second.encode() not in keys
    assert (await fed.audit()).sound
    followed = sorted({*others[:40], first} & {*sandbox.codes()})
    assert await asyncio.to_thread(judge_state, await fed.stored(), sandbox.url, followed) == []


async def state(fed: Deployment, code: str, *, there: bool) -> None:
    """Until the person's name is, or is not, among what is valid now."""
    for _ in range(100):
        values = [one.value for one in await fed.stored("state.henkilon-nimi") if one.key == code.encode()]
        if (values[-1:] != [None]) == there and values:
            return
        await asyncio.sleep(0.2)
    raise AssertionError("the state did not follow")


async def test_a_new_code_inherits_the_bucket(fed: Deployment, sandbox: Sandbox) -> None:
    codes = sandbox.codes()
    assert (await fed.run("persons", "add", "-", given=text(codes[:40]))).code == 0
    assert (await fed.run("run", "--once")).code == 0
    before = await listed(fed)
    old, new = codes[35], codes[110]
    sandbox.append([corrected(old, new), change(new)])
    assert (await fed.run("run", "--once")).code == 0
    sandbox.append([change(new)])
    assert (await fed.run("run", "--once")).code == 0
    after = await listed(fed)
    assert after == {**before, new: before[old]}
    assert (await fed.audit()).sound
    synced = await fed.run("persons", "sync", "-", given=text(codes[:40]))
    assert synced.out == "added: 0; removed: 0; followed now: 41\n", "who is in the file by an old code stays"


async def test_after_a_load_nobody_is_read_again(fed: Deployment, sandbox: Sandbox) -> None:
    assert (await fed.run("persons", "add", "-", given=text(sandbox.codes()[:70]))).code == 0
    loaded = await fed.run("load")
    assert loaded.out.startswith("asked: 70 persons; answered: 70 persons;"), loaded.err
    asked = sandbox.state()["requests"]["perustiedot"]
    ran = await fed.run("run", "--once")
    assert ran.code == 0, ran.err
    assert sandbox.state()["requests"]["perustiedot"] == asked
    sandbox.grow(100)
    assert (await fed.run("run", "--once")).code == 0
    assert (await fed.audit()).sound
    there = await listed(fed)
    followed = [code for code in sandbox.codes() if code in there]
    assert await asyncio.to_thread(judge_state, await fed.stored(), sandbox.url, followed) == []


async def test_a_file_is_synced_into_the_watchlist(fed: Deployment, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "persons"
    file.write_bytes(text(sandbox.codes()[:40]))
    configured = fed.but(**LISTING | {"VTJ_UPSTREAM__WATCHLIST": None, "VTJ_UPSTREAM__PERSONS_FILE": str(file)})
    assert (await configured.run("run", "--once")).code == 0
    before = await listed(fed)
    assert {*before} == {*sandbox.codes()[:40]}
    file.write_bytes(text(sandbox.codes()[2:42]))
    assert (await configured.run("run", "--once")).code == 0
    after = await listed(fed)
    assert {*after} >= {*sandbox.codes()[2:42]}
    assert {code: after[code] for code in before if code in after} == {c: b for c, b in before.items() if c in after}
    file.write_bytes(text(sandbox.codes()[10:42]))
    refused = await configured.run("run", "--once")
    assert refused.code == 2
    assert "of 4" in refused.err
    assert "--yes" in refused.err
    assert await listed(fed) == after


@pytest.mark.parametrize(
    ("arguments", "given", "told"),
    [
        (
            ("add", "-"),
            b"010594Y9032\n\n 010594y9032\n020516C903X",
            "not an identity code: line 3. the check character is wrong: line 4",
        ),
        (("add", "-"), b"010190-900a", "not an identity code: line 1"),
        (("sync", "-"), b" \n", "empty"),
        (("remove", "nowhere"), b"", "cannot be read"),
    ],
)
async def test_a_bad_file_changes_nothing(fed: Deployment, arguments: Sequence[str], given: bytes, told: str) -> None:
    ended = await fed.run("persons", *arguments, given=given)
    assert ended.code == 2
    assert told in ended.err
    assert "0594" not in ended.out + ended.err
    assert await fed.stored("watchlist") == []


async def test_without_a_watchlist_nobody_can_be_added(fed: Deployment, sandbox: Sandbox) -> None:
    ended = await fed.but(**LISTING | {"VTJ_UPSTREAM__WATCHLIST": None}).run(
        "persons", "add", "-", given=text(sandbox.codes()[:1])
    )
    assert ended.code == 2
    assert "VTJ_UPSTREAM__WATCHLIST=true" in ended.err


async def test_buckets_are_split_and_put_together_without_a_gap(fed: Deployment, sandbox: Sandbox) -> None:
    """Beside a running instance, which is fenced for a moment."""
    codes = sandbox.codes()
    large = fed.but(**LISTING | {"VTJ_UPSTREAM__BUCKET_SIZE": "100"}, VTJ_SCHEDULE__INTERVAL="1")
    assert (await large.run("persons", "add", "-", given=text(codes[:90]))).code == 0
    async with large.start("run") as running:
        await running.says("committed cursor")
        sandbox.grow(60)
        small = fed.but(**LISTING, VTJ_SCHEDULE__INTERVAL="1")
        split = await small.run("persons", "rebalance")
        assert split.out.startswith("split off: 2; put together: 0"), split.err
        sandbox.grow(60)
        await running.says("bucket 0: opened at cursor", 2)
    assert (await small.run("run", "--once")).code == 0
    assert len({*(await listed(fed)).values()}) == 3
    sandbox.grow(60)
    assert (await small.run("run", "--once")).code == 0
    merged = await large.run("persons", "rebalance")
    assert merged.out.startswith("split off: 0; put together: 2"), merged.out + merged.err
    assert len({*(await listed(fed)).values()}) == 1
    sandbox.grow(60)
    assert (await large.run("run", "--once")).code == 0
    verdict = await fed.audit()
    assert verdict.sound, verdict
    there = await listed(fed)
    followed = [code for code in sandbox.codes() if code in there]
    assert await asyncio.to_thread(judge_state, await fed.stored(), sandbox.url, followed) == []
