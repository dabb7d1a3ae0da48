"""The change topics in Parquet, by Spark: every committed event once, however often it is killed."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import Deployment, until
from tests.oracle import Stored, judge, read_log
from tests.platform.parts import HERE, PATIENCE, RECIPES, abort, encoded, jars, kill, process
from tests.registry import RealRegistry

pytestmark = [pytest.mark.kafka, pytest.mark.long]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=100, history=300, page_size=40) as running:
        yield running


@pytest.fixture
async def fed(broker: Broker, prefix: str, sandbox: Sandbox, registry: RealRegistry) -> Deployment:
    """The history is in the topics, and an event that never was."""
    plan = Deployment(broker.bootstrap, prefix, sandbox.url).small
    plan = plan.but(VTJ_REGISTRY__URL=registry.url, VTJ_REGISTRY__AUTO_REGISTER="true")
    deployment = await (await plan.apply_topics()).caught_up(PATIENCE)
    first, *_ = await deployment.stored("change.kotikunta")
    abort(deployment, first, first.value)
    return deployment


class Job:
    """The recipe's program. Its checkpoint has a file for each batch that is begun, and one for each that is done."""

    def __init__(self, fed: Deployment, registry: RealRegistry, folder: Path) -> None:
        self._fed, self._registry, self._folder = fed, registry, folder
        self.said = folder / "said.txt"
        self.output, self._checkpoint = folder / "output", folder / "checkpoint"

    def start(self) -> AbstractContextManager[Popen[bytes]]:
        found = sorted(jars(HERE / "spark.xml", spark=version("pyspark")).glob("*.jar"))
        submit = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[2]"]
        submit += [
            "--jars",
            ",".join(map(str, found)),
            "--conf",
            "spark.ui.enabled=false",
            "--conf",
            "spark.driver.memory=768m",
        ]
        options = {
            "bootstrap-servers": self._fed.bootstrap,
            "registry": self._registry.url,
            "prefix": self._fed.prefix,
            "batch": "300",
            "checkpoint": str(self._checkpoint),
            "output": str(self.output),
        }
        here = {**os.environ, "PYSPARK_PYTHON": sys.executable}
        told = [part for name, value in options.items() for part in (f"--{name}", value)]
        return process([*submit, str(RECIPES / "changes.py"), *told], self.said, cwd=self._folder, env=here)

    def batches(self, what: str) -> list[int]:
        return sorted(int(path.name) for path in (self._checkpoint / what).glob("*") if path.name.isdigit())

    async def ends(self) -> None:
        with self.start() as running:
            code = await asyncio.to_thread(running.wait, PATIENCE)
        assert code == 0, self.said.read_text()[-5000:]
        assert self.batches("offsets") == self.batches("commits")

    async def is_killed_within_a_batch(self) -> None:
        """After one that is done, when the next has begun to write."""
        with self.start() as running:

            def within() -> bool:
                assert running.poll() is None, self.said.read_text()[-5000:]
                begun, done = self.batches("offsets"), self.batches("commits")
                return len(begun) > len(done) > 0 and any(self.output.glob(f"*/batch={begun[-1]}"))

            await until(within, "a batch is being written", PATIENCE)
            kill(running)
        assert self.batches("offsets") != self.batches("commits")

    def loses_its_last_note(self) -> None:
        """As after a crash between the last file and the note that the batch is done."""
        last = self.batches("commits")[-1]
        for path in (self._checkpoint / "commits").glob(f"*{last}*"):
            path.unlink()

    def rows(self) -> list[Stored]:
        """What is in the files, as it stood in the topics. Read by another hand than Spark's."""
        import pyarrow.parquet  # of the extra `platform`, as is pyspark

        found = []
        for file in self.output.rglob("*.parquet"):
            topic = file.relative_to(self.output).parts[0].removeprefix(f"{self._fed.prefix}.")
            for row in pyarrow.parquet.ParquetFile(file).read().to_pylist(maps_as_pydicts="strict"):
                partition, offset, key = (row.pop(name) for name in ("partition", "offset", "key"))
                for name in ("data", "inForce"):
                    if isinstance(row[name], str):
                        row[name] = json.loads(row[name])
                headers = [("ce_specversion", b"1.0"), ("ce_id", row["eventId"].encode())]
                found.append(Stored(topic, partition, offset, key.encode(), encoded(topic, row), headers))
        return sorted(found, key=lambda one: (one.topic, one.partition, one.offset))


async def assert_every_event_once(fed: Deployment, sandbox: Sandbox, job: Job) -> None:
    stored, rows = await fed.stored(), job.rows()
    change = [one for one in stored if one.topic.startswith("change.")]
    assert [place(one) for one in rows] == [place(one) for one in change]
    beside = [one for one in stored if not one.topic.startswith("change.")]
    verdict = judge(await asyncio.to_thread(read_log, sandbox.url), [*beside, *rows], fed.prefix, permit=fed.permit)
    assert verdict.sound, verdict
    assert verdict.cursor == sandbox.state()["last"]


def place(one: Stored) -> tuple[Any, ...]:
    return one.topic, one.partition, one.offset, one.key


async def test_parquet_has_every_committed_event_once(
    fed: Deployment, sandbox: Sandbox, registry: RealRegistry, tmp_path: Path
) -> None:
    job = Job(fed, registry, tmp_path)
    await job.is_killed_within_a_batch()
    await job.ends()
    await assert_every_event_once(fed, sandbox, job)
    job.loses_its_last_note()
    sandbox.grow(100)
    await fed.caught_up(PATIENCE)
    await job.ends()
    await assert_every_event_once(fed, sandbox, job)
