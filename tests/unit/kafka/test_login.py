"""Tokens from an endpoint that does what the test says, and what refusals of brokers are told as."""

import asyncio
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from producer.config import Kafka
from producer.errors import KafkaGone, KafkaRefused, Stop
from producer.kafka import login
from producer.kafka.login import Tokens, refused
from tests.privacy import told

SECRET, TOKEN = "hunter2-of:the test", "a.b.c"
Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
            app = web.Application()
            app.router.add_post("/token", answer)
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            return str(server.make_url("/token"))

        yield start


def tokens(url: str, **more: Any) -> Tokens:
    return Tokens(
        Kafka.model_validate(
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "OAUTHBEARER",
                "username": "the client",
                "password": SECRET,
                "token_url": url,
                **more,
            }
        )
    )


async def test_the_grant_and_how_long_a_token_is_used(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        authorization = b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        seen.append((authorization, dict(await request.post())))
        return web.json_response({"access_token": f"{TOKEN}{len(seen)}", "token_type": "Bearer", "expires_in": 100})

    now = time.monotonic()
    monkeypatch.setattr(login, "time", SimpleNamespace(monotonic=lambda: now))
    file = tmp_path / "secret"
    file.write_text(SECRET)
    provider = tokens(await serve(answer), token_scope="kafka write", password=None, password_file=file)
    assert [await provider.token() for _ in range(2)] == [f"{TOKEN}1"] * 2
    assert seen == [
        ("the+client:hunter2-of%3Athe+test", {"grant_type": "client_credentials", "scope": "kafka write"})
    ], "encoded before they are joined: RFC 6749, 2.3.1"
    now += 79
    assert await provider.token() == f"{TOKEN}1"
    file.write_text("renewed")
    now += 2
    assert await provider.token() == f"{TOKEN}2"
    assert seen[1][0] == "the+client:renewed"


async def test_a_token_without_a_term_is_used_once(serve: Serve) -> None:
    asked = 0

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.json_response({"access_token": TOKEN})

    provider = tokens(await serve(answer))
    assert [await provider.token() for _ in range(2)] == [TOKEN] * 2
    assert asked == 2


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (401, {"error_description": SECRET}, KafkaRefused, "The token endpoint answered 401."),
        (302, {}, KafkaRefused, "The token endpoint answered 302."),
        (503, {}, KafkaGone, "The token endpoint answered 503."),
        (200, {}, KafkaRefused, "The token endpoint gave no access_token."),
        (200, [SECRET], KafkaRefused, "The token endpoint gave no access_token."),
        (200, {"access_token": f"{SECRET}\x01auth=x"}, KafkaRefused, "The token endpoint gave no access_token."),
        (200, {"access_token": "a" * 100_000}, KafkaRefused, "The token endpoint gave no access_token."),
    ],
)
async def test_an_endpoint_that_gives_no_token(
    serve: Serve, status: int, body: Any, kind: type[Stop], sentence: str
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers={"Location": "/elsewhere"})

    with pytest.raises(kind) as caught:
        await tokens(await serve(answer)).token()
    assert str(caught.value) == sentence
    assert "VTJ_KAFKA__TOKEN_URL" in caught.value.hint or "/token" in caught.value.hint
    assert SECRET not in "".join(told(caught.value)) + caught.value.hint


async def test_an_endpoint_that_is_silent_or_away(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "TOKEN_TIMEOUT", 0.2)

    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(2)
        return web.Response()

    for url in (await serve(answer), "http://127.0.0.1:1/token"):
        with pytest.raises(KafkaGone, match="does not answer") as caught:
            await tokens(url).token()
        assert url in caught.value.hint
        assert caught.value.__context__ is None, "aiohttp's error holds the request with the secret"


@pytest.mark.parametrize(
    ("error", "setting"),
    [
        (SaslAuthenticationFailed(SECRET), "VTJ_KAFKA__PASSWORD_FILE"),
        (UnsupportedSaslMechanismError(SECRET), "VTJ_KAFKA__SASL_MECHANISM"),
        (IllegalSaslStateError(SECRET), "VTJ_KAFKA__SECURITY_PROTOCOL"),
    ],
)
def test_what_a_broker_says_is_told_in_our_own_words(error: Exception, setting: str) -> None:
    stop = refused(error, "kafka:9093")
    assert isinstance(stop, KafkaRefused)
    assert "kafka:9093" in str(stop)
    assert setting in stop.hint
    assert SECRET not in f"{stop} {stop.hint}"


@pytest.mark.parametrize("error", [ConnectionResetError(), KafkaConnectionError(), TimeoutError()])
def test_what_may_pass_is_no_refusal(error: Exception) -> None:
    assert refused(error, "kafka:9093") is None
