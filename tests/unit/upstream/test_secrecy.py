"""What upstream is told and tells stays out of errors and logs, whatever goes wrong."""

import asyncio
import gzip
import logging
import traceback
from typing import Any

import orjson
import pytest
from aiohttp import web

from producer.errors import ProducerError
from tests.unit.upstream import test_client
from tests.unit.upstream.conftest import CODES, EMPTY, FULL, PASSWORD, SECRETS, Script, Serve, client, told

BASIC = "dHVubnVzOmh1bnRlcjItb2YtdGhlLXRlc3Q="
XROAD = {"xroad": {"client": "FI-TEST/MUN/1234567-8/c"}}


async def garbled_status(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(f"HTTP/1.1 {CODES[0]} {SECRETS[-1]}\r\n{CODES[1]}\r\n\r\n".encode())
    return web.Response()


@pytest.mark.parametrize("options", [{}, XROAD], ids=["direct", "x-road"])
@pytest.mark.parametrize(
    "answer",
    [
        *[(FULL, status) for status in (204, 301, 400, 401, 403, 404, 429, 500, 503)],
        (FULL[:-5], 200),
        (b"[" + FULL + b"]", 200),
        (FULL.replace(b"9", b"5"), 200),
        (FULL.replace(b"true", b"1"), 200),
        (FULL.replace(b"Sukunimi", b"\xff"), 200),
        (orjson.dumps({"type": CODES[0], "message": CODES[1], "detail": SECRETS[-1]}), 500),
        test_client.hang,
        test_client.reset,
        test_client.cut,
        test_client.cut_chunked,
        test_client.badly_packed,
        garbled_status,
    ],
    ids=lambda answer: answer.__name__ if callable(answer) else str(answer),
)
async def test_nothing_personal_is_told(
    serve: Serve, answer: Any, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.get_running_loop().set_debug(True)
    caplog.set_level(logging.DEBUG)
    script = await serve()
    if callable(answer):
        script.answers = [answer]
    else:
        body, status = answer
        named = {"Location": f"/{CODES[0]}", "X_Note": CODES[1], "Retry_After": CODES[0]}
        script.say(b"" if status == 204 else body, status, **named)
    async with client(script, idle_timeout=1, **options) as upstream:
        with pytest.raises(ProducerError) as caught:
            await upstream.changes_since(5, listed=orjson.dumps(CODES))
    assert CODES[0].encode() in script.seen[0].body
    printed = "".join(traceback.format_exception(caught.value))
    for text in [*told(caught.value), getattr(caught.value, "hint", ""), printed, caplog.text]:
        assert not [secret for secret in [*SECRETS, BASIC] if secret in text]


async def test_a_good_answer_is_not_logged_either(script: Script, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.get_running_loop().set_debug(True)
    caplog.set_level(logging.DEBUG)
    script.say(gzip.compress(FULL), Content_Encoding="gzip")
    script.say(EMPTY)
    async with client(script) as upstream:
        page = await upstream.changes_since(5, listed=orjson.dumps(CODES))
        await upstream.changes_since(6, listed=orjson.dumps(CODES))
    for text in (repr(page), str(page), caplog.text):
        assert not [secret for secret in [*SECRETS, BASIC] if secret in text]
    assert PASSWORD not in repr(upstream)
