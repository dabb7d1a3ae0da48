"""The AsyncAPI 3 document: one channel for each topic, with its Kafka bindings and the published schema."""

from typing import Any, Final

from producer import __version__
from producer.catalogue.topics import Contents, Topic
from producer.catalogue.words import KEY, THEMES

BINDING: Final = "0.5.0"  # of the Kafka bindings
AVRO: Final = "application/vnd.apache.avro;version=1.9.0"

HEADERS: Final = {
    "ce_specversion": "CloudEvents 1.0, binary mode",
    "ce_id": "eventId: the same at every fetch",
    "ce_source": "The feed",
    "ce_type": "fi.vtj.change.<group>, or fi.vtj.dead-letter",
    "ce_time": "muutospv: when the change was registered; absent when upstream left it out",
    "content-type": "application/avro",
    "ce_reason": "outside-permit, on an unmapped event whose group the data permit does not cover; else absent",
    "ce_keyversion": "The key version, where pseudonyms stand for identity codes; else absent",
}
OPTIONAL: Final = {"ce_time", "ce_reason", "ce_keyversion"}


def asyncapi(contents: Contents) -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "vtj-producer",
            "version": __version__,
            "description": "Finland's population changes (DVV VTJ-muutosrajapinta) as typed Avro events in Kafka, "
            "exactly once. Read with isolation.level=read_committed. Without a schema registry a value is C3 01, the "
            "schema's CRC-64-AVRO fingerprint (little-endian) and the Avro body.",
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": theme, "description": " / ".join(text)} for theme, text in THEMES.items()],
        },
        "defaultContentType": "application/avro",
        "servers": {
            "kafka": {
                "host": "{bootstrapServers}",
                "protocol": "kafka",
                "description": "Your own Kafka",
                "variables": {"bootstrapServers": {"examples": ["kafka.example.fi:9092"]}},
            }
        },
        "channels": {one.suffix: _channel(one) for one in contents.topics},
        "operations": {
            f"send-{one.suffix}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{one.suffix}"},
                "messages": [{"$ref": f"#/channels/{one.suffix}/messages/event"}],
            }
            for one in contents.topics
        },
        "components": {
            "messages": {one.suffix: _message(one) for one in contents.topics},
            "messageTraits": {
                "headers": {
                    "headers": {
                        "type": "object",
                        "properties": {name: {"type": "string", "description": doc} for name, doc in HEADERS.items()},
                        "required": [name for name in HEADERS if name not in OPTIONAL],
                    }
                }
            },
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    configs = topic.plan.configs
    return {
        "address": topic.name,
        "title": topic.title.en,
        "description": " / ".join(topic.title),
        "messages": {"event": {"$ref": f"#/components/messages/{topic.suffix}"}},
        **({"tags": [{"name": topic.theme}]} if topic.theme else {}),
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.plan.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [configs["cleanup.policy"]],
                    "retention.ms": int(configs["retention.ms"]),
                },
                "bindingVersion": BINDING,
            }
        },
    }


def _message(topic: Topic) -> dict[str, Any]:
    key = {"type": "string", "description": KEY[topic.key].en}
    return {
        "name": topic.schema["name"],
        "title": topic.title.en,
        "contentType": "application/avro",
        "traits": [{"$ref": "#/components/messageTraits/headers"}],
        "payload": {"schemaFormat": AVRO, "schema": topic.schema},
        "bindings": {"kafka": {"key": key, "bindingVersion": BINDING}},
    }
