"""`verify` on a real Kafka: sound where nothing happened, and every kind of planted damage is found."""

import asyncio
import hashlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from aiokafka import AIOKafkaProducer, structs
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from producer.kafka import ledger
from producer.kafka.names import java_hash
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import KOTIKUNTA, SOON, Deployment, Ended, change, kotikunta
from tests.integration.pages import encoded

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def sound(broker: Broker) -> Deployment:
    """A feed of some commits that nothing happened to: only to be read."""

    async def fill() -> Deployment:
        async with Sandbox(persons=40, history=400) as sandbox:
            sandbox.append(["ei tietue"])
            deployment = Deployment(broker.bootstrap, f"verify-{secrets.token_hex(3)}", sandbox.url).small
            deployment = deployment.but(VTJ_KAFKA__TRANSACTION_EVENTS="100")
            await deployment.apply_topics()
            ended = await deployment.run("run", "--once")
            assert ended.code == 0, ended.err
            return deployment

    return asyncio.run(fill())


def told(ended: Ended) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    assert ended.code in (0, 1), ended.err
    assert ended.err == ""
    *findings, figures = map(json.loads, ended.out.splitlines())
    return findings, figures


async def test_a_sound_feed(sound: Deployment) -> None:
    ended = await sound.run("verify", "--json")
    findings, figures = told(ended)
    stored = [one for one in await sound.stored() if one.topic.startswith(("change.", "dead-letter"))]
    entries = await sound.entries()
    assert (ended.code, findings, figures["sound"]) == (0, [], True)
    assert (figures["events"], figures["entries"], figures["beyondRetention"]) == (len(stored), len(entries), 0)
    for_people = await sound.run("verify")
    assert (for_people.code, for_people.err) == (0, "")
    assert f"sound: {len(entries)} commits, {len(stored)} events compared" in for_people.out


async def test_a_range_is_found_by_time(sound: Deployment) -> None:
    ledger = await sound.stored("ledger")
    entries = await sound.entries()
    middle = entries[len(entries) // 2]
    time = datetime.fromtimestamp(middle["committedAt"] / 1000, UTC).isoformat()
    later, earlier = [told(await sound.run("verify", "--json", option, time)) for option in ("--since", "--until")]
    assert later[0] == earlier[0] == []
    # The record's time is that of its sending, some milliseconds after the one in the entry.
    assert 0 < later[1]["entries"] < len(ledger)
    assert later[1]["entries"] + earlier[1]["entries"] == len(entries)
    assert later[1]["events"] + earlier[1]["events"] == sum(entry["events"] for entry in entries) - await corrected(
        sound
    )
    begun = datetime.fromtimestamp(entries[0]["committedAt"] / 1000, ZoneInfo("Europe/Helsinki"))
    today = begun.date().isoformat()  # of the ledger: midnight may have passed since
    until_tonight = await sound.run("verify", "--until", today, "--feed", "vtj")
    assert until_tonight.code == 0, until_tonight.err
    since_morning = told(await sound.run("verify", "--json", "--since", today))
    assert (since_morning[0], since_morning[1]["entries"]) == ([], len(entries)), "the ledger begins on this day"


async def corrected(deployment: Deployment) -> int:
    """Records of the identities: compacted, and so not compared."""
    return len(await deployment.stored("identity"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--feed", "toinen"], 2, "Feeds are: vtj."),
        (["--since", "eilen"], 2, "--since is no time that can be read"),
        (["--until", "2026-13-01"], 2, "--until is no time that can be read"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], 2, "--until is not after --since"),
        (["--since", "2020-01-01"], 2, "--since is before the ledger, which can be verified from 20"),
        (["--since", "2099-01-01"], 2, "Nothing was committed in that range"),
        (["--until", "2020-01-01"], 2, "Nothing was committed in that range"),
    ],
)
async def test_bad_input_has_a_hint(sound: Deployment, arguments: list[str], code: int, words: str) -> None:
    ended = await sound.run("verify", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err
    assert "→" in ended.err
    assert "Traceback" not in ended.err


async def test_without_topics_and_without_commits(deployment: Deployment) -> None:
    missing = await deployment.run("verify")
    assert missing.code == 5
    assert f"{deployment.topic('ledger')}: missing" in missing.err
    empty = await deployment.create_topics().run("verify")
    assert (empty.code, empty.err) == (0, "")
    assert "nothing has been committed yet" in empty.out
    nowhere = await deployment.run("verify", "--since", "2026-11-01")
    assert nowhere.code == 2
    assert "it is empty" in nowhere.err


async def filled(deployment: Deployment, persons: list[str], commits: int = 4) -> Deployment:
    if not deployment.ends():
        deployment.create_topics()
    async with deployment.publisher().open() as shard:
        if shard.cursor is None:
            await shard.begin(1)
        for at in range(1, commits):
            records = [change(person, kotikunta(), kotikunta()) for person in persons[:20]]
            await shard.commit([encoded(deployment, at, at + 1, *records)])
    return deployment


async def faults(deployment: Deployment, *arguments: str) -> dict[str, int]:
    ended = await deployment.run("verify", "--json", *arguments)
    findings, figures = told(ended)
    found = {kind: count for kind, count in figures["faults"].items() if count}
    assert ended.code == bool(found), findings
    return found


Alter = Callable[[dict[str, Any]], None]


@pytest.fixture
def altering(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Alter], None]:
    """Has the ledger tell something else of one commit than what was written; the first one is number 0."""

    def altering(number: int, alter: Alter) -> None:
        encode, numbers = ledger.Entry.encode, count()

        def altered(self: ledger.Entry) -> bytes:
            if next(numbers) != number:
                return encode(self)
            told = orjson.loads(encode(self))
            alter(told)
            return orjson.dumps(told)

        monkeypatch.setattr(ledger.Entry, "encode", altered)

    return altering


