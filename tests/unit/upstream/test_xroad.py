from typing import Any
from uuid import UUID

import orjson
import pytest

from producer.errors import MalformedPage, ProducerError, UpstreamRefused, UpstreamUnavailable
from tests.unit.upstream.conftest import CODES, EMPTY, NAME, Script, client

CLIENT = "FI-TEST/MUN/1234567-8/vtj-client"


def over_xroad(script: Script) -> Any:
    return client(script, xroad={"client": CLIENT})


async def failing(script: Script) -> ProducerError:
    async with over_xroad(script) as upstream:
        with pytest.raises(ProducerError) as caught:
            await upstream.changes_since(5)
    assert caught.value.__context__ is None
    assert CODES[0] not in str(caught.value)
    assert NAME not in str(caught.value)
    return caught.value


def fault(kind: str) -> bytes:
    return orjson.dumps({"type": kind, "message": f"Request of {CODES[0]}", "detail": NAME})


async def test_the_path_and_the_headers(script: Script) -> None:
    script.say(EMPTY)
    async with over_xroad(script) as upstream:
        await upstream.changes_since(5)
        await upstream.changes_since(6)
    first, second = script.seen
    assert first.path == "/r1/FI-TEST/GOV/0245437-2/VTJmutpa/VTJmutpa/api/v1/muutokset"
    assert first.header("X-Road-Client") == [CLIENT]
    assert first.header("Authorization"), "DVV's account goes along"
    ids = [UUID(seen.header("X-Road-Id")[0]) for seen in (first, second)]
    assert ids[0] != ids[1]
    assert ids[0].version == 4


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (400, "Client.BadRequest", "VTJ_UPSTREAM__XROAD__CLIENT"),
        (500, "Client.InternalError", "VTJ_UPSTREAM__XROAD__CLIENT"),
        (500, "Server.ClientProxy.UnknownMember", "letter by letter"),
        (500, "Server.ServerProxy.UnknownService", "FI-TEST, FI"),
        (500, "Server.ServerProxy.AccessDenied", "has not granted"),
    ],
)
@pytest.mark.parametrize("place", ["header", "body"])
async def test_faults_that_stay(script: Script, status: int, kind: str, hint: str, place: str) -> None:
    script.say(fault(kind), status, **({"X_Road_Error": kind} if place == "header" else {}))
    error = await failing(script)
    assert isinstance(error, UpstreamRefused)
    assert kind in str(error)
    assert f"X-Road-Id {script.seen[0].header('X-Road-Id')[0]}" in str(error)
    assert hint in error.hint


@pytest.mark.parametrize(
    "kind",
    [
        "Server.ClientProxy.NetworkError",
        "Server.ClientProxy.OutdatedGlobalConf",
        "Server.ServerProxy.ServiceDisabled",
        "Server.ServerProxy.ServiceFailed.HttpError",
    ],
)
async def test_faults_that_pass(script: Script, kind: str) -> None:
    script.say(fault(kind), 500, X_Road_Error=kind, Retry_After="9")
    error = await failing(script)
    assert isinstance(error, UpstreamUnavailable)
    assert kind in str(error)
    assert error.retry_after == 9


async def test_a_missing_client_certificate_waits_and_says_what_to_look_at(script: Script) -> None:
    """Also the security server's own certificate may have lapsed, which heals."""
    script.say(fault("Server.ClientProxy.SslAuthenticationFailed"), 500)
    error = await failing(script)
    assert isinstance(error, UpstreamUnavailable)
    assert "VTJ_UPSTREAM__CLIENT_CERT_FILE" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "about:blank", "message": "no"}',
        b'{"type": "Client.BadRequest", "title": "DVV has types of its own"}',
        b'{"type": 5}',
        fault(f"Client.{CODES[0]}"),
        fault(f"Client. {NAME}"),
        b"[]",
        b"\xff",
        b"[" * 16_000,
        b" " * 200_000 + b'{"type": "Client.BadRequest"}',
        b"",
    ],
)
async def test_the_services_own_errors_are_not_xroads(script: Script, body: bytes) -> None:
    script.say(body, 403)
    error = await failing(script)
    assert isinstance(error, UpstreamRefused)
    assert str(error).startswith("Upstream answered 403 to POST muutokset (X-Road-Id ")


async def test_a_header_that_is_no_type_is_not_quoted(script: Script) -> None:
    script.say(b"", 503, X_Road_Error=f"Client.{CODES[0]}")
    error = await failing(script)
    assert isinstance(error, UpstreamUnavailable)


async def test_without_xroad_its_faults_mean_nothing(script: Script) -> None:
    script.say(fault("Client.BadRequest"), 500)
    async with client(script) as upstream:
        with pytest.raises(UpstreamUnavailable, match="answered 500"):
            await upstream.changes_since(5)


async def test_a_fault_with_status_200_is_no_page(script: Script) -> None:
    script.say(fault("Client.BadRequest"), 200)
    assert isinstance(await failing(script), MalformedPage)
