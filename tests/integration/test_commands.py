"""`cursor show` and `tail`: what people see of a feed, and that no identity code is an argument on the way."""

import asyncio
import json
import secrets
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer

from producer.events.codesets import Codesets
from producer.kafka.reader import committed
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import KOTIKUNTA, SOON, Deployment

pytestmark = pytest.mark.kafka
CODESETS = Codesets.load()


@pytest.fixture(scope="module")
def filled(broker: Broker) -> Deployment:
    """A feed of eighty changes, one of which no person belongs to."""

    async def fill() -> Deployment:
        async with Sandbox(persons=40, history=80) as sandbox:
            sandbox.append(["ei tietue"])
            deployment = Deployment(broker.bootstrap, f"show-{secrets.token_hex(3)}", sandbox.url)
            await deployment.apply_topics()
            ended = await deployment.run("run", "--once")
            assert ended.code == 0, ended.err
            return deployment

    return asyncio.run(fill())


async def test_cursor_show_tells_where_the_feed_stands(filled: Deployment) -> None:
    last = (await filled.entries("cursor"))[-1]
    as_json = await filled.run("cursor", "show", "--json")
    assert as_json.code == 0, as_json.err
    assert [json.loads(line) for line in as_json.out.splitlines()] == [last]
    for_people = await filled.run("cursor", "show")
    assert for_people.code == 0, for_people.err
    for shown in (str(last["cursor"]), str(last["previousCursor"]), last["instance"], "vtj", "yes"):
        assert shown in for_people.out


async def test_cursor_show_of_a_feed_that_never_began(deployment: Deployment) -> None:
    deployment = deployment.small
    nothing = await deployment.run("cursor", "show")
    assert nothing.code == 5
    assert f"{deployment.topic('cursor')}: missing" in nothing.err
    await deployment.apply_topics()
    empty = await deployment.run("cursor", "show")
    assert (empty.code, empty.err) == (0, "")
    assert "No bucket has a position" in empty.out
    assert (await deployment.run("cursor", "show", "--json")).out == ""


async def test_tail_shows_every_committed_event_decoded(filled: Deployment) -> None:
    stored = [one for one in await filled.stored() if one.topic not in ("cursor", "identity", "ledger")]
    ended = await filled.run("tail", "--from-beginning", "--once")
    assert (ended.code, ended.err) == (0, "")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert sorted((line["topic"], line["partition"], line["offset"]) for line in lines) == [
        (filled.topic(one.topic), one.partition, one.offset) for one in stored
    ]
    kotikunta = [line["value"]["eventId"] for line in lines if line["topic"] == filled.topic("change.kotikunta")]
    assert sorted(kotikunta) == sorted(str(event["eventId"]) for event in await filled.events())
    assert {line["headers"]["ce_specversion"] for line in lines} == {"1.0"}
    [letter] = [line for line in lines if line["topic"] == filled.topic("dead-letter")]
    assert (letter["key"], letter["value"]["reason"]) == (None, "record-not-object")
    letters = await filled.run("tail", "--from-beginning", "--once", "--group", "dead-letter")
    assert [json.loads(line) for line in letters.out.splitlines()] == [letter]


async def test_tail_shows_what_codes_mean(filled: Deployment) -> None:
    arguments = ("tail", "--group", "kotikunta", "--from-beginning", "--once")
    plain, labelled = [await filled.run(*arguments), await filled.run(*arguments, "--labels", "sv")]
    assert (plain.code, labelled.code, labelled.err) == (0, 0, "")
    lines = {(line["partition"], line["offset"]): line for line in map(json.loads, labelled.out.splitlines())}
    labels = {at: line.pop("labels") for at, line in lines.items()}
    assert lines == {(line["partition"], line["offset"]): line for line in map(json.loads, plain.out.splitlines())}
    for at, line in lines.items():
        assert labels[at]["data.kuntakoodi"] == CODESETS.label("kunta", line["value"]["data"]["kuntakoodi"], "sv")
    table = await filled.run(*arguments, "--table", "--labels")
    assert (table.code, len(table.out.splitlines())) == (0, len(lines)), table.err
    for line in lines.values():
        code = line["value"]["data"]["kuntakoodi"]
        assert f"kuntakoodi={code} {CODESETS.label('kunta', code, 'fi')}" in table.out


