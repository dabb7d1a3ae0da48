"""A page that fails each time: a few tries, a stop that says where, the page on demand, and what passes it over."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from producer.app.parts import parts
from producer.app.run import serve
from producer.app.verify import Range, verify
from producer.errors import PoisonPage, Rejected
from producer.events.page import PageEncoding
from producer.operate import service
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import DEAD_LETTER, KOTIKUNTA, Deployment, change, places
from tests.integration.pages import bulky, encoded
from tests.integration.quoting import ONE, Upstream, page, says, upstream
from tests.integration.test_topics import set_configs

pytestmark = pytest.mark.kafka


@pytest.fixture
async def fed(broker: Broker, prefix: str) -> Deployment:
    return await Deployment(broker.bootstrap, prefix).small.apply_topics()


def of(deployment: Deployment, told: Upstream) -> Deployment:
    return deployment.but(VTJ_UPSTREAM__URL=told.url, VTJ_UPSTREAM__RETRY_WAIT="0.5")


async def test_a_page_that_breaks_the_rules_is_told_fetched_and_passed_over(fed: Deployment, tmp_path: Path) -> None:
    file, end = tmp_path / "page.json", page(muutokset=[])
    async with upstream([page(ajanTasalla=None)] * 4 + [page(ajanTasalla=None), end]) as told:
        stopped = await of(fed, told).run("run", "--once")
        assert stopped.code == 4
        assert "ajanTasalla in upstream's answer is missing" in stopped.err
        assert "(feed vtj, bucket 0, after cursor 0)" in stopped.err
        assert "`vtj-producer fetch --cursor 0 --bucket 0 --output FILE`" in stopped.err
        assert "`vtj-producer run --skip-poison 0`" in stopped.err
        assert len(told.asked) == 3

        fetched = await of(fed, told).run("fetch", "--cursor", "0", "--bucket", "0", "--output", str(file))
        assert fetched.code == 0, fetched.err
        assert file.stat().st_mode & 0o777 == 0o600
        assert json.loads(file.read_bytes())["muutokset"][0]["henkilotunnus"] == ONE
        assert "ajanTasalla in upstream's answer is missing" in fetched.out
        there, asked = file.read_bytes(), len(told.asked)
        again = await of(fed, told).run("fetch", "--cursor", "0", "--output", str(file))
        assert (again.code, file.read_bytes(), len(told.asked)) == (2, there, asked)
        assert "none is overwritten" in again.err

        assert places(await fed.entries()) == [(None, 0)]
        passed = await of(fed, told).run("run", "--once", "--skip-poison", "0")
        assert passed.code == 0, passed.err
        assert "poison in the page after cursor 0 is passed over, by" in passed.err
    # Its records were sound: they are events.
    assert places(await fed.entries()) == [(None, 0), (0, 9)]
    assert [one.key for one in await fed.stored("change.henkilon-nimi")] == [ONE.encode()]
    assert not await fed.stored(DEAD_LETTER)


async def test_what_cannot_be_passed_over_moves_nothing(fed: Deployment, tmp_path: Path) -> None:
    async with upstream([page(viimeisinKirjausavain=0)]) as told:
        refused = await of(fed, told).run("run", "--once", "--skip-poison", "0")
    assert refused.code == 4, refused.err
    assert places(await fed.entries()) == [(None, 0)]
    assert "The next cursor is 0, which is not beyond 0: the page cannot be passed over." in refused.err
    async with upstream([says(403)]) as told:
        refused = await of(fed, told).run("fetch", "--cursor", "0", "--output", str(tmp_path / "page"))
    assert (refused.code, [*tmp_path.iterdir()]) == (3, [])
    async with upstream([page(muutokset={"odd": ONE}), page(muutokset=[])]) as told:
        passed = await of(fed, told).run("run", "--once", "--skip-poison", "0")
    assert passed.code == 0, passed.err
    (letter,) = await fed.events(DEAD_LETTER)
    assert (json.loads(letter["raw"]), letter["reason"]) == ({"odd": ONE}, "no-identity-code")
    assert (letter["cursor"], letter["previousCursor"], await fed.cursor()) == (9, 0, 9)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=30, history=60, page_size=10) as running:
        yield running


async def test_a_fault_of_our_own_in_one_record(
    broker: Broker, prefix: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deployment = await Deployment(broker.bootstrap, prefix, sandbox.url).small.apply_topics()
    log = sandbox.log()
    keys, bad = [key for key, _ in log], log[34][1]
    add = PageEncoding.add

    def failing(self: PageEncoding, record: Any) -> None:
        add(self, record)  # half of the work is done by then
        if record == bad:
            raise KeyError(ONE)

    monkeypatch.setattr(PageEncoding, "add", failing)
    monkeypatch.setattr(service, "SHORTEST_PAUSE", 0.05)
    with pytest.raises(PoisonPage) as stopped:  # another page may be passed over
        await serve(deployment.settings, once=True, skip=keys[19])
    assert str(stopped.value).startswith("The same page has failed 3 times: KeyError at test_poison.py:")
    assert f"(feed vtj, bucket 0, after cursor {keys[29]})" in str(stopped.value)
    assert f"`vtj-producer run --skip-poison {keys[29]}`" in stopped.value.hint
    assert stopped.value.exit_code == 10
    assert sum("beginning again at the stored cursor" in one.getMessage() for one in caplog.records) == 2
    assert all(ONE not in one.getMessage() for one in caplog.records)
    assert await deployment.cursor() == keys[29]

    await serve(deployment.settings, once=True, skip=keys[29])
    (letter,) = await deployment.stored(DEAD_LETTER)
    (told,) = await deployment.events(DEAD_LETTER)
    assert (json.loads(told["raw"]), told["reason"], told["cursor"]) == (bad, "poison", keys[39])
    assert letter.key == bad["henkilotunnus"].encode()
    entry = next(one for one in await deployment.entries() if one["previousCursor"] == keys[29])
    assert (entry["deadLetters"], entry["cursor"] >= keys[39]) == (1, True)
    verdict = await deployment.audit()  # all others are there, once and in order
    assert (verdict.lost, verdict.doubled, verdict.out_of_order, verdict.cursor) == (
        len(bad["tietoryhmat"]), 0, 0, keys[-1],
    )  # fmt: skip
    report = await verify(await parts(deployment.settings), Range(), lambda *_: None)
    assert report.sound, report.findings


async def test_records_that_kafka_rejects_are_told_apart_from_a_kafka_that_is_away(
    deployment: Deployment, persons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here since somebody has lowered the limit of a topic behind our back; opened anew we know of it."""
    admin = deployment.create_topics().admin
    pages = [encoded(deployment, 1, 2, bulky(persons[0], 20_000), change(persons[1]))]
    async with deployment.publisher().open() as shard:
        await shard.begin(1)
        await asyncio.to_thread(set_configs, admin, deployment.topic(KOTIKUNTA), max_message_bytes="5000")
        with pytest.raises(Rejected, match="MessageSizeTooLargeError"):
            await shard.commit(pages)
    assert places(await deployment.entries("cursor")) == [(None, 1)]
    async with deployment.publisher().open() as shard:
        await shard.commit(pages)
    assert [one["reason"] for one in await deployment.events(DEAD_LETTER)] == ["oversized"]
