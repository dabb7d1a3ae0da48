"""What the documents say is so: every command, setting, link, target, file and exit code that they name."""

import argparse
import json
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from producer.__main__ import parser
from producer.config import Settings, Topics
from producer.config.reference import settings
from producer.errors import Doubt, ProducerError, StepDown, Stop, UpstreamUnavailable
from producer.events.groups import Catalogue
from producer.kafka.names import SHARDS
from producer.kafka.topics import plan
from producer.registry.check import check
from tests.broker import VERSION

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/**/*.md")])
SOURCES = sorted(ROOT.glob("producer/**/*.py"))
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in [*DOCUMENTS, *SOURCES]}
README, ARCHITECTURE, KAFKA = TEXTS["README.md"], TEXTS["docs/architecture.md"], TEXTS["docs/kafka.md"]
COMMANDS, CONTRIBUTING, CHANGELOG = TEXTS["docs/commands.md"], TEXTS["CONTRIBUTING.md"], TEXTS["CHANGELOG.md"]

each_document = pytest.mark.parametrize("name", [path.relative_to(ROOT).as_posix() for path in DOCUMENTS])


def blocks(text: str) -> list[str]:
    """The lines of code blocks, indented or fenced."""
    fenced = [line for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
    return fenced + [line.strip() for line in text.splitlines() if line.startswith("    ")]


def spans(text: str) -> list[str]:
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


@cache
def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = (one for one in parser()._actions if isinstance(one, argparse._SubParsersAction))
    return found.choices


def command_lines() -> Iterator[tuple[str, str]]:
    """(file, line): with the program's name, and those in running text that leave it out (`run --once`)."""
    for name, text in TEXTS.items():
        for line in spans(text) + (blocks(text) if name.endswith(".md") else []):
            if re.match(r"vtj-producer [a-z-]", line):
                yield name, line
            elif re.match(rf"({'|'.join(commands())}) [-a-z]", line) and name.endswith(".md"):
                yield name, f"vtj-producer {line}"
            elif made := re.match(r"(?:uvx|pipx run) .*?vtj-producer\S* (demo.*)", line):
                yield name, f"vtj-producer {made[1]}"
            elif (made := re.match(r'make ([a-z]+) ARGS="?([^"]*)', line)) and made[1] in commands():
                yield name, f"vtj-producer {made[1]} {made[2]}"


def parses(line: str) -> bool:
    words = shlex.split(line, comments=True)[1:]
    ends = [at for at, word in enumerate(words) if word in ("<", ">", "|")]
    words = words[: ends[0]] if ends else words
    # `topics plan|apply` is two commands in short.
    choices = next((word.split("|") for word in words if "|" in word), [""])
    try:
        for choice in choices:
            parser().parse_args([choice if "|" in word else word for word in words])
    except SystemExit as end:
        return end.code == 0
    return True


def test_every_command_line_is_one() -> None:
    lines = list(command_lines())
    assert {"run", "topics", "cursor", "tail", "convert", "config", "sandbox"} <= {line.split()[1] for _, line in lines}
    assert [(name, line) for name, line in lines if not parses(line)] == []
    listed = {word for name, line in lines if name == "docs/commands.md" for word in line.split()}
    assert commands().keys() <= listed


def test_a_wrong_command_line_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    assert parses("vtj-producer topics plan|apply")
    assert parses("vtj-producer convert --strict - < answer.json  # and so on")
    assert not parses("vtj-producer topics plan|drop")
    assert not parses("vtj-producer run --twice")
    assert capsys.readouterr().err


def test_every_setting_exists() -> None:
    known = {setting.env for setting in settings()}
    for name, text in TEXTS.items():
        named = set(re.findall(r"\bVTJ_[A-Z][A-Z0-9_]*", text))
        named = {re.sub("^VTJ_FEEDS__[A-Z0-9]+__", "VTJ_", one) for one in named}  # of a feed: the same behind its name
        if name.endswith(".py"):  # the beginning of a name that is put together
            named = {one for one in named if not one.endswith("_")}
        assert named <= known, name
    assert known <= set(re.findall(r"`(VTJ_\w+)`", TEXTS["docs/configuration.md"]))


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = {
        found
        for text in TEXTS.values()
        for line in spans(text) + blocks(text)
        for found in re.findall(r"^make ([a-z-]+)", line)
    }
    assert {"demo", "test", "chaos", "bench", "release-check"} <= named <= targets
    (phony,) = re.findall(r"^\.PHONY: (.*)", makefile, re.M)
    assert set(phony.split()) == targets
    assert set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M)) == targets, "make help leaves one out"


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@each_document
def test_every_link_leads_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.is_relative_to(ROOT), target
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)", there.read_text("utf-8"), re.M)
            assert anchor in map(slug, headings), target


@each_document
def test_every_page_that_is_named_is_there(name: str) -> None:
    """Also in the comments of commands."""
    folders = (ROOT, (ROOT / name).parent)
    pages = set(re.findall(r"(?<![\w/.-])[\w./-]+\.md\b", re.sub(r"https?://\S+", "", TEXTS[name])))
    assert [page for page in pages if not any((folder / page).is_file() for folder in folders)] == []


