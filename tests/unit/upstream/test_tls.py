import os
import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from producer.errors import ProducerError, SettingsError, UpstreamRefused
from tests.unit.upstream.conftest import EMPTY, Script, Serve, client


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def server(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names or ("localhost",)).configure_cert(context)
    return context


def pair(ca: trustme.CA, folder: Path) -> tuple[Path, Path]:
    issued = ca.issue_cert("client.example.fi")
    cert, key = folder / "client.pem", folder / "client.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    return cert, key


async def refusal(script: Script, **settings: Any) -> UpstreamRefused:
    async with client(script, **settings) as upstream:
        with pytest.raises(ProducerError) as caught:
            await upstream.changes_since(5)
    assert isinstance(caught.value, UpstreamRefused), caught.value
    assert caught.value.__context__ is None
    assert not script.seen, "nothing was sent to whom we do not trust"
    return caught.value


async def test_an_own_ca(serve: Serve, ca: trustme.CA, ca_file: Path) -> None:
    script = await serve(server(ca))
    script.say(EMPTY)
    async with client(script, ca_file=ca_file) as upstream:
        assert (await upstream.changes_since(5)).cursor == 7


async def test_an_own_ca_comes_besides_the_systems(
    ca: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ca_file.with_name("system.pem")
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    monkeypatch.setenv("SSL_CERT_DIR", str(ca_file.with_name("none")))
    from producer.config import Upstream
    from producer.credentials import trust

    context = trust(Upstream(url="https://localhost", ca_file=ca_file), "VTJ_UPSTREAM__")()
    assert len(context.get_ca_certs()) == 2


async def test_an_unknown_ca(serve: Serve, ca: trustme.CA) -> None:
    error = await refusal(await serve(server(ca)))
    assert "certificate is not trusted" in str(error)
    assert "VTJ_UPSTREAM__CA_FILE" in error.hint


async def test_a_certificate_for_another_host(serve: Serve, ca: trustme.CA, ca_file: Path) -> None:
    error = await refusal(await serve(server(ca, "other.example.fi")), ca_file=ca_file)
    assert "Hostname mismatch" in str(error)
    assert "VTJ_UPSTREAM__URL" in error.hint


async def test_plain_http_where_tls_is_expected(serve: Serve) -> None:
    script = await serve()
    script.url = script.url.replace("http:", "https:")
    error = await refusal(script)
    assert "does not speak TLS" in str(error)


@pytest.fixture
def strict(ca: trustme.CA) -> Iterator[Callable[[ssl.TLSVersion], str]]:
    """A server that wants a client certificate and says why it refuses; asyncio's own hangs up without a word."""
    with ExitStack() as stack:

        def start(version: ssl.TLSVersion) -> str:
            context = server(ca)
            context.minimum_version = context.maximum_version = version
            context.verify_mode = ssl.CERT_REQUIRED
            ca.configure_trust(context)
            listening = stack.enter_context(socket.create_server(("localhost", 0)))

            def accept() -> None:
                connection, _ = listening.accept()
                with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as secured:
                    try:
                        secured.do_handshake()
                        secured.recv(65536)
                        secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(EMPTY), EMPTY))
                    except ssl.SSLError:
                        # Unread bytes would reset the connection before the alert is read.
                        while os.read(secured.fileno(), 65536):
                            pass

            thread = threading.Thread(target=accept)
            thread.start()
            stack.callback(thread.join)
            return f"https://localhost:{listening.getsockname()[1]}"

        yield start


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("holder", ["own", "stranger", "nobody"])
async def test_a_client_certificate(
    strict: Callable[[ssl.TLSVersion], str],
    ca: trustme.CA,
    ca_file: Path,
    tmp_path: Path,
    version: ssl.TLSVersion,
    holder: str,
) -> None:
    script = Script(strict(version))
    cert, key = pair(trustme.CA() if holder == "stranger" else ca, tmp_path)
    own: dict[str, Any] = {} if holder == "nobody" else {"client_cert_file": cert, "client_key_file": key}
    if holder == "own":
        async with client(script, ca_file=ca_file, **own) as upstream:
            assert (await upstream.changes_since(5)).cursor == 7
    else:
        error = await refusal(script, ca_file=ca_file, **own)
        assert "Upstream refused the TLS connection" in str(error)
        assert "VTJ_UPSTREAM__CLIENT_CERT_FILE" in error.hint


async def test_a_certificate_and_a_password_are_renewed_without_a_restart(
    serve: Serve, ca: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    """Each request has those that are on disk then; a connection of the old ones is not used again."""
    context = server(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    script, serials, password = await serve(context), list[str](), tmp_path / "password"

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        serials.append(request.transport.get_extra_info("peercert")["serialNumber"])
        return web.Response(body=EMPTY, content_type="application/json")

    script.answers = [answer]
    cert, key = pair(ca, tmp_path)
    password.write_text("old")
    files = {"ca_file": ca_file, "client_cert_file": cert, "client_key_file": key, "password_file": password}
    async with client(script, password=None, **files) as upstream:
        for _ in range(2):
            await upstream.changes_since(5)
        old = (cert.read_bytes(), key.read_bytes())
        pair(ca, tmp_path)
        new = (cert.read_bytes(), key.read_bytes())
        key.write_bytes(old[1])  # half done: the certificate is there, its key not yet
        await upstream.changes_since(5)
        key.write_bytes(new[1])
        password.write_text("new")
        await upstream.changes_since(5)
    assert serials[0] == serials[1] == serials[2] != serials[3]
    sent = [b64decode(one.header("Authorization")[0].removeprefix("Basic ")) for one in script.seen]
    assert sent == [b"tunnus:old"] * 3 + [b"tunnus:new"]


async def opening(**settings: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        async with client(Script("https://localhost"), **settings):
            pass
    assert caught.value.hint
    return caught.value


async def test_files_that_are_not_there(ca: trustme.CA, tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    cert, key = pair(ca, tmp_path)
    assert "VTJ_UPSTREAM__CA_FILE" in str(await opening(ca_file=absent))
    for one, other, name in [(absent, key, "CERT"), (cert, absent, "KEY")]:
        error = await opening(client_cert_file=one, client_key_file=other)
        assert f"VTJ_UPSTREAM__CLIENT_{name}_FILE: {absent} cannot be read" in str(error)


async def test_files_that_hold_something_else(ca: trustme.CA, tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("not PEM")
    assert "holds no PEM certificates" in str(await opening(ca_file=text))
    cert, _ = pair(ca, tmp_path)
    (tmp_path / "other").mkdir()
    _, key = pair(ca, tmp_path / "other")
    for one in (key, text):
        assert "do not hold" in str(await opening(client_cert_file=cert, client_key_file=one))


async def test_an_encrypted_key_fails_instead_of_asking(ca: trustme.CA, tmp_path: Path) -> None:
    cert, key = pair(ca, tmp_path)
    loaded = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    error = await opening(client_cert_file=cert, client_key_file=key)
    assert "must not be encrypted" in error.hint
