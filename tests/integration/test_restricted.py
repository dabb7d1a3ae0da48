"""Restricted topics: an address under turvakielto is planted wherever one can come from, and must stay in them.

Searched are the segments of the broker as they lie on its disk, which the topics are told to keep uncompressed, and
every record as another client reads it, aborted ones too; and all that the processes say.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from producer.sandbox import Sandbox
from producer.sandbox.log import Log
from producer.sandbox.register import Person, Register
from tests.broker import Broker
from tests.broker.jvm import JvmBroker
from tests.integration.deployment import SOON, Deployment, Ended, change, kotikunta
from tests.integration.quoting import group
from tests.oracle.events import where
from tests.oracle.judge import judge
from tests.oracle.reading import Stored
from tests.oracle.schemas import Schemas
from tests.oracle.state import judge_state
from tests.oracle.upstream import read_log

pytestmark = pytest.mark.kafka

SECRET, OPEN, BACK = "Suojakallio", "Avokallio", "Paluukallio"
ON = {"VTJ_PRIVACY__RESTRICTED_TOPICS": "on"}
RESTRICTED = ".restricted"


def address(street: str) -> dict[str, Any]:
    return {"katunimi": {"fi": f"{street}ntie", "sv": f"{street}vägen"}, "katunumero": "3"}


def dwelling(street: str) -> dict[str, Any]:
    return {"asuinpaikantunnus": f"{street} 1A 001"}


@dataclass
class Town:
    """The sandbox's register, so that perustiedot and changes say the same; and what the processes have said."""

    deployment: Deployment
    sandbox: Sandbox
    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def register(self) -> Register:
        source = self.sandbox._source
        assert isinstance(source, Log)
        return source._register

    def person(self, at: int) -> Person:
        return self.register.find([self.sandbox.codes()[at]])[0]

    @staticmethod
    def houses(person: Person, street: str) -> list[dict[str, Any]]:
        """Moves somebody in; all that tells of it, as LISATTY."""
        told = {
            "VAKINAINEN_KOTIMAINEN_OSOITE": address(street),
            "KOTIMAINEN_POSTIOSOITE": {"postiosoite": {"fi": f"PL 1 {street}"}},
            "SAHKOPOSTIOSOITE": {"sahkopostiosoite": f"{street}@example.fi"},
            "VAKINAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS": dwelling(street),
            "EDELLINEN_KOTIMAINEN_ASUINPAIKKATUNNUS": dwelling(street),
        }
        return [{**person.put(kind, **members), "muutosattribuutti": "LISATTY"} for kind, members in told.items()]

    def protect(self, person: Person) -> dict[str, Any]:
        begun = person.put("TURVAKIELTO", turvakieltoAktiivinen=True)
        return {**begun, "muutosattribuutti": "LISATTY"}

    async def load(self) -> Ended:
        listed = self.folder / "persons"
        listed.write_text("\n".join(self.sandbox.codes()))
        return self.heard(await self.deployment.run("load", str(listed)))

    async def once(self, *records: Any) -> None:
        self.sandbox.append(records)
        ended = self.heard(await self.deployment.run("run", "--once"))
        assert ended.code == 0, ended.err

    def heard(self, ended: Ended) -> Ended:
        self.said += [ended.err, ended.out]
        return ended

    @property
    def protected(self) -> list[str]:
        return [person.code for person in self.register if person.protected]


