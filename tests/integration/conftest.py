"""What the tests of the Kafka side share: a deployment on the broker of the run, and persons."""

from collections.abc import Iterator
from datetime import date

import pytest

from producer.sandbox.hetu import personal_code
from tests.broker import Broker, NoKafka, find_broker
from tests.broker.contract import SETTINGS
from tests.integration.deployment import Deployment


@pytest.fixture
def deployment(broker: Broker, prefix: str) -> Deployment:
    """A prefix of its own on the shared broker, without topics yet, and without upstream."""
    return Deployment(broker.bootstrap, prefix)


@pytest.fixture(scope="session")
def persons() -> list[str]:
    """Synthetic identity codes."""
    return [personal_code(date(1980, 1, 1 + day), number, "-") for day in range(20) for number in range(900, 950)]


@pytest.fixture(scope="session")
def frail_broker() -> Iterator[Broker]:
    """A second broker, to be paused, stopped and started: each test leaves it running.

    It knows ACLs, and what none is written for is allowed.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS, "authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
        patch.setitem(SETTINGS, "allow.everyone.if.no.acl.found", "true")
        try:
            found = find_broker(own=True)
        except NoKafka as reason:
            pytest.fail(str(reason), pytrace=False)
    with found:
        yield found
