"""The consumers of docs/consume.md, taken from there and run: each reads the event of every group."""

import asyncio
import json
import re
import secrets
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from fastavro import parse_schema, schemaless_reader

from producer.config import Registry as Section
from producer.config import Settings, Topics
from producer.events.convert import Converter
from producer.events.framing import Framing, SingleObject
from producer.events.groups import Catalogue
from producer.events.identity import usable_building
from producer.events.pseudonyms import Pseudonyms
from producer.kafka.names import SHARDS, java_hash
from producer.model import EncodedEvent, Page
from producer.redaction import CHECK
from producer.registry.subjects import framing
from tests.broker import VERSION, Broker
from tests.broker.jars import java
from tests.broker.ports import free_port
from tests.integration.deployment import SOON
from tests.oracle.schemas import Schemas
from tests.registry import NoRegistry, RealRegistry
from tests.registry.contract import CCOMPAT
from tests.registry.maven import cached, maven

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "consume.md").read_text("utf-8")
POM = Path(__file__).parent / "java" / "pom.xml"
CATALOGUE = Catalogue.load()
TOPIC = "vtj.change.kotikunta"
JVM_PATIENCE = 90.0

Decoded = Mapping[str, dict[str, Any]]  # topic → the one event in it


def taken(heading: str, instead: Mapping[str, str]) -> str:
    """The code block under a heading, with what a reader would put in its place. Each must be there to be replaced."""
    section = DOCUMENT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    (code,) = re.findall(r"^```\w+\n(.*?)^```", section, re.M | re.S)
    for old, new in instead.items():
        assert old in code, old
        code = code.replace(old, new)
    return str(code)


def pages() -> Iterator[Page]:
    """The example of each group, and a group without a schema."""
    examples = [json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "schemas" / "examples").glob("*.json"))]
    unknown = json.loads(json.dumps(examples[0]).replace(examples[0]["tietoryhmat"][0]["tietoryhma"], "JOKU_MUU"))
    for cursor, record in enumerate([*examples, unknown], 1):
        yield Page("CHANGE", "0", cursor - 1, cursor, up_to_date=True, fetched_at=1_795_000_000_123, records=[record])


def events(framed: Framing, prefix: str) -> dict[str, EncodedEvent]:
    """By topic. Of an example that concerns several persons or groups, the first."""
    converter = Converter(CATALOGUE, framed, prefix=prefix, feed="vtj")
    found: dict[str, EncodedEvent] = {}
    for page in pages():
        for event in converter.convert(page).events:
            found.setdefault(event.topic, event)
    assert set(found) == set(CATALOGUE.topics(prefix))
    return found


@dataclass(frozen=True)
class Published:
    bootstrap: str
    prefix: str
    topics: Decoded


def publish(broker: Broker, prefix: str, found: Mapping[str, EncodedEvent]) -> Published:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for future in admin.create_topics([NewTopic(name, 1) for name in found]).values():
        future.result(SOON)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for topic, event in found.items():
        producer.produce(topic, event.value, event.key, headers=dict[str, str | bytes | None](event.headers))
    assert producer.flush(SOON) == 0
    decoded = {name: Schemas.load().decode(name.split(".", 1)[1], event.value) for name, event in found.items()}
    return Published(broker.bootstrap, prefix, decoded)


@pytest.fixture(scope="module")
def registered(broker: Broker, registry: RealRegistry) -> Published:
    prefix = f"read-{secrets.token_hex(3)}"
    settings = Settings(registry=Section(url=registry.url, auto_register=True), topics=Topics(prefix=prefix))
    return publish(broker, prefix, events(asyncio.run(framing(settings, CATALOGUE)), prefix))


@pytest.fixture(scope="module")
def plain(broker: Broker) -> Published:
    prefix = f"read-{secrets.token_hex(3)}"
    return publish(broker, prefix, events(SingleObject(), prefix))


@pytest.fixture(scope="module")
def jars() -> Path:
    def fetch(folder: Path) -> None:
        maven(
            "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}", f"-Dkafka.version={VERSION}"
        )

    try:
        return cached(f"consumers-{VERSION}", fetch)
    except NoRegistry as reason:
        pytest.fail(str(reason), pytrace=False)


