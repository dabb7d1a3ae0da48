"""Which broker the tests take: the environment's, else one in Docker, else one on a Java of this machine."""

import os
from collections.abc import Callable

from .container import IMAGE, DockerBroker
from .contract import Broker, NoKafka, Way
from .environment import VARIABLE, EnvironmentBroker
from .jars import OLDEST_JAVA
from .jvm import JvmBroker

FORCE = "TEST_KAFKA"  # environment, docker or jvm: try this way only
WAYS: dict[Way, Callable[[], Broker]] = {
    "environment": EnvironmentBroker,
    "docker": DockerBroker,
    "jvm": JvmBroker,
}
CURE = (
    f"the tests need a real Apache Kafka: install Java {OLDEST_JAVA} or later and Maven (Debian: apt-get install "
    f"maven default-jre-headless), or start Docker with the image {IMAGE}, or set {VARIABLE}"
)


def find_broker(*, own: bool = False) -> Broker:
    """The first broker to be had; close it after use.

    own: one that nobody else uses and that may be killed and paused, so not the environment's.
    Raises NoKafka with one sentence on what to install.
    """
    forced = os.environ.get(FORCE)
    if forced and forced not in WAYS:
        raise NoKafka(f"{FORCE} must be one of {', '.join(WAYS)}")
    reasons: list[str] = []
    for way, make in WAYS.items():
        if (own and way == "environment") or (forced and way != forced):
            continue
        try:
            broker = make()
        except NoKafka as reason:
            if way == "environment" and os.environ.get(VARIABLE):
                raise  # named, so meant: no other broker in its place
            if way != "environment" or forced:
                reasons.append(f"{way}: {reason}")
        else:
            broker.passed_over = reasons
            return broker
    raise NoKafka(f"{CURE} ({'; '.join(reasons)})")
