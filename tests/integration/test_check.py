"""What `check` says of Kafka, each fault made at a real broker; that it leaves nothing there and disturbs nobody."""

import asyncio
import json
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from producer.check import links
from producer.check.chain import Found, walk
from producer.check.site import Site
from producer.config import load
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.broker.contract import SETTINGS
from tests.integration.deployment import SOON, Deployment, until
from tests.integration.test_permissions import denied

pytestmark = pytest.mark.kafka

INTERNAL = ("__transaction_state", "__consumer_offsets")


async def walked(deployment: Deployment) -> dict[str, Found]:
    """The whole chain, in this process."""
    async with Site(lambda: load(environ=deployment._environment)) as site:
        return {one.link: one for one in await walk(links.LINKS, site, site.words)}


def broken(found: dict[str, Found]) -> Found:
    """The first one at Kafka."""
    names = [*found]
    return next(found[name] for name in names[names.index(links.TO_KAFKA) :] if found[name].state == "broken")


def written(deployment: Deployment) -> dict[tuple[str, int], int]:
    """Where the topics end in which the coordinators keep groups and transactional ids."""
    admin = deployment.admin
    there = admin.list_topics(timeout=SOON).topics
    latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(name, at): latest for name in INTERNAL if name in there for at in there[name].partitions}
    told = admin.list_offsets(wanted, request_timeout=SOON)
    return {(at.topic, at.partition): future.result().offset for at, future in told.items()}


async def test_it_holds_beside_a_running_instance_and_leaves_nothing(frail_broker: Broker, prefix: str) -> None:
    async with Sandbox(persons=20, history=50) as sandbox:
        deployment = await Deployment(frail_broker.bootstrap, prefix, sandbox.url).small.apply_topics()
        deployment = deployment.but(VTJ_UPSTREAM__WATCHLIST="true", VTJ_SCHEDULE__INTERVAL="3600")
        added = await deployment.run("persons", "add", "-", given="\n".join(sandbox.codes()).encode())
        assert added.code == 0, added.err
        async with deployment.start("run") as running:
            await running.says(f"committed cursor {sandbox.state()['last']}:")
            await until(deployment.nothing_open, "the end of the transactions")
            said, before, internal = running.log, deployment.ends(), written(deployment)
            ended = await deployment.run("check", "--json")
            found = {one["link"]: one for one in map(json.loads, ended.out.splitlines())}
            assert ended.code == 0, ended.out + ended.err
            assert {one["state"] for one in found.values()} == {"ok", "skipped"}
            assert [one for one in found if found[one]["state"] == "skipped"] == [
                "TLS", "X-Road client", "listMethods", "getOpenAPI", "access to VTJmutpa", "registry", "schemas",
            ]  # fmt: skip
            assert "as Kafka 4.0 or later" in found["version of Kafka"]["told"]
            assert "one person" in found["perustiedot"]["told"]
            assert not any(code in ended.out + ended.err for code in sandbox.codes())
            assert (deployment.ends(), written(deployment)) == (before, internal)
            assert running.lives
            assert running.log == said, "no rebalance, no fence"
            table = await deployment.run("check")
            assert (table.code, "✓" in table.out, "The chain holds." in table.out) == (0, True, True)
            assert (await running.stop()).code == 0


async def test_each_missing_right_is_named(frail_broker: Broker, prefix: str) -> None:
    async with Sandbox(persons=1) as sandbox:
        deployment = await Deployment(frail_broker.bootstrap, prefix, sandbox.url).small.apply_topics()
        names, topic = deployment.names, deployment.topic
        for kind, name, right, link in (
            (ResourceType.GROUP, names.group, AclOperation.READ, links.GROUP_RIGHTS),
            (ResourceType.GROUP, names.group, AclOperation.DESCRIBE, links.GROUP_RIGHTS),
            (ResourceType.TRANSACTIONAL_ID, names.transactional_id, AclOperation.WRITE, links.ID_RIGHTS),
            (ResourceType.TRANSACTIONAL_ID, f"{names.group}.check", AclOperation.WRITE, links.ID_RIGHTS),
            (ResourceType.TOPIC, names.cursor_topic, AclOperation.READ, links.TOPIC_RIGHTS),
            (ResourceType.TOPIC, names.ledger_topic, AclOperation.WRITE, links.TOPIC_RIGHTS),
            (ResourceType.TOPIC, topic("change.kotikunta"), AclOperation.WRITE, links.TOPIC_RIGHTS),
            (ResourceType.TOPIC, topic("change.kotikunta"), AclOperation.DESCRIBE_CONFIGS, links.TOPIC_RIGHTS),
            (ResourceType.TOPIC, topic("change.kotikunta"), AclOperation.DESCRIBE, links.TOPIC_RIGHTS),
        ):
            async with denied(deployment, kind, name, right):
                one = broken(await walked(deployment))
            assert (one.link, one.exit_code, one.owner) == (link, 5, "Kafka team"), (name, right, one)
            assert name.removesuffix("check") in one.told
            assert "Grant it" in one.cure
            assert one.told in one.letter