async def test_what_is_committed_behind_an_open_transaction_is_waited_for(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last stable offset lies before it, as it does for a moment after every commit."""
    topic = deployment.create_topics({KOTIKUNTA: 1}).topic(KOTIKUNTA)
    stranger, committer = (
        Producer({"bootstrap.servers": deployment.bootstrap, "transactional.id": f"{topic}-{name}", "log_level": 0})
        for name in ("stranger", "committer")
    )
    for producer, value in ((stranger, b"aborted"), (committer, b"committed")):
        producer.init_transactions(SOON)
        producer.begin_transaction()
        producer.produce(topic, value)
        assert producer.flush(SOON) == 0
    committer.commit_transaction(SOON)
    getmany = AIOKafkaConsumer.getmany

    async def aborted_by_then(consumer: AIOKafkaConsumer, **options: Any) -> Any:
        monkeypatch.undo()
        await asyncio.to_thread(stranger.abort_transaction, SOON)
        return await getmany(consumer, **options)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", aborted_by_then)
    records = committed(deployment.settings.kafka, [topic], from_beginning=True, once=True)
    assert [record.value async for record in records] == [b"committed"]


async def test_tail_of_one_group_and_of_one_person(filled: Deployment, tmp_path: Path) -> None:
    stored = await filled.stored("change.kotikunta")
    person = stored[0].key
    assert person is not None
    group = await filled.run("tail", "--group", "kotikunta", "--from-beginning", "--once", "--table")
    assert group.code == 0, group.err
    assert len(group.out.splitlines()) == len(stored)
    assert all("KOTIKUNTA" in line for line in group.out.splitlines())
    expected = sum(one.key == person for one in await filled.stored())
    file = tmp_path / "person"
    file.write_bytes(person + b"\n")
    for place, given in (("-", person + b"\n"), (str(file), b"")):
        ended = await filled.run("tail", "--person-file", place, "--from-beginning", "--once", given=given)
        assert ended.code == 0, ended.err
        assert [json.loads(line)["key"] for line in ended.out.splitlines()] == [person.decode()] * expected


async def test_tail_waits_for_what_comes_and_names_no_person_in_the_process_list(
    broker: Broker, prefix: str, persons: list[str]
) -> None:
    async with Sandbox(persons=40, history=40) as sandbox:
        deployment = await Deployment(broker.bootstrap, prefix, sandbox.url).small.apply_topics()
        code = sandbox.codes()[0]
        record = {"henkilotunnus": code, "tietoryhmat": [{"tietoryhma": "KOTIKUNTA", "kuntakoodi": "091"}]}
        assert (await deployment.run("run", "--once")).code == 0
        arguments = ("tail", "--group", "KOTIKUNTA", "--person-file", "-")
        async with deployment.start(*arguments, given=f"{code}\n".encode()) as tail:
            # It begins at the end of now, which it finds at a moment that only its first line tells.
            while not tail.out:
                sandbox.append([record])
                assert (await deployment.run("run", "--once")).code == 0
            listed = subprocess.check_output(["ps", "-ww", "-o", "args=", str(tail.pid)], text=True)
            assert "tail --group KOTIKUNTA --person-file -" in listed
            assert code not in listed
            assert json.loads(tail.out.splitlines()[0])["key"] == code


async def test_tail_says_what_is_missing(deployment: Deployment) -> None:
    missing = await deployment.run("tail")
    assert missing.code == 5
    assert "vtj-producer topics apply" in missing.err
    unknown = await deployment.run("tail", "--group", "MERKKARI")
    assert unknown.code == 2
    assert "MERKKARI" in unknown.err
    assert "schemas list" in unknown.err
    nobody = await deployment.run("tail", "--person-file", "-", given=b"\n")
    assert nobody.code == 2
    for ended in (missing, unknown, nobody):
        assert ended.out == ""
        assert "Traceback" not in ended.err


def test_a_reader_that_goes_away_ends_tail_quietly(filled: Deployment) -> None:
    with filled.pipe("tail", "--from-beginning") as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert json.loads(tail.stdout.readline())["topic"].startswith(filled.prefix)
        tail.stdout.close()
        assert tail.wait(SOON) == 0
        assert tail.stderr.read() == b""
