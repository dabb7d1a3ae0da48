"""Secrets that are not there are told of before anything is installed: helm asks a cluster, and here that is us."""

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.helm.chart import LEAST, STRIMZI, Refused, Values, over, render

NAMESPACE = "/api/v1/namespaces/vtj"
KINDS = {"Secret": "secrets", "ConfigMap": "configmaps"}


@contextmanager
def cluster(secrets: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Its address. Of a Kubernetes API it has what helm asks to look something up: kinds and objects, by name."""

    def found(kind: str, name: str, data: Mapping[str, str]) -> object:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": encoded}

    named = [{"name": plural, "kind": kind, "namespaced": True, "verbs": ["get"]} for kind, plural in KINDS.items()]
    there: Mapping[str, object] = {
        "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": named},
        f"{NAMESPACE}/configmaps/kube-root-ca.crt": found("ConfigMap", "kube-root-ca.crt", {}),
    } | {f"{NAMESPACE}/secrets/{name}": found("Secret", name, data) for name, data in secrets.items()}
    missing = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = there.get(self.path.partition("?")[0])
            self.send_response(200 if told else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(told or missing).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


WANTING: Values = {
    "settings": {
        "upstream": {"username": "account", "password_file": "/run/secrets/vtj-upstream/password"},
        "kafka": {
            "security_protocol": "SSL",
            "client_cert_file": "/run/secrets/muutokset/user.crt",
            "client_key_file": "/run/secrets/muutokset/user.key",
            "ca_file": "/run/secrets/kafka-ca/ca.crt",
        },
    },
    "environment": "headers",
}
ALL = {"vtj-upstream": ["password"], "muutokset": ["user.crt", "user.key"], "kafka-ca": ["ca.crt"], "headers": ["X"]}


def refusal(values: Values, secrets: Mapping[str, list[str]]) -> list[str]:
    """What helm says to it of Secrets, line by line; nothing where it renders."""
    with cluster({name: dict.fromkeys(keys, "hunter2-of-the-test") for name, keys in secrets.items()}) as url:
        try:
            render(over(LEAST, values), "--dry-run=server", "--kube-apiserver", url)
        except Refused as refused:
            said = str(refused)
        else:
            return []
    assert "hunter2" not in said
    return [line for line in said.splitlines() if "Secret" in line]


def test_each_secret_that_is_missing_is_named_with_the_command_that_makes_it() -> None:
    make = "kubectl -n vtj create secret generic"
    assert refusal(WANTING, {"kafka-ca": ["tls.crt"]}) == [
        f"There is no Secret headers in the namespace vtj. Make it: {make} headers",
        "The Secret kafka-ca has no entry ca.crt, which the settings name.",
        "There is no Secret muutokset in the namespace vtj. "
        f"Make it: {make} muutokset --from-file=user.crt=FILE --from-file=user.key=FILE",
        f"There is no Secret vtj-upstream in the namespace vtj. Make it: {make} vtj-upstream --from-file=password=FILE",
    ]
    assert refusal(WANTING, ALL) == []


def test_the_secret_that_strimzi_makes_is_waited_for() -> None:
    assert refusal(over(WANTING, STRIMZI), {name: keys for name, keys in ALL.items() if name != "muutokset"}) == []
