"""The lines that read a topic, as its page shows them: confluent-kafka, with fastavro or with its own deserializer."""

from typing import Final

from producer.catalogue.topics import Topic

_SETTINGS: Final = """\
settings = {
    "bootstrap.servers": "kafka.example.fi:9092",
    "group.id": "my-service",
    "isolation.level": "read_committed",
    "auto.offset.reset": "earliest",
}
"""

_PLAIN: Final = f"""\
# pip install confluent-kafka fastavro; SUFFIX.avsc is below, under Schema
from io import BytesIO
from confluent_kafka import Consumer
from fastavro import schemaless_reader
from fastavro.schema import load_schema

{_SETTINGS}
consumer, schema = Consumer(settings), load_schema("SUFFIX.avsc")
consumer.subscribe(["TOPIC"])
event = schemaless_reader(BytesIO(consumer.poll(60).value()[10:]), schema, None)  # after C3 01, fingerprint
"""

# The strategy is named for the reason that docs/consume.md gives.
_REGISTRY: Final = f"""\
# pip install 'confluent-kafka[avro,schemaregistry]'
from confluent_kafka import DeserializingConsumer
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer

{_SETTINGS}
registry = SchemaRegistryClient({{"url": "https://schemas.example.fi"}})
read = AvroDeserializer(registry, conf={{"subject.name.strategy": topic_subject_name_strategy}})
consumer = DeserializingConsumer({{**settings, "value.deserializer": read}})
consumer.subscribe(["TOPIC"])
event = consumer.poll(60).value()
"""


def plain(topic: Topic) -> str:
    """Without a schema registry."""
    return _PLAIN.replace("SUFFIX", topic.suffix).replace("TOPIC", topic.name)


def registry(topic: Topic) -> str:
    return _REGISTRY.replace("TOPIC", topic.name)
