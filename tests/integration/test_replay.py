"""`replay --to-topic`: the range once, however often it is killed, without the erased and protected addresses."""

import asyncio
import json
import secrets
import signal
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.cimpl import NewTopic

from producer.app.erase import erase
from producer.app.load import load
from producer.app.parts import parts
from producer.sandbox import Sandbox
from producer.sandbox.log import Log
from producer.state.load import Wanted
from tests.broker import Broker
from tests.integration.deployment import FEW, SOON, Deployment, Ended, change
from tests.integration.test_identities import corrected
from tests.oracle import Stored, read_topics
from tests.oracle.schemas import Schemas

pytestmark = pytest.mark.kafka

SECRET = "Suojakallio"
NAME = "change.henkilon-nimi"
# Of the permit: what may be copied of whoever is under turvakielto.
HARMLESS = {NAME, "change.henkilotunnus-korjaus", "change.siviilisaaty", "change.turvakielto"}


@dataclass
class Fed:
    """A feed with a load. first, since: cursors, where it begins and in the midst of it.

    protected, erased: codes, of whom there are addresses from when they were neither. corrected: one of two or more.
    """

    deployment: Deployment
    first: int
    since: int
    protected: Collection[str]
    erased: Collection[str]
    corrected: str

    def topic(self, name: str, partitions: int = 2) -> str:
        topic = f"{self.deployment.prefix}{name}.all"
        admin = self.deployment.admin
        for future in admin.create_topics([NewTopic(topic, partitions)]).values():
            future.result(SOON)
        return topic

    def end(self, topic: str) -> int:
        """How many records and markers the topic holds."""
        consumer = Consumer({"bootstrap.servers": self.deployment.bootstrap, "group.id": topic, "log_level": 0})
        try:
            return sum(consumer.get_watermark_offsets(TopicPartition(topic, at), timeout=SOON)[1] for at in (0, 1))
        except KafkaException:  # it is quite new, and its leader is just being found
            return 0
        finally:
            consumer.close()

    async def copied(self, topic: str) -> list[Stored]:
        return await asyncio.to_thread(read_topics, self.deployment.bootstrap, topic.removesuffix(".all"))

    async def changes(self, since: int) -> list[Stored]:
        """What stands in the topics of changes behind a cursor."""
        stored = [one for one in await self.deployment.stored() if one.topic.startswith("change.")]
        return [one for one in stored if fields(one.topic, one)["cursor"] > since]

    def copyable(self, one: Stored) -> bool:
        return text(one.key) not in self.erased and (one.topic in HARMLESS or text(one.key) not in self.protected)

    async def replay(self, topic: str, *arguments: str, given: bytes = b"") -> Ended:
        return await self.deployment.run("replay", "--to-topic", topic, *arguments, given=given)


def text(key: bytes | None) -> str:
    return (key or b"").decode()


def moved(code: str, street: str) -> dict[str, Any]:
    """Somebody's address; and a field that no schema knows, in a group that has nothing to do with it."""
    address = {"katunimi": {"fi": street, "sv": street}, "katunumero": "3"}
    told: dict[str, dict[str, Any]] = {
        "VAKINAINEN_KOTIMAINEN_OSOITE": address,
        "HENKILON_NIMI": {"sukunimi": "Testi", "uusi": f"asuu: {street}"},
    }
    strange = {"tietoryhma": "UUSI_RYHMA", "katu": street}
    return change(
        code,
        *({"tietoryhma": name, "muutosattribuutti": "LISATTY", **members} for name, members in told.items()),
        strange,
    )


async def feed(bootstrap: str, prefix: str) -> Fed:
    async with Sandbox(persons=40, page_size=10) as sandbox:
        deployment = Deployment(bootstrap, prefix, sandbox.url).but(
            VTJ_PERMIT__GROUPS=f"{FEW},TURVAKIELTO",
            VTJ_STATE__ENABLED="true",
            VTJ_UPSTREAM__START=None,
            VTJ_KAFKA__TRANSACTION_EVENTS="20",
        )
        await deployment.apply_topics()
        made = await parts(deployment.settings)
        await load(made, Wanted(codes=sandbox.codes()), lambda *_: None, into_changes=False, again=False)

        async def run() -> None:
            ended = await deployment.run("run", "--once")
            assert ended.code == 0, ended.err

        sandbox.grow(250)
        source = sandbox._source
        assert isinstance(source, Log)
        free = [person for person in source._register if not person.protected]
        hidden, gone, other, old, new = (person.code for person in free[:5])
        sandbox.append([moved(code, SECRET) for code in (hidden, gone)] + [moved(other, "Avokallio")])
        sandbox.append([corrected(old, new), change(new), change(old)])
        order = free[0].put("TURVAKIELTO", turvakieltoAktiivinen=True)
        sandbox.append([change(hidden, {**order, "muutosattribuutti": "LISATTY"})])
        ended = await deployment.run("run", "--once")
        assert ended.code == 0, ended.err
        await erase(made, gone, None)
        protected = [person.code for person in source._register if person.protected]
        assert hidden in protected
        cursors = [entry["cursor"] for entry in await deployment.entries()]
        erased = {text(one.key) for one in await deployment.stored("erased")}
        return Fed(deployment, cursors[0], cursors[5], protected, erased, old)


@pytest.fixture(scope="module")
def fed(broker: Broker) -> Fed:
    return asyncio.run(feed(broker.bootstrap, f"replay-{secrets.token_hex(3)}"))


