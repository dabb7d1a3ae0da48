"""The chart as helm renders it, with values of its examples and of every option."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm" / "vtj-producer"
RELEASE: Final = "muutokset"
INSTALL: Final = "go install helm.sh/helm/v3/cmd/helm@v3.22.0"
SECRETS: Final = "/run/secrets/"
# What `go install` builds takes the cluster for one of years ago unless it is told.
KUBERNETES: Final = ("--kube-version", kubernetes_validate.latest_version())

Manifest = dict[str, Any]
Values = Mapping[str, Any]

UPSTREAM: Final = {"url": "https://security-server.example.fi", "start": "today"}
LEAST: Final[Values] = {"settings": {"upstream": UPSTREAM, "kafka": {"bootstrap_servers": "kafka:9092"}}}
PERSONS: Final[Manifest] = {"upstream": {"persons_file": "/run/secrets/persons/codes"}}
STRIMZI: Final[Manifest] = {
    "hooks": {"topics": False},
    "strimzi": {"cluster": "kafka", "namespace": "kafka", "topics": True, "user": "scram-sha-512"},
}
PSEUDONYMS: Final[Manifest] = {
    "privacy": {"keys": "hmac-sha256", "secret_file": "/run/secrets/pseudonyms/secret", "key_version": 3},
}
# Each is laid over the least.
OPTIONS: Final[Mapping[str, Values]] = {
    "least": {},
    "schedule": {"schedule": "17 6 * * 1-5", "hooks": {"topics": False}},
    "every hook": {
        "settings": {"registry": {"url": "http://apicurio:8080/apis/ccompat/v7"}},
        "hooks": {"topics": True, "schemas": True, "load": True, "loadArguments": ["--municipalities", "091", "837"]},
    },
    "numbers and texts": {
        "settings": {
            "upstream": {"start": "5446623423", "max_response": 134217728, "retry_wait": 0.5, "watchlist": True},
            "kafka": {"bootstrap_servers": "[2001:db8::1]:9094, kafka-2.fi:9095", "batch_size": 1048576},
            "schedule": {"times": ["06:30", "18:30"]},
            "topics": {"prefix": "muutos", "partitions": 24, "retention": 31536000},
            "log": {"level": "warning"},
        },
    },
    "tokens": {
        "settings": {
            "upstream": {"url": "http://security-server.example.fi:8080"},
            "kafka": {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "OAUTHBEARER",
                "username": "vtj",
                "password_file": "/run/secrets/kafka/password",
                "token_url": "https://login.example.fi/oauth2/token",
            },
        },
        "environment": "headers",
        "image": {"tag": "1.2.3", "pullSecrets": ["images"]},
    },
    "no policy": {"networkPolicy": {"enabled": False}, "monitoring": {"enabled": True}, "replicas": 1},
    "policy and monitoring": {
        "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {
            "kafka": {"to": [{"namespaceSelector": {"matchLabels": {"name": "kafka"}}}], "ports": [9092, 9093]},
            "dns": {"ports": [5353]},
            "from": [{"podSelector": {}, "namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        },
    },
    "strimzi": STRIMZI,
    "strimzi, pseudonyms of a permit": STRIMZI
    | {"settings": PSEUDONYMS | {"state": {"enabled": False}, "permit": {"groups": ["KOTIKUNTA", "TURVAKIELTO"]}}},
    "strimzi, restricted topics": STRIMZI
    | {
        "settings": PERSONS
        | PSEUDONYMS
        | {
            "privacy": PSEUDONYMS["privacy"] | {"restricted_topics": True, "restricted_retention": 1209600},
            "topics": {"replication": 2, "retention": 86400},
        },
    },
    "strimzi, several feeds": STRIMZI
    | {
        "settings": {
            "feeds": {
                "helsinki": {"permit": {"groups": ["KOTIKUNTA"]}},
                "espoo-2": {
                    "upstream": {"url": "https://other.example.fi:4443", "persons_file": "/run/secrets/espoo/codes"},
                    "topics": {"prefix": "espoo"},
                    "kafka": {"bootstrap_servers": "kafka-3:9093"},
                },
            },
        },
    },
    "several feeds": {
        "settings": {"feeds": {"helsinki": {}, "espoo": {"topics": {"prefix": "espoo"}}}},
        "hooks": {"load": True, "loadArguments": ["/run/secrets/all/codes"]},
    },
}  # fmt: skip
EXAMPLES: Final = sorted(CHART.glob("values-*.yaml"))


@dataclass(frozen=True)
class Case:
    """values: what helm is given. manifests: what it makes of them."""

    values: Manifest
    manifests: tuple[Manifest, ...]

    def of(self, *kinds: str) -> list[Manifest]:
        return [one for one in self.manifests if one["kind"] in kinds]

    def pods(self) -> Iterator[Manifest]:
        """The spec of each kind of pod."""
        for one in self.of("Deployment", "Job", "CronJob"):
            made = one["spec"]["jobTemplate"] if one["kind"] == "CronJob" else one
            yield made["spec"]["template"]["spec"]

    @property
    def settings(self) -> Manifest:
        """Those of the chart itself, and what it was given over them."""
        own = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
        settings: Manifest = over(own, self.values)["settings"]
        return settings


def names() -> list[str]:
    return [*OPTIONS, *(path.name for path in EXAMPLES)]


@cache
def case(name: str) -> Case:
    values = over(LEAST, OPTIONS[name]) if name in OPTIONS else yaml.safe_load((CHART / name).read_text("utf-8"))
    return Case(values, tuple(render(values)))


def over(below: Values, above: Values) -> Manifest:
    """As helm lays values over one another."""
    laid = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], Mapping) and isinstance(above[name], Mapping):
            laid[name] = over(below[name], above[name])
    return laid


def render(values: Values, *arguments: str, chart: Path = CHART) -> list[Manifest]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        done = helm("template", RELEASE, str(chart), "--namespace", "vtj", "-f", file.name, *KUBERNETES, *arguments)
    if done.returncode:
        raise Refused(done.stderr)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


class Refused(Exception):
    """What helm said."""


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Away from whatever cluster this machine knows."""
    bins = os.environ.get("GOBIN") or Path(os.environ.get("GOPATH") or Path.home() / "go") / "bin"
    found = shutil.which("helm", path=f"{os.environ['PATH']}{os.pathsep}{bins}")
    if found is None:
        pytest.fail(f"helm is missing: {INSTALL}", pytrace=False)
    environ = os.environ | {"KUBECONFIG": os.devnull}
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False, env=environ)
