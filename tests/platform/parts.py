"""What the recipes of docs/platform run on: jars from Maven, PostgreSQL from Debian, and a process for each."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from fastavro import schemaless_writer

from tests.broker.orphans import Watcher
from tests.broker.ports import free_port
from tests.integration.deployment import ROOT, SOON, Deployment
from tests.oracle import Stored
from tests.oracle.schemas import Schemas
from tests.registry import NoRegistry
from tests.registry.maven import cached, maven

RECIPES = ROOT / "docs" / "platform"
HERE = Path(__file__).parent
PATIENCE = 300.0  # with whatever starts a JVM, beside others that do (s)


def recipe(name: str, instead: Mapping[str, str]) -> str:
    """A file of docs/platform with what its reader would put in place. Each must be there to be replaced."""
    text = (RECIPES / name).read_text("utf-8")
    for old, new in instead.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def jars(pom: Path, **versions: str) -> Path:
    """The dependencies of a POM. versions: what it leaves open."""
    properties = [f"-D{name}.version={version}" for name, version in versions.items()]
    meant = hashlib.sha256(pom.read_bytes() + "".join(properties).encode()).hexdigest()[:12]

    def fetch(folder: Path) -> None:
        maven("-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={folder}", *properties)

    try:
        return cached(f"{pom.stem}-{meant}", fetch)
    except NoRegistry as reason:
        pytest.fail(str(reason), pytrace=False)


@contextmanager
def process(command: Sequence[str], said: Path, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process with all that it starts; what it says stands in the file. Killed at the end, also of a killed test."""
    with said.open("ab") as log:
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **settings
        )
    watcher = Watcher('kill -s KILL -- "-$1"', str(started.pid))
    try:
        yield started
    finally:
        kill(started)
        watcher.dismiss()


def kill(started: subprocess.Popen[bytes]) -> None:
    if started.poll() is None:
        os.killpg(started.pid, signal.SIGKILL)
    started.wait(SOON)


class Postgres:
    """A server of this test's own."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder

    def run(self, sql: str, user: str = "postgres", **variables: str) -> str:
        """What psql prints of it."""
        told = [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
        command = ["psql", "--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", *self._where(user), "-d", "vtj", *told, "-f-"]
        done = subprocess.run(command, input=sql.encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def prepare(self) -> None:
        deadline = time.monotonic() + SOON
        while subprocess.run(["pg_isready", "-q", *self._where("postgres")], check=False).returncode != 0:
            assert time.monotonic() < deadline, (self._folder / "said.txt").read_text()
            time.sleep(0.1)
        subprocess.run(["createdb", *self._where("postgres"), "vtj"], check=True)

    def _where(self, user: str) -> list[str]:
        return ["-h", str(self._folder), "-p", str(self.port), "-U", user]


@contextmanager
def postgres() -> Iterator[Postgres]:
    """As the user `postgres` where the test is root's, as whom PostgreSQL does not run."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    programs = found[-1] if found else Path(shutil.which("initdb") or "nowhere").parent
    if not (programs / "initdb").exists() or shutil.which("psql") is None:
        pytest.fail("no PostgreSQL here: install it (Debian: apt-get install postgresql)", pytrace=False)
    owner: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="vtj-producer-postgres-"))
    watcher = Watcher('sleep 1; rm -rf -- "$1"', str(folder))
    try:
        if owner:
            shutil.chown(folder, "postgres", "postgres")
        data = ["-D", str(folder / "data")]
        made = ["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256", "--auth-local=trust"]
        subprocess.run([programs / "initdb", *data, *made], cwd=folder, capture_output=True, check=True, **owner)
        server = Postgres(folder)
        options = ["-k", str(folder), "-p", str(server.port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        command = [str(programs / "postgres"), *data, *options]
        with process(command, folder / "said.txt", cwd=folder, **owner) as started:
            server.prepare()
            yield server
            started.send_signal(signal.SIGINT)  # killed, it would leave its shared memory behind
            started.wait(SOON)
    finally:
        watcher.dismiss()
        shutil.rmtree(folder, ignore_errors=True)


def all_rows(groups: Iterable[str]) -> str:
    """SQL for every row of the tables of tables.sql, each as a line of JSON."""
    each = "select json_build_object('group', {0!r}, 'person', person, 'state', state) from vtj.\"{0}\""
    return " union all ".join(map(each.format, groups))


def as_stored(lines: str) -> list[Stored]:
    """Such lines, as they stood in the topics."""
    return [
        Stored(f"state.{row['group']}", 0, at, row["person"].encode(), encoded(f"change.{row['group']}", row["state"]))
        for at, row in enumerate(map(json.loads, lines.splitlines()))
    ]


def encoded(topic: str, event: Mapping[str, object]) -> bytes:
    """An event that came out of a sink, as it stood in its topic: for the oracle to judge."""
    body = io.BytesIO()
    schemaless_writer(body, Schemas.load().schema(topic), event, strict=True)
    return Schemas.load().encode_prefix(topic) + body.getvalue()


def abort(deployment: Deployment, record: Stored, value: bytes | None) -> None:
    """A transaction that writes other words under a record's key, and is aborted."""
    producer = Producer(
        {"bootstrap.servers": deployment.bootstrap, "transactional.id": f"{deployment.prefix}-aborted", "log_level": 0}
    )
    producer.init_transactions(SOON)
    producer.begin_transaction()
    producer.produce(deployment.topic(record.topic), value, record.key, record.partition)
    assert producer.flush(SOON) == 0
    producer.abort_transaction(SOON)
