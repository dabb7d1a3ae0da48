"""What a running service tells of itself over HTTP: the same as the ledger, the sandbox and the broker know."""

import asyncio
import re
import socket
from collections import Counter
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from producer.sandbox import Sandbox
from tests.integration.deployment import SOON, Deployment, Instance, change, kotikunta

pytestmark = pytest.mark.kafka

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def address(running: Instance) -> str:
    await running.says("serving on http://")
    found = re.search(r"serving on (http://\S+?)[\"\s]", running.log)
    assert found is not None
    return found[1]


async def ask(root: str, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{root}{path}") as answer:
        return answer.status, await (answer.text() if path == "/metrics" else answer.json())


async def scraped(root: str) -> Series:
    """By the format's own parser, which is a strict one."""
    _, text = await ask(root, "/metrics")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


def of(series: Series, name: str, **labels: str) -> float | None:
    return series.get((name, frozenset(labels.items())))


async def test_metrics_say_what_the_ledger_does_and_readiness_what_fails(deployment: Deployment) -> None:
    async with Sandbox(persons=50, history=300) as sandbox:
        somebody, unknown = sandbox.codes()[0], {"tietoryhma": "UUSI_RYHMA", "arvo": 1}
        sandbox.append(["no object", change(somebody, kotikunta(uusi=1), unknown)])
        serving = (await deployment.small.apply_topics()).but(
            VTJ_UPSTREAM__URL=sandbox.url,
            VTJ_SERVER__PORT="0",
            VTJ_SCHEDULE__INTERVAL="1",
            VTJ_UPSTREAM__RETRY_WAIT="0.5",
        )
        with socket.create_server(("127.0.0.1", 0)) as silent:
            waiting = serving.but(
                VTJ_KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{silent.getsockname()[1]}", VTJ_KAFKA__COMMIT_TIMEOUT="300"
            )
            async with waiting.start("run") as starting:
                root = await address(starting)
                assert (await ask(root, "/healthz"))[0] == 200
                status, told = await ask(root, "/readyz")
                assert (status, [*told["failing"]["vtj"]]) == (503, ["group"])
        async with serving.start("run") as running:
            root = await address(running)
            await running.says(f"committed cursor {sandbox.state()['last']}:")
            await until_answers(root, 200)
            (last,) = sandbox.append([change(somebody)])
            await running.says(f"committed cursor {last}:")

            series = await scraped(root)
            entries = [one for one in await deployment.entries() if one["previousCursor"] is not None]
            for name in ("pages", "records", "events"):
                assert of(series, f"vtj_{name}_total", feed="vtj") == sum(entry[name] for entry in entries), name
            assert of(series, "vtj_commits_total", feed="vtj") == len(entries)
            assert await deployment.cursor() == last
            stored = Counter(deployment.topic(one.topic) for one in await deployment.stored())
            for topic in stored.keys() - {deployment.topic("cursor"), deployment.topic("ledger")}:
                assert of(series, "vtj_topic_records_total", feed="vtj", topic=topic) == stored[topic], topic
            assert of(series, "vtj_dead_letters_total", feed="vtj", reason="record-not-object") == 1
            assert of(series, "vtj_unmapped_total", feed="vtj", group="KOTIKUNTA") == 1
            odd = [dict(one.headers).get("ce_reason") for one in await deployment.stored("change.unmapped")]
            assert of(series, "vtj_unmapped_total", feed="vtj", group="unknown") == odd.count(None) > 0
            assert of(series, "vtj_page_to_commit_seconds_count", feed="vtj") == sum(one["pages"] for one in entries)
            assert of(series, "vtj_change_to_commit_seconds_count", feed="vtj")
            assert of(series, "vtj_backlog_seconds", feed="vtj") == 0
            assert of(series, "vtj_buckets", feed="vtj") == of(series, "vtj_up_to_date", feed="vtj", bucket="0") == 1
            assert 0 < (of(series, "vtj_quota_left", feed="vtj") or 0) < 600
            assert of(series, "process_resident_memory_bytes")

            sandbox.set_faults([{"fault": 503, "times": None}])
            await running.says("Asking again")
            status, told = await ask(root, "/readyz")
            assert (status, [*told["failing"]["vtj"]]) == (503, ["upstream"])
            assert told["failing"]["vtj"]["upstream"].startswith("Upstream answered 503 ")
            sandbox.set_faults([])
            await until_answers(root, 200)
            assert of(await scraped(root), "vtj_retries_total", feed="vtj", cause="503")

            taken = await serving.but(VTJ_SERVER__PORT=root.rpartition(":")[2]).run("run")
            assert (taken.code, "VTJ_SERVER__PORT" in taken.err, "Traceback" in taken.err) == (2, True, False), (
                taken.err
            )

            async with aiohttp.ClientSession() as session:  # whose connection stays open
                await session.get(f"{root}/healthz")
                ended = await running.stop()
            assert ended.code == 0
            assert ended.seconds < 5
            assert "vtj.audit: started: feed vtj, release" in ended.err
            assert "vtj.audit: stopped: told to, by" in ended.err


async def until_answers(root: str, status: int) -> Any:
    """What /readyz says with that status."""
    async with asyncio.timeout(SOON):
        while (found := await ask(root, "/readyz"))[0] != status:
            await asyncio.sleep(0.05)
    return found[1]


async def test_once_serves_nobody(deployment: Deployment) -> None:
    async with Sandbox(persons=5, history=5) as sandbox:
        once = (await deployment.small.apply_topics()).but(VTJ_UPSTREAM__URL=sandbox.url, VTJ_SERVER__PORT="0")
        done = await once.run("run", "--once")
    assert done.code == 0
    assert "serving on" not in done.err
