"""Persons leave through topics only. They are planted in every input, and looked for in everything that is told.

The program's own net (`producer/redaction.py`) must have had nothing to do here: its mask is as bad as a code.
"""

import asyncio
import base64
import contextlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from producer.redaction import MASK
from producer.sandbox import Sandbox
from tests import privacy
from tests.integration.deployment import SOON, Deployment, change, kotikunta
from tests.integration.quoting import CODES, NAME, ONE, OTHER, QUOTE, Answer, group, page, raw, says, upstream, xroad
from tests.integration.test_observe import address

pytestmark = pytest.mark.kafka

DEBUG = {"VTJ_LOG__LEVEL": "debug", "PYTHONASYNCIODEBUG": "1"}
TOO_LARGE = 1 << 20  # for a topic's default max.message.bytes

ADDRESS = {"katunimi": {"fi": "Kätkölänkuja", "sv": "Gömslevägen"}, "katunumero": "3"}


RECORDS: list[Any] = [
    *[change(code, group("HENKILON_NIMI", **NAME), group("VAKINAINEN_KOTIMAINEN_OSOITE", **ADDRESS)) for code in CODES],
    change(ONE, group("HUOLTAJA", huoltaja={"henkilotunnus": OTHER, **NAME}), group("SAHKOPOSTIOSOITE", uusi=QUOTE)),
    change(ONE, group("HENKILOTUNNUS_KORJAUS", aktiivinenHenkilotunnus=OTHER, muutettuHenkilotunnus=ONE)),
    change(ONE, group(ONE, **NAME), group(f"x{OTHER}"), kotikunta(**{OTHER: QUOTE, "Salakammari": 1})),
    {**change(ONE), ONE: QUOTE, "muutospv": ONE},
    # to the dead letters
    *(QUOTE, [ONE], {"henkilotunnus": [ONE], **NAME}, {"henkilotunnus": ONE, "tietoryhmat": QUOTE}),
    {"henkilotunnus": f"{ONE}\ud800", "tietoryhmat": [NAME]},
    change(ONE, kotikunta(lisatieto=QUOTE * (TOO_LARGE // len(QUOTE.encode()) + 1))),
    QUOTE * (TOO_LARGE // len(QUOTE.encode()) + 1),
]


def clean(*texts: str) -> bool:
    """Fails with the line, if one shows a person."""
    for text in texts:
        for line in text.splitlines():
            assert not privacy.shown(line), line
            assert MASK not in line, line
    return True


def persons_file(folder: Path, *more: str) -> str:
    path = folder / "persons"
    path.write_text("\n".join([*CODES, *more]))
    return str(path)


def command_lines(pid: int) -> list[str]:
    """Of a process and of all that descend from it."""
    if not Path("/proc/self/task").is_dir():  # not a Linux
        listed = subprocess.run(["ps", "-axo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        table = [
            (int(one), int(parent), line) for one, parent, line in (row.split(None, 2) for row in listed.splitlines())
        ]
        return [line for one, _, line in table if one == pid] + [
            line for one, parent, _ in table if parent == pid for line in command_lines(one)
        ]
    children = [
        int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
    ]
    own = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return [own, *(line for child in children for line in command_lines(child))]


async def test_what_is_told_while_all_goes_well(deployment: Deployment, tmp_path: Path) -> None:
    async with Sandbox(persons=100, history=200) as sandbox:
        keys = sandbox.append(RECORDS)
        at_work = (await deployment.apply_topics()).but(
            VTJ_UPSTREAM__URL=sandbox.url, VTJ_UPSTREAM__PERSONS_FILE=persons_file(tmp_path, *sandbox.codes()), **DEBUG
        )
        once = await at_work.run("run", "--once")
        assert once.code == 0, once.err
        assert f"committed cursor {keys[-1]}" in once.err
        assert clean(once.err, once.out)

        async with at_work.but(VTJ_LOG__FORMAT="json", VTJ_SCHEDULE__INTERVAL="1").start("run") as service:
            await service.says("opened at cursor")
            keys = sandbox.append(RECORDS)
            await service.says(f"committed cursor {keys[-1]}")
            lines = command_lines(service.pid)
            assert lines[0].split()[-3:] == ["-m", "producer", "run"]
            assert clean(*lines)
            assert clean(*await at_kafka(at_work))
            ended = await service.stop()
        assert ended.code == 0
        assert [json.loads(line)["logger"] for line in ended.err.splitlines()]
        assert clean(ended.err, ended.out)

        for command in ("topics plan", "topics apply", "cursor show", "cursor show --json", "config", "config --json"):
            done = await at_work.run(*command.split())
            assert (done.code, bool(done.out)) == (0, True), done.err
            assert clean(done.out, done.err)

        tail = await at_work.run("tail", "--once", "--from-beginning", "--person-file", "-", given=ONE.encode())
        table = await at_work.run("tail", "--once", "--from-beginning", "--table")
        for done in (tail, table):
            assert (done.code, ONE in done.out) == (0, True), done.err  # where it belongs, and nowhere else
            assert clean(done.err)


async def test_what_the_port_tells_beside_the_log(deployment: Deployment) -> None:
    """While a page with persons in all its corners is counted, and upstream quotes them in every refusal."""
    paths = ("/", "/status.js", "/status.css", "/icon.svg", "/metrics", "/healthz", "/readyz")
    async with upstream([page(muutokset=RECORDS), says(503)]) as told:
        failing = (await deployment.small.apply_topics()).but(
            VTJ_UPSTREAM__URL=told.url,
            VTJ_SCHEDULE__INTERVAL="1",
            VTJ_SERVER__PORT="0",
            VTJ_LOG__FORMAT="json",
            **DEBUG,
        )
        async with failing.start("run") as service, aiohttp.ClientSession(await address(service)) as session:
            await service.says("committed cursor 9")
            await service.says("Asking again")
            answers = {path: await (await session.get(path)).text() for path in paths}
            async with session.get("/events") as live:
                answers["/events"] = (await live.content.readline()).decode()
            ended = await service.stop()
    assert clean(*answers.values(), ended.err, ended.out)
    feed = json.loads(answers["/events"].removeprefix("data: "))["feeds"]["vtj"]
    assert feed["why"] == json.loads(answers["/readyz"])["failing"]["vtj"]["upstream"]
    assert feed["why"].startswith("Upstream answered 503 ")
    for counted in ("letters", "unmapped"):
        assert feed[counted], counted
        assert all(f'="{name}"' in answers["/metrics"] for name in feed[counted])


async def at_kafka(deployment: Deployment) -> list[str]:
    """All that others at Kafka can see of the feed, but for the keys and values of the data topics."""
    stored = await deployment.stored()
    data = [one for one in stored if one.topic not in ("cursor", "ledger")]
    # The plants did arrive, each in its place.
    keys, values = {one.key for one in data}, b"".join(one.value or b"" for one in data)
    assert {code.encode() for code in CODES} <= keys
    assert all(name.encode() in values for name in ("Salakammari", "Kätkölänkuja", "Piilopirtti"))
    letters = [one for one in await deployment.events("dead-letter") if one["reason"] == "oversized" or one["cut"]]
    assert len(letters) >= 2

    seen = [json.dumps([[name, value.decode()] for name, value in one.headers]) for one in data]
    for one in stored:
        if one.topic in ("cursor", "ledger"):
            assert not one.headers
            seen += [(one.key or b"").decode(), (one.value or b"").decode()]
    admin = deployment.admin
    names = deployment.names
    described = admin.describe_consumer_groups([names.group])[names.group].result(SOON)
    assert [member.client_id for member in described.members]
    seen += [text for one in described.members for text in (one.client_id, one.member_id, str(one.group_instance_id))]
    seen += [one.group_id for one in admin.list_consumer_groups().result(SOON).valid]
    seen += [names.transactional_id, *admin.list_topics(timeout=SOON).topics]
    return seen


@dataclass
class Failure:
    """What is asked again goes on in the same process: any number that is temporary, two that are malformed, an end."""

    exit_code: int
    answers: Sequence[Answer]
    settings: dict[str, str] = field(default_factory=dict)


XROAD = {"VTJ_UPSTREAM__XROAD__CLIENT": "FI-TEST/MUN/1234567-8/subsystem"}
CUT = f"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{QUOTE}"
SNAPSHOT = {"perustiedot": [change(ONE)], "ajanTasalla": True}
FAILURES = [
    Failure(3, [says(500), says(502), says(503), says(429), raw(""), raw(f"HTTP/1.1 200 OK\r\nX: {ONE}"), says(400)]),
    Failure(3, [raw(f"HTTP/1.1 {ONE} {OTHER}\r\n{QUOTE}\r\n\r\n"), says(200, Content_Encoding="gzip"), says(401)]),
    Failure(3, [raw(f"{QUOTE}\r\n\r\n", end=True), raw(CUT, end=True), says(403)]),
    Failure(3, [says(200, "[]"), says(302)]),
    # X-Road's faults, and what only looks like one
    Failure(
        3,
        [
            *(xroad(500, kind) for kind in ("Server.ServerProxy.NetworkError", ONE, f"Client.{ONE}")),
            xroad(500, f"Client.{ONE}", X_Road_Error=f"Server.{ONE}"),
            xroad(500, "Server.ServerProxy.AccessDenied"),
        ],
        XROAD,
    ),
    Failure(3, [says(503, X_Road_Error=ONE), xroad(400, "", X_Road_Error="Client.BadRequest")], XROAD),
    # malformed: text, other JSON, bytes, members, rules
    Failure(4, [says(200), says(200, f'{{"muutokset": ["{ONE}"'), says(200, f"<html>{QUOTE}</html>")]),
    Failure(4, [says(200, json.dumps(one)) for one in (QUOTE, [ONE], {ONE: QUOTE})]),
    Failure(4, [says(200, QUOTE.encode("latin-1")), says(200, b"\xff" + QUOTE.encode()), says(201)]),
    Failure(4, [page(muutokset={ONE: 1}), page(viimeisinKirjausavain=ONE), page(ajanTasalla=ONE)]),
    Failure(4, [page(viimeisinKirjausavain=-1), page(viimeisinKirjausavain=0), page(ajanTasalla=None)]),
    Failure(4, [page(muutokset=None), page(viimeisinKirjausavain=None), says(200, json.dumps(SNAPSHOT))]),
    Failure(4, [says(200, json.dumps({"viimeisinKirjausavain": ONE}))] * 3, {"VTJ_UPSTREAM__START": "2026-11-01"}),
    Failure(7, [says(500), says(503)], {"VTJ_UPSTREAM__PATIENCE": "5"}),
    Failure(2, [says(200, QUOTE * 100)], {"VTJ_UPSTREAM__MAX_RESPONSE": "1024"}),
]


async def test_what_is_told_when_upstream_fails(deployment: Deployment, tmp_path: Path) -> None:
    deployment = await deployment.small.apply_topics()
    persons = persons_file(tmp_path)
    few = asyncio.Semaphore(3)

    async def run(at: int, failure: Failure) -> None:
        async with few, upstream(failure.answers) as told:
            failing = deployment.but(
                VTJ_UPSTREAM__URL=told.url,
                VTJ_UPSTREAM__PERSONS_FILE=persons,
                VTJ_UPSTREAM__RETRY_WAIT="0.5",
                VTJ_FEED__NAME=f"feed-{at}",
                VTJ_LOG__FORMAT="json" if at % 2 else "console",
                **(DEBUG | failure.settings),
            )
            ended = await failing.run("run", "--once")
        assert ended.code == failure.exit_code, ended.err
        assert len(told.asked) >= len(failure.answers), ended.err
        assert told.asked[0] == "" or all(code in told.asked[0] for code in CODES)
        assert ('"hint":' if at % 2 else "\n  → ") in ended.err
        assert "Traceback" not in ended.err, ended.err
        assert clean(ended.err, ended.out)

    await asyncio.gather(*(run(at, failure) for at, failure in enumerate(FAILURES)))
    assert {one.topic for one in await deployment.stored()} == {"cursor", "identity", "ledger", "watchlist"}


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (f"{ONE}\n{ONE}", "the same code as on a line before: line 2"),
        (f"{ONE[:-1]}?\n{OTHER} {ONE}", "not an identity code: lines 1, 2"),
        (f"{ONE} # Salakammari, Kätkölänkuja", "not an identity code: line 1"),
    ],
    ids=["twice", "misspelt", "more"],
)
async def test_what_is_told_of_a_file_of_persons(deployment: Deployment, tmp_path: Path, lines: str, says: str) -> None:
    path = tmp_path / "persons"
    path.write_text(lines)
    done = await deployment.but(VTJ_UPSTREAM__PERSONS_FILE=str(path), **DEBUG).run("run", "--once")
    assert done.code == 2
    assert says in done.err
    assert clean(done.err, done.out)


async def test_what_convert_tells_on_standard_error(deployment: Deployment) -> None:
    records = [record for record in RECORDS if len(str(record)) < TOO_LARGE // 2]
    answer = {"viimeisinKirjausavain": 9, "muutokset": records, "ajanTasalla": True, ONE: QUOTE}
    done = await deployment.run("convert", "--strict", given=json.dumps(answer).encode())
    assert done.code == 1
    assert "unmapped:" in done.err
    assert "dead letters:" in done.err
    assert all(code in done.out for code in CODES)
    assert clean(done.err.replace("KOTIKUNTA.Salakammari", ""))  # the name of a field, which is counted by its name


async def test_what_the_sandbox_tells_about_its_requests(deployment: Deployment) -> None:
    account = base64.b64encode(b"sandbox:sandbox").decode()

    def post(path: str, body: str, headers: str = "") -> str:
        length = len(body.encode())
        return f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {account}\r\nConnection: close\r\n" + (
            f"{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )

    everyone = json.dumps({"viimeisinKirjausavain": 0, "hetulista": CODES})
    requests = [
        *(f"{QUOTE}\r\n\r\n", f"GET {ONE} {ONE}\r\n\r\n", f"GET / HTTP/1.1\r\nHost: x\r\n{QUOTE}\r\n\r\n"),
        *(f"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {ONE}\r\n\r\n", f"GET /{ONE} HTTP/1.0\r\n\r\n"),
        f"GET /api/v1/kirjausavain/{ONE} HTTP/1.0\r\nAuthorization: Basic {account}\r\n\r\n",
        post("/api/v1/muutokset", everyone),
        post("/api/v1/muutokset", everyone, "Authorization: Basic x\r\n"),
        *(post("/api/v1/muutokset", json.dumps({"viimeisinKirjausavain": one})) for one in (ONE, {ONE: ONE})),
        *(post("/api/v1/perustiedot", json.dumps({"hetulista": one, ONE: 1})) for one in (ONE, CODES, [{ONE: 1}])),
        *(post(path, QUOTE) for path in ("/api/v1/muutokset", "/_sandbox/append", "/_sandbox/faults")),
        post("/api/v1/muutokset", QUOTE, "Content-Encoding: gzip\r\n"),
        post("/_sandbox/append", json.dumps({"muutokset": RECORDS})),
        post("/_sandbox/faults", json.dumps([{"fault": ONE, ONE: QUOTE}])),
        post(f"/r1/FI-TEST/GOV/{ONE}/x/x/api/v1/muutokset", everyone, f"X-Road-Client: {ONE}\r\n"),
    ]
    async with deployment.but(**DEBUG).start("sandbox", "--port", "0", "--persons", "20") as sandbox:
        while "http://" not in sandbox.out:
            await asyncio.sleep(0.02)
        port = int(sandbox.out.split()[0].rpartition(":")[2])
        statuses = [await answered(port, request.encode()) for request in requests]
        ended = await sandbox.stop()
    assert statuses[6] == b"200"
    assert all(status[:1] in (b"2", b"4", b"5") for status in statuses)
    assert "Error handling request" in ended.err  # what garbled requests make aiohttp say
    assert clean(ended.err, ended.out)


async def answered(port: int, request: bytes) -> bytes:
    """The status of whatever was asked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(SOON):
        status = (await reader.readline()).split()[1]
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()
    return status
