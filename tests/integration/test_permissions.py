"""Each right that is missing at Kafka ends the run with exit 5 and a hint; none makes it try for ever."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import SOON, Deployment, until

pytestmark = pytest.mark.kafka


@asynccontextmanager
async def denied(deployment: Deployment, kind: ResourceType, name: str, right: AclOperation) -> AsyncIterator[None]:
    """Nobody has the right; the others on the resource everybody has."""
    admin = deployment.admin

    def binding(operation: AclOperation, permission: AclPermissionType) -> AclBinding:
        return AclBinding(kind, name, ResourcePatternType.LITERAL, "User:*", "*", operation, permission)

    wanted = [binding(right, AclPermissionType.DENY), binding(AclOperation.ALL, AclPermissionType.ALLOW)]
    filters = [
        AclBindingFilter(kind, name, ResourcePatternType.LITERAL, "User:*", "*", one.operation, one.permission_type)
        for one in wanted
    ]

    def known() -> int:
        return sum(len(admin.describe_acls(one).result(SOON)) for one in filters)

    for created in admin.create_acls(wanted).values():
        created.result(SOON)
    await until(lambda: known() == 2, "the denial")
    try:
        yield
    finally:
        for deleted in admin.delete_acls(filters).values():
            deleted.result(SOON)
        await until(lambda: known() == 0, "the end of the denial")


async def test_a_missing_right_ends_the_run(frail_broker: Broker, prefix: str) -> None:
    async with Sandbox(persons=100, history=300, page_size=50) as sandbox:
        deployment = await Deployment(frail_broker.bootstrap, prefix, sandbox.url).small.apply_topics()
        deployment = deployment.but(VTJ_KAFKA__TRANSACTION_TIMEOUT="5")
        assert (await deployment.run("run", "--once")).code == 0
        sandbox.grow(100)
        before = await deployment.committed()
        names = deployment.names
        for kind, name, right in (
            (ResourceType.GROUP, names.group, AclOperation.READ),
            (ResourceType.TRANSACTIONAL_ID, names.transactional_id, AclOperation.WRITE),
            (ResourceType.TOPIC, names.cursor_topic, AclOperation.READ),
            (ResourceType.TOPIC, names.ledger_topic, AclOperation.READ),
            (ResourceType.TOPIC, names.cursor_topic, AclOperation.WRITE),
            (ResourceType.TOPIC, names.ledger_topic, AclOperation.WRITE),
            (ResourceType.TOPIC, deployment.topic("change.kotikunta"), AclOperation.DESCRIBE_CONFIGS),
            (ResourceType.TOPIC, deployment.topic("change.kotikunta"), AclOperation.WRITE),
        ):
            async with denied(deployment, kind, name, right):
                ended = await deployment.run("run", patience=SOON)
            assert ended.code == 5, (name, right, ended.err)
            assert "Grant" in ended.err
            assert "Traceback" not in ended.err
        await until(deployment.nothing_open, "the end of the transactions")
        assert await deployment.committed() == before