def span(entry: dict[str, Any]) -> list[Any]:
    """Of the first partition that the commit has written to."""
    found: list[Any] = next(iter(next(iter(entry["offsets"].values())).values()))
    return found


def one_more(entry: dict[str, Any]) -> None:
    span(entry)[2] += 1
    entry["events"] += 1


def other_ids(entry: dict[str, Any]) -> None:
    span(entry)[3] = "0" * 64


def not_telling(entry: dict[str, Any]) -> None:
    entry["events"], entry["offsets"] = 0, {}


def jumping(entry: dict[str, Any]) -> None:
    entry["previousCursor"] += 1


@pytest.mark.parametrize(
    ("alter", "kinds"),
    [(one_more, {"missing": 1}), (other_ids, {"digest": 1}), (not_telling, {"orphaned": 40}), (jumping, {"gap": 1})],
)
async def test_what_differs_from_the_ledger(
    deployment: Deployment,
    persons: list[str],
    altering: Callable[[int, Alter], None],
    alter: Alter,
    kinds: dict[str, int],
) -> None:
    altering(2, alter)
    assert await faults(await filled(deployment, persons)) == kinds


async def test_a_persons_events_in_another_order(
    deployment: Deployment, persons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [person for person in persons if java_hash(person.encode()) % 2 == 0][:5]
    async with deployment.create_topics().publisher().open() as shard:
        await shard.begin(1)
        page = encoded(deployment, 1, 2, *(change(person, kotikunta(), kotikunta()) for person in there))
        ids = b"".join(event.headers[0][1] for event in page.events)
        right = hashlib.sha256(ids).hexdigest()

        def as_it_should_be(offsets: dict[Any, list[Any]]) -> Any:
            [span] = offsets.values()
            return {deployment.topic(KOTIKUNTA): {"0": [*span[:3], right]}}

        monkeypatch.setattr(ledger, "by_topic", as_it_should_be)
        await shard.commit([replace(page, events=[page.events[1], page.events[0], *page.events[2:]])])
    assert await faults(deployment) == {"out-of-order": 1}


@pytest.mark.parametrize("way", ["removed", "edited"])
async def test_an_entry_that_is_not_what_was_committed(
    deployment: Deployment, persons: list[str], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Neither can be done to a topic afterwards: it is kept from getting there."""
    send, numbers = AIOKafkaProducer.send, count()

    async def otherwise(self: AIOKafkaProducer, topic: str, value: bytes, *more: Any, **options: Any) -> Any:
        if topic == deployment.topic("ledger") and next(numbers) == 2:
            if way == "removed":
                done = asyncio.get_running_loop().create_future()
                done.set_result(SimpleNamespace(topic_partition=structs.TopicPartition(topic, 0), offset=-1))
                return done
            value = value.replace(b'"records":20', b'"records":21')
        return await send(self, topic, value, *more, **options)

    monkeypatch.setattr(AIOKafkaProducer, "send", otherwise)
    deployment = await filled(deployment, persons)
    assert await faults(deployment) == ({"gap": 1, "orphaned": 40} if way == "removed" else {"edited": 1})


@pytest.mark.parametrize("kind", ["repeated", "orphaned"])
async def test_what_stands_in_a_topic_beside(deployment: Deployment, persons: list[str], kind: str) -> None:
    one = (await (await filled(deployment, persons)).stored(KOTIKUNTA))[3]
    headers = [*one.headers] if kind == "repeated" else [("ce_id", b"0" * 36), *one.headers[1:]]
    written(deployment, KOTIKUNTA, one.partition, one.key, one.value, headers)
    findings, figures = told(await deployment.run("verify", "--json"))
    assert figures["faults"][kind] == sum(figures["faults"].values()) == 1
    [finding] = findings
    assert (finding["topic"], finding["partition"]) == (deployment.topic(KOTIKUNTA), one.partition)
    assert persons[0] not in json.dumps(findings)


def written(
    deployment: Deployment,
    name: str,
    partition: int,
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[str, bytes]] | None = None,
) -> None:
    producer = Producer({"bootstrap.servers": deployment.bootstrap, "log_level": 0})
    producer.produce(deployment.topic(name), value, key, partition, headers=headers or [])  # type: ignore[arg-type]
    assert producer.flush(SOON) == 0


async def test_what_was_aborted_is_not_there(deployment: Deployment, persons: list[str]) -> None:
    await filled(deployment, persons, commits=2)
    topic = deployment.topic(KOTIKUNTA)
    stranger = Producer({"bootstrap.servers": deployment.bootstrap, "transactional.id": topic, "log_level": 0})
    stranger.init_transactions(SOON)
    for _ in range(2):
        stranger.begin_transaction()
        for at in range(100):
            stranger.produce(topic, b"aborted", partition=at % 2)
        assert stranger.flush(SOON) == 0
        stranger.abort_transaction(SOON)
    await filled(deployment, persons, commits=0)
    findings, figures = told(await deployment.run("verify", "--json"))
    assert (findings, figures["events"], figures["beyondRetention"]) == ([], 40, 0)


async def test_what_retention_has_taken_is_told_apart(deployment: Deployment, persons: list[str]) -> None:
    stored = await (await filled(deployment, persons)).stored(KOTIKUNTA)
    gone = [one for one in stored if one.partition == 0][:25]
    shorten(deployment, KOTIKUNTA, 0, gone[-1].offset + 1)
    findings, figures = told(await deployment.run("verify", "--json"))
    assert (findings, figures["sound"]) == ([], True)
    assert (figures["events"], figures["beyondRetention"]) == (len(stored) - 25, 25)


def shorten(deployment: Deployment, name: str, partition: int, offset: int) -> None:
    admin = deployment.admin
    for done in admin.delete_records([TopicPartition(deployment.topic(name), partition, offset)]).values():
        done.result(SOON)


async def test_a_ledger_whose_beginning_is_gone(deployment: Deployment, persons: list[str]) -> None:
    await filled(deployment.but(VTJ_KAFKA__TRANSACTION_TIMEOUT="5"), persons)
    entries = await deployment.stored("ledger")
    shorten(deployment, "ledger", deployment.names.shard, entries[1].offset + 1)
    ended = await deployment.run("verify")
    assert (ended.code, ended.out) == (6, "")
    assert f"The beginning of {deployment.topic('ledger')} is gone" in ended.err
    assert "--since" in ended.err
    before = await deployment.run("verify", "--since", "2020-01-01")
    assert before.code == 2
    assert "can be verified from 20" in before.err


async def test_a_ledger_that_is_compacted(deployment: Deployment, persons: list[str]) -> None:
    await filled(deployment, persons)
    entry = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, deployment.topic("ledger"), incremental_configs=[entry])
    admin = deployment.admin
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(SOON)
    ended = await deployment.run("verify")
    assert (ended.code, ended.out) == (6, "")
    assert "is compacted" in ended.err


async def test_a_ledger_of_a_newer_release_or_of_somebody_else(deployment: Deployment, persons: list[str]) -> None:
    names = (await filled(deployment, persons)).names
    written(deployment, "ledger", names.shard, names.key, b"no entry")
    assert await faults(deployment) == {"edited": 1, "gap": 1}  # and it stands behind the one that the cursor names
    written(deployment, "ledger", names.shard, names.key, b'{"version": 2}')
    ended = await deployment.run("verify")
    assert (ended.code, ended.out) == (6, "")
    assert "newer release (format 2)" in ended.err


async def test_buckets_that_interleave_in_a_partition(deployment: Deployment, persons: list[str]) -> None:
    """Two producers at once, as of two shards."""
    deployment.create_topics()
    names = deployment.names
    other = next(name for name in map(str, range(1, 99)) if not names.beside(name, names.feed))

    async def work(bucket: str, some: list[str]) -> None:
        publisher = replace(deployment.publisher(), names=replace(names, bucket=bucket))
        async with publisher.open() as shard:
            await shard.begin(1)
            for at in range(1, 6):
                page = encoded(deployment, at, at + 1, *map(change, some))
                await asyncio.sleep(0)
                await shard.commit([replace(page, bucket=bucket)])

    await asyncio.gather(work("0", persons[:500]), work(other, persons[500:]))
    findings, figures = told(await deployment.run("verify", "--json"))
    assert (findings, figures["events"], len(figures["chains"])) == ([], 5000, 2)


async def test_upstream_is_asked_again(broker: Broker, prefix: str) -> None:
    async with Sandbox(persons=40, history=400, page_size=30) as sandbox:
        sandbox.append(["ei tietue"])
        deployment = await Deployment(broker.bootstrap, prefix, sandbox.url).small.apply_topics()
        ended = await deployment.run("run", "--once")
        assert ended.code == 0, ended.err
        sandbox.append([change("010190-9007")])  # after the range
        assert await faults(deployment, "--upstream") == {}
    async with Sandbox(persons=40, history=400, page_size=30, seed=2) as other:
        ended = await deployment.but(VTJ_UPSTREAM__URL=other.url).run("verify", "--upstream", "--json")
        findings, figures = told(ended)
        assert figures["faults"]["upstream"] == sum(figures["faults"].values()) > 100
        assert {finding["what"] for finding in findings} == {
            "upstream does not tell them any more",
            "upstream tells them, and they are not there",
        }


async def test_all_that_the_program_does_is_sound(broker: Broker, prefix: str) -> None:
    """A load, persons who join and leave, their state, an erasure, another load: each commits in its own way."""
    async with Sandbox(persons=60, history=300, page_size=30) as sandbox:
        deployment = Deployment(broker.bootstrap, prefix, sandbox.url).small
        deployment = await deployment.but(
            VTJ_UPSTREAM__WATCHLIST="true", VTJ_STATE__ENABLED="true", VTJ_UPSTREAM__BUCKET_SIZE="20"
        ).apply_topics()
        codes = sandbox.codes()
        steps: list[tuple[list[str], list[str]]] = [
            (["persons", "add", "-"], codes[:30]),
            (["load", "--into-changes"], []),
            (["run", "--once"], []),
            (["persons", "add", "-"], codes[30:50]),
            (["persons", "remove", "-"], codes[:5]),
            (["run", "--once"], []),
            (["erase"], codes[10:11]),
            (["load", "--again"], []),
            (["run", "--once"], []),
        ]
        for arguments, given in steps:
            ended = await deployment.run(*arguments, given="\n".join(given).encode())
            assert ended.code == 0, (arguments, ended.err)
        findings, figures = told(await deployment.run("verify", "--json"))
        assert (findings, figures["sound"]) == ([], True)
        assert {chain["bucket"] for chain in figures["chains"]} >= {"0", "1", "state"}
        assert deployment.topic("state.kotikunta") in figures["notCompared"]
        # Of most buckets the last commit is older than this.
        times = [json.loads(one.value or b"")["committedAt"] for one in await deployment.stored("ledger")]
        last = datetime.fromtimestamp(max(times) / 1000, UTC).isoformat()
        findings, some = told(await deployment.run("verify", "--json", "--since", last))
        assert (findings, some["sound"], len(some["chains"])) == ([], True, 1)
        assert await faults(deployment, "--upstream") == {}
        # And when persons have gone into a bucket that is new.
        smaller = deployment.but(VTJ_UPSTREAM__BUCKET_SIZE="10")
        assert re.match(r"split off: [1-9]", (await smaller.run("persons", "rebalance")).out)
        sandbox.grow(100)
        assert (await deployment.run("run", "--once")).code == 0
        assert await faults(deployment, "--upstream") == {}
