"""A real Kafka for the tests: how one is found (`find_broker`) and driven (`Broker`)."""

from .contract import VERSION, Broker, NoKafka, Way
from .discovery import find_broker

__all__ = ["VERSION", "Broker", "NoKafka", "Way", "find_broker"]