def test_every_file_that_is_named_is_there() -> None:
    """`kafka/publisher.py` is a room of the package; `<…>` stands for something, and `../…` for a place in a record."""
    named = [
        (name, span)
        for name, text in TEXTS.items()
        for span in spans(text)
        if name.endswith(".md")
        and re.fullmatch(r"[\w.*<>-]+(/[\w.*<>-]*)*", span)
        and re.search(r"/$|\.(py|md|avsc|json|toml|yaml)$|^(docs|tests|producer|schemas|compose|helm)/", span)
        and not span.startswith((".", "<"))
    ]
    assert len(named) > 20
    for name, span in named:
        pattern = re.sub(r"<[^>]*>", "*", span).rstrip("/")
        folders = (ROOT, (ROOT / name).parent, ROOT / "producer")
        assert any(list(folder.glob(pattern)) for folder in folders), f"{name}: {span}"


def test_the_rooms_are_all_told_of() -> None:
    rooms = {path.name + "/" if path.is_dir() else path.name for path in (ROOT / "producer").iterdir()}
    told = set(spans(ARCHITECTURE))
    unnamed = {room for room in rooms if not fnmatch(room, "__*") and room not in told}
    assert unnamed == set()


def stops(kind: type[Stop] = Stop) -> Iterator[type[Stop]]:
    for one in kind.__subclasses__():
        yield one
        yield from stops(one)


def test_the_exit_codes_are_those_of_the_errors() -> None:
    codes = {0, 1} | {one.exit_code for one in stops()}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", COMMANDS, re.M)} == codes
    epilog = parser().epilog or ""
    assert {int(code) for code in re.findall(r"(\d+) [^,]", epilog)} == codes
    tree = TEXTS["producer/errors.py"].split('"""')[1]
    told = {name: int(code) for name, code in re.findall(r"── (\w+) +(\d+)  ", tree)}
    # These end a command, and not the service.
    others: list[type[ProducerError]] = [UpstreamUnavailable, Doubt, StepDown]
    assert told == {one.__name__: one.exit_code for one in [*stops(), *others]}


def test_the_topics_are_those_of_the_plan() -> None:
    groups, states = Catalogue.load().topics("vtj"), Catalogue.load().state_topics("vtj")
    planned = {one.name: one for one in plan(Topics(), groups, states)}
    told = {
        cells[1].strip(" `"): cells for cells in (line.split("|") for line in KAFKA.splitlines()) if len(cells) == 7
    }
    told.pop("topic")
    told.pop("---")
    families = [name for name in told if "<" in name]
    assert {*told} - {*families} == {*planned} - {*groups, *states} | {"vtj.change.unmapped"}
    for family, topics in zip(families, (groups, states), strict=True):
        assert all(fnmatch(topic, family.replace("<group>", "*")) for topic in topics)
        told |= dict.fromkeys(topics, told[family])
        del told[family]
    compacted = {name for name, cells in told.items() if "compact" in cells[4]}
    assert compacted == {name for name, one in planned.items() if one.configs["cleanup.policy"] == "compact"}
    assert told["vtj.cursor"][5].strip() == f"{SHARDS}, never changed"
    assert planned["vtj.dead-letter"].partitions == int(told["vtj.dead-letter"][5])


def test_the_figures_are_those_of_the_code() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (oldest,) = set(re.findall(r"Python ≥ ([\d.]+)", README))
    assert project["requires-python"] == f">={oldest}"
    assert f"The tests run on {VERSION}." in KAFKA
    assert f"`VTJ_KAFKA__SESSION_TIMEOUT` is {Settings().kafka.session_timeout:g} s" in KAFKA
    assert f"pip install {project['name']}" in README
    assert list(project["scripts"]) == [parser().prog]


def test_the_changelog_has_the_version_and_each_release_its_schemas() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    releases = re.findall(r"^## (\d\S*) – (\d{4}-\d\d-\d\d)$", CHANGELOG, re.M)
    assert {*re.findall(r"^## (.*)", CHANGELOG, re.M)} == {"Unreleased", *map(" – ".join, releases)}
    assert releases[0][0] == project["version"]
    assert {version for version, _ in releases} == {path.name for path in (ROOT / "schemas" / "released").iterdir()}
    assert [day for _, day in releases] == sorted((day for _, day in releases), reverse=True)


def test_the_data_group_that_is_added_as_an_example(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    schema, example = re.findall(r"^ +```json\n(.*?)^ +```", CONTRIBUTING, re.M | re.S)
    file = json.loads(schema)["tietoryhma"].lower().replace("_", "-")
    (tmp_path / "schemas" / "avro" / "groups" / f"{file}.avsc").write_text(schema, "utf-8")
    (tmp_path / "schemas" / "examples" / f"{file}.json").write_text(example, "utf-8")
    checked = check(tmp_path / "schemas" / "avro")
    assert checked.faults == []
    assert checked.groups == len(Catalogue.load().groups) + 1


def test_a_forge_runs_what_is_run_here() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yaml").read_text("utf-8")
    assert re.findall(r"- run: (.*)", text)[-2:] == [".ci/run", "make release-check"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "://" not in text
