import asyncio
import gzip
import json
import socket
import time
import tracemalloc
import zlib
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from producer.config import Upstream as Settings
from producer.errors import MalformedPage, ProducerError, SettingsError, UpstreamRefused, UpstreamUnavailable
from producer.upstream.client import Upstream
from tests.broker.ports import free_port
from tests.unit.upstream.conftest import CODES, EMPTY, FULL, PASSWORD, Answer, Script, Serve, client


async def failing(upstream: Upstream) -> ProducerError:
    async with upstream:
        with pytest.raises(ProducerError) as caught:
            await upstream.changes_since(5)
    assert caught.value.__context__ is None, "aiohttp's errors hold the request, with its credentials"
    return caught.value


LISTED = json.dumps(CODES).encode()


async def test_a_page(script: Script) -> None:
    script.say(FULL)
    before = time.time_ns() // 1_000_000
    async with client(script) as upstream:
        page = await upstream.changes_since(5)
    assert (page.kind, page.bucket, page.previous, page.cursor, page.up_to_date) == ("CHANGE", "0", 5, 9, True)
    assert len(page.records) == 1
    assert before <= page.fetched_at <= time.time_ns() // 1_000_000


async def test_what_is_asked(script: Script) -> None:
    script.say(EMPTY)
    async with client(script) as upstream:
        await upstream.changes_since(5, listed=LISTED)
        await upstream.changes_since(6, listed=LISTED)
    first, second = script.seen
    assert (first.method, first.path) == ("POST", "/api/v1/muutokset")
    assert json.loads(first.body) == {"viimeisinKirjausavain": 5, "hetulista": CODES}
    assert json.loads(second.body) == {"viimeisinKirjausavain": 6, "hetulista": CODES}
    assert first.header("Accept") == ["application/json"]
    assert first.header("Content-Type") == ["application/json"]
    assert first.header("Accept-Encoding") == ["gzip, deflate"]
    assert first.header("Content-Length") == [str(len(first.body))]
    assert first.header("Authorization") == ["Basic dHVubnVzOmh1bnRlcjItb2YtdGhlLXRlc3Q="]
    assert not first.header("X-Road-Client")


async def test_without_a_list_the_permit_selects(script: Script) -> None:
    script.say(EMPTY)
    async with client(script) as upstream:
        await upstream.changes_since(5)
    assert json.loads(script.seen[0].body) == {"viimeisinKirjausavain": 5}


async def test_a_list_of_a_city(script: Script) -> None:
    script.say(EMPTY)
    async with client(script) as upstream:
        listed = json.dumps(CODES * 150_000).encode()
        await upstream.changes_since(5, listed=listed)  # a warning of aiohttp's about large bodies would be an error
    assert len(json.loads(script.seen[0].body)["hetulista"]) == 300_000


async def test_the_first_cursor_of_a_day(script: Script) -> None:
    script.say(b'{"viimeisinKirjausavain": 5446623423}')
    async with client(script) as upstream:
        assert await upstream.first_cursor(date(2026, 11, 1)) == 5446623423
    assert (script.seen[0].method, script.seen[0].path) == ("GET", "/api/v1/kirjausavain/2026-11-01")
    assert script.seen[0].header("Authorization")


async def test_gateways_want_their_own_headers(script: Script) -> None:
    script.say(EMPTY)
    headers = {"X-API-KEY": "k", "user-agent": "city"}
    async with client(script, auth_header="x-authorization", headers=headers) as upstream:
        await upstream.changes_since(5)
    seen = script.seen[0]
    assert seen.header("x-authorization") == ["Basic dHVubnVzOmh1bnRlcjItb2YtdGhlLXRlc3Q="]
    assert not seen.header("Authorization")
    assert seen.header("X-API-KEY") == ["k"]
    assert seen.header("User-Agent") == ["city"]


async def test_the_connection_is_kept(script: Script) -> None:
    peers = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(body=EMPTY)

    script.answers = [answer]
    async with client(script) as upstream:
        for _ in range(3):
            await upstream.changes_since(5)
    assert len(peers) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_packed_answers(script: Script, encoding: str) -> None:
    packed = gzip.compress(FULL) if encoding == "gzip" else zlib.compress(FULL)
    script.say(packed, Content_Encoding=encoding)
    async with client(script) as upstream:
        assert (await upstream.changes_since(5)).cursor == 9


REFUSED = [400, 401, 403, 404, 405, 413, 415, 451]
UNAVAILABLE = [408, 425, 429, 500, 502, 503, 504, 507]


