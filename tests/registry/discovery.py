"""Which registry the tests take: the environment's, else one in Docker, else one on the JVM of the dev extra."""

import os
from collections.abc import Callable

from .container import IMAGE, DockerRegistry
from .contract import NoRegistry, RealRegistry, answers
from .jvm import JvmRegistry

VARIABLE = "TEST_REGISTRY_URL"
FORCE = "TEST_REGISTRY"  # environment, docker or jvm: try this way only
CURE = (
    "the tests need a real Apicurio Registry: install Maven (Debian: apt-get install maven) beside the dev extra, or "
    f"start Docker with the image {IMAGE}, or set {VARIABLE} to the root of a Confluent-compatible registry"
)


class EnvironmentRegistry(RealRegistry):
    """One that somebody else runs: subjects of earlier runs may be there, and it cannot be stopped."""

    way = "environment"

    def __init__(self) -> None:
        self.url = os.environ.get(VARIABLE, "").rstrip("/")
        if not self.url:
            raise NoRegistry(f"{VARIABLE} is not set")
        if not answers(self.url, 10):
            raise NoRegistry(f"no registry answers at {VARIABLE}={self.url}: start it, or unset the variable")

    def close(self) -> None:
        pass


WAYS: dict[str, Callable[[], RealRegistry]] = {
    "environment": EnvironmentRegistry,
    "docker": DockerRegistry,
    "jvm": JvmRegistry,
}


def find_registry(*, own: bool = False) -> RealRegistry:
    """The first registry to be had; close it after use. own: one that may be stopped, so not the environment's.

    Raises NoRegistry with one sentence on what to install.
    """
    forced = os.environ.get(FORCE)
    if forced and forced not in WAYS:
        raise NoRegistry(f"{FORCE} must be one of {', '.join(WAYS)}")
    reasons: list[str] = []
    for way, make in WAYS.items():
        if (own and way == "environment") or (forced and way != forced):
            continue
        try:
            registry = make()
        except NoRegistry as reason:
            if way == "environment" and os.environ.get(VARIABLE):
                raise  # named, so meant: no other registry in its place
            if way != "environment" or forced:
                reasons.append(f"{way}: {reason}")
        else:
            registry.passed_over = reasons
            return registry
    raise NoRegistry(f"{CURE} ({'; '.join(reasons)})")
