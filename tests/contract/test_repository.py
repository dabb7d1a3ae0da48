"""What no tracked file may hold: a real person's code, other people's examples, this machine, other encodings."""

import ast
import json
import re
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producer.redaction import IDENTITY_CODE

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT.parent / "shared" / "vtj" / "examples"
TELLING = 3  # a group of fewer values (SUKUPUOLI: NAINEN) is what any example of it would be

MACHINE = re.compile(r"(?<![\w.:/<>$}~-])/(?:home|root|Users|work|private)/\w")
# Written so that this file holds none of them.
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|artifact[o]ry|jfr[o]g|\bnex[u]s\b|(?:ghcr|gcr|quay|docker)\.io|repo1?\.maven"
    r"|npm[j]s|(?:index|(?<!apicurio\.)registry)[.-]\w+\.\w|index[-_]url",  # Java's io.apicurio.… is no host
    re.I,
)
MOJIBAKE = re.compile("\u00c3[\u0080-\u00bf]|\u00c2[\u0080-\u00bf]|\u00e2\u20ac|\ufffd|\ufeff")


def tracked() -> list[Path]:
    """Of the checkout, and what would be added to it next."""
    listed = subprocess.run(
        ["git", "-c", "core.quotePath=false", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every file but pictures; all are text, in UTF-8."""
    files = {
        path.relative_to(ROOT).as_posix(): path.read_bytes().decode() for path in tracked() if path.suffix != ".png"
    }
    assert {"README.md", "producer/app/run.py", "tests/contract/test_repository.py"} <= set(files)
    return files


def test_text_is_well_formed(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        assert not MOJIBAKE.search(text), name
        assert "\r" not in text, name
        assert unicodedata.is_normalized("NFC", text), name


def test_every_identity_code_is_synthetic(texts: dict[str, str]) -> None:
    """Individual numbers 900-999 are given to nobody."""
    found = [(name, code) for name, text in texts.items() for code in IDENTITY_CODE.findall(text)]
    assert len(found) > 50
    assert [(name, code) for name, code in found if code[7] != "9"] == []


def test_no_file_knows_this_machine_or_a_registry(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        assert not MACHINE.search(text), f"{name}: {MACHINE.search(text)}"
        assert not REGISTRY.search(text), f"{name}: {REGISTRY.search(text)}"


def normal(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def told(value: Any) -> Iterator[str]:
    """Every change record, every group and every list of groups in a value, normalized."""
    if isinstance(value, dict):
        if ("tietoryhma" in value or "tietoryhmat" in value) and leaves(value) >= TELLING:
            yield normal(value)
        for one in value.values():
            yield from told(one)
    elif isinstance(value, list):
        if leaves(value) >= TELLING and all(isinstance(one, dict) and "tietoryhma" in one for one in value):
            yield normal(value)
        for one in value:
            yield from told(one)


def leaves(value: Any) -> int:
    if isinstance(value, dict | list):
        return sum(leaves(one) for one in (value.values() if isinstance(value, dict) else value))
    return 1


def literals(name: str, text: str) -> Iterator[Any]:
    """The values that a file spells out: as JSON, wherever it begins, or as Python."""
    reader = json.JSONDecoder()
    for begin in re.finditer(r'[\[{]\s*["{]', text):
        try:
            yield reader.raw_decode(text, begin.start())[0]
        except ValueError:
            continue
    if name.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Dict | ast.List):
                try:
                    yield ast.literal_eval(node)
                except ValueError:
                    continue


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="../shared is not beside the checkout")
def test_no_example_of_others_is_copied(texts: dict[str, str]) -> None:
    """They are read where they lie, and stay theirs."""
    files = {path: path.read_text("utf-8") for path in EXAMPLES.rglob("*.json")}
    theirs = {one: path.name for path, text in files.items() for one in told(json.loads(text))}
    assert len(theirs) > 100
    copied = [
        (name, theirs[one])
        for name, text in texts.items()
        for value in literals(name, text)
        for one in told(value)
        if one in theirs
    ]
    assert copied == []
    codes = {code for text in files.values() for code in IDENTITY_CODE.findall(text)}
    assert len(codes) > 20
    assert {(name, code) for name, text in texts.items() for code in codes if code in text} == set()


def test_a_copy_would_be_noticed() -> None:
    group = {"tietoryhma": "KOTIKUNTA", "kuntakoodi": "091", "alkupv": {"arvo": "2026-11-02", "tarkkuus": "PAIVA"}}
    (wanted,) = told(group)
    backward = {name: group[name] for name in reversed(group)}
    for name, text in [
        ("a.json", json.dumps([{"muutokset": [{"henkilotunnus": "x", "tietoryhmat": [backward]}]}], indent=4)),
        ("a.md", f"text {{ and\n```\n{json.dumps(backward)}\n```\n"),
        ("a.py", f"A = call({backward!r}, b=[1])\n"),
        ("a.py", f"A = '''{json.dumps(backward)}'''\n"),
    ]:
        assert wanted in [one for value in literals(name, text) for one in told(value)], (name, text)
