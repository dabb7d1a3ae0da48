"""What `check` says of X-Road and the service behind it, with each fault planted in the sandbox's security server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from producer.check.chain import Found, walk
from producer.check.links import CLOCK, LINKS
from producer.check.links import UPSTREAM as NETWORK
from producer.check.site import Site
from producer.check.upstream import ACCESS, CERTIFICATE, CLIENT, CURSOR, LISTED, LOGIN, OPENAPI, PERSON, TLS
from producer.config import load
from producer.sandbox import Sandbox
from producer.upstream import faults

UPSTREAM = LINKS[: [one.name for one in LINKS].index(PERSON) + 1]
OWN = "FI-TEST/MUN/1234567-8/subsystem"


async def chain(url: str, **settings: str | Path | None) -> list[Found]:
    """Every link to upstream. settings: of the section upstream, as in the environment."""
    environment = {
        "VTJ_UPSTREAM__URL": url,
        "VTJ_UPSTREAM__USERNAME": "sandbox",
        "VTJ_UPSTREAM__PASSWORD": "sandbox",
        "VTJ_UPSTREAM__IDLE_TIMEOUT": "2",
        "VTJ_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "VTJ_UPSTREAM__XROAD__CLIENT": OWN,
        **{f"VTJ_UPSTREAM__{name}": str(value) for name, value in settings.items()},
    }
    environment = {name: value for name, value in environment.items() if value != "None"}
    async with Site(lambda: load(environ=environment)) as site:
        return await walk(UPSTREAM, site, site.words)


def states(found: list[Found]) -> dict[str, str]:
    return {one.link: one.state for one in found}


def broken(found: list[Found]) -> Found:
    """The only one."""
    (one,) = [one for one in found if one.state == "broken"]
    return one


@pytest.mark.parametrize(
    ("client", "registered"),
    [
        (OWN, []),  # whoever
        (OWN, [OWN]),  # a server of one's own
        (
            "FI/MUN/1234567-8/vtj",
            ["FI/ORG/7654321-0/theirs", "FI/MUN/1234567-8/vtj"],
        ),  # shared, or run by somebody else
    ],
)
async def test_a_chain_that_holds(client: str, registered: list[str], tmp_path: Path) -> None:
    async with Sandbox(persons=10, xroad_clients=registered) as sandbox:
        (tmp_path / "persons").write_text(sandbox.codes()[0])
        found = await chain(sandbox.url, XROAD__CLIENT=client, PERSONS_FILE=tmp_path / "persons")
    assert [one.link for one in found if one.state == "skipped"] == [TLS]  # plain HTTP
    assert {one.state for one in found} == {"ok", "skipped"}
    assert sandbox.state()["requests"] == {LISTED: 1, OPENAPI: 1, CURSOR: 1, PERSON: 1}
    assert sandbox.codes()[0] not in repr(found)


async def test_without_x_road_its_links_are_skipped() -> None:
    async with Sandbox(persons=10) as sandbox:
        found = await chain(sandbox.url, XROAD__CLIENT=None)
    skipped = [one.link for one in found if one.state == "skipped"]
    assert skipped == [TLS, CLIENT, LISTED, OPENAPI, ACCESS, PERSON]
    assert sandbox.state()["requests"] == {CURSOR: 1}


@pytest.mark.parametrize("instance", ["FI", "FI-TEST"])
async def test_a_client_that_is_not_registered_there(instance: str) -> None:
    theirs = f"{instance}/MUN/1234567-8/other"
    async with Sandbox(xroad_clients=[OWN, "FI/MUN/1234567-8/subsystem"]) as sandbox:
        found = await chain(sandbox.url, XROAD__CLIENT=theirs)
    one = broken(found)
    assert (one.link, one.exit_code, one.owner) == (CLIENT, 3, "operator of the security server")
    assert theirs in one.letter
    assert f"instance {instance}," in one.letter
    assert states(found)[CERTIFICATE] == "skipped"  # looked at when the client is known
    assert states(found)[LOGIN] == "skipped"


async def test_an_instance_without_the_service() -> None:
    client = "FI-DEV/MUN/1234567-8/subsystem"
    async with Sandbox(xroad_clients=[client]) as sandbox:
        one = broken(await chain(sandbox.url, XROAD__CLIENT=client))
    assert (one.link, one.exit_code) == (CLIENT, 3)
    assert "VTJmutpa in this instance" in one.cure


# Every code of X-Road's that its documents and its source name, where they arise (ErrorCodes, NIIS).
OPERATORS, DVVS = "Server.ClientProxy", "Server.ServerProxy"
ANYWHERE = (
    "IOError NetworkError InternalError HttpError DatabaseError InvalidResponse InvalidRequest NotFound "
    "CannotCreateSignature CertValidation MissingValidationInfo IncorrectValidationInfo CannotCreateCertPath "
    "CertValidityTime IncorrectCertificate UnsupportedAlgorithm InvalidSignatureValue MalformedSignature "
    "InvalidXml InvalidReference InvalidCertPath SignatureVerification TimestampValidation InvalidHashChain "
    "LoggingFailed TimestampingFailed LoggingFailed.TimestampingFailed InvalidContentType InvalidHttpMethod "
    "InvalidMessage InvalidSecurityServer MimeParsingFailed MissingHeader MissingBody InconsistentHeaders "
    "InconsistentResponse MissingSignature InvalidProtocolVersion MalformedServerConf MalformedGlobalConf "
    "OutdatedGlobalConf KeyNotFound KeyNotAvailable CertNotFound TokenNotActive TokenNotAvailable CannotSign "
    "PinIncorrect "
)
PROVIDERS = (
    "ServiceDisabled ServiceFailed ServiceFailed.HttpError ServiceFailed.SslAuthenticationFailed ServiceMissingUrl"
)


@pytest.mark.parametrize(
    ("kind", "owner"),
    [(f"{OPERATORS}.{one}", "operator of the security server") for one in ANYWHERE.split()]
    + [(f"{DVVS}.{one}", "DVV") for one in (ANYWHERE + PROVIDERS).split()],
)
async def test_a_fault_of_a_security_server_is_its_owners(kind: str, owner: str) -> None:
    async with Sandbox(persons=1) as sandbox:
        for endpoint in (LISTED, CURSOR):
            sandbox.set_faults([{"fault": 500, "xroad": kind, "endpoint": endpoint}])
            found = await chain(sandbox.url)
            one = broken(found)
            assert (one.link, one.exit_code, one.owner) == (endpoint, 7, owner)
            assert kind in one.told
            assert "X-Road-Id" in one.letter
            # Whose security server it was tells how far the call came.
            came = "ok" if endpoint == CURSOR or owner == "DVV" else "skipped"
            assert states(found)[CLIENT] == came
            assert states(found)[PERSON] == "skipped"


@pytest.mark.parametrize(
    ("planted", "link", "code", "owner"),
    [
        ({"fault": 500, "xroad": f"{OPERATORS}.UnknownMember"}, CLIENT, 3, "operator of the security server"),
        (
            {"fault": 500, "xroad": f"{OPERATORS}.SslAuthenticationFailed"},
            CERTIFICATE,
            3,
            "operator of the security server",
        ),
        ({"fault": 400, "xroad": "Client.BadRequest"}, CLIENT, 3, "you"),
        ({"fault": 500, "xroad": f"{DVVS}.UnknownMember"}, CLIENT, 3, "DVV"),
        ({"fault": 500, "xroad": f"{DVVS}.UnknownService"}, LISTED, 3, "DVV"),
        ({"fault": 500, "xroad": f"{DVVS}.AccessDenied"}, LISTED, 3, "DVV"),
        ({"fault": 502}, LISTED, 7, "operator of the security server"),
        ({"fault": "not_json"}, LISTED, 4, "operator of the security server"),
        ({"fault": "reset"}, LISTED, 7, "operator of the security server"),
        ({"fault": "hang"}, LISTED, 7, "operator of the security server"),
    ],
)
async def test_what_breaks_list_methods(planted: dict[str, Any], link: str, code: int, owner: str) -> None:
    async with Sandbox(persons=1) as sandbox:
        sandbox.set_faults([planted | {"endpoint": LISTED, "times": None}])
        found = await chain(sandbox.url)
    one = broken(found)
    assert (one.link, one.exit_code, one.owner) == (link, code, owner)
    assert one.cure
    assert [*sandbox.state()["requests"]] == [LISTED], "what hangs on it is not tried"


@pytest.mark.parametrize(
    ("planted", "link", "code"),
    [
        ({"fault": 500, "xroad": f"{DVVS}.AccessDenied"}, ACCESS, 3),
        ({"fault": 401}, LOGIN, 3),
        ({"fault": 403}, LOGIN, 3),
        ({"fault": 400}, CURSOR, 3),
        ({"fault": 429}, CURSOR, 7),
        ({"fault": 503}, CURSOR, 7),
        ({"fault": "not_json"}, CURSOR, 4),
    ],
)
async def test_what_breaks_the_first_call_of_the_service(planted: dict[str, Any], link: str, code: int) -> None:
    async with Sandbox(persons=1) as sandbox:
        sandbox.set_faults([planted | {"endpoint": CURSOR}])
        found = await chain(sandbox.url)
        one = broken(found)
        assert (one.link, one.exit_code, one.owner) == (link, code, "DVV")
        before = dict.fromkeys([NETWORK, CERTIFICATE, CLIENT, LISTED, OPENAPI], "ok")
        before |= {} if link == ACCESS else {ACCESS: "ok"}
        assert states(found) | before == states(found)
        if link != ACCESS:  # without X-Road it is the same
            sandbox.set_faults([planted | {"endpoint": CURSOR}])
            assert broken(await chain(sandbox.url, XROAD__CLIENT=None)).link == link


async def test_a_wrong_password_is_the_logins() -> None:
    async with Sandbox(persons=1) as sandbox:
        one = broken(await chain(sandbox.url, PASSWORD="another"))
    assert (one.link, one.exit_code) == (LOGIN, 3)
    assert "account sandbox" in one.letter


@pytest.mark.parametrize("planted", [{"fault": 500, "xroad": f"{DVVS}.InternalError"}, {"fault": "not_json"}])
async def test_nothing_hangs_on_the_description(planted: dict[str, Any]) -> None:
    async with Sandbox(persons=1) as sandbox:
        sandbox.set_faults([planted | {"endpoint": OPENAPI}])
        found = await chain(sandbox.url)
    assert broken(found).link == OPENAPI
    assert states(found)[CURSOR] == "ok"


async def test_a_permit_without_perustiedot(tmp_path: Path) -> None:
    async with Sandbox(persons=10) as sandbox:
        (tmp_path / "persons").write_text(sandbox.codes()[3])
        sandbox.set_faults([{"fault": 403, "endpoint": PERSON}])
        one = broken(await chain(sandbox.url, PERSONS_FILE=tmp_path / "persons"))
    assert (one.link, one.exit_code, one.owner) == (PERSON, 3, "DVV")


async def test_other_services_than_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer.sandbox.xroad.told", lambda *_: b'{"service": [{"service_code": "other"}]}')
    async with Sandbox(persons=1) as sandbox:
        one = broken(await chain(sandbox.url))
    assert (one.link, one.exit_code) == (LISTED, 3)
    assert "1 other services" in one.told


async def test_nobody_listens() -> None:
    async with Sandbox(persons=1) as sandbox:
        gone = sandbox.url
    one = broken(await chain(gone))
    assert (one.link, one.exit_code, one.owner) == (NETWORK, 7, "network team")


async def test_a_name_that_is_not_found() -> None:
    one = broken(await chain("http://security-server.invalid"))
    assert one.link == NETWORK
    assert "security-server.invalid is not found" in one.told


async def test_settings_that_are_wrong_break_the_whole_chain() -> None:
    found = await chain("ftp://nowhere")
    assert (broken(found).link, broken(found).exit_code) == ("settings", 2)
    assert {one.state for one in found[1:]} == {"skipped"}


# mutual TLS


def issue(ca: trustme.CA, name: str, folder: Path) -> tuple[Path, Path]:
    issued = ca.issue_cert(name)
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    return cert, key


@pytest.fixture
def ca(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


@asynccontextmanager
async def secured(ca: trustme.CA, folder: Path) -> AsyncIterator[tuple[Sandbox, dict[str, Path]]]:
    """A security server that knows one client certificate; and the settings of who has it."""
    cert, key = issue(ca, "127.0.0.1", folder)
    own, own_key = issue(trustme.CA(), "client.example.fi", folder)
    async with Sandbox(persons=1, tls_cert=cert, tls_key=key, client_certs=own, xroad_clients=[OWN]) as sandbox:
        yield sandbox, {"CA_FILE": folder / "ca.pem", "CLIENT_CERT_FILE": own, "CLIENT_KEY_FILE": own_key}


async def test_mutual_tls_that_holds(ca: trustme.CA, tmp_path: Path) -> None:
    async with secured(ca, tmp_path) as (sandbox, settings):
        found = await chain(sandbox.url, **settings)
    assert {one.state for one in found[:-1]} == {"ok"}, found


async def test_no_client_certificate(ca: trustme.CA, tmp_path: Path) -> None:
    async with secured(ca, tmp_path) as (sandbox, settings):
        found = await chain(sandbox.url, CA_FILE=settings["CA_FILE"])
    one = broken(found)
    assert (one.link, one.exit_code, one.owner) == (CERTIFICATE, 3, "operator of the security server")
    assert "SslAuthenticationFailed" in one.told
    assert OWN in one.letter
    assert states(found)[TLS] == "ok"


async def test_a_client_certificate_that_is_not_known(ca: trustme.CA, tmp_path: Path) -> None:
    strange, key = issue(ca, "stranger.example.fi", tmp_path)
    async with secured(ca, tmp_path) as (sandbox, settings):
        found = await chain(sandbox.url, **settings | {"CLIENT_CERT_FILE": strange, "CLIENT_KEY_FILE": key})
    one = broken(found)
    # TLS says why, unless the connection is closed under the request that is on its way.
    assert (one.link, one.exit_code) in [(CERTIFICATE, 3), (LISTED, 7)]
    assert "VTJ_UPSTREAM__CLIENT_CERT_FILE" in one.cure


async def test_a_server_that_we_do_not_trust(ca: trustme.CA, tmp_path: Path) -> None:
    async with secured(ca, tmp_path) as (sandbox, settings):
        del settings["CA_FILE"]
        found = await chain(sandbox.url, **settings)
        there = broken(await chain(sandbox.url.replace("https", "http"), **settings))
    one = broken(found)
    assert (one.link, one.exit_code) == (TLS, 3)
    assert "VTJ_UPSTREAM__CA_FILE" in one.cure
    assert states(found)[NETWORK] == "ok"
    assert there.link in (LISTED, TLS)


async def test_a_server_without_tls() -> None:
    async with Sandbox(persons=1) as sandbox:
        one = broken(await chain(sandbox.url.replace("http", "https")))
    assert (one.link, one.exit_code) == (TLS, 3)
    assert "http://" in one.cure


@pytest.mark.parametrize(("ahead", "state"), [(-300, "broken"), (20, "ok"), (90, "broken")])
async def test_clocks_that_differ(ahead: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = faults.timestamp
    monkeypatch.setattr(faults, "timestamp", lambda text: (read(text) or 0) + ahead)
    monkeypatch.setattr(f"{__name__}.UPSTREAM", [*UPSTREAM, next(one for one in LINKS if one.name == CLOCK)])
    async with Sandbox(persons=1) as sandbox:
        found = await chain(sandbox.url)
    assert (found[-1].link, found[-1].state) == (CLOCK, state)
    assert found[-1].exit_code == (1 if state == "broken" else 0)
    assert state == "ok" or ("behind" if ahead < 0 else "ahead of") in found[-1].told
