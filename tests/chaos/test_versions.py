"""Exactly once on other versions of Apache Kafka; docs/kafka.md says which."""

import random

import pytest

from tests.broker import NoKafka
from tests.broker.jvm import JvmBroker
from tests.chaos.test_chaos import SEED, SHORT, wreak
from tests.integration.deployment import Deployment

pytestmark = pytest.mark.kafka
TRIED = ("3.0.2", "3.9.1", "4.0.0", "4.4.0")
TOO_OLD = "2.8.2"


def kafka(version: str) -> JvmBroker:
    try:
        return JvmBroker(version=version)
    except NoKafka as reason:
        pytest.fail(str(reason), pytrace=False)


@pytest.mark.long
@pytest.mark.parametrize("version", TRIED)
async def test_exactly_once_on_other_versions(version: str, prefix: str) -> None:
    with kafka(version) as broker:
        await wreak(broker, prefix, random.Random(SEED), SHORT, every=8)


@pytest.mark.long
@pytest.mark.parametrize("command", [["topics", "apply"], ["run"], ["check"], ["status"], ["verify"]])
async def test_a_kafka_before_3_0_is_refused(command: list[str], prefix: str) -> None:
    """By its first command, which says so; no topic is made."""
    with kafka(TOO_OLD) as broker:
        ended = await Deployment(broker.bootstrap, prefix).run(*command)
        assert ended.code == (7 if command == ["check"] else 5), ended  # upstream, which is away, comes before Kafka
        assert "is older than 3.0" in ended.out + ended.err
        assert "Traceback" not in ended.err