@contextmanager
def running(*command: str, folder: Path) -> Iterator[Path]:
    """A process that does not end by itself; what it prints stands in the file."""
    said = folder / "said.txt"
    with said.open("wb") as out, (folder / "wrong.txt").open("wb") as err:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
    try:
        yield said
    finally:
        process.kill()
        process.wait(SOON)


def lines(file: Path, count: int, patience: float = SOON) -> list[str]:
    """Waits until there are so many, and gives a moment for one too many."""
    deadline = time.monotonic() + patience
    while not file.exists() or file.read_bytes().count(b"\n") < count:
        wrong = (file.parent / "wrong.txt").read_text("utf-8", "replace")
        found = file.read_bytes().count(b"\n") if file.exists() else 0
        assert time.monotonic() < deadline, f"{found} lines, not {count}; on standard error:\n{wrong[-3000:]}"
        time.sleep(0.1)
    time.sleep(0.3)
    return file.read_text("utf-8").splitlines()


def python(tmp_path: Path, code: str) -> list[str]:
    (tmp_path / "consume.py").write_text(code, "utf-8")
    count = len(CATALOGUE.groups) + 1 if "AvroDeserializer" in code else 1
    with running(sys.executable, "-W", "error", "consume.py", folder=tmp_path) as said:
        return lines(said, count)


def shown(event: Mapping[str, Any]) -> str:
    return f"{event['group']} {event['changeType']} {event['data']}"


def test_python_with_a_registry(registered: Published, registry: RealRegistry, tmp_path: Path) -> None:
    instead = {
        **consumer_of(registered),
        "http://localhost:8080/apis/ccompat/v7": registry.url,
        f'["{TOPIC}"]': repr(list(registered.topics)),
    }
    code = taken("Python, with a registry", instead)
    assert sorted(python(tmp_path, code)) == sorted(map(shown, registered.topics.values()))


def test_python_without_a_registry(plain: Published, tmp_path: Path) -> None:
    show = [sys.executable, "-m", "producer", "schemas", "show", "kotikunta"]
    (tmp_path / "kotikunta.avsc").write_bytes(subprocess.run(show, cwd=ROOT, capture_output=True, check=True).stdout)
    topic = f"{plain.prefix}.change.kotikunta"
    code = taken("Python, without a registry", {**consumer_of(plain), TOPIC: topic})
    assert python(tmp_path, code) == [shown(plain.topics[topic])]


@pytest.mark.parametrize("group", [*CATALOGUE.groups.values(), CATALOGUE.unmapped], ids=lambda group: group.suffix)
def test_fastavro_reads_every_group(group: Any) -> None:
    """With the published schema, as `schemas show` prints it, on single-object bytes."""
    topic = f"vtj.change.{group.suffix}"
    value = events(SingleObject(), "vtj")[topic].value
    body = BytesIO(value[10:])
    assert schemaless_reader(body, parse_schema(json.loads(json.dumps(group.schema))), None) == Schemas.load().decode(
        topic.removeprefix("vtj."), value
    )
    assert not body.read()


def plainly(value: Any) -> Any:
    """As Avro's generic records show it: logical types are the numbers and strings under them."""
    if isinstance(value, dict):
        return {name: plainly(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plainly(one) for one in value]
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, date):
        return (value - date(1970, 1, 1)).days
    return str(value) if isinstance(value, UUID) else value


def with_compiler() -> str:
    try:
        found = java()
    except Exception as reason:
        pytest.fail(
            f"{reason}: install a JDK, 17 or later (Debian: apt-get install default-jdk-headless)", pytrace=False
        )
    if not Path(found).resolve().with_name("javac").exists():
        pytest.fail(
            "no Java compiler here: install a JDK (Debian: apt-get install default-jdk-headless)", pytrace=False
        )
    return found


def consumer_of(published: Published) -> dict[str, str]:
    """A group of its own: one whose member was killed lets nobody in for the length of a session."""
    return {"localhost:9092": published.bootstrap, "my-service": f"my-service-{secrets.token_hex(3)}"}


def own_api(registry: RealRegistry) -> dict[str, str]:
    url = str.replace(registry.url, CCOMPAT, "/apis/registry/v2")
    return {"http://localhost:8080/apis/registry/v2": url}