def fields(name: str, one: Stored) -> dict[str, Any]:
    return Schemas.load().decode(name, one.value or b"")


def content(name: str, one: Stored, *, protected: bool) -> tuple[Any, ...]:
    """What an event says, as it should be in the copy."""
    told = fields(name, one)
    if protected:
        told["unmapped"] = {path: value for path, value in told["unmapped"].items() if path.startswith("../../")}
    return one.partition, one.key, tuple(one.headers), json.dumps(told | {"kind": "REPLAY"}, default=str)


async def test_killed_at_any_point_the_range_is_there_once(fed: Fed) -> None:
    topic, slow = fed.topic("killed"), fed.deployment.but(VTJ_KAFKA__TRANSACTION_EVENTS="10")
    since = ("--since", str(fed.since))
    for seen in (20, 120, 240):  # the first behind what opening leaves there
        async with slow.start("replay", "--to-topic", topic, *since) as running:
            while fed.end(topic) < seen:
                await asyncio.sleep(0.002)
            running.signal(signal.SIGKILL)
            await running.end()
        if seen == 20:
            strange = await fed.replay(topic, "--since", str(fed.first))
            assert strange.code == 2
            assert "Another replay is under way" in strange.err
    ended = await fed.replay(topic, *since)
    assert ended.code == 0, ended.err
    changes, copied = await fed.changes(fed.since), await fed.copied(topic)
    expected = [one for one in changes if fed.copyable(one)]
    assert 400 < len(expected) < len(changes) < len(await fed.changes(0))
    names = {one.headers[0][1]: one.topic for one in expected}
    assert Counter(content(names[one.headers[0][1]], one, protected=False) for one in copied) == Counter(
        content(one.topic, one, protected=text(one.key) in fed.protected) for one in expected
    )
    last: dict[bytes | None, tuple[int, int]] = {}
    for one in copied:
        told = fields(names[one.headers[0][1]], one)
        assert told["kind"] == "REPLAY"
        place = told["cursor"], told["position"]
        assert last.get(one.key, place) <= place
        last[one.key] = place
    assert SECRET not in "".join(str(one.value) for one in copied)
    assert "Avokallio" in "".join(str(one.value) for one in copied)
    assert f"copied: {len(expected)} events; left out: " in ended.out
    assert " 0 of the erased" not in ended.out
    assert " 0 of those under" not in ended.out
    once_more = await fed.replay(topic, *since)
    assert (once_more.code, once_more.out) == (0, ended.out)
    assert "this was copied before" in once_more.err
    assert len(await fed.copied(topic)) == len(copied)
    verified = await fed.deployment.run("verify")
    assert verified.code == 0, verified.out
    said = ended.out + ended.err + once_more.err
    assert not [code for code in (*fed.protected, *fed.erased) if code in said]


async def test_the_persons_of_a_file_under_all_their_codes(fed: Fed) -> None:
    topic, old = fed.topic("persons"), fed.corrected
    ended = await fed.replay(topic, "--since", str(fed.first), "--persons", "-", given=old.encode())
    assert ended.code == 0, ended.err
    identities = [fields("identity", one) for one in await fed.deployment.stored("identity") if one.value]
    [*_, codes] = [told["codes"] for told in identities if old in told["codes"]]
    assert len(codes) > 1
    expected = [one for one in await fed.changes(0) if text(one.key) in codes]
    copied = await fed.copied(topic)
    assert {text(one.key) for one in copied} == {*codes}
    assert Counter(one.headers[0][1] for one in copied) == Counter(one.headers[0][1] for one in expected)
    again = await fed.replay(topic, "--since", str(fed.first), "--persons", "-", "--again", given=old.encode())
    assert again.code == 0, again.err
    assert len(await fed.copied(topic)) == 2 * len(expected)


async def test_where_nobody_knows_who_is_protected_no_address_is_copied(fed: Fed) -> None:
    topic = fed.topic("unknown")
    fed = replace(fed, deployment=fed.deployment.but(VTJ_STATE__ENABLED="false"))
    refused = await fed.replay(topic, "--since", str(fed.first))
    assert refused.code == 2
    assert "Nobody knows who is under turvakielto" in refused.err
    assert fed.deployment.topic("change.kotikunta") in refused.err
    ended = await fed.replay(topic, "--since", str(fed.first), "--topics", fed.deployment.topic(NAME))
    assert ended.code == 0, ended.err
    copied = await fed.copied(topic)
    assert len(copied) == len([one for one in await fed.changes(0) if one.topic == NAME and fed.copyable(one)])
    assert "kallio" not in "".join(str(one.value) for one in copied)


@pytest.mark.parametrize(
    ("name", "partitions", "code", "words"),
    [
        ("missing", 0, 5, "missing.\n  → Make it: `kafka-topics.sh"),
        ("other", 3, 5, "partitions is 3, planned 2"),
        ("change.kotikunta", 0, 2, "is one of the program's own topics"),
    ],
)
async def test_where_nothing_can_be_copied_to(fed: Fed, name: str, partitions: int, code: int, words: str) -> None:
    topic = fed.topic(name, partitions) if partitions else fed.deployment.topic(name)
    refused = await fed.replay(topic, "--since", str(fed.first))
    assert (refused.code, refused.out) == (code, "")
    assert words in refused.err
