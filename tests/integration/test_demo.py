"""The demo as a user sees it: in a pseudo-terminal and in a pipe, on the embedded broker and on a real Kafka.

What it prints is counted again here, from the sandbox's log and from the topics, by code that is not the demo's.
"""

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.oracle import audit, read_topics

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0
DEMO = [sys.executable, "-m", "producer", "demo"]
# Makes the pseudo-terminal the terminal of the session, so that its Ctrl-C becomes a signal, and becomes the demo.
TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
AGREED = "They agree: read again with read_committed, compared with the sandbox's own log."
ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The embedded broker's folder comes to lie in tmp_path."""
    return {**os.environ, "TMPDIR": str(tmp_path), "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}


class Terminal:
    """A terminal of 80 × 24 with the demo in it."""

    def __init__(self, environment: Mapping[str, str], *arguments: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", TERMINAL, *DEMO, *arguments],
            cwd=ROOT,
            env=dict(environment),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._bytes = b""

    @property
    def text(self) -> str:
        return self._bytes.decode(errors="replace").replace("\r\n", "\n")

    def until(self, pattern: str) -> re.Match[str]:
        """Waits until the pattern has been written. Fails when the demo ends without."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, f"{pattern!r} did not come"
            assert self._read(), f"the demo ended without {pattern!r}"
        return found

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def end(self) -> int:
        """Reads to the end. The exit code."""
        while self._read():
            pass
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], PATIENCE)
        assert ready, "the demo is silent"
        try:
            chunk = os.read(self._master, 65_536)
        except OSError:  # Linux: nobody holds the other end any more
            return False
        self._bytes += chunk
        return bool(chunk)


@contextmanager
def terminal(environment: Mapping[str, str], *arguments: str) -> Iterator[Terminal]:
    one = Terminal(environment, *arguments)
    try:
        yield one
    finally:
        one.close()


@contextmanager
def piped(environment: Mapping[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*DEMO, *arguments],
        cwd=ROOT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_commit(demo: subprocess.Popen[str]) -> str:
    """Reads until changes have been committed. What was said until then."""
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if re.match(r"[1-9][\d,]* change records → ", line):
            return said
    raise AssertionError(f"the demo ended without a commit: {said}")


@dataclass(frozen=True)
class Summary:
    prefix: str
    address: str
    records: int
    cursor: int
    topics: dict[str, int]  # without the prefix


def summary(text: str) -> Summary:
    """What the demo says at its end, and that it says so of itself that all agrees."""
    where = re.search(r"topics (demo-[0-9a-f]{6})\.\* on ([\d.]+:\d+)", text)
    became = re.search(r"([\d,]+) change records became ([\d,]+) events on (\d+) topics,\s+up to cursor (\d+)", text)
    assert where is not None
    assert became is not None
    rows = re.findall(rf"^{where[1]}\.(\S+) +([\d,]+) +([\d,]+)", text, re.MULTILINE)
    assert all(expected == read for _, expected, read in rows)
    topics = {topic: number(read) for topic, _, read in rows}
    assert sum(topics.values()) == number(became[2])
    assert len(topics) == number(became[3])
    assert AGREED in text
    return Summary(where[1], where[2], number(became[1]), int(became[4]), topics)


def number(text: str) -> int:
    return int(text.replace(",", ""))


def told(records: int) -> tuple[int, dict[str, int]]:
    """What a sandbox of the same seed tells in its first so many changes: the last key, and events by topic."""
    files = (ROOT / "schemas" / "avro" / "groups").glob("*.avsc")
    suffixes = {json.loads(path.read_text("utf-8"))["tietoryhma"]: path.stem for path in files}
    log = Sandbox(history=records).log()
    events: Counter[str] = Counter()
    for _, record in log:
        for group in record["tietoryhmat"]:
            events[f"change.{suffixes.get(group['tietoryhma'], 'unmapped')}"] += len(codes(record))
    return log[-1][0], dict(events)


def codes(record: dict[str, Any]) -> set[str]:
    named = {record["henkilotunnus"]}
    for group in record["tietoryhmat"]:
        if group["tietoryhma"] == "HENKILOTUNNUS_KORJAUS":
            named |= {group[name] for name in ("aktiivinenHenkilotunnus", "muutettuHenkilotunnus") if name in group}
    return named


def assert_nothing_is_left(folder: Path, address: str) -> None:
    """The keeper removes the folder last, when the broker has ended."""
    deadline = time.monotonic() + PATIENCE
    while list(folder.iterdir()):
        assert time.monotonic() < deadline, "the embedded broker's folder is still there"
        time.sleep(0.05)
    host, port = address.split(":")
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port))):
        pass


def test_once_shows_the_changes_in_a_terminal_and_prints_true_counts(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with terminal(environment, "--once") as demo:
        assert demo.end() == 0
        text = demo.text
    screen, _, rest = text.partition(BACK)
    assert ALTERNATE in screen
    assert "never for production" in screen
    printed = summary(text)
    assert (printed.cursor, printed.topics) == told(printed.records)
    assert printed.records >= 3000
    assert "\x1b[?25h" in text[text.rindex(ALTERNATE) :], "the terminal's cursor stays hidden"
    assert "GLIBC" not in text
    assert "Traceback" not in rest
    assert_nothing_is_left(tmp_path, printed.address)


def test_ctrl_c_in_the_live_view_ends_with_the_checked_summary(environment: dict[str, str], tmp_path: Path) -> None:
    with terminal(environment) as demo:
        demo.until(r"up to date at \d\d:\d\d:\d\d")
        demo.until(r"latest events")
        demo.until(r"vakinainen-kotimainen-osoite")
        demo.until(r"LISATTY|MUUTETTU")
        demo.press(b"\x03")
        assert demo.end() == 0
        text = demo.text
    printed = summary(text)
    assert (printed.cursor, printed.topics) == told(printed.records)
    assert_nothing_is_left(tmp_path, printed.address)


def test_sigterm_ends_it_too_and_a_pipe_gets_plain_lines(environment: dict[str, str], tmp_path: Path) -> None:
    with piped(environment) as demo:
        said = first_commit(demo)
        demo.send_signal(signal.SIGTERM)
        out, err = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, unlike_slow(err)) == (0, [])
    assert "\x1b" not in said + out
    assert "never for production" in said
    printed = summary(said + out)
    assert (printed.cursor, printed.topics) == told(printed.records)
    assert_nothing_is_left(tmp_path, printed.address)


def unlike_slow(err: str) -> list[str]:
    """The lines but for what a busy machine makes Kafka wait for."""
    return [line for line in err.splitlines() if "not done after 5 s" not in line]


@pytest.mark.kafka
async def test_a_kafka_that_is_given_holds_what_the_demo_says(
    environment: dict[str, str], tmp_path: Path, broker: Broker
) -> None:
    with piped(environment, "--once", "--bootstrap-servers", broker.bootstrap) as demo:
        out, err = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, unlike_slow(err)) == (0, [])
    printed = summary(out)
    assert printed.address == broker.bootstrap
    stored = Counter(one.topic for one in read_topics(broker.bootstrap, printed.prefix))
    for topic in ("cursor", "identity", "ledger"):
        del stored[topic]
    assert printed.topics == stored
    async with Sandbox(history=printed.records) as sandbox:
        verdict = await asyncio.to_thread(audit, broker.bootstrap, printed.prefix, sandbox.url)
    assert verdict.sound, str(verdict)
    assert (verdict.changes, verdict.cursor) == (printed.records, printed.cursor)
    assert not list(tmp_path.iterdir())  # no embedded broker was needed


def test_a_demo_that_is_killed_leaves_no_broker_behind(environment: dict[str, str], tmp_path: Path) -> None:
    with piped(environment) as demo:
        said = first_commit(demo)
        demo.kill()
        demo.wait()
    address = re.search(r"on ([\d.]+:\d+)", said)
    assert address is not None
    assert_nothing_is_left(tmp_path, address[1])


def test_a_broker_that_is_away_ends_it_with_one_sentence(environment: dict[str, str]) -> None:
    with piped(environment, "--bootstrap-servers", "127.0.0.1:1") as demo:
        out, err = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, out) == (8, "")
    assert "  → Is Kafka up and reachable at 127.0.0.1:1 from here" in err
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("address", ["nonsense", "localhost", "localhost:port", "localhost:9092,", ""])
def test_what_is_no_address_is_refused_as_an_argument(environment: dict[str, str], address: str) -> None:
    with piped(environment, f"--bootstrap-servers={address}") as demo:
        _, err = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 2
    assert "must be HOST:PORT" in err


@pytest.mark.kafka
def test_without_noida_db_a_checkout_takes_the_broker_of_its_tests(environment: dict[str, str], broker: Broker) -> None:
    with without_noida(
        environment | {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "TEST_KAFKA": "environment"}
    ) as demo:
        out, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0
    assert summary(out).address == broker.bootstrap


def test_without_any_broker_it_says_what_to_install(environment: dict[str, str]) -> None:
    nothing = {"TEST_KAFKA": "jvm", "PATH": "", "JAVA_HOME": ""}
    with without_noida(environment | nothing) as demo:
        out, err = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, out) == (2, "")
    assert "The embedded broker noida-db is not installed" in err
    assert "vtj-producer[demo]" in err
    assert "--bootstrap-servers" in err
    assert "Traceback" not in err


def test_a_broker_that_does_not_start_is_quoted(environment: dict[str, str], tmp_path: Path) -> None:
    package = fake_noida(tmp_path, "echo no space left; exit 1")
    with piped(environment | {"PYTHONPATH": package}, "--once") as demo:
        out, err = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, out) == (2, "")
    assert err.startswith("vtj-producer: The embedded broker did not start. Its last words:\n  no space left\n  → ")


@pytest.mark.kafka
def test_a_broker_that_ends_ends_the_demo(environment: dict[str, str], tmp_path: Path, broker: Broker) -> None:
    end = tmp_path / "end"
    script = f"echo '  kafka  {broker.bootstrap}'; until [ -e '{end}' ]; do sleep 0.05; done; echo out of memory"
    with piped(environment | {"PYTHONPATH": fake_noida(tmp_path, script)}) as demo:
        first_commit(demo)
        end.touch()
        _, err = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 8
    assert "The embedded broker ended. Its last words:" in err
    assert "  out of memory\n  → Start the demo again.\n" in err


@pytest.mark.kafka
def test_a_terminal_that_is_held_does_not_hold_the_pipeline(environment: dict[str, str], broker: Broker) -> None:
    with terminal(environment, "--bootstrap-servers", broker.bootstrap) as demo:
        prefix = demo.until(r"topics (demo-[0-9a-f]{6})\.")[1]
        demo.until(r"up to date at")
        demo.press(b"\x13")
        commits = committed(broker, prefix)
        deadline = time.monotonic() + PATIENCE
        while committed(broker, prefix) < commits + 3:
            assert time.monotonic() < deadline, "nothing is committed while the terminal is held"
        demo.press(b"\x03")
        assert demo.end() == 0
        summary(demo.text)


def committed(broker: Broker, prefix: str) -> int:
    return sum(one.topic == "ledger" for one in read_topics(broker.bootstrap, prefix))


def fake_noida(folder: Path, script: str) -> str:
    """A folder for PYTHONPATH, with a noida-db that is a shell script."""
    package = folder / "fake" / "noida_db"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "noida-db").write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    (package / "noida-db").chmod(0o755)
    return str(package.parent)


@contextmanager
def without_noida(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`demo --once` where the extra is not installed."""
    script = (
        "import sys; sys.modules['noida_db'] = None; sys.argv[1:] = ['demo', '--once']\n"
        "from producer.__main__ import main; sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
