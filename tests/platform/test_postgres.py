"""The state topics in PostgreSQL, by a stock Kafka Connect: row by row what upstream says."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from producer.sandbox import Sandbox
from tests import privacy
from tests.broker import VERSION, Broker
from tests.broker.jars import java
from tests.broker.jvm import LOG4J
from tests.broker.ports import free_port
from tests.integration.deployment import ROOT, Deployment, until
from tests.oracle import Stored
from tests.oracle.schemas import Schemas
from tests.oracle.state import judge_state, read_register
from tests.oracle.upstream import kebab
from tests.platform.parts import (
    HERE,
    PATIENCE,
    RECIPES,
    Postgres,
    abort,
    all_rows,
    as_stored,
    jars,
    kill,
    postgres,
    process,
    recipe,
)
from tests.registry import RealRegistry
from tests.registry.contract import CCOMPAT

pytestmark = [pytest.mark.kafka, pytest.mark.long]

GROUPS = [kebab(group) for group in sorted(Schemas.load().groups)]
PASSWORD = "sink"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=150, history=600, censored=True) as running:
        yield running


@pytest.fixture
async def fed(broker: Broker, prefix: str, sandbox: Sandbox, registry: RealRegistry, tmp_path: Path) -> Deployment:
    """With a load of everybody."""
    plan = Deployment(broker.bootstrap, prefix, sandbox.url).but(
        VTJ_STATE__ENABLED="true",
        VTJ_UPSTREAM__START=None,
        VTJ_REGISTRY__URL=registry.url,
        VTJ_REGISTRY__AUTO_REGISTER="true",
    )
    deployment = await plan.apply_topics()
    listed = tmp_path / "persons"
    listed.write_text("\n".join(sandbox.codes()))
    loaded = await deployment.run("load", str(listed), patience=PATIENCE)
    assert loaded.code == 0, loaded.err
    return deployment


@pytest.fixture
def database() -> Iterator[Postgres]:
    with postgres() as server:
        server.run((RECIPES / "tables.sql").read_text("utf-8"), groups=" ".join(GROUPS))
        server.run(f"alter role vtj_sink password '{PASSWORD}'")
        yield server


class Worker:
    """The recipe's connector on a worker of the recipe's plugins."""

    def __init__(self, fed: Deployment, registry: RealRegistry, database: Postgres, folder: Path) -> None:
        self._bootstrap, self._folder = fed.bootstrap, folder
        self.group = f"connect-{fed.prefix}-state"
        plugins = folder / "plugins"
        plugins.mkdir()
        (plugins / "vtj").symlink_to(jars(RECIPES / "plugins.xml"))
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "vtj-sink-password").write_text(PASSWORD)
        own = {"localhost:9092": fed.bootstrap, ":8083": f":{free_port()}", "/run/secrets": str(secrets)}
        worker = recipe("worker.properties", own) + "offset.flush.interval.ms=500\n"
        (folder / "worker.properties").write_text(worker)
        its = registry.url
        address = {
            "http://localhost:8080/apis/registry/v2": its.replace(CCOMPAT, "/apis/registry/v2"),
            "localhost:5432": f"127.0.0.1:{database.port}",
            "/run/secrets": str(secrets),
            "vtj[.]state": f"{fed.prefix}[.]state",
            '"vtj-state"': f'"{fed.prefix}-state"',
        }
        (folder / "state.json").write_text(recipe("state.json", address))
        self.said = folder / "said.txt"

    def start(self) -> AbstractContextManager[Popen[bytes]]:
        worker = jars(HERE / "worker.xml", kafka=VERSION)
        options = ["-Xmx512m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={LOG4J}", "-cp", f"{worker}/*"]
        main = ["org.apache.kafka.connect.cli.ConnectStandalone", "worker.properties", "state.json"]
        return process([java(), *options, *main], self.said, cwd=self._folder)

    async def reaches(self, stored: list[Stored], lives: Popen[bytes]) -> None:
        """Waits until the sink has noted the last record of every partition as done."""
        wanted = {(one.topic, one.partition): one.offset for one in stored if one.topic.startswith("state.")}
        admin = AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 0})

        def there() -> bool:
            assert lives.poll() is None, self.tail
            asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.group)])
            told = asked[self.group].result().topic_partitions
            noted = {("state." + one.topic.rpartition(".")[2], one.partition): one.offset for one in told}
            assert "Task is being killed" not in self.said.read_text(), self.tail
            return all(noted.get(slot, -1) > offset for slot, offset in wanted.items())

        await until(there, "the sink is at the end of the state topics", PATIENCE)

    @property
    def tail(self) -> str:
        return self.said.read_text()[-5000:]


def rows(database: Postgres) -> list[Stored]:
    """What stands in the tables, as it stood in the topics."""
    return as_stored(database.run(all_rows(GROUPS)))


async def assert_the_same(database: Postgres, sandbox: Sandbox) -> None:
    assert await asyncio.to_thread(judge_state, rows(database), sandbox.url, sandbox.codes()) == []


async def test_the_tables_are_what_upstream_says(
    fed: Deployment, sandbox: Sandbox, registry: RealRegistry, database: Postgres, tmp_path: Path
) -> None:
    worker = Worker(fed, registry, database, tmp_path)
    with worker.start() as running:
        await worker.reaches(await fed.stored(), running)
        await assert_the_same(database, sandbox)
        assert len(rows(database)) > 1500
        abort(fed, (await fed.stored("state.henkilon-nimi"))[0], None)
        sandbox.grow(200)
        await fed.caught_up(PATIENCE)
        await worker.reaches(await fed.stored(), running)
        await assert_the_same(database, sandbox)
        sandbox.grow(200)
        await fed.caught_up(PATIENCE)
        kill(running)
    with worker.start() as running:
        sandbox.grow(200)
        await fed.caught_up(PATIENCE)
        stored = await fed.stored()
        await worker.reaches(stored, running)
        await assert_the_same(database, sandbox)
        assert deleted(stored)["state.kotimainen-postiosoite"] > 0, deleted(stored)
        assert shown(database) == await asyncio.to_thread(told, sandbox)

        # What PostgreSQL does not take stops the sink, and says nothing of anybody.
        database.run("alter table vtj.kotikunta add check (state is null) not valid")
        sandbox.grow(100)
        await fed.caught_up(PATIENCE)
        await until(lambda: "Task is being killed" in worker.said.read_text(), "the sink has stopped", PATIENCE)
    assert "violates check constraint" in worker.said.read_text()
    assert privacy.shown(worker.said.read_text()) == []


def deleted(stored: list[Stored]) -> Counter[str]:
    """How many tombstones of each topic take something back."""
    count, there = Counter[str](), set[tuple[str, bytes | None]]()
    for one in stored:
        if one.topic.startswith("state."):
            if one.value is None and (one.topic, one.key) in there:
                count[one.topic] += 1
            there.discard((one.topic, one.key)) if one.value is None else there.add((one.topic, one.key))
    return count


def shown(database: Postgres) -> list[str]:
    """The query of the document."""
    document = (ROOT / "docs" / "platform.md").read_text("utf-8")
    [query] = re.findall(r"^```sql\n(.*?)^```", document, re.M | re.S)
    return sorted(database.run(query).splitlines())


def told(sandbox: Sandbox) -> list[str]:
    """The same from upstream."""
    found = []
    for record in read_register(sandbox.url, sandbox.codes()):
        for group in record["tietoryhmat"]:
            for entry in group.get("voimassaolevatTiedot", ()) if group["tietoryhma"] == "KOTIKUNTA" else ():
                since = (entry.get("kuntaanMuuttopv") or {}).get("arvo", "")
                found.append("|".join([record["henkilotunnus"], entry["kuntakoodi"], since]))
    return sorted(found)
