"""The benchmarks run, and their counts agree (the command fails otherwise). Nothing is said about speed."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.runs import ROOT
from tests.broker import Broker

pytestmark = pytest.mark.kafka


@pytest.mark.long
def test_a_quick_run_measures_everything(broker: Broker, tmp_path: Path) -> None:
    output = tmp_path / "benchmarks.md"
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--output", str(output)],
        cwd=ROOT,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = output.read_text(encoding="utf-8")
    assert page in done.stdout
    for who in ("the straightforward script, one", "vtj-producer, one page", "vtj-producer as it comes", "limit:"):
        assert f"| {who}" in page
    assert "| two by one |" in page
    for picture in re.findall(r"\((pictures/[a-z-]+\.svg)\)", page):
        assert ElementTree.parse(tmp_path / picture).getroot().tag.endswith("svg")
    assert "| hand-over after SIGTERM |" in page