@pytest.fixture
async def town(broker: Broker, prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with Sandbox(persons=40, page_size=20) as sandbox:
        deployment = Deployment(broker.bootstrap, prefix, sandbox.url).but(
            VTJ_STATE__ENABLED="true", VTJ_UPSTREAM__START=None, VTJ_LOG__LEVEL="debug"
        )
        yield Town(deployment, sandbox, tmp_path)


async def uncompressed(deployment: Deployment) -> None:
    """Whatever the producer sends, the broker then keeps it readable."""
    admin = deployment.admin
    plain = [ConfigEntry("compression.type", "uncompressed", incremental_operation=AlterConfigOpType.SET)]
    resources = [
        ConfigResource(ResourceType.TOPIC, name, incremental_configs=plain)
        for name in admin.list_topics(timeout=SOON).topics
        if name.startswith(f"{deployment.prefix}.")
    ]
    for done in admin.incremental_alter_configs(resources).values():
        done.result(SOON)


def read_uncommitted(deployment: Deployment) -> dict[str, bytes]:
    """Topic → keys, values and headers of all that it holds."""
    ends = deployment.ends()
    found = {topic: bytearray() for topic, _ in ends}
    consumer = Consumer(
        {
            "bootstrap.servers": deployment.bootstrap,
            "group.id": "search",  # asked for, and never joined
            "isolation.level": "read_uncommitted",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in ends])
        left = {*ends}
        while left:
            for message in consumer.consume(1000, timeout=0.2):
                topic, partition = message.topic(), message.partition()
                assert topic is not None
                assert partition is not None
                if message.error() is not None:
                    left.discard((topic, partition))
                    continue
                for one in (message.key(), message.value(), str(message.headers()).encode()):
                    found[topic] += one if isinstance(one, bytes) else b""
    finally:
        consumer.close()
    return {topic: bytes(one) for topic, one in found.items()}


def segments(broker: Broker, deployment: Deployment) -> dict[str, bytes]:
    """Topic → its segments; of a broker whose files are not here, nothing."""
    found: dict[str, bytes] = {}
    for path in (broker._folder / "data").glob(f"{deployment.prefix}.*/*.log") if isinstance(broker, JvmBroker) else ():
        topic = path.parent.name.rpartition("-")[0]
        found[topic] = found.get(topic, b"") + path.read_bytes()
    return found


async def holding(broker: Broker, deployment: Deployment, word: str) -> set[str]:
    """The topics, without the prefix, in which a word stands, in a segment or a record."""
    everything = [await asyncio.to_thread(read_uncommitted, deployment), segments(broker, deployment)]
    if isinstance(broker, JvmBroker):
        assert {
            topic for topic, one in everything[1].items() if b"Testi" in one or b"testi" in one
        }  # they are readable
    places = {topic for topics in everything for topic, one in topics.items() if word.encode() in one}
    return {topic.removeprefix(f"{deployment.prefix}.") for topic in places}


def merged(stored: Collection[Stored], protected: Collection[str], parted: Collection[str]) -> list[Stored]:
    """State as if nothing were restricted: of protected persons what is in the restricted topics instead.

    parted: the topics that have one.
    """
    found = []
    for one in stored:
        theirs = (one.key or b"").decode() in protected and one.topic.removesuffix(RESTRICTED) in parted
        if theirs == one.topic.endswith(RESTRICTED):
            topic = one.topic.removesuffix(RESTRICTED)
            found.append(Stored(topic, one.partition, one.offset, one.key, one.value, one.headers))
    return found


async def state_faults(town: Town) -> list[str]:
    """Against what upstream says now; and who is not protected has nothing in a restricted topic of the state."""
    stored, protected = await town.deployment.stored(), town.protected
    last = {(one.topic, one.key): one for one in stored if one.topic.startswith("state.")}
    topics = {topic.removeprefix(f"{town.deployment.prefix}.") for topic, _ in town.deployment.ends()}
    parted = {topic.removesuffix(RESTRICTED) for topic in topics if topic.endswith(RESTRICTED)}
    left = [
        f"left: {topic}"
        for (topic, key), one in last.items()
        if topic.endswith(RESTRICTED) and one.value and (key or b"").decode() not in protected
    ]
    for (topic, key), one in last.items():
        if topic in parted and (key or b"").decode() in protected and one.value:
            event = Schemas.load().decode(topic.replace("state.", "change.", 1), one.value)
            left += [f"shown: {topic}"] if event["data"] is not None or event["inForce"] is not None else []
    codes = town.sandbox.codes()
    found = await asyncio.to_thread(judge_state, merged(stored, protected, parted), town.sandbox.url, codes)
    # A field of it that no schema knows, as the sandbox's stories have it, is left out of a protected person's state.
    cut = {
        f"wrong: {where(one)} is not what upstream says"
        for one in stored
        if one.topic == "state.siviilisaaty" and (one.key or b"").decode() in protected
    }
    return left + [one for one in found if one not in cut]


@pytest.mark.parametrize("mode", ["on", "off"])
async def test_a_protected_address_stays_in_the_restricted_topics(mode: str, broker: Broker, town: Town) -> None:
    """Off: the same search finds it everywhere else."""
    if mode == "on":
        town.deployment = town.deployment.but(**ON)
    await town.deployment.apply_topics()
    await uncompressed(town.deployment)
    before, during, free = town.person(3), town.person(5), town.person(7)
    town.houses(before, SECRET)
    town.protect(before)
    town.houses(free, OPEN)
    if mode == "on":
        refused = town.heard(await town.deployment.run("run", "--once"))
        assert refused.code == 2
        assert "vtj-producer load" in refused.err
    loaded = await town.load()
    assert loaded.code == 0, loaded.err

    # A record that does not say that there is an order, and what no schema knows.
    code = before.code
    await town.once(
        change(code, *town.houses(before, SECRET)),
        change(
            code, group("UUSI_RYHMA", katu=SECRET), group("HENKILON_NIMI", **before.one("HENKILON_NIMI"), uusi=SECRET)
        ),
        {**change(code, group("SUKUPUOLI", sukupuoli="MIES")), "uusi": SECRET},
        {"henkilotunnus": code, "tietoryhmat": [SECRET, kotikunta()]},
        *({"henkilotunnus": code, "tietoryhmat": SECRET}, SECRET, {"tietoryhmat": [address(SECRET)]}),
        change(code, group("VAKINAINEN_KOTIMAINEN_OSOITE", **address(SECRET), uusi=SECRET * 200_000)),
        change(free.code, *town.houses(free, OPEN)),
    )
    # An order begins; the line of the state is behind, so that it cannot tell of it.
    town.sandbox.set_faults([{"fault": 503, "endpoint": "perustiedot", "times": None}])
    moved = town.houses(during, SECRET)
    records = [change(during.code, *moved, town.protect(during)), *[change(during.code, *moved)] * 2]
    for record in records:  # each in a run of its own: who is protected is rebuilt in between
        async with town.deployment.start("run") as running:
            [key] = town.sandbox.append([record])
            await running.says(f"committed cursor {key}")
            town.heard(await running.stop())
    town.sandbox.set_faults([])
    # A correction of the code; the same record tells of the address, and later ones under both codes do.
    old = before.code
    town.register.recode(before)
    codes = {"aktiivinenHenkilotunnus": before.code, "edellisetHenkilotunnukset": [old]}
    corrected = [
        group("HENKILOTUNNUS_KORJAUS", voimassaolo=word, muutettuHenkilotunnus=code, **codes)
        for word, code in (("AKTIIVI", before.code), ("PASSIIVI", old))
    ]
    before.put("HENKILOTUNNUS_KORJAUS", **{key: value for key, value in corrected[0].items() if "muutos" not in key})
    await town.once(change(old, *corrected, *town.houses(before, SECRET)))
    await town.once(*(change(code, *town.houses(before, SECRET)) for code in (before.code, old)))

    found = await holding(broker, town.deployment, SECRET)
    assert all(SECRET not in one for one in town.said)
    beside = {topic for topic in found if topic.endswith(RESTRICTED)}
    wide = {"vakinainen-kotimainen-osoite", "sahkopostiosoite", "edellinen-kotimainen-asuinpaikkatunnus"}
    places = {f"{kind}.{name}" for kind in ("change", "state") for name in wide} | {"change.unmapped", "dead-letter"}
    if mode == "off":
        assert not beside
        assert places < found
        return
    assert found == beside
    assert {f"{place}{RESTRICTED}" for place in places} <= beside
    assert {f"change.{name}" for name in wide} <= await holding(broker, town.deployment, OPEN)
    assert await state_faults(town) == []

    # When the order ends the values return, as upstream sends them.
    del during.groups["TURVAKIELTO"]
    ended = group("TURVAKIELTO", turvakieltoAktiivinen=False) | {"muutosattribuutti": "MUUTETTU"}
    back = kotikunta(kuntakoodi=during.one("KOTIKUNTA")["kuntakoodi"], muutosattribuutti="LISATIETO")
    await town.once(change(during.code, ended, *town.houses(during, BACK), back))
    assert {f"{kind}.{name}" for kind in ("change", "state") for name in wide} <= await holding(
        broker, town.deployment, BACK
    )
    told = [one for one in await town.deployment.events("change.kotikunta") if one["changeType"] == "LISATIETO"]
    assert [one["personId"] for one in told] == [during.code]
    assert await state_faults(town) == []
    assert await holding(broker, town.deployment, SECRET) == beside

    shown = await town.deployment.run("tail", "--once", "--from-beginning")
    assert (shown.code, SECRET in shown.out, OPEN in shown.out) == (0, False, True), shown.err
    named = await town.deployment.run("tail", "--once", "--from-beginning", "--group", "dead-letter.restricted")
    assert (named.code, SECRET in named.out) == (0, True), named.err


async def test_who_joins_is_protected_until_the_state_has_told(broker: Broker, town: Town) -> None:
    """An order that began before somebody was followed is told by no record."""
    town.deployment = await town.deployment.but(
        **ON, VTJ_UPSTREAM__WATCHLIST="true", VTJ_SCHEDULE__INTERVAL="1", VTJ_UPSTREAM__RETRY_WAIT="0.5"
    ).apply_topics()
    await uncompressed(town.deployment)
    hidden, free = town.person(3), town.person(7)
    town.houses(hidden, SECRET)
    town.protect(hidden)
    town.houses(free, OPEN)
    others, newcomers = town.folder / "others", town.folder / "newcomers"
    codes = [hidden.code, free.code]
    others.write_text("\n".join(code for code in town.sandbox.codes() if code not in codes))
    newcomers.write_text("\n".join(codes))
    for command in (("persons", "add", str(others)), ("load", str(others))):
        done = town.heard(await town.deployment.run(*command))
        assert done.code == 0, done.err
    free_moves = change(free.code, *town.houses(free, OPEN))
    hidden_moves = change(hidden.code, *town.houses(hidden, SECRET))
    wide = "change.vakinainen-kotimainen-osoite"
    async with town.deployment.start("run") as running:
        await running.says("opened at cursor")
        town.sandbox.set_faults([{"fault": 503, "endpoint": "perustiedot", "times": None}])
        assert (await town.deployment.run("persons", "add", str(newcomers))).code == 0
        async with asyncio.timeout(SOON):
            while not {one.encode() for one in codes} <= {one.key for one in await town.deployment.stored("identity")}:
                await asyncio.sleep(0.1)
        [_, key] = town.sandbox.append([hidden_moves, free_moves])
        await running.says(f"committed cursor {key}")
        assert {one.removesuffix(RESTRICTED) for one in await holding(broker, town.deployment, OPEN)} >= {wide}
        for word in (SECRET, OPEN):
            assert all(one.endswith(RESTRICTED) for one in await holding(broker, town.deployment, word)), word
        town.sandbox.set_faults([])
        async with asyncio.timeout(SOON):
            while wide not in await holding(broker, town.deployment, OPEN):
                [_, key] = town.sandbox.append([hidden_moves, free_moves])
                await running.says(f"committed cursor {key}")
        town.heard(await running.stop())
    await town.once(hidden_moves)
    assert all(one.endswith(RESTRICTED) for one in await holding(broker, town.deployment, SECRET))
    assert await state_faults(town) == []
    assert all(SECRET not in one for one in town.said)


async def test_nothing_is_lost_between_the_topics(town: Town) -> None:
    """The stories of the sandbox, orders that begin and end among them, over several openings."""
    town.deployment = town.deployment.but(**ON)
    await town.deployment.apply_topics()
    assert (await town.load()).code == 0
    restricted = 0
    for _ in range(3):
        town.sandbox.grow(400)
        await town.once()
        assert await state_faults(town) == []
        restricted += len(town.protected)
    assert restricted > 0
    stored = await town.deployment.stored()
    assert [one for one in stored if one.topic.endswith(RESTRICTED) and one.topic.startswith("change.")]
    # Events that are in two topics: without the text that no schema knows, and whole.
    twice = {dict(one.headers)["ce_id"] for one in stored if ("ce_reason", b"turvakielto") in one.headers}
    assert twice
    plain = [
        Stored(one.topic.removesuffix(RESTRICTED), one.partition, one.offset, one.key, one.value, one.headers)
        for one in stored
        if dict(one.headers).get("ce_id") not in twice
    ]
    assert len(stored) - len(plain) == 2 * len(twice)
    # The order within a topic and the offsets of the ledger are those of two topics here.
    changes = await asyncio.to_thread(read_log, town.sandbox.url)
    verdict = judge(changes, plain, town.deployment.prefix)
    assert (verdict.lost, verdict.doubled, verdict.orphans, verdict.wrong) == (len(twice), 0, 0, 0), verdict


async def test_a_load_without_the_setting_does_not_count(town: Town) -> None:
    """It has left addresses in the state topics that everybody reads: a load with it withholds them."""
    person = town.person(3)
    town.houses(person, SECRET)
    town.protect(person)
    await town.deployment.apply_topics()
    assert (await town.load()).code == 0
    town.deployment = town.deployment.but(**ON)
    await town.deployment.apply_topics()
    refused = await town.deployment.run("run", "--once")
    assert refused.code == 2
    assert "the last one was without it" in refused.err
    assert "vtj-producer load" in refused.err
    assert (await town.load()).code == 0
    await town.once()
    assert await state_faults(town) == []


async def test_the_plan(deployment: Deployment) -> None:
    """A retention of their own, and only where there is anything to restrict."""
    permitted = deployment.but(
        **ON,
        VTJ_STATE__ENABLED="true",
        VTJ_PERMIT__GROUPS="KOTIKUNTA,HENKILON_NIMI,TURVAKIELTO",
        VTJ_PRIVACY__RESTRICTED_RETENTION="86400",
    )
    applied = await permitted.run("topics", "apply")
    assert applied.code == 0, applied.err
    beside = {
        line.split(":")[0].removeprefix(f"{deployment.prefix}.")
        for line in applied.out.splitlines()
        if RESTRICTED in line
    }
    assert beside == {
        "change.kotikunta.restricted",
        "state.kotikunta.restricted",
        "change.unmapped.restricted",
        "dead-letter.restricted",
    }
    admin = deployment.admin
    for name, config, planned in (
        ("change.kotikunta.restricted", "retention.ms", "86400000"),
        ("dead-letter.restricted", "retention.ms", "86400000"),
        ("state.kotikunta.restricted", "cleanup.policy", "compact"),
    ):
        resource = ConfigResource(ResourceType.TOPIC, deployment.topic(name))
        [described] = admin.describe_configs([resource]).values()
        assert described.result(SOON)[config].value == planned
    assert (await permitted.run("topics", "plan")).code == 0