def test_java_with_a_registry(registered: Published, registry: RealRegistry, jars: Path, tmp_path: Path) -> None:
    pattern = f'java.util.regex.Pattern.compile("{registered.prefix}[.]change[.].*")'
    instead = {**consumer_of(registered), f'List.of("{TOPIC}")': pattern, **own_api(registry)}
    code = taken("Java, with a registry", instead)
    (tmp_path / "Consume.java").write_text(code, "utf-8")
    command = [with_compiler(), "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", f"{jars}/*", "Consume.java"]
    with running(*command, folder=tmp_path) as said:
        found = lines(said, len(registered.topics), JVM_PATIENCE)
    told = {topic: json.loads(record) for topic, record in (line.split("\t", 1) for line in found)}
    assert len(found) == len(told)
    assert told == {topic: plainly(event) for topic, event in registered.topics.items()}


def test_kafka_connect(registered: Published, registry: RealRegistry, jars: Path, tmp_path: Path) -> None:
    more = {f"topics={TOPIC}": f"topics={','.join(registered.topics)}", **own_api(registry)}
    (tmp_path / "sink.properties").write_text(taken("Kafka Connect, with a registry", more), "utf-8")
    worker = {
        "bootstrap.servers": registered.bootstrap,
        "offset.storage.file.filename": "offsets",
        "listeners": f"http://127.0.0.1:{free_port()}",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    }
    (tmp_path / "worker.properties").write_text("".join(f"{name}={value}\n" for name, value in worker.items()))
    options = ["-Dfile.encoding=UTF-8", "-XX:+UseSerialGC", "-Xmx256m", "-cp", f"{jars}/*"]
    main = ["org.apache.kafka.connect.cli.ConnectStandalone", "worker.properties", "sink.properties"]
    with running(with_compiler(), *options, *main, folder=tmp_path):
        found = lines(tmp_path / "kotikunta.txt", len(registered.topics), JVM_PATIENCE)
    groups = [re.findall(r"[{,]group=([^,]+),", line) for line in found]
    assert sorted(groups) == sorted([event["group"]] for event in registered.topics.values())
    (kotikunta,) = (line for line in found if "group=KOTIKUNTA," in line)
    data = registered.topics[f"{registered.prefix}.change.kotikunta"]["data"]
    assert f"kuntakoodi={data['kuntakoodi']}" in kotikunta


def test_kcat(registered: Published) -> None:
    kcat = shutil.which("kcat")
    if kcat is None:
        pytest.fail("no kcat here: install it (Debian: apt-get install kcat)", pytrace=False)
    topic = f"{registered.prefix}.change.kotikunta"
    command = taken("kcat", {"localhost:9092": registered.bootstrap, TOPIC: topic})
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    [line] = done.stdout.splitlines()
    offset, headers = line.split(" ", 1)
    told = dict(one.split("=", 1) for one in headers.split(","))
    assert offset == "0"
    assert told["ce_type"] == "fi.vtj.change.kotikunta"
    assert told["content-type"] == "application/avro"
    without = subprocess.run(
        [kcat, "-C", "-b", registered.bootstrap, "-t", topic, "-e", "-s", "value=avro"],
        capture_output=True,
        check=False,
    )
    assert without.returncode != 0, "Debian's kcat has learnt Avro: docs/consume.md can say more"


def test_a_key_has_the_partition_that_java_gives_it(jars: Path, persons: list[str]) -> None:
    """Of persons, pseudonyms and buildings, for all the counts that there may be: Java's consumers can join."""
    hidden = Pseudonyms(b"a" * 32, 1)
    buildings = [f"{number}{CHECK[number % 31]}" for number in range(900_000_000, 900_000_500)]
    feeds = [f"vtj/{bucket}" for bucket in ("state", *range(40))]
    keys = [one.encode() for one in (*persons, *map(hidden.of, persons), *buildings, *feeds, "Å" * 32)]
    assert all(map(usable_building, buildings))
    counts = [1, 2, 3, Topics().partitions, SHARDS, 7, 30, 128, 1000]
    told = subprocess.run(
        [with_compiler(), "-cp", f"{jars}/*", str(POM.with_name("Partitions.java")), *map(str, counts)],
        input=b"\n".join(map(b64encode, keys)),
        capture_output=True,
        timeout=JVM_PATIENCE,
        check=True,
    ).stdout
    in_java = [[int(partition) for partition in line.split()] for line in told.splitlines()]
    assert in_java == [[java_hash(key) % count for count in counts] for key in keys]
    assert {row[counts.index(SHARDS)] for row in in_java} == set(range(SHARDS))
