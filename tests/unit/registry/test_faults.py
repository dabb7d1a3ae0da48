"""What a registry that misbehaves comes to: beside the real one of tests/integration, one scripted answer each."""

import asyncio
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from producer.config import Registry as Section
from producer.config import Settings
from producer.errors import RegistryFault
from producer.events.groups import Catalogue
from producer.registry.client import Registry
from producer.registry.subjects import framing
from tests.unit.upstream.conftest import told

CATALOGUE = Catalogue.load()
SUBJECT = "vtj.change.kotikunta-value"
SECRET = "hunter2-of-the-test"
SCHEMA: Any = CATALOGUE.groups["KOTIKUNTA"].schema

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server that gives this one answer to everything; returns its URL."""
    servers = []

    async def start(answer: Answer, tls: ssl.SSLContext | None = None) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        server = TestServer(app, scheme="https" if tls else "http")
        await server.start_server(ssl=tls)
        servers.append(server)
        return str(server.make_url("/ccompat")).replace("127.0.0.1", "localhost")

    yield start
    for server in servers:
        await server.close()


def says(status: int, body: str = "", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body.encode(), headers=headers)

    return answer


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def error(code: int, message: str) -> str:
    return json.dumps({"error_code": code, "message": message})


async def fault(url: str, **settings: Any) -> RegistryFault:
    chosen = Section.model_validate({"url": url, "timeout": 30, "token": SECRET, **settings})
    async with Registry(chosen) as registry:
        with pytest.raises(RegistryFault) as caught:
            await registry.lookup(SUBJECT, SCHEMA)
    assert caught.value.exit_code == 9
    assert caught.value.hint
    assert not [text for text in told(caught.value) if SECRET in text]
    return caught.value


@pytest.mark.parametrize(
    ("answer", "words", "hint"),
    [
        (says(401, error(401, "Unauthorized")), "answered 401 to looking up {}: Unauthorized", "VTJ_REGISTRY__TOKEN"),
        (says(401), "answered 401 to looking up {}.", "VTJ_REGISTRY__USERNAME"),
        (says(403, "<html>"), "answered 403 to looking up {}.", "needs read on our subjects"),
        (says(404, "<html>"), "answered 404 to looking up {}.", "root of a Confluent-compatible registry"),
        (says(404, error(404, "HTTP 404 Not Found")), "answered 404 to looking up {}: HTTP", "/apis/ccompat/v7"),
        (says(409, error(409, "Incompatible")), "answered 409 to looking up {}: Incompatible", "schemas diff"),
        (
            says(422, error(42201, "Invalid\n\tschema")),
            "answered 422 to looking up {}: Invalid schema",
            "schemas check",
        ),
        (says(429), "answered 429 to looking up {}.", "too many requests"),
        (says(500, error(50001, "x" * 999)), f"answered 500 to looking up {{}}: {'x' * 300}…", "its own log"),
        (says(503, "busy"), "answered 503 to looking up {}.", "its own log"),
        (says(302, Location="http://localhost:1/"), "answered 302 to looking up {}.", "Redirects are not followed"),
        (says(200), "What came for looking up {} is no answer", "VTJ_REGISTRY__URL"),
        (says(200, "[]"), "What came for looking up {} is no answer", "VTJ_REGISTRY__URL"),
        (says(200, '{"id": 1, "schema": "{'), "What came for looking up {} is no answer", "VTJ_REGISTRY__URL"),
        (says(200, '{"id": "1", "schema": "{}"}'), "What came for {} is no answer", "VTJ_REGISTRY__URL"),
        (says(200, '{"id": true, "schema": "{}"}'), "What came for {} is no answer", "VTJ_REGISTRY__URL"),
        (says(200, '{"id": 2147483648, "schema": "{}"}'), "What came for {} is no answer", "VTJ_REGISTRY__URL"),
        (says(200, '{"id": 1, "schema": 7}'), "What came for {} is no answer", "VTJ_REGISTRY__URL"),
        (says(200, "{" + " " * (5 << 20) + "}"), "What came for looking up {} is no answer", "VTJ_REGISTRY__URL"),
        (hang, "to looking up {}: it was not complete within VTJ_REGISTRY__TIMEOUT", "up, and reachable"),
        (hang_up, "to looking up {}: the connection was closed", "up, and reachable"),
    ],
)
async def test_each_answer_is_told_apart(serve: Serve, answer: Answer, words: str, hint: str) -> None:
    caught = await fault(await serve(answer), timeout=0.5 if answer is hang else 30)
    assert words.format(SUBJECT) in str(caught)
    assert "\n" not in str(caught)
    assert hint in caught.hint


async def test_nobody_there() -> None:
    caught = await fault("http://localhost:1/ccompat")
    assert f"No answer of the schema registry to looking up {SUBJECT}: no connection" in str(caught)
    assert "http://localhost:1/ccompat" in caught.hint


async def test_the_words_of_a_registry_are_no_way_out_for_persons(serve: Serve) -> None:
    caught = await fault(await serve(says(500, error(1, "of 140385-917Y"))))
    assert "140385" not in str(caught)


@pytest.mark.parametrize("auto_register", [False, True])
async def test_a_start_uses_nothing_half_known(serve: Serve, auto_register: bool) -> None:
    """Half of the subjects are answered, then the registry breaks."""
    asked = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked > 20:
            return web.Response(status=500)
        schema = (await request.json())["schema"]
        return web.json_response({"id": asked, "version": 1, "subject": "x", "schema": schema})

    section = Section(url=await serve(answer), auto_register=auto_register)
    with pytest.raises(RegistryFault, match=r"answered 500 to looking up vtj\."):
        await framing(Settings(registry=section), CATALOGUE)


async def test_an_answer_that_is_another_schema(serve: Serve) -> None:
    section = Section(url=await serve(says(200, json.dumps({"id": 7, "schema": '"string"'}))))
    with pytest.raises(RegistryFault, match=r"What came for vtj\."):
        await framing(Settings(registry=section), CATALOGUE)
    other = json.dumps({"id": 7, "schema": json.dumps(CATALOGUE.dead_letter)})
    section = Section(url=await serve(says(200, other)))
    with pytest.raises(RegistryFault, match="gives id 7, but the schema under it is not ours"):
        await framing(Settings(registry=section), CATALOGUE)


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"token": SECRET}, f"Bearer {SECRET}"),
        ({"username": "u", "password": "ä"}, f"Basic {b64encode('u:ä'.encode()).decode()}"),
        ({}, None),
    ],
)
async def test_who_we_say_we_are(serve: Serve, settings: dict[str, str], header: str | None) -> None:
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.headers.get("Authorization"), request.raw_path, await request.json()))
        return web.json_response({"id": 7})

    async with Registry(Section.model_validate({"url": await serve(answer), **settings})) as registry:
        assert await registry.register("a/b", SCHEMA) == 7
    [(authorization, path, body)] = seen
    assert authorization == header
    assert path == "/ccompat/subjects/a%2Fb/versions?normalize=true"
    assert (json.loads(body["schema"]), body["schemaType"]) == (SCHEMA, "AVRO")


async def test_a_token_that_was_renewed_since_the_start(serve: Serve, tmp_path: Path) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["Authorization"])
        return web.json_response({"compatibilityLevel": "FULL"})

    file = tmp_path / "token"
    file.write_text("old")
    section = Section(url=await serve(answer), token=SecretStr("old"), token_file=file)  # as it is once loaded
    for token in ("old", "new"):
        file.write_text(token)
        async with Registry(section) as registry:
            await registry.level()
    assert seen == ["Bearer old", "Bearer new"]


async def test_mutual_tls(serve: Serve, tmp_path: Path) -> None:
    ca, stranger = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    url = await serve(says(200, '{"compatibilityLevel": "FULL_TRANSITIVE"}'), context)

    caught = await fault(url)
    assert "The schema registry's certificate is not trusted" in str(caught)
    assert "VTJ_REGISTRY__CA_FILE" in caught.hint
    for issuer, admitted in ((ca, True), (stranger, False)):
        issued = issuer.issue_cert("client.example.fi")
        (tmp_path / "client.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(tmp_path / "client.key"))
        files = {"ca_file": "ca.pem", "client_cert_file": "client.pem", "client_key_file": "client.key"}
        own = {name: tmp_path / file for name, file in files.items()}
        if admitted:
            async with Registry(Section.model_validate({"url": url, **own})) as registry:
                assert await registry.level() == "FULL_TRANSITIVE"
        else:
            await fault(url, **own)
