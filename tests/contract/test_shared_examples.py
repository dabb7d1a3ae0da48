"""Payloads that implementers and DVV's sandbox have shown, read where they lie beside the checkout."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producer.events.groups import Catalogue
from tests.contract.converting import Convert, changes, snapshot
from tests.contract.rebuild import rebuild, same

SHARED = Path(__file__).parents[3] / "shared" / "vtj"
FOLDER = SHARED / "examples"
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


def observed() -> Iterator[Any]:
    """Every group that the survey of the interface shows: from perustiedot, withheld, and from changes."""
    survey = json.loads((SHARED / "groups.json").read_text("utf-8"))
    for kind in [*survey["person"], *survey["building"]]:
        yield from (kind[name] for name in ("example", "example_censored") if kind.get(name))
        yield from (shown["group"] for shown in kind.get("change_examples", ()))


def test_the_schemas_are_those_of_the_survey() -> None:
    survey = json.loads((SHARED / "groups.json").read_text("utf-8"))
    groups = Catalogue.load().groups
    kinds = {kind["name"]: kind for kind in [*survey["person"], *survey["building"]]}
    assert groups.keys() == kinds.keys()
    for name, kind in kinds.items():
        own = groups[name].own
        assert (own["confidence"], own["theme"]) == (kind["confidence"], kind["category"].split()[0])
        fields = {field["name"]: field for field in kind["fields"] if not field["name"].startswith("(")}
        assert [field["name"] for field in own["fields"]] == list(fields)
        for field in own["fields"]:
            assert (
                field.get("codeset") == fields[field["name"]]["codeset"]
                or "Kansalaisuudet" in field["name"]
                or ("Oikeudet" in field["name"])
            )
            certainty = fields[field["name"]]["confidence"].replace("seen in implementer code only", "partial")
            assert field.get("confidence", own["confidence"]) == certainty


def test_nothing_of_a_confirmed_group_is_unmapped(convert: Convert) -> None:
    """What is beside the groups, on the record or the page, is another matter."""
    confirmed = {name for name, group in Catalogue.load().groups.items() if group.own["confidence"] == "confirmed"}
    lines = convert(changes([{"henkilotunnus": SYNTHETIC, "tietoryhmat": [group]} for group in observed()]))
    for path in FILES:
        if answer := answer_of(path):
            lines += convert(answer)
    told = [line["value"] for line in lines if line["value"]["group"] in confirmed]
    assert {value["group"] for value in told} == confirmed
    unmapped = {(value["group"], path) for value in told for path in value["unmapped"] if not path.startswith("../")}
    assert unmapped == set()
