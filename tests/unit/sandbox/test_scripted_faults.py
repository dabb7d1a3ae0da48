"""Each fault as it looks on the wire, and the script that chooses them."""

import asyncio
import base64
import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from producer.sandbox import Sandbox
from producer.sandbox.faults import BROKEN_RECORDS
from tests.unit.sandbox.conftest import Client

DAY = "kirjausavain/2026-01-01"


async def talk(sandbox: Sandbox, cursor: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request of muutokset over a bare socket."""
    host, port = sandbox.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = b'{"viimeisinKirjausavain":%d}' % cursor
    login = base64.b64encode(b"sandbox:sandbox").decode()
    head = (
        f"POST /api/v1/muutokset HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {login}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    return reader, writer


async def raw(sandbox: Sandbox) -> tuple[dict[str, str], bytes]:
    """Headers (the status line under "") and all of the body that came before the connection ended."""
    reader, writer = await talk(sandbox)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    return {"": status} | {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
async def test_statuses(client: Client, status: int) -> None:
    async with Sandbox() as sandbox:
        sandbox.set_faults([{"fault": status, "retry_after": 7}, {"fault": status, "retry_after": 90, "as_date": True}])
        first, _, headers = await client.full(sandbox, DAY)
        assert (first, headers["Retry-After"]) == (status, "7")
        second, _, headers = await client.full(sandbox, DAY)
        wait = parsedate_to_datetime(headers["Retry-After"]) - datetime.now(UTC)
        assert second == status
        assert timedelta(seconds=30) < wait <= timedelta(seconds=90)
        assert (await client.ask(sandbox, DAY))[0] == 200
        assert sandbox.state()["faults"] == {str(status): 2}


async def test_hang_ends_with_the_sandbox() -> None:
    async with Sandbox() as sandbox:
        sandbox.set_faults([{"fault": "hang"}])
        reader, writer = await talk(sandbox)
        while not sandbox.state()["faults"]:
            await asyncio.sleep(0)
        assert not reader.at_eof()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_hang_for_a_while() -> None:
    async with Sandbox(history=3) as sandbox:
        sandbox.set_faults([{"fault": "hang", "seconds": 0.01}])
        _, body = await raw(sandbox)
        assert len(json.loads(body)["muutokset"]) == 3


async def test_drip_is_the_answer_in_pieces() -> None:
    async with Sandbox(history=30) as sandbox:
        sandbox.set_faults([{"fault": "drip", "seconds": 0.2}])
        reader, writer = await talk(sandbox)
        head = await reader.readuntil(b"\r\n\r\n")
        pieces = []
        while piece := await reader.read(1 << 20):
            pieces.append(piece)
        writer.close()
        body = b"".join(pieces)
        assert f"Content-Length: {len(body)}" in head.decode()
        assert len(json.loads(body)["muutokset"]) == 30
        assert max(map(len, pieces)) < len(body) / 2


async def test_an_endless_drip_ends_with_the_sandbox() -> None:
    async with Sandbox(history=30) as sandbox:
        sandbox.set_faults([{"fault": "drip", "seconds": 1e6}])
        reader, writer = await talk(sandbox)
        await reader.readuntil(b"\r\n\r\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(await reader.read())
    writer.close()


async def test_reset() -> None:
    async with Sandbox() as sandbox:
        sandbox.set_faults([{"fault": "reset"}])
        with pytest.raises(ConnectionResetError):
            await raw(sandbox)
        assert (await raw(sandbox))[0][""].endswith("200 OK")


async def test_truncated() -> None:
    async with Sandbox(history=30) as sandbox:
        sandbox.set_faults([{"fault": "truncated"}])
        headers, body = await raw(sandbox)
        assert headers[""].endswith("200 OK")
        assert 0 < len(body) < int(headers["content-length"])


async def test_not_json() -> None:
    async with Sandbox() as sandbox:
        sandbox.set_faults([{"fault": "not_json"}])
        headers, body = await raw(sandbox)
        assert headers["content-type"].startswith("text/html")
        assert body.startswith(b"<!doctype")


async def test_charset() -> None:
    async with Sandbox() as sandbox:  # an empty page too
        sandbox.set_faults([{"fault": "charset"}])
        headers, body = await raw(sandbox)
        assert "8859" not in headers["content-type"]
        with pytest.raises(UnicodeDecodeError):
            body.decode()
        assert json.loads(body.decode("iso-8859-1"))["ajanTasalla"] is True


async def test_gzip_and_its_bomb() -> None:
    async with Sandbox(history=30) as sandbox:
        sandbox.set_faults([{"fault": "gzip"}, {"fault": "gzip_bomb"}])
        headers, body = await raw(sandbox)
        assert headers["content-encoding"] == "gzip"
        assert len(json.loads(gzip.decompress(body))["muutokset"]) == 30
        headers, body = await raw(sandbox)
        assert headers["content-encoding"] == "gzip"
        assert len(body) < 1 << 18
        assert len(gzip.decompress(body)) > 128 << 20


async def test_broken_records_are_in_the_log_and_reach_everybody_they_do_not_name(client: Client) -> None:
    async with Sandbox(history=2) as sandbox:
        sandbox.set_faults([{"fault": "record"}, {"fault": "record", "records": [7]}])
        await client.ask(sandbox, DAY)  # the fault is one of muutokset
        answer = await client.changes(sandbox, 0)
        assert answer["muutokset"][2:] == list(BROKEN_RECORDS)
        assert len(answer["muutokset"]) == 2 + len(BROKEN_RECORDS)
        unnamed = [r for r in BROKEN_RECORDS if not (isinstance(r, dict) and isinstance(r.get("henkilotunnus"), str))]
        assert (await client.changes(sandbox, 0, []))["muutokset"] == [*unnamed, 7]
        assert [record for _, record in sandbox.log()][2:] == [*BROKEN_RECORDS, 7]


async def test_the_cursor_goes_backward(client: Client) -> None:
    async with Sandbox(history=9) as sandbox:
        cursor = sandbox.log()[4][0]
        sandbox.set_faults([{"fault": "backward"}])
        answer = await client.changes(sandbox, cursor)
        assert answer["viimeisinKirjausavain"] < cursor
        assert len(answer["muutokset"]) == 4


async def test_stuck_without_being_up_to_date(client: Client) -> None:
    async with Sandbox(history=9) as sandbox:
        cursor = sandbox.log()[4][0]
        sandbox.set_faults([{"fault": "stuck"}])
        answer = await client.changes(sandbox, cursor)
        assert answer == {"viimeisinKirjausavain": cursor, "muutokset": [], "ajanTasalla": False}


# the script


async def statuses(client: Client, sandbox: Sandbox, count: int) -> list[int]:
    return [(await client.ask(sandbox, DAY))[0] for _ in range(count)]


async def test_steps_are_taken_in_order_and_used_up(client: Client, tmp_path: Path) -> None:
    script: list[dict[str, Any]] = [
        {"fault": "ok", "times": 2},
        {"fault": 503, "times": 2},
        {"fault": 401, "endpoint": "muutokset"},
        {"fault": 500},
    ]
    path = tmp_path / "faults.json"
    path.write_text(json.dumps(script))
    async with Sandbox(faults=path) as sandbox:
        assert await statuses(client, sandbox, 6) == [200, 200, 503, 503, 500, 200]
        assert (await client.ask(sandbox, "muutokset", {"viimeisinKirjausavain": 0}))[0] == 401
        _, state = await client.ask(sandbox, "/_sandbox/faults", [{"fault": 502, "times": None}])
        assert state["faults"] == {"ok": 2, "503": 2, "500": 1, "401": 1}
        assert await statuses(client, sandbox, 5) == [502] * 5
        sandbox.set_faults([])
        assert await statuses(client, sandbox, 1) == [200]


async def test_probability_is_the_seeds(client: Client) -> None:
    draws = []
    for seed in (1, 1, 2):
        async with Sandbox(seed=seed) as sandbox:
            sandbox.set_faults([{"fault": 503, "times": None, "probability": 0.3}])
            draws.append(await statuses(client, sandbox, 60))
    assert draws[0] == draws[1] != draws[2]
    assert 6 < Counter(draws[0])[503] < 30