async def test_topics_that_are_not_as_planned(frail_broker: Broker, prefix: str) -> None:
    deployment = Deployment(frail_broker.bootstrap, prefix).small
    found = await walked(deployment)
    assert (broken(found).link, broken(found).exit_code) == (links.TOPICS, 5)
    assert "not there yet" in found[links.TOPIC_RIGHTS].told
    assert "topics apply" in broken(found).cure
    await deployment.apply_topics()
    one = broken(await walked(deployment.but(VTJ_TOPICS__PARTITIONS="3")))
    assert (one.link, one.exit_code) == (links.TOPICS, 5)


@pytest.mark.parametrize(
    ("prefix_of_settings", "link"),
    [("transaction.state.log", links.TRANSACTIONS), ("offsets.topic", links.GROUP_RIGHTS)],
)
async def test_a_broker_that_is_set_up_for_three(
    prefix_of_settings: str,
    link: str,
    own_broker: Callable[[], Broker],
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (f"{prefix_of_settings}.replication.factor", "transaction.state.log.min.isr"):
        monkeypatch.setitem(SETTINGS, name, "3")
    deployment = await Deployment((await asyncio.to_thread(own_broker)).bootstrap, prefix).small.apply_topics()
    if link == links.TRANSACTIONS:
        Consumer({"bootstrap.servers": deployment.bootstrap, "group.id": prefix, "log_level": 0}).committed(
            [TopicPartition(deployment.topic("identity"), 0)], SOON
        )  # a new broker makes the topic of groups' coordinators first
    async with asyncio.timeout(SOON):
        one = broken(await walked(deployment))
    assert (one.link, one.exit_code) == (link, 5)
    assert f"1 broker(s), and {prefix_of_settings}.replication.factor is 3" in one.told


async def test_a_coordinator_that_cannot_write(frail_broker: Broker, prefix: str) -> None:
    deployment = await Deployment(frail_broker.bootstrap, prefix).small.apply_topics()
    assert "1 replica(s) in sync" in (await walked(deployment))[links.TRANSACTIONS].told

    admin = deployment.admin

    def require(replicas: str) -> None:
        least = ConfigEntry("min.insync.replicas", replicas, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, INTERNAL[0], incremental_configs=[least])
        for altered in admin.incremental_alter_configs([resource]).values():
            altered.result(SOON)

    require("2")
    try:
        async with asyncio.timeout(SOON):  # the broker hears of it a little later
            while (one := (await walked(deployment))[links.TRANSACTIONS]).state == "ok":
                await asyncio.sleep(0.1)
    finally:
        require("1")
    assert (one.state, one.exit_code) == ("broken", 5)
    assert "transactions need 2" in one.told
    assert "transaction.state.log.min.isr=1" in one.cure


async def test_a_broker_that_takes_connections_and_says_nothing(frail_broker: Broker, prefix: str) -> None:
    frail_broker.pause()
    try:
        found = await walked(Deployment(frail_broker.bootstrap, prefix).but(VTJ_KAFKA__COMMIT_TIMEOUT="1"))
    finally:
        frail_broker.resume()
    assert (found[links.TO_KAFKA].state, broken(found).link, broken(found).exit_code) == ("ok", links.AT_KAFKA, 8)


async def test_a_broker_that_tells_a_name_that_leads_nowhere(
    frail_broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trouble(host: str, port: int) -> str | None:
        return None if host == "localhost" else f"no connection to {host}:{port}"

    monkeypatch.setattr("producer.check.kafka.trouble", trouble)
    found = await walked(Deployment(frail_broker.bootstrap.replace("127.0.0.1", "localhost"), prefix))
    assert (broken(found).link, broken(found).exit_code) == (links.BROKERS, 8)
    assert "advertised.listeners" in broken(found).cure
    assert found[links.TOPICS].state == "skipped"


async def test_its_clock(frail_broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = await Deployment(frail_broker.bootstrap, prefix).small.apply_topics()
    assert (await walked(deployment))[links.KAFKAS_CLOCK].state == "ok"
    ours = SimpleNamespace(time=lambda: time.time() + 120, monotonic=time.monotonic)
    monkeypatch.setattr("producer.check.kafka.time", ours)
    one = (await walked(deployment))[links.KAFKAS_CLOCK]
    assert (one.state, one.exit_code) == ("broken", 1)
    assert "Kafka's clock is 120 s behind ours" in one.told
    # Denied, it cannot be asked whether it is: neither by `check` nor here.
    admin, cluster = (
        deployment.admin,
        (ResourceType.BROKER, "kafka-cluster", ResourcePatternType.LITERAL, "User:*", "*"),
    )
    rights = (AclOperation.ALL, AclPermissionType.ALLOW), (AclOperation.DESCRIBE, AclPermissionType.DENY)
    for created in admin.create_acls([AclBinding(*cluster, *one) for one in rights]).values():
        created.result(SOON)
    try:
        while (await walked(deployment))[links.KAFKAS_CLOCK].state != "skipped":
            await asyncio.sleep(0.1)
    finally:
        for deleted in admin.delete_acls([AclBindingFilter(*cluster, *one) for one in rights]).values():
            deleted.result(SOON)
