"""The command: one line, a running service, a clean end."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from producer.sandbox import Sandbox
from tests.unit.sandbox.conftest import Client


class Served:
    """A sandbox in a process of its own; `client` takes it as any other."""

    def __init__(self, process: asyncio.subprocess.Process, line: str) -> None:
        self.process = process
        self.line = line
        self.url = line.split()[0]


async def served(*options: str) -> Served:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "producer",
        "sandbox",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    return Served(process, (await process.stdout.readline()).decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_prints_where_it_is_serves_and_ends_at_once(client: Client, number: int) -> None:
    options = ["--port", "0", "--seed", "4", "--persons", "50", "--history", "20", "--changes-per-day", "0"]
    options += ["--municipalities", "091", "837"]
    sandbox = await served(*options)
    assert sandbox.line == f"{sandbox.url} seed=4 persons=50 account=sandbox/sandbox\n"
    here = Sandbox(seed=4, persons=50, history=20, municipalities=["091", "837"])
    assert 0 < len(here.log()) < 20
    assert (await client.changes(sandbox, 0))["muutokset"] == [record for _, record in here.log()]
    await client.ask(sandbox, "/_sandbox/faults", [{"fault": "hang"}])
    hanging = asyncio.ensure_future(client.changes(sandbox, 0))
    while not (await client.ask(sandbox, "/_sandbox/state"))[1]["faults"]:
        await asyncio.sleep(0.01)
    sandbox.process.send_signal(number)
    async with asyncio.timeout(10):
        output, errors = await sandbox.process.communicate()
    with pytest.raises(Exception, match=r"."):
        await hanging
    assert (sandbox.process.returncode, output, errors) == (0, b"", b"")


async def test_the_password_of_a_file_is_not_printed(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hush-hush")
    sandbox = await served("--port", "0", "--username", "mutp", "--password-file", str(secret))
    sandbox.process.terminate()
    output, errors = await sandbox.process.communicate()
    assert sandbox.line.endswith("account=mutp/***\n")
    assert b"hush" not in sandbox.line.encode() + output + errors


async def test_a_users_mistake_is_one_sentence_and_exit_2() -> None:
    sandbox = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "producer", "sandbox", "--persons", "0", stderr=asyncio.subprocess.PIPE
    )
    _, errors = await sandbox.communicate()
    assert sandbox.returncode == 2
    assert errors.decode().startswith("vtj-producer: persons must be 1 to 100000\n")


async def test_a_replay_from_the_command_line(client: Client, tmp_path: Path) -> None:
    answer = {"viimeisinKirjausavain": 7, "muutokset": [1], "ajanTasalla": True}
    (tmp_path / "1.json").write_text(json.dumps(answer))
    sandbox = await served("--port", "0", "--replay", str(tmp_path))
    assert await client.changes(sandbox, 0) == answer
    sandbox.process.terminate()
    await sandbox.process.communicate()
    assert f"replay={tmp_path}" in sandbox.line
