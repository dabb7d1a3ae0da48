"""Rules, dashboard, runbook: what they name exists, and what exists has its entry."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from producer import errors
from producer.__main__ import parser
from producer.observe import metrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "observability" / "alerts.yaml"
DASHBOARD = ROOT / "observability" / "dashboard.json"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text("utf-8")
ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text("utf-8"))


def used(text: str) -> set[str]:
    return set(re.findall(r"\b(?:vtj|process)_\w+", text))


def families() -> dict[str, str]:
    """Name of a metric → its type."""
    ours = {one.name: one.kind for one in metrics.METRICS}
    return ours | {metrics.LOOP_DELAY[0]: "histogram", metrics.TASKS[0]: "gauge", "vtj_build": "info"}


def known() -> set[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"], "gauge": [""]}
    ours = {name + suffix for name, kind in families().items() for suffix in suffixes[kind]}
    return ours | {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"}


def test_every_metric_of_rules_and_dashboard_exists() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    rules = used("\n".join(re.findall(r"expr: (\|?.*?)(?:for|labels):", RULES.read_text("utf-8"), re.S)))
    shown = used("\n".join(target["expr"] for panel in panels for target in panel["targets"]))
    assert len(rules) > 12
    assert rules | shown <= known()
    # And who looks at the dashboard misses nothing of ours, but what the panels' own names say.
    named = {re.sub("_(total|bucket|count|sum|info)$", "", name) for name in shown}
    assert {*families()} - named <= {"vtj_tasks"}


def test_promtool_finds_the_rules_right_and_they_fire_when_they_must() -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    for what in (["check", "rules", RULES.name], ["test", "rules", "alerts-test.yaml"]):
        done = subprocess.run([promtool, *what], check=False, cwd=RULES.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_firing_and_silent() -> None:
    tests = RULES.with_name("alerts-test.yaml").read_text("utf-8")
    for alert in ALERTS:
        assert re.search(rf"alertname: {alert}\n +exp_alerts:", tests), alert
        assert f"alertname: {alert}}}" in tests, alert
    assert re.findall(r"runbook: docs/runbook.md#(\w+)$", RULES.read_text("utf-8"), re.M) == [
        alert.lower() for alert in ALERTS
    ]


@pytest.mark.parametrize("name", [*ALERTS, *(one.__name__ for one in errors.Stop.__subclasses__())])
def test_the_runbook_has_an_entry(name: str) -> None:
    (entry,) = re.findall(rf"^### {name}\n(.*?)(?=^#|\Z)", RUNBOOK, re.M | re.S)
    assert re.findall(r"^- \*\*(.*?)\*\*: ", entry, re.M) == ["Symptom", "Meaning", "First command", "Cure"]


def test_the_runbook_has_no_entry_of_what_is_not() -> None:
    assert {*re.findall("^### (.*)$", RUNBOOK, re.M)} == {
        *ALERTS,
        *(one.__name__ for one in errors.Stop.__subclasses__()),
    }


def test_the_runbook_names_commands_that_exist() -> None:
    assert {*re.findall(r"`vtj-producer ([\w-]+)", RUNBOOK)} <= {
        *re.findall(r"^    ([\w-]+)", parser().format_help(), re.M)
    }
