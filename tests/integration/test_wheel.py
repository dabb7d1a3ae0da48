"""What is published is what works: sdist of the tracked files, wheel from the sdist, and that in an empty environment.

Needs the package index that pip is configured with, or its cache; no Kafka. The long tests look at what
`make release-check` has put into dist, with the tools that it has installed.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from producer import __version__

ROOT = Path(__file__).parents[2]
SCHEMAS = {path.relative_to(ROOT).as_posix() for path in (ROOT / "schemas").rglob("*") if path.is_file()}
EXAMPLE = ROOT / "schemas" / "examples" / "kotikunta.json"
TOOLS = Path(sys.executable).parent

# What may be brought along by a program under Apache-2.0, in the words that the packages themselves use.
ALLOWED = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MPL-2.0", "PSF-2.0", "Python-2.0"}
ALLOWED |= {f"License :: OSI Approved :: {name}" for name in ("Apache Software License", "BSD License")}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Standard output. Fails with what the command said."""
    done = subprocess.run(command, cwd=cwd, env=plain(**environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def plain(**more: str) -> dict[str, str]:
    """Our environment without what would lead back to the checkout, or set something."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("VTJ_", "PYTHON", "VIRTUAL_ENV"))}
    return ours | {"PYTHONDONTWRITEBYTECODE": "1"} | more


def tracked() -> set[str]:
    """And what would be added next."""
    listed = run(
        "git", "-c", "core.quotePath=false", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT
    )
    return {name for name in listed.splitlines() if (ROOT / name).is_file()}


@dataclass
class Built:
    sdist: Path
    wheel: Path
    bin: Path  # of an environment that holds the wheel and what it asks for, nothing else
    elsewhere: Path  # a folder outside the checkout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("wheel")
    names = ("checkout", "backend", "dist", "venv", "elsewhere")
    checkout, backend, dist, venv, elsewhere = (folder / name for name in names)
    elsewhere.mkdir()
    for name in tracked():  # with other modes and times than the checkout's
        copy = checkout / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy, follow_symlinks=False)
        if copy.is_symlink():
            continue
        copy.chmod(0o700 if os.access(ROOT / name, os.X_OK) else 0o600)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    with (ROOT / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)["build-system"]["requires"]
    run(*pip, "install", "--target", backend, *wanted, cwd=folder)

    def build(target: str, source: Path) -> Path:
        build = ("-m", "hatchling", "build", "--target", target, "--directory", str(dist))
        run(sys.executable, *build, cwd=source, PYTHONPATH=str(backend), TZ="Asia/Tokyo", PYTHONHASHSEED="7")
        (made,) = dist.glob("*.tar.gz" if target == "sdist" else "*.whl")
        return made

    sdist = build("sdist", checkout)
    run("tar", "-xzf", sdist, cwd=folder)
    (source,) = folder.glob("vtj_producer-*")
    wheel = build("wheel", source)
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=folder)
    run(*pip, "--python", venv / "bin" / "python", "install", "--no-compile", wheel, cwd=elsewhere)
    return Built(sdist, wheel, venv / "bin", elsewhere)


def test_the_sdist_holds_the_project_and_nothing_that_lies_about(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == tracked() | {"PKG-INFO"}


def test_the_wheel_holds_the_package_and_its_schemas_alone(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    info = f"vtj_producer-{__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"producer", info}
    published = {name for name in SCHEMAS if not name.startswith("schemas/released/")}
    assert {name for name in names if "schemas/" in name} == {f"producer/{name}" for name in published}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "producer").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert f"{info}/licenses/LICENSE" in names
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "Description-Content-Type: text/markdown" in metadata


def test_it_asks_for_all_that_it_imports(built: Built) -> None:
    """Every module is imported where nothing of the dev extra is; the checkout cannot be reached from there."""
    program = """
import importlib, json, pkgutil, sys
import producer
for module in pkgutil.walk_packages(producer.__path__, "producer."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps([producer.__file__, sys.path, importlib.util.find_spec("tests") is None]))
"""
    file, path, no_tests = json.loads(run(built.bin / "python", "-c", program, cwd=built.elsewhere))
    assert Path(file).is_relative_to(built.bin.parent)
    assert not [one for one in path if Path(one).is_relative_to(ROOT)]
    assert no_tests


def test_version_and_help(built: Built) -> None:
    program = built.bin / "vtj-producer"
    assert run(program, "--version", cwd=built.elsewhere) == f"vtj-producer {__version__}\n"
    told = run(program, "--help", cwd=built.elsewhere)
    assert all(
        f"    {command} " in told for command in ("demo", "run", "topics", "cursor", "tail", "convert", "sandbox")
    )


def test_config(built: Built) -> None:
    told = run(built.bin / "vtj-producer", "config", cwd=built.elsewhere, VTJ_FEED__NAME="kunta")
    assert "VTJ_FEED__NAME = kunta  [environment VTJ_FEED__NAME]" in told


def test_convert(built: Built) -> None:
    record = json.loads(EXAMPLE.read_text("utf-8"))
    answer = built.elsewhere / "answer.json"
    answer.write_text(json.dumps({"viimeisinKirjausavain": 9, "muutokset": [record], "ajanTasalla": True}))
    line = json.loads(run(built.bin / "vtj-producer", "convert", "--strict", "answer.json", cwd=built.elsewhere))
    assert (line["topic"], line["key"]) == ("vtj.change.kotikunta", record["henkilotunnus"])
    assert line["value"]["data"]["kuntakoodi"] == record["tietoryhmat"][0]["kuntakoodi"]


@pytest.fixture
def sandbox(built: Built) -> Iterator[subprocess.Popen[str]]:
    command = (built.bin / "vtj-producer", "sandbox", "--port", "0", "--persons", "3", "--changes-per-day", "0")
    with subprocess.Popen(
        command, cwd=built.elsewhere, env=plain(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_sandbox(sandbox: subprocess.Popen[str]) -> None:
    assert sandbox.stdout is not None
    url = sandbox.stdout.readline().split()[0]
    with urlopen(f"{url}/_sandbox/codes", timeout=30) as answer:
        assert len(answer.read().split()) == 3
    sandbox.send_signal(signal.SIGTERM)
    assert sandbox.communicate(timeout=30) == ("", "")
    assert sandbox.returncode == 0


# what `make release-check` publishes


@pytest.fixture(scope="module")
def wheel() -> Path:
    found = [path for path in (ROOT / "dist").glob("*.whl") if f"-{__version__}-" in path.name]
    assert len(found) == 1, "dist does not hold this version's wheel: `make release-check` builds it"
    return found[0]


@pytest.mark.long
def test_built_again_it_is_the_same_bytes(built: Built, wheel: Path) -> None:
    """Elsewhere, at another time, with other modes, in another time zone."""
    assert wheel.read_bytes() == built.wheel.read_bytes()
    assert (wheel.parent / built.sdist.name).read_bytes() == built.sdist.read_bytes()


@pytest.mark.long
@pytest.mark.parametrize("tool", ["pip", "uvx", "pipx"])
def test_the_demo_runs_from_the_wheel_alone(built: Built, wheel: Path, tool: str, tmp_path: Path) -> None:
    """In the ways that README.md names, with nothing of the checkout in reach."""
    package = f"vtj-producer[demo] @ {wheel.as_uri()}"
    if tool == "pip":
        run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
        python = tmp_path / "venv" / "bin" / "python"
        run(sys.executable, "-m", "pip", "--quiet", "--python", python, "install", package, cwd=tmp_path)
        command: list[str | Path] = [python.with_name("vtj-producer")]
    elif tool == "uvx":
        command = [TOOLS / "uvx", "--isolated", "--from", package, "vtj-producer"]
    else:
        command = [TOOLS / "pipx", "run", "--no-cache", "--spec", package, "vtj-producer"]
    told = run(*command, "demo", "--once", cwd=tmp_path, PIPX_HOME=str(tmp_path / "pipx"))
    assert "Embedded broker noida-db" in told
    assert re.search(r"^3,\d{3} change records became [\d,]+ events on \d+ topics", told, re.M), told
    assert "They agree" in told


@pytest.mark.long
def test_every_licence_is_one_of_those_allowed(wheel: Path, tmp_path: Path) -> None:
    """As the installed packages state them, those of the extras too; not of what the tests alone want."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    package = f"vtj-producer[demo,catalogue] @ {wheel.as_uri()}"
    run(sys.executable, "-m", "pip", "--quiet", "--python", python, "install", package, cwd=tmp_path)
    listing = (sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "environment", "--output-reproducible")
    components = json.loads(run(*listing, python, cwd=tmp_path))["components"]
    stated = {
        one["name"]: {
            word
            for licence in one.get("licenses", [{"expression": "none is stated"}])
            for word in re.split(r"[()]| AND | OR ", _stated(licence))
            if word
        }
        for one in components
    }
    assert {"vtj-producer", "aiokafka", "noida-db", "Jinja2"} <= stated.keys()
    assert {name: words - ALLOWED for name, words in stated.items() if words - ALLOWED} == {}


def _stated(licence: dict[str, Any]) -> str:
    named = licence.get("license", {})
    return str(licence.get("expression") or named.get("id") or named["name"])
