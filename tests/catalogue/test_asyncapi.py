"""asyncapi.json against AsyncAPI's own JSON Schema.

asyncapi-3.0.0.json is schemas/3.0.0.json of the npm package @asyncapi/specs 6.11.1 (Apache-2.0), on fewer lines: it
holds the Kafka bindings and Avro too, and is here so that no test needs npm or a network.
"""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from producer.catalogue.site import Files
from producer.catalogue.topics import Contents

Document = dict[str, Any]


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    return Draft7Validator(json.loads(Path(__file__).with_name("asyncapi-3.0.0.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def document(files: Files) -> Document:
    read: Document = json.loads(files["asyncapi.json"])
    return read


def test_is_valid(validator: Draft7Validator, document: Document) -> None:
    assert [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(document)] == []


def channel(document: Document) -> Any:
    return document["channels"]["kotikunta"]["bindings"]["kafka"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: one.update(asyncapi="2.6.0"),
        lambda one: one["operations"]["send-kotikunta"].update(action="publish"),
        lambda one: channel(one).update(partitions="6"),
        lambda one: channel(one)["topicConfiguration"].update({"cleanup.policy": ["keep"]}),
        lambda one: one["components"]["messages"]["kotikunta"]["bindings"]["kafka"].update(
            key="personal identity code"
        ),
        lambda one: one["components"]["messages"]["kotikunta"]["payload"]["schema"].update(type="recrod"),
    ],
    ids=["version", "action", "partitions", "cleanup", "key", "avro"],
)
def test_a_fault_would_be_noticed(
    spoil: Callable[[Document], Any], validator: Draft7Validator, document: Document
) -> None:
    spoiled = copy.deepcopy(document)
    spoil(spoiled)
    assert not validator.is_valid(spoiled)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_every_reference_is_there(document: Document) -> None:
    """Of which the JSON Schema knows nothing."""
    found = set(references(document))
    assert found
    for reference in found:
        at: Any = document
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def test_every_topic_is_a_channel_with_its_schema(contents: Contents, document: Document) -> None:
    assert document["channels"].keys() == {one.suffix for one in contents.topics}
    for topic in contents.topics:
        described = document["channels"][topic.suffix]
        assert (described["address"], described["bindings"]["kafka"]["topic"]) == (topic.name, topic.name)
        assert described["bindings"]["kafka"]["partitions"] == topic.plan.partitions
        assert document["components"]["messages"][topic.suffix]["payload"]["schema"] == topic.schema