@pytest.mark.parametrize("status", REFUSED)
async def test_asking_again_does_not_help(script: Script, status: int) -> None:
    script.say(FULL, status)
    error = await failing(client(script))
    assert isinstance(error, UpstreamRefused)
    assert str(error) == f"Upstream answered {status} to POST muutokset."
    assert error.hint
    assert len(script.seen) == 1


@pytest.mark.parametrize(
    ("status", "setting"),
    [
        (400, "VTJ_UPSTREAM__PERSONS_FILE"),
        (401, "VTJ_UPSTREAM__PASSWORD"),
        (403, "permit"),
        (404, "VTJ_UPSTREAM__URL"),
    ],
)
async def test_the_hint_fits_the_status(script: Script, status: int, setting: str) -> None:
    script.say(status=status)
    error = await failing(client(script))
    assert isinstance(error, UpstreamRefused)
    assert setting in error.hint


@pytest.mark.parametrize("status", UNAVAILABLE)
async def test_asking_again_may_help(script: Script, status: int) -> None:
    script.say(FULL, status)
    error = await failing(client(script))
    assert isinstance(error, UpstreamUnavailable)
    assert str(error) == f"Upstream answered {status} to POST muutokset."
    assert error.retry_after is None


@pytest.mark.parametrize("status", [202, 204, 206])
async def test_other_successes_are_none(script: Script, status: int) -> None:
    script.say(b"" if status == 204 else FULL, status)
    assert isinstance(await failing(client(script)), MalformedPage)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(script: Script, status: int) -> None:
    script.say(status=status, Location=f"{script.url}/elsewhere")
    script.say(FULL)
    error = await failing(client(script))
    assert isinstance(error, UpstreamRefused)
    assert "Redirects are not followed" in error.hint
    assert len(script.seen) == 1


NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("17", 17),
        (" 17 ", 17),
        ("0", 0),
        ("999999999", 3600),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=99), usegmt=True), 3600),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("1_000", None),
        ("٣", None),
        ("Sun, 99 Nov 2026 12:00:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_how_long_upstream_asks_to_wait(script: Script, status: int, text: str, seconds: float | None) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        response = web.Response(status=status, headers={"Date": format_datetime(NOW, usegmt=True)})
        response.headers["Retry-After"] = text
        return response

    script.answers = [answer]
    error = await failing(client(script))
    assert isinstance(error, UpstreamUnavailable)
    assert error.retry_after == seconds


async def hang(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(EMPTY[:10])
    await asyncio.Event().wait()
    return response


async def mute(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.01)


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(FULL))})
    await response.prepare(request)
    await response.write(FULL[:-10])
    assert request.transport is not None
    request.transport.close()
    return response


async def cut_chunked(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(FULL[:-10])
    assert request.transport is not None
    request.transport.close()
    return response


async def badly_packed(request: web.Request) -> web.StreamResponse:
    return web.Response(body=FULL, headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("answer", "deadlines", "reason"),
    [
        (mute, {"idle_timeout": 0.1}, "silence longer than VTJ_UPSTREAM__IDLE_TIMEOUT"),
        (hang, {"idle_timeout": 0.1}, "silence longer than VTJ_UPSTREAM__IDLE_TIMEOUT"),
        (drip, {"total_timeout": 0.3}, "not complete within VTJ_UPSTREAM__TOTAL_TIMEOUT"),
        (reset, {}, "the connection was closed"),
        (cut, {}, "cut short"),
        (cut_chunked, {}, "cut short"),
        (badly_packed, {}, "cut short, or garbled"),
    ],
)
async def test_answers_that_do_not_come_whole(
    script: Script, answer: Answer, deadlines: dict[str, Any], reason: str
) -> None:
    script.answers = [answer]
    error = await failing(client(script, **deadlines))
    assert isinstance(error, UpstreamUnavailable)
    assert reason in str(error)
    assert "POST muutokset" in str(error)


async def test_nobody_listens(script: Script, unused_tcp_port: int) -> None:
    script.url = f"http://localhost:{unused_tcp_port}"
    error = await failing(client(script))
    assert isinstance(error, UpstreamUnavailable)
    assert "no connection (" in str(error)


async def test_a_host_without_an_address(script: Script) -> None:
    script.url = "http://host.invalid"
    error = await failing(client(script))
    assert isinstance(error, UpstreamUnavailable)
    assert "the name of the host is not found" in str(error)


async def test_not_http(script: Script, unused_tcp_port: int) -> None:
    gone = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example.fi ESMTP\r\n\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with await asyncio.start_server(speak, "localhost", unused_tcp_port):
        script.url = f"http://localhost:{unused_tcp_port}"
        error = await failing(client(script))
        await gone.wait()
    assert isinstance(error, UpstreamUnavailable)
    assert "it was not HTTP" in str(error)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>Login</html>", "looks like HTML"),
        (FULL[:-20], "looks like JSON cut short"),
        ('{"muutokset":[],"nimi":"Äijälä"}'.encode("latin-1"), "not UTF-8"),
        (EMPTY.replace(b"7", b"4"), "backward"),
        (b'{"perustiedot": [], "ajanTasalla": true}', "perustiedot to a request of muutokset"),
    ],
)
async def test_a_200_that_is_no_page(script: Script, body: bytes, reason: str) -> None:
    script.say(body)
    error = await failing(client(script))
    assert isinstance(error, MalformedPage)
    assert reason in str(error)


