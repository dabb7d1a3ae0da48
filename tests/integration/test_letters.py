"""`dead-letters`: listed without content, told again exactly once, given up; beside a running service."""

import asyncio
import json
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from producer.app.dealing import discard, retry
from producer.app.erase import erase
from producer.app.letters import Place, letters
from producer.app.load import load
from producer.app.parts import parts
from producer.kafka import ledger
from producer.sandbox import Sandbox
from producer.sandbox.log import Log
from producer.state.load import Wanted
from tests import privacy
from tests.broker import Broker
from tests.integration.deployment import SOON, Deployment, Ended, change
from tests.integration.pages import encoded
from tests.integration.test_restricted import read_uncommitted
from tests.integration.test_verify import shorten
from tests.oracle import Stored
from tests.oracle.content import content_found
from tests.oracle.judge import judge
from tests.oracle.schemas import Schemas
from tests.oracle.upstream import kebab, read_log

pytestmark = pytest.mark.kafka

NARROW = "HENKILON_NIMI,HENKILOTUNNUS_KORJAUS,KOTIKUNTA,TURVAKIELTO"
RESIDENCE = {"EDELLINEN_KOTIKUNTA"}
NEW = {"AVIOLIITTO", "HUOLTAJA", "LAPSI", *RESIDENCE}
SECRET = "Suojakallio"
PRT = "900000021R"
UNMAPPED, DEAD, HANDLED = "change.unmapped", "dead-letter", "handled"


@dataclass
class Fed:
    """A feed whose permit had few groups, and has some more now. protected, erased: persons who were neither before."""

    deployment: Deployment
    sandbox: Sandbox
    protected: Collection[str]
    erased: Collection[str]

    def tellable(self, one: Stored) -> bool:
        key, group = (one.key or b"").decode(), decoded(one)["group"]
        return group in NEW and key not in self.erased and (group not in RESIDENCE or key not in self.protected)


async def said(deployment: Deployment, *arguments: str, given: bytes = b"", code: int = 0) -> Ended:
    """A command, in whose words nothing is personal."""
    ended = await deployment.run("dead-letters", *arguments, given=given)
    assert ended.code == code, ended.err
    assert not privacy.shown(ended.out + ended.err)
    assert SECRET not in ended.out + ended.err
    return ended


