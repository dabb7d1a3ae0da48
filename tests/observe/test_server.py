"""The port: what it answers, what it refuses, and that it is gone at once at the end."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import aiohttp
import pytest

from producer.config import Server
from producer.errors import SettingsError
from producer.observe import server, status
from producer.observe.pulse import Pulse
from tests.broker.ports import free_port


@pytest.fixture
def pulse() -> Pulse:
    one = Pulse("vtj", instance="host-1-abc")
    one.has({0})
    one.opened("0", 2**60 + 1, time.time() * 1000)
    return one


async def nobody() -> list[str | None]:
    return ["host-1-abc", None]


@asynccontextmanager
async def served(pulse: Pulse) -> AsyncIterator[aiohttp.ClientSession]:
    settings = Server(port=free_port())
    async with (
        server.serving(settings, {pulse.feed: pulse}, {pulse.feed: nobody}),
        aiohttp.ClientSession(f"http://127.0.0.1:{settings.port}") as session,
    ):
        yield session


async def test_health_and_readiness(pulse: Pulse) -> None:
    async with served(pulse) as session:
        assert (await session.get("/healthz")).status == 200
        ready = await session.get("/readyz")
        assert (ready.status, await ready.json()) == (200, {"ready": True, "failing": {}})
        pulse.failing("kafka", "no answer")
        ready = await session.get("/readyz")
        assert (ready.status, await ready.json()) == (503, {"ready": False, "failing": {"vtj": {"kafka": "no answer"}}})


async def test_every_answer_is_protected_and_only_reading_is_served(pulse: Pulse) -> None:
    async with served(pulse) as session:
        for path in ("/", "/status.js", "/status.css", "/icon.svg", "/metrics", "/healthz", "/readyz"):
            answer = await session.get(path)
            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "Server" not in answer.headers
        for method, path, status in (
            ("POST", "/", 405),
            ("DELETE", "/metrics", 405),
            ("GET", "/../pyproject.toml", 404),
        ):
            assert (await session.request(method, path, data=b"x" * 5000)).status == status


async def test_metrics_are_openmetrics(pulse: Pulse) -> None:
    async with served(pulse) as session:
        answer = await session.get("/metrics")
        assert answer.content_type == "application/openmetrics-text"
        assert (await answer.text()).endswith("# EOF\n")


async def test_viewers_get_a_snapshot_at_once_and_then_what_changes(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BEAT", 0.05)
    monkeypatch.setattr(server, "LOOK", 0.0)
    async with served(pulse) as session, session.get("/events") as answer:
        async with asyncio.timeout(10):
            first = json.loads((await answer.content.readline()).removeprefix(b"data: "))
            assert first["feeds"]["vtj"]["buckets"][0]["cursor"] == str(2**60 + 1)
            assert first["feeds"]["vtj"]["owners"] == []
            pulse.failing("upstream", "Upstream answered 503.")
            told = first["feeds"]["vtj"]
            while told["state"] != "upstream" or not told["owners"]:
                if line := (await answer.content.readline()).strip():
                    told = json.loads(line.removeprefix(b"data: "))["feeds"]["vtj"]
        assert told["owners"] == ["host-1-abc", None]


async def test_who_does_not_read_holds_up_nobody_and_the_end_comes_at_once(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BEAT", 0.001)
    monkeypatch.setattr(server, "VIEWERS", 20)
    pulse.events.update({f"vtj.change.{at}": at for at in range(2000)})  # long snapshots fill what the system buffers
    async with served(pulse) as session:
        port = session._base_url.port  # type: ignore[union-attr]
        deaf = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for one in deaf:
            one.sendall(b"GET /events HTTP/1.1\r\nHost: here\r\n\r\n")
        async with asyncio.timeout(20):
            while (await session.get("/events")).status != 503:
                await asyncio.sleep(0.05)
            for _ in range(50):
                assert (await session.get("/healthz")).status == 200
        ending = time.monotonic()
    assert time.monotonic() - ending < 3
    for one in deaf:
        one.close()


async def raw(session: aiohttp.ClientSession, text: bytes) -> bytes:
    """What comes back until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", session._base_url.port)  # type: ignore[union-attr]
    try:
        writer.write(text)
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_large_slow_and_garbled_requests_cost_nothing(
    pulse: Pulse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(pulse) as session, asyncio.timeout(30):
        assert b" 400 " in await raw(session, b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n")
        assert b" 400 " in await raw(session, b"GET /" + b"y" * 9000 + b" HTTP/1.1\r\n\r\n")
        assert b" 400 " in await raw(session, b"\x16\x03\x01\x02\x00\r\n\r\n")
        with monkeypatch.context() as hasty:
            hasty.setattr(server, "FIRST_REQUEST", 0.2)
            assert await raw(session, b"GET /metr") == b""  # and no more
        post = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
        assert b" 405 " in await raw(session, post + b"x" * 100_000)
        assert (await session.get("/healthz")).status == 200
    assert [record.name for record in caplog.records if record.levelname != "INFO"] == []


async def test_connections_are_few(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 3)
    ask = b"GET /healthz HTTP/1.0\r\n\r\n"
    async with served(pulse) as session, asyncio.timeout(5):
        port = session._base_url.port  # type: ignore[union-attr]
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert await raw(session, ask) == b""
        for _, writer in opened:
            writer.close()
        while not await raw(session, ask):
            await asyncio.sleep(0.01)


async def test_a_fault_of_ours_is_told_and_not_shown(
    pulse: Pulse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(_: object) -> str:
        raise KeyError("inside")

    monkeypatch.setattr(status, "failing", faulty)
    async with served(pulse) as session:
        answer = await session.get("/readyz")
        assert (answer.status, "inside" in await answer.text()) == (500, False)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["a request could not be answered"]


async def test_metrics_are_written_out_once_in_a_while(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FRESH", 3600.0)
    async with served(pulse) as session:
        first = await (await session.get("/metrics")).text()
        pulse.commits += 1
        assert await (await session.get("/metrics")).text() == first


async def test_a_port_that_is_taken_names_the_setting(pulse: Pulse) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = Server(port=other.getsockname()[1])
        with pytest.raises(SettingsError, match="VTJ_SERVER__PORT"):
            async with server.serving(settings, {"vtj": pulse}, {}):
                pytest.fail("served")


async def test_without_a_port_nothing_listens() -> None:
    async with server.serving(Server(), {}, {}):
        pass
