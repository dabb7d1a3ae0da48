"""What docs/security.md promises is shown by tests that exist, and what is run on is locked and listed."""

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from producer.__main__ import parser
from producer.config.reference import settings

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "run.txt"


def test_every_defence_is_shown_by_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    (table,) = re.findall(r"^## Defences\n\n(.*?)\n\n", text, re.M | re.S)
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]
    assert len(rows) > 15
    for against, _, shown in rows:
        tests = re.findall(r"`([\w/]+\.py)::(\w+)`", shown)
        assert tests, against
        for file, name in tests:
            assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.M), f"{file}::{name}"


def options(one: argparse.ArgumentParser) -> Iterator[str]:
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options(command)
        else:
            yield from [*action.option_strings, action.dest]


def test_no_command_takes_a_secret_as_an_argument() -> None:
    found = {name for name in options(parser()) if re.search("password|secret|token|key(?!s)", name)}
    assert {re.sub("[-_]", " ", name).strip() for name in found} <= {"password file", "tls key"}  # files


def test_no_secret_has_a_default() -> None:
    secrets = [one for one in settings() if "SecretStr" in str(one.field.annotation)]
    assert len(secrets) > 4
    assert not [one.env for one in secrets if one.default]
    for one in secrets:
        if one.name != "upstream.headers":
            assert one.name + "_file" in {other.name for other in settings()}, one.env


# the lock


def locked() -> dict[str, tuple[str, list[str], Requirement]]:
    """Name → version, hashes and the whole line."""
    found: dict[str, tuple[str, list[str], Requirement]] = {}
    lines = [line for line in LOCK.read_text("utf-8").replace("\\\n", "").splitlines() if not line.startswith("#")]
    for line in lines:
        wanted, *hashes = (str(part) for part in re.split(r"\s+--hash=", line.strip()))
        requirement = Requirement(wanted)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        found[canonicalize_name(requirement.name)] = (pin.version, hashes, requirement)
    return found


def test_the_lock_is_whole_and_agrees_with_the_project() -> None:
    """Else: `make requirements`. What the packages ask for is read off those that are installed here."""
    lock, project = locked(), tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "://" not in LOCK.read_text("utf-8"), "an address"
    for name, (_, hashes, _) in lock.items():
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), name
    here = {key: str(value) for key, value in default_environment().items()} | {"extra": ""}
    waiting, needed = [Requirement(one) for one in project["dependencies"]], set[str]()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if one.marker and not one.marker.evaluate(here):
            continue
        assert name in lock, f"{one} is not locked"
        version, _, requirement = lock[name]
        assert one.specifier.contains(version, prereleases=True), f"{one}, and {version} is locked"
        assert requirement.marker is None or requirement.marker.evaluate(here), f"{requirement}, and it is needed here"
        if name not in needed:
            needed.add(name)
            waiting += [Requirement(text) for text in importlib.metadata.requires(name) or []]
    there = {name for name, (_, _, requirement) in lock.items() if not requirement.marker}
    assert there <= needed | {"async-timeout", "typing-extensions"}, "locked, and nothing needs it"


def test_the_bill_of_materials_lists_what_is_locked(tmp_path: Path) -> None:
    """As `make sbom` writes it."""
    (recipe,) = re.findall(r"^sbom:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.M)
    recipe = (
        recipe.replace("dist", str(tmp_path)).replace("$(BIN)", str(Path(sys.executable).parent)).replace("\t@", "")
    )
    subprocess.run(["sh", "-ec", recipe], cwd=ROOT, check=True, capture_output=True)
    written = json.loads((tmp_path / "sbom.cdx.json").read_text("utf-8"))
    assert (written["bomFormat"], written["metadata"]["component"]["name"]) == ("CycloneDX", "vtj-producer")
    listed = {canonicalize_name(one["name"]): one["version"] for one in written["components"]}
    assert listed == {name: version for name, (version, _, _) in locked().items()}
