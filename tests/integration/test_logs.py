"""The log as JSON: nothing else on standard error, commits that can be traced, and who did what."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.cimpl import NewTopic

from producer.sandbox import Sandbox, xroad
from tests.integration.deployment import SOON, Deployment, Ended, change

pytestmark = pytest.mark.kafka

JSON = {"VTJ_LOG__FORMAT": "json"}


def lines(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.err.splitlines()]


async def test_a_commit_says_which_requests_it_came_of_and_the_last_line_why_it_ended(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, told = list[str](), xroad.response_headers

    def noted(request: web.Request, body: bytes) -> Mapping[str, str]:
        asked.append(request.headers["X-Road-Id"])
        return told(request, body)

    monkeypatch.setattr(xroad, "response_headers", noted)
    async with Sandbox(persons=20, history=60, page_size=20) as sandbox:
        following = (await deployment.small.apply_topics()).but(
            VTJ_UPSTREAM__URL=sandbox.url,
            VTJ_UPSTREAM__XROAD__CLIENT="FI-TEST/MUN/1234567-8/subsystem",
            VTJ_SCHEDULE__INTERVAL="1",
            PYTHONWARNINGS="always",
            PYTHONASYNCIODEBUG="1",
            **JSON,
        )
        async with following.start("run") as running:
            await running.says(f'"cursor":{sandbox.state()["last"]},')
            sandbox.set_faults([{"fault": 403, "times": None}])
            ended = await running.end(SOON)
    said = lines(ended)
    commits = [one for one in said if "upToDate" in one]
    assert sum(one["records"] for one in commits) == 60
    assert ", ".join(one["xRoadId"] for one in commits).split(", ") == asked[: sum(one["pages"] for one in commits)]
    for one in commits:
        assert (one["feed"], one["bucket"], one["shard"], one["logger"]) == ("vtj", "0", "0", "vtj.line")
    assert (said[-1]["exitCode"], said[-1]["level"], ended.code) == (3, "error", 3)
    assert said[-1]["error"].startswith("Upstream answered 403 ")
    assert said[-1]["hint"]


async def test_whoever_changes_something_leaves_one_line(deployment: Deployment) -> None:
    async with Sandbox(persons=20, history=40) as sandbox:
        codes = sandbox.codes()
        at_work = deployment.small.but(
            VTJ_UPSTREAM__URL=sandbox.url,
            VTJ_UPSTREAM__WATCHLIST="true",
            VTJ_UPSTREAM__START=None,
            VTJ_STATE__ENABLED="true",
            **JSON,
        )

        async def audited(command: str, given: str = "") -> list[str]:
            """What it left in the audit log."""
            done = await at_work.run(*command.split(), given=given.encode())
            assert done.code == 0, done.err
            said = [line for line in lines(done) if line.get("logger") == "vtj.audit"]
            for line in said:
                assert line["message"].endswith(f", by {line['user']} at {line['host']} (process {line['process']})")
            return [line["message"].partition(", by ")[0] for line in said]

        planned = len((await at_work.run("topics", "plan")).out.splitlines()) - 2
        assert await audited("topics apply") == [f"topics: {planned} difference(s) mended"]
        assert await audited("topics apply") == []
        assert await audited("persons add -", "\n".join(codes)) == [
            f"watchlist: {len(codes)} person(s) added, 0 removed"
        ]
        assert await audited("load") == [f"initial load of {len(codes)} person(s)"]
        sandbox.append([{**change(codes[0]), "tietoryhmat": "none"}])  # a dead letter
        started, stopped = await audited("run --once")
        assert started.startswith("started: feed vtj, release ")
        assert stopped == "stopped: done"
        assert await audited("run --once --skip-poison 7") == [
            started,
            "poison in the page after cursor 7 is passed over",
            stopped,
        ]
        assert await audited("cursor show") == await audited("status") == await audited("verify") == []

        shown = await at_work.run("cursor", "show", "--json")
        [(bucket, cursor)] = [
            (one["bucket"], int(one["cursor"]))
            for one in map(json.loads, shown.out.splitlines())
            if one["bucket"].isdecimal()
        ]
        topic, harmless = at_work.topic("change.kotikunta"), at_work.topic("change.henkilon-nimi")
        consumer = Consumer({"bootstrap.servers": at_work.bootstrap, "group.id": deployment.prefix})
        consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
        consumer.close()
        rewind = f"replay --group {deployment.prefix} --topics {topic}"
        since = f"--since {cursor - 1}"
        assert await audited(f"{rewind} {since}") == []
        assert await audited(f"{rewind} {since} --yes") == [
            f"group {deployment.prefix} set to since {cursor - 1} in 1 topic(s)"
        ]
        copies = f"{deployment.prefix}-copies"
        admin = at_work.admin
        for made in admin.create_topics([NewTopic(copies, 2)]).values():
            made.result(SOON)
        assert await audited(f"replay --to-topic {copies} --topics {harmless} {since}") == [
            f"copying since {cursor - 1} to {copies}"
        ]
        assert await audited(f"backfill {since}") == [
            f"backfill of cursors {cursor - 1} to {cursor}, of 0 named person(s)"
        ]

        listed = await at_work.run("dead-letters", "list", "--json")
        place, *_ = [json.loads(line)["place"] for line in listed.out.splitlines()]
        assert await audited(f"dead-letters show {place} --reveal") == [f"the content of {place} was shown"]
        assert await audited(f"dead-letters discard {place} --reason test") == []
        assert await audited(f"dead-letters discard {place} --reason test --yes") == [
            "discarded 1 dead letter(s) (test)"
        ]
        assert await audited(f"cursor set {cursor - 1} --yes") == [
            f"cursor of bucket {bucket} set from {cursor} to {cursor - 1}"
        ]
        assert await audited("persons remove -", codes[0]) == ["watchlist: 0 person(s) added, 1 removed"]
        [erased] = await audited("erase", codes[0])
        assert erased.startswith("erased a person under 1 code(s), 0 of them followed, in ")
