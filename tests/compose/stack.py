"""A stack of compose/ under a name and on ports of its own: brought up, looked at from outside, taken down."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.broker.orphans import Watcher
from tests.broker.ports import free_port
from tests.oracle import Change, Verdict, judge, read_topics
from tests.oracle.upstream import parse_log

ROOT = Path(__file__).parents[2]
IMAGE, PREFIX = "vtj-producer", "vtj"
SOON = 180.0  # s: three brokers on a busy machine take their time
CURE = "install Docker with its compose plugin, 2.24.4 or later, and start it"
# Within the sandbox's container: its control answers that machine alone.
ASK = """
import ssl, sys, urllib.request
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode() if len(sys.argv) > 2 else None)
with urllib.request.urlopen(request, context=ssl._create_unverified_context()) as answer:
    sys.stdout.buffer.write(answer.read())
"""


def docker(*arguments: str, ports: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    command = shutil.which("docker")
    if command is None:
        pytest.fail(f"The stacks want a Docker engine: {CURE}.", pytrace=False)
    return subprocess.run(
        [command, *arguments], cwd=ROOT, env={**os.environ, **(ports or {})}, capture_output=True, check=False
    )


def said(*arguments: str) -> str:
    """Standard output of a docker command that must end well."""
    done = docker(*arguments)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


def until(reached: Callable[[], Any], what: str, patience: float = SOON) -> Any:
    """Waits for what is reached. Fails when it does not come."""
    deadline = time.monotonic() + patience
    while not (found := reached()):
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.2)
    return found


class Stack:
    """more: the files beside compose.yaml, by name. beside: still others, by path.

    access: how a client outside gets into Kafka, in librdkafka's words.
    """

    def __init__(self, *more: str, beside: Sequence[str] = (), ports: Mapping[str, str] | None = None) -> None:
        self.name = f"{PREFIX}-{secrets.token_hex(3)}"
        self.scheme = "https" if "secure" in more else "http"
        self.access: dict[str, str] = {}
        first = free_port()
        names = "KAFKA_PORT", "KAFKA_2_PORT", "KAFKA_3_PORT", "REGISTRY_PORT", "PROMETHEUS_PORT", "POSTGRES_PORT"
        self.ports = {name: str(free_port()) for name in names}
        self.ports |= {"STATUS_PORT": f"{first}-{first + 1}" if "cluster" in more else str(first), **(ports or {})}
        files = [*(f"compose/{name}.yaml" for name in ("compose", *more)), *beside]
        self._files = [part for file in files for part in ("-f", file)]

    def try_to(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return docker("compose", "-p", self.name, *self._files, *arguments, ports=self.ports)

    def do(self, *arguments: str) -> bytes:
        """Standard output of a compose command that must end well."""
        done = self.try_to(*arguments)
        assert done.returncode == 0, f"compose {' '.join(arguments)}: {done.stdout.decode()}{done.stderr.decode()}"
        return done.stdout

    def down(self) -> None:
        """As docs/compose.md says. Nothing may be left."""
        mounts = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
        containers = self._left("ps", "--all")
        volumes = {*said("inspect", "--format", mounts, *containers).split()} if containers else set[str]()
        self.do("down", "--volumes", "--timeout", "5")
        left = [*self._left("ps", "--all"), *self._left("network", "ls"), *self._left("volume", "ls")]
        assert not left, left
        assert not volumes & {*said("volume", "ls", "--quiet").split()}

    def _left(self, *listing: str) -> list[str]:
        return said(*listing, "--quiet", "--filter", f"label=com.docker.compose.project={self.name}").split()

    # what is seen of it

    @property
    def bootstrap(self) -> str:
        return f"localhost:{self.ports['KAFKA_PORT']}"

    @property
    def registry(self) -> str:
        return f"http://localhost:{self.ports['REGISTRY_PORT']}/apis/ccompat/v7"

    def containers(self, service: str) -> list[str]:
        return self.do("ps", "--all", "--quiet", service).decode().split()

    def sandbox(self, path: str, body: Any = None) -> bytes:
        """The sandbox's control. Returns what it answers."""
        given = [] if body is None else [json.dumps(body)]
        return self.do(
            "exec", "-T", "sandbox", "python", "-Ic", ASK, f"{self.scheme}://127.0.0.1:8080/_sandbox/{path}", *given
        )

    def cursor(self) -> int:
        """Where the feed stands in Kafka; -1 while nobody can tell."""
        told = self.try_to("run", "--rm", "-T", "--no-deps", "producer", "cursor", "show", "--json").stdout
        return max((one["cursor"] for one in map(json.loads, told.splitlines()) if one["bucket"] == "0"), default=-1)

    def metric(self, query: str) -> float | None:
        """As Prometheus has it; None while it knows nothing."""
        url = f"http://localhost:{self.ports['PROMETHEUS_PORT']}/api/v1/query?query={quote(query)}"
        try:
            with urlopen(url, timeout=10) as answer:
                found = json.loads(answer.read())["data"]["result"]
        except OSError:
            return None
        return float(found[0]["value"][1]) if found else None

    def judged(self) -> Verdict:
        """The oracle's word, once the producers are stopped in good order."""
        self.do("stop", "producer")
        ends = {said("inspect", "--format", "{{.State.ExitCode}}", one) for one in self.containers("producer")}
        assert ends <= {"0", "137"}, ends  # 137: whom the test has killed
        changes: list[Change] = parse_log(self.sandbox("log?after=0").splitlines())
        return judge(changes, read_topics(self.bootstrap, PREFIX, patience=SOON, access=self.access), PREFIX)


@contextmanager
def stack(*more: str, beside: Sequence[str] = ()) -> Iterator[Stack]:
    """Up, and down at the end, however that comes about."""
    one = Stack(*more, beside=beside)
    watcher = Watcher('docker compose -p "$1" down --volumes --timeout 0 2>/dev/null', one.name)
    try:
        since = time.monotonic()
        one.do("up", "--wait", "--wait-timeout", "300")
        print(f"{' and '.join(('compose', *more))}: up after {time.monotonic() - since:.0f} s")
        yield one
    except BaseException:
        print(one.try_to("logs", "--no-color", "--tail", "60").stdout.decode())
        raise
    finally:
        one.down()
        watcher.dismiss()