async def test_the_charset_header_is_not_believed(script: Script) -> None:
    """JSON is UTF-8 (RFC 8259), whatever a gateway puts in front of it."""
    body = '{"viimeisinKirjausavain":9,"ajanTasalla":true,"muutokset":["Äijälä"]}'.encode()
    script.say(body, Content_Type="text/plain; charset=latin-1")
    async with client(script) as upstream:
        assert (await upstream.changes_since(5)).records == ["Äijälä"]


async def test_the_largest_answer(script: Script) -> None:
    script.say(EMPTY + b" " * (2048 - len(EMPTY)))
    async with client(script, max_response=2048) as upstream:
        await upstream.changes_since(5)
    script.answers = []
    script.say(EMPTY + b" " * (2049 - len(EMPTY)))
    error = await failing(client(script, max_response=2048))
    assert isinstance(error, SettingsError)
    assert "larger than 2048 bytes" in str(error)
    assert "VTJ_UPSTREAM__MAX_RESPONSE" in error.hint


async def test_a_bomb_is_not_unpacked(script: Script) -> None:
    packer = zlib.compressobj(9, wbits=31)
    megabyte = bytes(1 << 20)
    bomb = b"".join(packer.compress(megabyte) for _ in range(128)) + packer.flush()
    script.say(bomb, Content_Encoding="gzip")
    tracemalloc.start()
    try:
        error = await failing(client(script, max_response=1 << 20))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, SettingsError)
    assert peak < 16 << 20


async def test_every_request_is_in_the_budget(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    script.say(status=500)
    async with client(script, requests_per_minute=2) as upstream:
        spent = 0
        spend = upstream.budget.spend

        async def counted() -> None:
            nonlocal spent
            spent += 1
            await spend()

        monkeypatch.setattr(upstream.budget, "spend", counted)
        for _ in range(2):
            with pytest.raises(UpstreamUnavailable):
                await upstream.changes_since(5)
        waiting = asyncio.create_task(upstream.changes_since(5))
        while spent < 3:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert len(script.seen) == 2, "the third waits for its minute"


async def test_a_request_can_be_cancelled(serve: Serve) -> None:
    script, asked = await serve(), asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        asked.set()
        return await mute(_)

    script.answers = [answer]
    async with client(script) as upstream:
        task = asyncio.create_task(upstream.changes_since(5))
        await asked.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_the_environments_proxies_are_not_used(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://localhost:1")
    script.say(EMPTY)
    async with client(script) as upstream:
        assert (await upstream.changes_since(5)).cursor == 7


def test_the_silent_parts(script: Script) -> None:
    upstream = client(script)
    assert PASSWORD not in repr(upstream)


async def test_a_name_that_has_moved_is_looked_up_for_the_next_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    where, port = "127.0.0.1", free_port()

    async def resolved(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, port))]

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=EMPTY, headers={"Connection": "close"})

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    async with AsyncExitStack() as servers:
        for address in ("127.0.0.1", "127.0.0.2"):
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", answer)
            server = await servers.enter_async_context(TestServer(app, host=address, port=port))
            async with asyncio.timeout(5):
                if address == "127.0.0.1":
                    upstream = await servers.enter_async_context(Upstream(Settings(url=f"http://vtj.example:{port}")))
                else:
                    where = address
                assert (await upstream.changes_since(5)).cursor == 7
            await server.close()  # whoever goes on asking there hears nothing
