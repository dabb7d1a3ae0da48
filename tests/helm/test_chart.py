"""What the chart renders is valid, restricted, and what the program itself expects; what is wrong is told before."""

import copy
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from producer import __version__
from producer.__main__ import parser
from producer.check.kafka import needed
from producer.config import Settings, load_feeds
from producer.config.chart import schema
from producer.errors import Stop
from producer.events.groups import Catalogue
from producer.kafka.names import STATE, Names
from producer.kafka.topics import SAFE, Plan, planned
from tests.helm import restricted, strimzi
from tests.helm.chart import (
    CHART,
    EXAMPLES,
    KUBERNETES,
    LEAST,
    OPTIONS,
    RELEASE,
    ROOT,
    SECRETS,
    STRIMZI,
    Case,
    Manifest,
    Refused,
    case,
    helm,
    names,
    over,
    render,
)
from tests.integration.test_security import documented

(OLDEST,) = re.findall(r">=(.*)-0", (CHART / "Chart.yaml").read_text("utf-8"))
NEWEST = kubernetes_validate.latest_version()
STRIMZIS, STOCK = "kafka.strimzi.io/v1", {"apps/v1", "batch/v1", "networking.k8s.io/v1", "policy/v1", "v1"}

IMAGE = {"VTJ_SERVER__HOST": "127.0.0.1", "VTJ_SERVER__PORT": "1"}  # what an image may have as its own defaults

each = pytest.mark.parametrize("name", names())


@each
def test_the_manifests_are_as_kubernetes_and_strimzi_take_them(name: str) -> None:
    for one in case(name).manifests:
        if one["apiVersion"] in STOCK:
            for version in (OLDEST, NEWEST):
                kubernetes_validate.validate(one, version, strict=True)
        elif one["apiVersion"] == STRIMZIS:
            strimzi.validate(one)
        assert len(one["metadata"]["name"]) <= 63 or one["kind"] == "KafkaTopic"
    ids = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in case(name).manifests]
    assert len(ids) == len({*ids})


@each
def test_the_pods_are_restricted(name: str) -> None:
    pods = [*case(name).pods()]
    assert pods
    for pod in pods:
        assert restricted.broken(pod) == []
        assert pod["automountServiceAccountToken"] is False
        for one in pod["containers"]:
            assert one["securityContext"]["readOnlyRootFilesystem"] is True
            assert one["resources"]["limits"]["memory"]


