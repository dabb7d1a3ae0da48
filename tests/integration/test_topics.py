"""`topics plan` and `topics apply`, and that `run` takes no others than planned."""

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from tests.integration.deployment import SOON, Deployment, change, kotikunta, until
from tests.integration.pages import encoded

pytestmark = pytest.mark.kafka


def set_configs(admin: AdminClient, topic: str, **configs: str) -> None:
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in configs.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(SOON)


def configs_of(admin: AdminClient, topic: str) -> dict[str, str]:
    [described] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    return {name: entry.value for name, entry in described.result(SOON).items()}


async def test_what_is_missing_is_told_and_created(deployment: Deployment) -> None:
    planned = await deployment.run("topics", "plan")
    assert planned.code == 1, planned.err
    assert f"{deployment.topic('cursor')}: missing" in planned.out
    refused = await deployment.run("run", "--once")
    assert refused.code == 5
    assert "vtj-producer topics apply" in refused.err
    assert "Traceback" not in refused.err
    applied = await deployment.run("topics", "apply")
    assert applied.code == 0, applied.err
    assert applied.out.count(": created") == planned.out.count(": missing") > 30
    again = await deployment.run("topics", "plan")
    assert (again.code, again.err) == (0, "")
    assert "0 difference(s)" in again.out
    admin = deployment.admin
    topics = admin.list_topics(timeout=SOON).topics
    counts = {name: len(topics[deployment.topic(name)].partitions) for name in ("change.kotikunta", "cursor", "ledger")}
    assert counts == {"change.kotikunta": 2, "cursor": 12, "ledger": 12}
    assert configs_of(admin, deployment.topic("cursor"))["cleanup.policy"] == "compact"
    assert configs_of(admin, deployment.topic("ledger"))["retention.ms"] == "-1"
    assert configs_of(admin, deployment.topic("change.kotikunta"))["retention.ms"] == str(90 * 86_400_000)


async def test_what_differs_is_told_and_mended_and_foreign_configs_stay(deployment: Deployment) -> None:
    deployment = await deployment.small.apply_topics()
    admin = deployment.admin
    cursor, kotikunta = deployment.topic("cursor"), deployment.topic("change.kotikunta")
    set_configs(admin, cursor, cleanup_policy="delete")
    set_configs(admin, kotikunta, retention_ms="60000", max_message_bytes="2000000", compression_type="gzip")
    # The controller has them at once, a broker that describes them a moment later.
    await until(lambda: configs_of(admin, cursor)["cleanup.policy"] == "delete", "the config of the cursor topic")
    await until(lambda: configs_of(admin, kotikunta)["retention.ms"] == "60000", "the config of a topic of events")
    refused = await deployment.run("run", "--once")
    assert refused.code == 5
    assert f"{cursor}: cleanup.policy is delete, planned compact" in refused.err
    assert f"{kotikunta}: retention.ms is 60000, planned 7776000000" in refused.err
    applied = await deployment.run("topics", "apply")
    assert applied.code == 0, applied.err
    assert applied.out.count(": set") == 2
    assert configs_of(admin, cursor)["cleanup.policy"] == "compact"
    mended = configs_of(admin, kotikunta)
    foreign = (mended["max.message.bytes"], mended["compression.type"])
    assert (mended["retention.ms"], *foreign) == ("7776000000", "2000000", "gzip")


async def test_another_partition_count_is_refused_before_anything_is_changed(deployment: Deployment) -> None:
    admin = deployment.admin
    topic = deployment.topic("change.kotikunta")
    admin.create_topics([NewTopic(topic, 3, config={"retention.ms": "60000"})])[topic].result(SOON)
    refused = await deployment.run("topics", "apply")
    assert refused.code == 5
    assert f"{topic}: partitions is 3, planned 2" in refused.err
    assert "VTJ_TOPICS__PARTITIONS" in refused.err
    assert deployment.topic("cursor") not in admin.list_topics(timeout=SOON).topics
    assert configs_of(admin, topic)["retention.ms"] == "60000"


async def test_a_permit_plans_its_own_topics_and_tells_which_groups_never_came(deployment: Deployment) -> None:
    permitted = deployment.but(VTJ_PERMIT__GROUPS="KUOLINPAIVA,KOTIKUNTA")
    nothing = await permitted.run("topics", "plan")
    assert nothing.out.endswith("2 groups in the permit, 2 without an event.\n")
    applied = await permitted.run("topics", "apply")
    assert (applied.code, applied.out.count(": created")) == (0, 10), applied.err  # two groups and the eight others
    came, never = (deployment.topic(f"change.{name}") for name in ("kotikunta", "kuolinpaiva"))
    async with permitted.publisher().open() as shard:  # leaves its markers in every partition
        planned = await permitted.run("topics", "plan")
        assert (planned.code, planned.err) == (0, "")
        assert planned.out.splitlines() == [
            "10 topics planned, 0 difference(s).",
            f"{came}: no event of KOTIKUNTA is kept there",
            f"{never}: no event of KUOLINPAIVA is kept there",
            "2 groups in the permit, 2 without an event.",
        ]
        await shard.commit([encoded(permitted, 0, 5, change("140385-917Y", kotikunta()))])
    planned = await permitted.run("topics", "plan")
    assert planned.out.splitlines()[1:] == [
        f"{never}: no event of KUOLINPAIVA is kept there",
        "2 groups in the permit, 1 without an event.",
    ]
    whole = await deployment.run("topics", "plan")
    assert whole.code == 1
    assert "in the permit" not in whole.out
    unknown = await permitted.but(VTJ_PERMIT__GROUPS="KOTIKUNNAT").run("topics", "plan")
    assert (unknown.code, unknown.out) == (2, "")
    assert "did you mean KOTIKUNTA?" in unknown.err
