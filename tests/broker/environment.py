"""A broker that somebody else runs, named by KAFKA_BOOTSTRAP_SERVERS: it cannot be stopped from here."""

import os
from typing import NoReturn

from .contract import Broker, NoKafka, answers

VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
PATIENCE = 30


class EnvironmentBroker(Broker):
    way = "environment"

    def __init__(self) -> None:
        servers = os.environ.get(VARIABLE, "")
        if not servers:
            raise NoKafka(f"{VARIABLE} is not set")
        if not answers(servers, PATIENCE):
            raise NoKafka(f"no Kafka answers at {VARIABLE}={servers}: start it, or unset the variable")
        self.bootstrap = servers

    def _not_ours(self) -> NoReturn:
        raise TypeError("a broker from the environment is not ours to stop: use the fixture own_broker")

    start = stop = kill = pause = resume = _not_ours

    def log(self, lines: int) -> str:
        return ""

    def close(self) -> None:
        pass
