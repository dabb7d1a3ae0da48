"""Payloads that implementers and DVV's sandbox have shown, read where they lie beside the checkout."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.converting import Convert, changes, snapshot
from tests.contract.rebuild import rebuild, same

FOLDER = Path(__file__).parents[3] / "shared" / "vtj" / "examples"
FILES = sorted(path for path in FOLDER.glob("**/*.json") if "request" not in path.name)
SYNTHETIC = "140385-917Y"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="../shared is not beside the checkout")


def answer_of(path: Path) -> dict[str, Any] | None:
    """An answer as it is; a bare record or the groups of one record wrapped. None: no answer with records."""
    content = json.loads(path.read_text("utf-8"))
    if isinstance(content, list):
        record = {"henkilotunnus": SYNTHETIC, "tietoryhmat": content}
        if path.name.startswith("perustieto"):
            return snapshot([record])
        return changes([{**record, "muutospv": "2026-11-02T07:15:04.394Z"}])
    if "tietoryhmat" in content:
        return changes([content])
    return content if "muutokset" in content or "perustiedot" in content else None


def test_the_folder_holds_what_is_expected() -> None:
    answers = [path.name for path in FILES if answer_of(path)]
    assert len(answers) >= 31
    assert [path.name for path in FILES if not answer_of(path)] == ["kirjausavain-response.json"]


@pytest.mark.parametrize("path", [path for path in FILES if answer_of(path)], ids=lambda path: path.stem)
def test_every_field_is_found_again(path: Path, convert: Convert) -> None:
    answer = answer_of(path)
    assert answer
    lines = convert(answer)
    records = answer["muutokset"] if "muutokset" in answer else answer["perustiedot"]
    rebuilt, extra = rebuild(lines)
    assert len(rebuilt) == len(records)
    assert all(same(*pair) for pair in zip(records, rebuilt, strict=True))
    known = {"viimeisinKirjausavain", "ajanTasalla", "muutokset", "perustiedot"}
    assert extra == {name: value for name, value in answer.items() if name not in known}
    if "viimeisinKirjausavain" in answer:
        assert f"cursor {answer['viimeisinKirjausavain']}" in convert.summary
    assert not [line for line in lines if line["topic"] == "vtj.dead-letter"]


def test_only_the_unknown_group_is_unmapped(convert: Convert) -> None:
    """The catalogue holds every group and field of the examples."""
    unmapped = set()
    for path in FILES:
        if answer := answer_of(path):
            convert(answer)
            unmapped |= {line.strip() for line in convert.summary.splitlines() if " × " in line}
    assert unmapped == {"1 × JOKU_MUU"}