@pytest.mark.parametrize("rule", restricted.RULES)
def test_a_pod_that_breaks_a_rule_is_noticed(rule: str) -> None:
    odd: Mapping[str, Manifest] = {
        "HostProcess": {"securityContext": {"windowsOptions": {"hostProcess": True}}},
        "host namespaces": {"hostPID": True},
        "privileged": {"containers": {"securityContext": {"privileged": True}}},
        "capabilities": {"containers": {"securityContext": {"capabilities": {"add": ["SYS_TIME"]}}}},
        "volume types": {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
        "host ports": {"containers": {"ports": [{"containerPort": 1, "hostPort": 1}]}},
        "hosts of probes": {"containers": {"livenessProbe": {"httpGet": {"host": "192.0.2.1"}}}},
        "AppArmor": {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
        "SELinux": {"securityContext": {"seLinuxOptions": {"user": "root"}}},
        "/proc": {"containers": {"securityContext": {"procMount": "Unmasked"}}},
        "sysctls": {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
        "privilege escalation": {"containers": {"securityContext": {"allowPrivilegeEscalation": None}}},
        "running as non-root": {"containers": {"securityContext": {"runAsNonRoot": False}}},
        "user": {"containers": {"securityContext": {"runAsUser": 0}}},
        "seccomp": {"securityContext": {"seccompProfile": None}},
    }
    pod = copy.deepcopy(next(case("least").pods()))
    change = dict(odd[rule])
    container = change.pop("containers", {})
    pod = over(pod, change)
    pod["containers"][0] = over(pod["containers"][0], container)
    assert restricted.broken(pod) == [rule]


def dotted(tree: Manifest, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def files(one: Case) -> set[str]:
    """NAME/KEY of those that the settings name."""
    return {value.removeprefix(SECRETS) for _, value in dotted(one.settings) if str(value).startswith(SECRETS)}


@each
def test_the_program_takes_the_settings(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they were given, in every pod that is to have them; Secrets are mounted where settings look for them."""
    one = case(name)
    for file in files(one):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("hunter2-of-the-test" * 2)
    texts = {each["metadata"]["name"]: each["data"].get("vtj.toml") for each in one.of("ConfigMap")}
    for pod in one.pods():
        (container,) = pod["containers"]
        args = parser().parse_args(container["args"])  # exits where it is no command line
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {f"{SECRETS}{file.split('/')[0]}" for file in files(one)} <= mounts.keys()
        for path, volume in mounts.items():
            if path.startswith(SECRETS):
                assert volumes[volume]["secret"]["secretName"] == path.removeprefix(SECRETS)
        toml = texts[volumes[mounts[str(args.config.parent)]]["configMap"]["name"]]
        assert toml
        config = tmp_path / args.config.name
        config.write_text(toml.replace(SECRETS, f"{tmp_path}/"), "utf-8")
        environ = IMAGE | {one["name"]: one["value"] for one in container["env"]}
        for loaded in load_feeds(config, environ, feed=args.feed):
            loaded.require("upstream.url", "kafka.bootstrap_servers")
            own = one.settings.get("feeds", {}).get(loaded.settings.feed.name, {})
            given = over({key: value for key, value in one.settings.items() if key != "feeds"}, own)
            for setting, value in dotted(given):
                said = loaded.value(setting)
                assert (list(said) if isinstance(said, tuple) else said) == (
                    Path(str(value).replace(SECRETS, f"{tmp_path}/")) if isinstance(said, Path) else value
                ), setting
        monkeypatch.setattr("os.environ", {})
        shown = parser().parse_args(["--config", str(config), "config"])
        assert shown.run(shown) == 0
        assert "hunter2" not in capsys.readouterr().out


def feeds(one: Case) -> list[Settings]:
    """Each feed's settings, checked, without the files that they name."""
    own = one.settings.get("feeds", {"": {}})
    top = {name: value for name, value in one.settings.items() if name != "feeds"}
    trees = [over(over(top, tree), {"feed": {"name": name}} if name else {}) for name, tree in own.items()]
    for tree in trees:
        for name in {*tree.get("privacy", {})} & {"secret_file"}:
            tree["privacy"] = tree["privacy"] | {name.removesuffix("_file"): "hunter2-of-the-test" * 2}
    return [Settings.model_validate(tree) for tree in trees]


def plans(settings: Settings) -> list[Plan]:
    return planned(settings, Catalogue.load().within(settings.permit.groups))


with_strimzi = pytest.mark.parametrize(
    "name", [name for name in OPTIONS if name.startswith("strimzi")] + ["values-production.yaml"]
)


@with_strimzi
def test_strimzi_makes_the_topics_of_the_plan(name: str) -> None:
    one = case(name)
    made = {topic["metadata"]["name"]: topic["spec"] for topic in one.of("KafkaTopic")}
    wanted: dict[str, Manifest] = {}
    for settings in feeds(one):
        replicas = settings.topics.replication or 3
        for plan in plans(settings):
            configs = plan.configs | (SAFE if replicas >= 3 else {})
            wanted[plan.name] = {"partitions": plan.partitions, "replicas": replicas, "config": configs}
    assert made == wanted
    for topic in one.of("KafkaTopic"):
        assert topic["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert topic["metadata"]["labels"]["strimzi.io/cluster"] == "kafka"


def granted(one: Case) -> set[tuple[str, str, str, str]]:
    (user,) = one.of("KafkaUser")
    return {
        (rule["resource"]["type"], rule["resource"]["name"], rule["resource"]["patternType"], operation)
        for rule in user["spec"]["authorization"]["acls"]
        for operation in rule["operations"]
    }


@with_strimzi
def test_strimzi_grants_what_run_needs_and_no_more(name: str) -> None:
    """As `vtj-producer check` asks for it, topic by topic."""
    has = granted(case(name))
    for settings in feeds(case(name)):
        for topic, wanted in needed(settings, plans(settings)).items():
            found = {
                operation
                for kind, begins, pattern, operation in has
                if kind == "topic" and (topic == begins or (pattern == "prefix" and topic.startswith(begins)))
            }
            assert found == {str(right) for right in wanted}, topic
    at = [Names(one.topics.prefix, one.feed.name, STATE) for one in feeds(case(name))]
    assert {rule for rule in has if rule[0] != "topic"} == {
        *(("group", one.group, "literal", right) for one in at for right in ("Read", "Describe")),
        *(("transactionalId", f"{one.group}.", "prefix", right) for one in at for right in ("Describe", "Write")),
    }
    assert all(one.transactional_id.startswith(f"{one.group}.") for one in at)


def test_strimzi_grants_what_the_documents_list_where_the_release_makes_topics() -> None:
    values = over(over(LEAST, STRIMZI), {"hooks": {"topics": True}, "strimzi": {"topics": False}})
    has = granted(Case(values, tuple(render(values, "--is-upgrade"))))
    words = {"TOPIC": "topic", "GROUP": "group", "TRANSACTIONAL_ID": "transactionalId"}
    patterns = {"LITERAL": "literal", "PREFIXED": "prefix"}
    assert has == {
        (
            words[ResourceType(one.restype).name],
            one.name,
            patterns[ResourcePatternType(one.resource_pattern_type).name],
            AclOperation(one.operation).name.title().replace("_", ""),
        )
        for one in documented("vtj", "vtj")
    }


@each
def test_nothing_is_asked_but_what_the_settings_name(name: str) -> None:
    one = case(name)
    policies, policy = one.of("NetworkPolicy"), one.values.get("networkPolicy", {})
    assert bool(policies) == policy.get("enabled", True)
    urls, brokers = [], ""
    for settings in feeds(one):
        urls += [settings.upstream.url, settings.registry.url, settings.kafka.token_url]
        brokers += f"{settings.kafka.bootstrap_servers},"
    split = [urlsplit(url) for url in urls if url]
    derived = {at.port or (443 if at.scheme == "https" else 80) for at in split}
    derived |= {int(port) for port in re.findall(r":(\d+),", brokers)}
    said = {name: rule["ports"] for name, rule in policy.items() if isinstance(rule, dict) and rule.get("ports")}
    for found in policies:
        spec = found["spec"]
        assert spec["policyTypes"] == ["Egress", "Ingress"]
        assert all(rule["ports"] and rule.get("to") != [] for rule in spec["egress"])
        ports = {port["port"] for rule in spec["egress"] for port in rule["ports"] if port["protocol"] == "TCP"}
        assert ports >= {*said.get("dns", [53])}
        assert ports == {*said.get("dns", [53])} | derived or said.keys() - {"dns"}
        udp = {port["port"] for rule in spec["egress"] for port in rule["ports"] if port["protocol"] == "UDP"}
        assert udp == {*said.get("dns", [53])}
        assert ("ingress" in spec) == bool(policy.get("from"))
        for pod in one.of("Deployment", "Job", "CronJob"):
            labels = (pod["spec"].get("jobTemplate") or pod)["spec"]["template"]["metadata"]["labels"]
            assert spec["podSelector"]["matchLabels"].items() <= labels.items()


def test_the_policy_of_production() -> None:
    (policy, _) = case("values-production.yaml").of("NetworkPolicy")
    kafka = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kafka"}}}
    system = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    dns = [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    assert policy["spec"]["egress"] == [
        {"ports": dns, "to": [system]},
        {"ports": [{"port": 9093, "protocol": "TCP"}], "to": [kafka]},
        {"ports": [{"port": 8080, "protocol": "TCP"}], "to": [kafka]},
        {"ports": [{"port": 443, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "192.0.2.10/32"}}]},
    ]


def test_what_is_there_of_each_kind() -> None:
    """The service with a standby; a CronJob in its place; hooks in their order, before anything else."""
    service = [one["kind"] for one in case("policy and monitoring").manifests if not hook(one)]
    monitoring = ["ConfigMap", "PrometheusRule", "ServiceMonitor"]
    own = ["ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"]
    assert sorted(service) == sorted(own + monitoring)
    assert not case("no policy").of("PodDisruptionBudget", "NetworkPolicy")
    (daily,) = case("schedule").of("CronJob")
    assert daily["spec"]["timeZone"] == "Europe/Helsinki"
    assert sorted(one["kind"] for one in case("schedule").manifests) == ["ConfigMap", "CronJob", "NetworkPolicy"]
    jobs = sorted(case("every hook").of("Job"), key=lambda job: int(hook(job)["helm.sh/hook-weight"]))
    assert [(job["metadata"]["name"], hook(job)["helm.sh/hook"]) for job in jobs] == [
        (f"{RELEASE}-topics", "pre-install,pre-upgrade"),
        (f"{RELEASE}-schemas", "pre-install,pre-upgrade"),
        (f"{RELEASE}-load", "pre-install"),
    ]
    per_feed = {job["metadata"]["name"] for job in case("several feeds").of("Job")}
    assert per_feed == {f"{RELEASE}-{job}-{feed}" for job in ("topics", "load") for feed in ("helsinki", "espoo")}
    # Trying again mends what is away, or at work, and an answer of upstream's that was garbled; nothing else.
    transient = {"MalformedPage", "UpstreamGone", "KafkaGone", "RegistryFault", "Busy"}
    final = sorted({one.exit_code for one in Stop.__subclasses__() if one.__name__ not in transient})
    for job in [daily["spec"]["jobTemplate"], *jobs]:
        ((rule),) = job["spec"]["podFailurePolicy"]["rules"]
        assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", final)


def hook(manifest: Manifest) -> Manifest:
    """Its annotations as one; empty: it is the release's own."""
    return {k: v for k, v in manifest["metadata"].get("annotations", {}).items() if k.startswith("helm.sh/hook")}


def test_the_settings_restart_the_pods() -> None:
    def checksum(name: str) -> str:
        (deployment,) = case(name).of("Deployment")
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/settings"])

    assert checksum("least") == checksum("policy and monitoring") != checksum("numbers and texts")


def test_rules_and_dashboard_are_those_of_the_repository() -> None:
    one = case("policy and monitoring")
    rules = (ROOT / "observability" / "alerts.yaml").read_text("utf-8")
    (rule,) = one.of("PrometheusRule")
    assert rule["spec"] == yaml.safe_load(rules)
    (shown,) = (each for each in one.of("ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"])
    dashboard = json.loads((ROOT / "observability" / "dashboard.json").read_text("utf-8"))
    assert json.loads(shown["data"]["vtj-producer.json"]) == dashboard
    assert {each["metadata"]["labels"]["release"] for each in one.of("PrometheusRule", "ServiceMonitor")} == {
        "prometheus"
    }
    (monitor,), (service,), (deployment,) = (one.of(kind) for kind in ("ServiceMonitor", "Service", "Deployment"))
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert service["spec"]["ports"][0]["name"] == monitor["spec"]["endpoints"][0]["port"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_helm_finds_nothing_to_say(example: Path) -> None:
    linted = helm("lint", "--strict", str(CHART), "-f", str(example), *KUBERNETES)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "[WARNING]" not in linted.stdout


def test_a_package_is_whole(tmp_path: Path) -> None:
    """What the chart only links to is in it."""
    packed = helm("package", str(CHART), "--destination", str(tmp_path))
    assert packed.returncode == 0, packed.stderr
    (package,) = tmp_path.iterdir()
    assert package.name == f"vtj-producer-{__version__}.tgz"
    with tarfile.open(package) as opened:
        assert all(member.isfile() for member in opened)
    values = case("values-production.yaml").values
    assert render(values, chart=package) == [*case("values-production.yaml").manifests]


def test_the_versions_are_one() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__


def schemas(told: Manifest, path: str) -> Iterator[tuple[str, Manifest]]:
    for name, one in told.get("properties", {}).items():
        yield f"{path}.{name}", one
        yield from schemas(one, f"{path}.{name}")
    for name, one in told.get("definitions", {}).items():
        yield f"{path}({name})", one
        yield from schemas(one, f"{path}({name})")


def test_every_value_is_described_and_no_other_taken() -> None:
    told = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    assert told["properties"]["settings"] == schema(), "run: python -m producer.config.chart"
    assert told["additionalProperties"] is False
    for path, one in schemas(told, ""):
        assert one.get("description") or "$ref" in one, path
        if one.get("type") == "object" and path != ".global":
            assert one["additionalProperties"] is False or one["additionalProperties"]["type"], path
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    undescribed = {name for name, _ in dotted(values)} - {path.lstrip(".") for path, _ in schemas(told, "")}
    assert undescribed <= {name for name, _ in dotted(values) if name.startswith(("resources.", "networkPolicy."))}
    assert {*told["properties"]} - {"global"} == {*values}
    said = {path.rpartition(".")[2] for path, _ in schemas(schema(), "")}
    assert said >= {"password_file", "secret_file", "token_file"}
    assert not said & {"password", "secret", "token", "headers"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replica": 1}, "additional properties 'replica' not allowed"),
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"schedule": "daily"}, "at '/schedule': 'daily' does not match pattern"),
        ({"settings": {"upstream": {"usrname": "x"}}}, "at '/settings/upstream': additional properties 'usrname'"),
        ({"settings": {"upstream": {"password": "x"}}}, "at '/settings/upstream': additional properties 'password'"),
        ({"settings": {"kafka": {"security_protocol": "TLS"}}}, "/security_protocol': value must be one of"),
        ({"settings": {"topics": {"partitions": 0}}}, "at '/settings/topics/partitions': minimum: got 0, want 1"),
        ({"settings": {"feeds": {"Helsinki": {}}}}, "'Helsinki' does not match pattern"),
        ({"settings": {"feeds": {"helsinki": {"server": {}}}}}, "additional properties 'server' not allowed"),
        ({"networkPolicy": {"kafka": {"to": [{"podSelektor": {}}]}}}, "additional properties 'podSelektor'"),
        ({"settings": {"upstream": {"url": ""}}}, "settings.upstream.url must be set"),
        ({"settings": {"feeds": {"a": {"kafka": {"bootstrap_servers": ""}}}}}, "settings.feeds.a.kafka.bootstrap"),
        ({"hooks": {"schemas": True}}, "settings.registry.url is not set"),
        ({"schedule": "0 6 * * *", "monitoring": {"enabled": True}}, "keep one of the two"),
        ({"monitoring": {"enabled": True}}, "networkPolicy.from lets nobody in"),
        ({"strimzi": {"topics": True}, "hooks": {"topics": False}}, "strimzi.cluster must name"),
        ({"strimzi": {"topics": True, "cluster": "kafka"}}, "strimzi.topics and hooks.topics are both true"),
        (over(STRIMZI, {"hooks": {"load": True}}), "makes the topics only afterwards"),
        (over(STRIMZI, {"hooks": {"load": True}}), "makes the account only afterwards"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_the_first_command(values: Manifest, said: str) -> None:
    with pytest.raises(Refused) as refused:
        render(over(LEAST, values))
    assert said in str(refused.value)