async def listed(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """What the command lists with --all, by place."""
    async with letters(await parts(deployment.settings, check=False)) as there:
        return {str(one.place): one.told() async for one in there.all()}


async def left(deployment: Deployment) -> set[str]:
    return {one for one, told in (await listed(deployment)).items() if "handled" not in told}


def place(one: Stored) -> str:
    return f"{one.topic}:{one.partition}:{one.offset}"


def decoded(one: Stored) -> dict[str, Any]:
    return Schemas.load().decode(one.topic.removesuffix(".restricted"), one.value or b"")


def content(one: Stored) -> tuple[Any, ...]:
    """What an event says, whichever topic it is in; and where that puts it."""
    told = decoded(one)
    same = [told[name] for name in ("feed", "cursor", "position", "fetchedAt", "recordId", "recordSize")]
    return one.partition, one.key, one.headers[0], *same, content_found(told)


def again(stored: Collection[Stored]) -> list[Stored]:
    changes = [one for one in stored if one.topic.startswith("change.")]
    return [one for one in changes if decoded(one)["bucket"] == "letters"]


@asynccontextmanager
async def feed(broker: Broker, **settings: str) -> AsyncIterator[Fed]:
    async with Sandbox(persons=40, page_size=10) as sandbox:
        prefix = f"letters-{secrets.token_hex(3)}"
        narrow = Deployment(broker.bootstrap, prefix, sandbox.url).but(
            VTJ_PERMIT__GROUPS=NARROW, VTJ_STATE__ENABLED="true", VTJ_UPSTREAM__START=None, **settings
        )
        made = await parts((await narrow.apply_topics()).settings)
        await load(made, Wanted(codes=sandbox.codes()), lambda *_: None, into_changes=False, again=False)
        source = sandbox._source
        assert isinstance(source, Log)
        hidden, gone, free = [person for person in source._register if not person.protected][:3]
        moved = {
            "tietoryhma": "EDELLINEN_KOTIKUNTA",
            "muutosattribuutti": "LISATTY",
            "kuntakoodi": "091",
            "uusi": SECRET,
        }
        sandbox.append([change(one.code, moved) for one in (hidden, gone, free)])
        strange = {**moved, "tietoryhma": "UUSI_RYHMA"}
        sandbox.append([SECRET, {"henkilotunnus": free.code, "tietoryhmat": SECRET}])
        sandbox.append([change(free.code, strange, {**moved, "tietoryhma": "HUOLTAJA"}) | {"uusi": 1}])
        sandbox.append([{"henkilotunnus": free.code, "tietoryhmat": [SECRET, moved]}])
        order = hidden.put("TURVAKIELTO", turvakieltoAktiivinen=True)
        sandbox.append([change(hidden.code, {**order, "muutosattribuutti": "LISATTY"})])
        sandbox.grow(150)
        ended = await narrow.run("run", "--once")
        assert ended.code == 0, ended.err
        await erase(made, gone.code, None)
        wide = await narrow.but(VTJ_PERMIT__GROUPS=",".join([NARROW, *sorted(NEW)])).apply_topics()
        erased = {(one.key or b"").decode() for one in await wide.stored("erased")}
        yield Fed(wide, sandbox, [person.code for person in source._register if person.protected], erased)


async def test_killed_at_any_point_each_is_told_once_beside_a_running_service(broker: Broker) -> None:
    async with feed(broker) as fed:
        deployment, before = fed.deployment, await fed.deployment.stored()
        there = [one for one in before if one.topic in (UNMAPPED, DEAD)]
        expected = [one for one in there if one.topic == UNMAPPED and fed.tellable(one)]
        others = [one for one in there if one not in expected]
        assert len(expected) > 30
        assert "EDELLINEN_KOTIKUNTA" in {decoded(one)["group"] for one in others if one.topic == UNMAPPED}

        def handled() -> int:
            return sum(end for (topic, _), end in deployment.ends().items() if topic.endswith(HANDLED))

        async with deployment.but(VTJ_SCHEDULE__INTERVAL="1").start("run") as running:
            await running.says("opened at cursor")
            slow = deployment.but(VTJ_KAFKA__TRANSACTION_EVENTS="8")
            for seen in (2, 15):  # the first are what opening leaves there
                async with slow.start("dead-letters", "retry") as killed:
                    while handled() < seen and killed.lives:
                        await asyncio.sleep(0.002)
                    assert killed.lives
                    killed.signal(signal.SIGKILL)
                    await killed.end()
            partly = len(again(await deployment.stored()))
            assert 0 < partly < len(expected)
            ended = await said(deployment, "retry")
            [cursor] = fed.sandbox.append([change(fed.sandbox.codes()[5])])
            await running.says(f"committed cursor {cursor}")
            assert running.log.count("opened at cursor") == 1, running.log
            stored = await deployment.stored()
            found = again(stored)
            assert Counter(map(content, found)) == Counter(map(content, expected))
            assert all(one.topic == f"change.{kebab(decoded(one)['group'])}" for one in found)
            assert {decoded(one)["kind"] for one in found} == {"REPLAY"}
            # It is news to the state, which reads the persons again.
            touched = {one.key for one in found} & {code.encode() for code in fed.sandbox.codes()}
            async with asyncio.timeout(SOON):
                while not touched <= {one.key for one in await deployment.stored("state.huoltaja")}:
                    await asyncio.sleep(0.1)
            assert (await running.stop()).code == 0
        assert f"retried: {len(expected) - partly}; {len(expected) - partly} events" in ended.out
        assert {"protected", "erased", "no-schema"} <= {line.split(": ")[1] for line in ended.out.splitlines()[1:-1]}
        lines = (await said(deployment, "list", "--json")).out.splitlines()
        assert {json.loads(line)["place"] for line in lines} == {*map(place, others)} == await left(deployment)
        assert {*await listed(deployment)} == {*map(place, there)}
        reasons = Counter(json.loads(line)["reason"] for line in lines)
        assert reasons["record-not-object"] == reasons["no-groups"] == reasons["group-not-object"] == 1
        assert (await retry(await parts(deployment.settings))).events == 0
        assert len(again(await deployment.stored())) == len(found)
        verified = await deployment.run("verify")
        assert verified.code == 0, verified.out
        told = [one for one in stored if one.value is not None]  # the erased have a tombstone among the identities
        changes = await asyncio.to_thread(read_log, fed.sandbox.url)
        verdict = judge(changes, told, deployment.prefix, permit=frozenset(NARROW.split(",")))
        assert verdict.sound, verdict


async def test_with_restricted_topics_what_is_protected_now_goes_there(broker: Broker) -> None:
    async with feed(broker, VTJ_PRIVACY__RESTRICTED_TOPICS="on") as fed:
        await said(fed.deployment, "retry")
        found = again(await fed.deployment.stored())
        homes = [one for one in found if one.topic.startswith("change.edellinen-kotikunta")]
        open_, restricted = ([one for one in homes if one.topic.endswith("restricted") is way] for way in (False, True))
        protected = {code.encode() for code in fed.protected}
        assert {one.key for one in open_} & protected == set()
        assert {one.key for one in restricted} <= protected
        assert sum(SECRET in str(one.value) for one in restricted) == 1
        assert sum(SECRET in str(one.value) for one in open_) == 2
        assert not {(one.key or b"").decode() for one in found} & {*fed.erased}


@pytest.fixture
async def old(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A dead letter of a release that knew no buildings, between two of what nobody will ever understand."""
    deployment = await deployment.small.apply_topics()
    group = {"tietoryhma": "HENKILON_NIMI", "muutosattribuutti": "LISATTY", "sukunimi": SECRET}
    monkeypatch.setattr("producer.events.page.usable_building", lambda _: False)
    async with deployment.publisher().open() as shard:
        await shard.begin(1)
        record = {"rakennustunnus": PRT, "tietoryhmat": [group, group], "muutospv": "2026-11-20T04:38:04.394Z"}
        await shard.commit([encoded(deployment, 1, 2, SECRET, record, [SECRET])])
    monkeypatch.undo()
    return deployment


async def test_a_letter_is_shown_told_and_given_up(old: Deployment) -> None:
    hopeless, building, another = await listed(old)
    shown = json.loads((await said(old, "show", building)).out)
    assert (shown["reason"], shown["position"], shown["previousCursor"]) == ("no-identity-code", 1, 1)
    assert "henkilotunnus" in shown["detail"]
    revealed = await old.run("dead-letters", "show", building, "--reveal")
    assert json.loads(revealed.out.splitlines()[1])["tietoryhmat"][0]["sukunimi"] == SECRET
    assert f"the content of {building} was shown, by " in revealed.err

    retried = await said(old, "retry")
    assert retried.out.splitlines() == [
        "retried: 1; 2 events",
        "  2 stay: record-not-object: the change record is no JSON object",
    ]
    assert retried.err.count("vtj.audit: retried 1 dead letter(s), by ") == retried.err.count("vtj.audit") == 1
    events = [decoded(one) for one in again(await old.stored())]
    assert [(one["personId"], one["kind"], one["cursor"], one["position"]) for one in events] == [
        (PRT, "REPLAY", 2, 1),
        (PRT, "REPLAY", 2, 2),
    ]
    assert (await said(old, "retry", building)).out == "dealt with before: 1\n"

    dry = await said(old, "discard", hopeless, "--reason", "a test")
    assert "Nothing was discarded. --yes does it" in dry.out
    wrong = ("discard", hopeless, "dead-letter:0:999", "--reason", "a test", "--yes")
    refused = await old.but(VTJ_KAFKA__TRANSACTION_EVENTS="1").run("dead-letters", *wrong)
    assert (refused.code, refused.out) == (2, "")
    assert "Nothing to deal with stands at dead-letter:0:999" in refused.err
    assert await left(old) == {hopeless, another}
    done = await said(old, "discard", "-", "--reason", "a test", "--yes", given=f"{hopeless}\n{building}\n".encode())
    assert done.out == "discarded: 1; dealt with before: 1\n"
    assert "discarded 1 dead letter(s) (a test), by " in done.err
    assert await left(old) == {another}
    assert (await listed(old))[hopeless]["handled"]["reason"] == "a test"
    verified = await old.run("verify")
    assert verified.code == 0, verified.out

    # What the retention has taken needs no marker any more.
    shorten(old, DEAD, 0, int(hopeless.rpartition(":")[2]) + 1)
    made = await parts(old.settings)
    assert (await discard(made, [Place.read(another)], "a test")).letters == {"discarded": 1}
    there = read_uncommitted(old)[old.topic(HANDLED)]
    assert [there.count(one.encode()) for one in (hopeless, building, another)] == [2, 1, 1]
    assert await left(old) == set()


async def test_a_lost_event_of_a_retry_is_found(old: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = ledger.Entry.encode

    def one_more(self: ledger.Entry) -> bytes:
        told = orjson.loads(encode(self))
        if told["bucket"] == "letters":
            next(iter(told["offsets"][old.topic("change.henkilon-nimi")].values()))[2] += 1
            told["events"] += 1
        return orjson.dumps(told)

    monkeypatch.setattr(ledger.Entry, "encode", one_more)
    made = await parts(old.settings)
    assert (await retry(made)).events == 2
    verified = await old.run("verify", "--json")
    figures = json.loads(verified.out.splitlines()[-1])
    assert (verified.code, {kind for kind, count in figures["faults"].items() if count}) == (1, {"missing"})
