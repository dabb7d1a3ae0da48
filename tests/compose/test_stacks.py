"""The stacks of compose/, as docs/compose.md tells them: events arrive and are read, and nothing is left afterwards."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from playwright.async_api import expect

from tests.browser import DESKTOP, launched, reading
from tests.compose.stack import PREFIX, SOON, Stack, said, stack, until
from tests.compose.standins import standins
from tests.integration.test_consume import lines, running, shown, taken
from tests.oracle import Stored, read_topics
from tests.oracle.schemas import Schemas
from tests.platform.parts import all_rows, as_stored

pytestmark = pytest.mark.long

HISTORY, GROWN = 1000, 500  # changes in the sandbox from the start, and those that the tests add
KOTIKUNTA = "change.kotikunta"


def caught_up(one: Stack) -> None:
    """With all that the sandbox has told by now; and Prometheus has found the producers."""
    last = json.loads(one.sandbox("state"))["last"]
    until(lambda: one.cursor() >= last, f"cursor {last}")
    until(lambda: one.metric("max(vtj_up_to_date)") == 1, "ajanTasalla")


def all_arrived(one: Stack, at_least: int = HISTORY) -> None:
    verdict = one.judged()
    print(f"{one.name}: {verdict}")
    assert verdict.sound, verdict
    assert verdict.changes >= at_least


def read_by_a_stock_consumer(one: Stack, folder: Path) -> None:
    """The one of docs/consume.md reads what the oracle has decoded."""
    stored = read_topics(one.bootstrap, PREFIX, patience=SOON, access=one.access)
    events = [Schemas.load().decode(KOTIKUNTA, each.value or b"") for each in stored if each.topic == KOTIKUNTA]
    assert len(events) > 10
    instead = {
        '"localhost:9092",': f'"{one.bootstrap}", **{one.access!r},',
        "http://localhost:8080/apis/ccompat/v7": one.registry,
        "my-service": "reader",
    }
    (folder / "consume.py").write_text(taken("Python, with a registry", instead), "utf-8")
    with running(sys.executable, "-W", "error", "consume.py", folder=folder) as printed:
        assert sorted(lines(printed, len(events))) == sorted(map(shown, events))


async def test_all_of_it(tmp_path: Path) -> None:
    with stack() as one:
        caught_up(one)
        # The sandbox tells things that no schema knows, which is a ticket.
        assert one.metric('count(ALERTS{alertstate="firing", severity="page"})') is None
        async with launched() as browser:
            look = await reading(browser, DESKTOP, "en-GB")
            await look.page.goto(f"http://localhost:{one.ports['STATUS_PORT']}/")
            await expect(look.page.get_by_role("status")).to_have_text("Changes are flowing")
            await expect(look.page.locator("#topics")).to_contain_text("vtj.change.kotikunta")
            await look.page.screenshot(path=tmp_path / "status.png", full_page=True)
            print(f"status page: {tmp_path / 'status.png'}")
            assert look.complaints == []
            await look.page.close()
        # Another `up` changes nothing, and the jobs are repeated.
        one.do("up", "--wait")
        one.sandbox("grow", {"changes": GROWN})
        caught_up(one)
        all_arrived(one, HISTORY + GROWN)
        read_by_a_stock_consumer(one, tmp_path)


def test_secure(tmp_path: Path) -> None:
    with stack("secure") as one:
        caught_up(one)
        checked = one.do("exec", "-T", "producer", "vtj-producer", "check").decode()
        assert "client certificate" in checked
        one.do("cp", "secrets:/secrets/reader", str(tmp_path / "reader"))
        lines = (tmp_path / "reader" / "kafka.conf").read_text("utf-8").splitlines()
        one.access = {
            **dict(line.split("=", 1) for line in lines),
            "ssl.ca.location": str(tmp_path / "reader" / "ca.pem"),
        }
        all_arrived(one)
        read_by_a_stock_consumer(one, tmp_path)
        # Nobody without an account reads, and who may read may not write.
        with pytest.raises((KafkaException, TimeoutError)):
            read_topics(one.bootstrap, PREFIX, patience=10)
        refused: list[str] = []
        producer = Producer({"bootstrap.servers": one.bootstrap, **one.access})
        producer.produce(
            f"{PREFIX}.cursor", b"", on_delivery=lambda error, _: refused.append(error.name() if error else "written")
        )
        producer.flush(SOON)
        assert refused == ["TOPIC_AUTHORIZATION_FAILED"]
        # No secret is in a setting, and none is in a log.
        passwords = {one.access["sasl.password"], *secrets_of(one)}
        told = one.do("logs", "--no-color").decode() + one.do("config").decode()
        assert len(passwords) == 3
        assert not [password for password in passwords if password in told]


def secrets_of(one: Stack) -> list[str]:
    files = "kafka-password", "upstream-password"
    read = "import sys; [print(open(f'/run/secrets/{name}').read(), end='') for name in sys.argv[1:]]"
    return (
        one.do("run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "producer", "-Ic", read, *files)
        .decode()
        .split()
    )


def test_cluster(tmp_path: Path) -> None:
    """A broker dies, and the producer that is at work; the others go on."""
    with stack("cluster") as one:
        caught_up(one)
        working = one.metric("sum by (instance) (vtj_buckets) > 0")
        assert working is not None
        one.do("kill", "kafka-2")
        one.sandbox("grow", {"changes": GROWN})
        caught_up(one)
        said("kill", at_work(one))
        one.sandbox("grow", {"changes": GROWN})
        until(lambda: (one.metric("count(vtj_buckets > 0)") or 0) == 1, "the other producer")
        caught_up(one)
        all_arrived(one, HISTORY + 2 * GROWN)


def test_platform() -> None:
    """What is valid now arrives in PostgreSQL, row by row as it stands in the state topics."""
    with stack("platform", beside=standins()) as one:
        caught_up(one)
        one.sandbox("grow", {"changes": GROWN})
        caught_up(one)
        all_arrived(one, HISTORY + GROWN)
        told = valid(read_topics(one.bootstrap, PREFIX, patience=SOON))
        until(lambda: valid(rows(one)) == told, "the tables tell what the state topics do")
        print(f"{one.name}: {len(told)} rows in {len({topic for topic, _ in told})} tables")
        assert len(told) > 1000


def valid(stored: list[Stored]) -> dict[tuple[str, bytes | None], Any]:
    """What is valid of everybody in each group."""
    found: dict[tuple[str, bytes | None], Any] = {}
    for each in stored:
        if each.topic.startswith("state."):
            if each.value is None:
                found.pop((each.topic, each.key), None)
            else:
                told = Schemas.load().decode(each.topic.replace("state.", "change."), each.value)
                found[each.topic, each.key] = told
    return found


def rows(one: Stack) -> list[Stored]:
    ask = ["exec", "-T", "postgres", "psql", "--username", "postgres", "--dbname", "vtj", "-At", "--command"]
    tables = one.do(*ask, "select tablename from pg_tables where schemaname = 'vtj'").decode().split()
    return as_stored(one.do(*ask, all_rows(tables)).decode())


def at_work(one: Stack) -> str:
    """The container whose producer has the bucket."""
    for container in one.containers("producer"):
        told = said("exec", container, "python", "-Ic", METRICS)
        if 'vtj_buckets{feed="vtj"} 1.0' in told:
            return container
    pytest.fail("no producer works")


METRICS = """
from urllib.request import urlopen
print(urlopen("http://127.0.0.1:8080/metrics").read().decode())
"""


@pytest.mark.parametrize("port", ["KAFKA_PORT", "STATUS_PORT"])
def test_a_port_that_is_taken_is_named_and_nothing_is_left(port: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = str(other.getsockname()[1])
        one = Stack(ports={port: number})
        try:
            done = one.try_to("up", "--wait")
            assert done.returncode != 0
            assert number in done.stderr.decode(), done.stderr.decode()
        finally:
            one.down()
