"""Behind TLS, accounts and ACLs: who has what docs/kafka.md lists gets in and works, whoever has not is told why."""

import asyncio
import base64
import json
import os
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from producer.sandbox import Sandbox
from tests.broker import NoKafka
from tests.broker.secured import ACCOUNT, CLEAR, MUTUAL, SASL, SecuredBroker
from tests.integration.deployment import ROOT, SOON, Deployment, until

pytestmark = pytest.mark.kafka

PASSWORD, RENEWED = "hunter2-of-the-test", "hunter3-of-the-test"
QUICK = 15.0  # s from the start of a command to its sentence, on a busy machine


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    try:
        broker = SecuredBroker(tmp_path_factory.mktemp("secured"), PASSWORD)
    except NoKafka as reason:
        pytest.fail(
            f"a broker with TLS is a process of this machine, and wants Java and Maven: {reason}", pytrace=False
        )
    (broker.folder / "password").write_text(f"{PASSWORD}\n")
    with broker:
        yield broker


@pytest.fixture
async def token_url() -> AsyncIterator[str]:
    """Gives unsecured tokens of the account to who has the secret."""
    expected = base64.b64encode(f"{ACCOUNT}:{PASSWORD}".encode()).decode()

    def part(claims: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    async def token(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] != f"Basic {expected}":
            return web.json_response({"error": "invalid_client"}, status=401)
        now = int(time.time())
        claims = part({"sub": ACCOUNT, "iat": now, "exp": now + 300})
        return web.json_response({"access_token": f"{part({'alg': 'none'})}.{claims}.", "expires_in": 300})

    app = web.Application()
    app.router.add_post("/token", token)
    async with TestServer(app) as server:
        yield str(server.make_url("/token"))


def at(deployment: Deployment, broker: SecuredBroker, listener: str, **settings: str | None) -> Deployment:
    """Commands that come in there, with all that they need; settings: of Kafka's, without what they begin with."""
    folder = broker.folder
    sasl = {"SASL_MECHANISM": "SCRAM-SHA-512", "USERNAME": ACCOUNT, "PASSWORD_FILE": str(folder / "password")}
    ca = {"CA_FILE": str(folder / "ca.pem")}
    ways: Mapping[str, Mapping[str, str]] = {
        SASL: {"SECURITY_PROTOCOL": "SASL_SSL", **sasl, **ca},
        CLEAR: {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", **sasl},
        MUTUAL: {
            "SECURITY_PROTOCOL": "SSL",
            "CLIENT_CERT_FILE": str(folder / "client.pem"),
            "CLIENT_KEY_FILE": str(folder / "client.key"),
            **ca,
        },
    }
    given = {"BOOTSTRAP_SERVERS": broker.addresses[listener], **ways[listener], **settings}
    return deployment.but(**{f"VTJ_KAFKA__{name}": value for name, value in given.items()})


def documented(prefix: str, feed: str) -> Iterator[AclBinding]:
    """What docs/kafka.md lists for `topics apply` and `run`, no more."""
    text = (ROOT / "docs" / "kafka.md").read_text("utf-8")
    rows = re.findall(r"^\| (?:for `topics apply` alone: )?(Topic|TransactionalId|Group) (.*) \| (.*) \|$", text, re.M)
    assert len(rows) > 5
    for kind, names, rights in rows:
        for written in re.findall("`(.*?)`", names):
            name = written.replace("<prefix>", prefix).replace("<feed>", feed)
            pattern = ResourcePatternType.PREFIXED if name.endswith(".") else ResourcePatternType.LITERAL
            for right in rights.split(", "):
                operation = AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", right).upper()]
                resource = ResourceType[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).upper()]
                yield AclBinding(resource, name, pattern, f"User:{ACCOUNT}", "*", operation, AclPermissionType.ALLOW)


async def granted(deployment: Deployment) -> Deployment:
    admin = deployment.admin
    for created in admin.create_acls([*documented(deployment.prefix, deployment.settings.feed.name)]).values():
        created.result(SOON)
    return deployment


async def test_every_way_in_works_with_the_rights_that_are_documented(
    secured: SecuredBroker, prefix: str, token_url: str
) -> None:
    async with Sandbox(persons=100, history=100, page_size=50) as sandbox:
        deployment = await granted(Deployment(secured.bootstrap, prefix, sandbox.url).small)
        applied = await at(deployment, secured, SASL).run("topics", "apply")
        assert applied.code == 0, applied.err
        ways = [
            at(deployment, secured, SASL),
            at(deployment, secured, SASL, SASL_MECHANISM="SCRAM-SHA-256"),
            at(deployment, secured, SASL, SASL_MECHANISM="PLAIN"),
            at(deployment, secured, SASL, SASL_MECHANISM="OAUTHBEARER", TOKEN_URL=token_url),
            at(deployment, secured, MUTUAL),
        ]
        for way in ways:
            sandbox.grow(10)
            ended = await way.run("run", "--once")
            assert ended.code == 0, ended.err
            assert PASSWORD not in ended.out + ended.err
            assert await deployment.cursor() == sandbox.state()["last"]
        verdict = await deployment.audit()
        assert verdict.sound, verdict


async def test_who_is_not_let_in_is_told_why(secured: SecuredBroker, prefix: str, token_url: str) -> None:
    """In one sentence with setting and cure, soon, without a trace and without the secret."""
    folder = secured.folder
    (folder / "wrong").write_text("hunter0-of-the-test")
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    stranger = trustme.CA().issue_cert("client.example.fi", organization_name=ACCOUNT)
    (folder / "stranger.pem").write_bytes(b"".join(one.bytes() for one in stranger.cert_chain_pems))
    stranger.private_key_pem.write_to_path(str(folder / "stranger.key"))
    deployment, wrong = Deployment(secured.bootstrap, prefix), str(folder / "wrong")

    def sasl(**settings: str | None) -> Deployment:
        return at(deployment, secured, SASL, **settings)

    def mutual(**settings: str | None) -> Deployment:
        return at(deployment, secured, MUTUAL, **settings)

    account, ca, cert = "does not accept the account", "certificate is not trusted", "refused the TLS connection"
    cases = [
        (sasl(PASSWORD_FILE=wrong), 5, account, "VTJ_KAFKA__PASSWORD_FILE"),
        (sasl(PASSWORD_FILE=wrong, SASL_MECHANISM="PLAIN"), 5, account, "VTJ_KAFKA__PASSWORD_FILE"),
        (sasl(USERNAME="nobody"), 5, account, "VTJ_KAFKA__USERNAME"),
        (
            at(deployment, secured, CLEAR, SASL_MECHANISM="PLAIN"),
            5,
            "not know the SASL mech",
            "VTJ_KAFKA__SASL_MECHANISM",
        ),
        (
            sasl(PASSWORD_FILE=wrong, SASL_MECHANISM="OAUTHBEARER", TOKEN_URL=token_url),
            5,
            "The token endpoint answered 401",
            "VTJ_KAFKA__TOKEN_URL",
        ),
        (sasl(CA_FILE=str(folder / "other.pem")), 5, ca, "VTJ_KAFKA__CA_FILE"),
        (sasl(CA_FILE=None), 5, ca, "VTJ_KAFKA__CA_FILE"),
        (mutual(CLIENT_CERT_FILE=None, CLIENT_KEY_FILE=None), 5, cert, "VTJ_KAFKA__CLIENT_CERT_FILE"),
        (
            mutual(CLIENT_CERT_FILE=str(folder / "stranger.pem"), CLIENT_KEY_FILE=str(folder / "stranger.key")),
            5,
            cert,
            "VTJ_KAFKA__CLIENT_CERT_FILE",
        ),
        (mutual(CA_FILE=str(folder / "absent")), 2, "cannot be read: No such file", "VTJ_KAFKA__CA_FILE"),
        # What cannot be told apart from a Kafka that is away says so, and names the setting.
        (deployment.but(VTJ_KAFKA__BOOTSTRAP_SERVERS=secured.addresses[SASL]), 8, "KafkaConn", "SECURITY_PROTOCOL"),
        (mutual(BOOTSTRAP_SERVERS=secured.bootstrap), 8, "Kafka", "SECURITY_PROTOCOL"),
        # In, and then without a right: nothing is there of this prefix.
        (sasl(), 5, "was not created: TopicAuthorizationFailed", "the ACL Create on the topics"),
    ]
    patience = asyncio.Semaphore(4)

    async def refused(one: Deployment, code: int, sentence: str, cure: str) -> None:
        async with patience:
            ended = await one.but(VTJ_KAFKA__COMMIT_TIMEOUT="10").run("topics", "apply")
        assert ended.code == code, (sentence, ended.err)
        *_, said, hint = ended.err.splitlines()  # behind what is said of waiting, on a busy machine
        assert sentence in said, ended.err
        assert cure in said + hint, ended.err
        assert "hunter" not in ended.out + ended.err
        assert ended.seconds < QUICK, (sentence, ended.seconds)

    await asyncio.gather(*(refused(*case) for case in cases))


class Confined(Deployment):
    """As in a hardened container: no capabilities, and a file system on which nothing can be written."""

    def _command(self, arguments: Iterable[str]) -> list[str]:
        unprivileged = []
        if os.geteuid() == 0 and (setpriv := shutil.which("setpriv")):
            unprivileged = [setpriv, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        return [*unprivileged, sys.executable, "-c", READ_ONLY, *arguments]


# Fails as the system would, where something is opened to be written, made or renamed.
READ_ONLY = """
import errno, os, sys

WRITES = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.truncate", "os.chmod"}

def read_only(event, args):
    opened = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event in WRITES or (opened and not isinstance(args[0], int) and args[0] != os.devnull):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), args[0])

os.chdir(os.environ["HOME"])
sys.dont_write_bytecode = True
sys.addaudithook(read_only)
from producer.__main__ import main
sys.exit(main())
"""


async def test_a_read_only_file_system_and_an_unprivileged_user_will_do(
    secured: SecuredBroker, prefix: str, tmp_path: Path
) -> None:
    """Home, working directory and temporary files are where nobody may write."""
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir(mode=0o555)
    async with Sandbox(persons=100, history=50, page_size=50) as sandbox:
        deployment = await granted(Confined(secured.bootstrap, prefix, sandbox.url).small)
        confined = at(deployment, secured, SASL).but(
            **dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(nowhere))
        )
        written = await confined.run("catalogue", "build", "--output", str(nowhere / "pages"))
        assert written.code != 0, "the file system is not read-only at all"
        for command in (("topics", "apply"), ("run", "--once"), ("status",)):
            ended = await confined.run(*command)
            assert ended.code == 0, ended.err
        assert await deployment.cursor() == sandbox.state()["last"]


async def test_a_password_is_renewed_while_the_service_runs(
    secured: SecuredBroker, prefix: str, tmp_path: Path
) -> None:
    """Its connections end again and again, as where the broker sets connections.max.reauth.ms: each new one has the
    password that is in the file then. With the old one in between it waits, and does not end.
    """
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    async with Sandbox(persons=100, history=50, page_size=50) as sandbox:
        deployment = await granted(Deployment(secured.bootstrap, prefix, sandbox.url).small)
        await deployment.apply_topics()

        async def set_password(password: str) -> None:
            admin = deployment.admin
            mechanism = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
            change = UserScramCredentialUpsertion(ACCOUNT, mechanism, password.encode())
            for done in admin.alter_user_scram_credentials([change]).values():
                await asyncio.to_thread(done.result, SOON)

        async def current() -> None:
            last = sandbox.state()["last"]
            until_then = time.monotonic() + SOON
            while await deployment.cursor() != last:
                assert time.monotonic() < until_then, service.log
                await asyncio.sleep(0.2)

        running = at(deployment, secured, CLEAR, PASSWORD_FILE=str(file), COMMIT_TIMEOUT="3")
        async with running.but(VTJ_SCHEDULE__INTERVAL="1").start("run") as service:
            try:
                await current()
                await set_password(RENEWED)
                await service.says("does not accept the account. Check VTJ_KAFKA__USERNAME")
                sandbox.grow(20)
                await service.says("beginning again at the stored cursor")
                file.write_text(RENEWED)
                await current()
                assert service.lives
            finally:
                await set_password(PASSWORD)
            assert (await service.stop()).code == 0
        assert "hunter" not in service.log
        verdict = await deployment.audit()
        assert verdict.sound, verdict
        await until(deployment.nothing_open, "the end of the transactions")
