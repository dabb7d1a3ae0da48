"""Every group of the catalogue has an example of its own: synthetic, complete, and converted whole."""

import json
from pathlib import Path
from typing import Any

import pytest

from producer.events.codesets import Codesets
from producer.events.fit import COMMON
from producer.events.groups import Catalogue, Group
from tests.contract.converting import Convert, changes, snapshot
from tests.contract.rebuild import rebuild, same

FOLDER = Path(__file__).parents[2] / "schemas" / "examples"
GROUPS = list(Catalogue.load().groups.values())


def test_every_group_has_an_example_and_every_example_a_group() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {group.suffix for group in GROUPS}


each_group = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.suffix)


def example(group: Group) -> Any:
    return json.loads((FOLDER / f"{group.suffix}.json").read_text("utf-8"))


def whole(group: Group, line: Any, exit_code: int) -> bool:
    """Whether everything has its place; of a group that is known by name alone that is `unmapped`."""
    if group.record.fields:
        return exit_code == 0 and None not in line["value"]["data"].values()
    own = {name for name in example(group)["tietoryhmat"][0] if name not in COMMON}
    return exit_code == 1 and line["value"]["data"] == {} and line["value"]["unmapped"].keys() == own


@each_group
def test_converts_whole(group: Group, convert: Convert) -> None:
    record = example(group)
    [line] = convert(changes([record]), "--strict")
    assert whole(group, line, convert.exit_code), convert.summary
    assert line["topic"] == f"vtj.change.{group.suffix}"
    assert line["key"] == record["rakennustunnus" if group.own["theme"] == "rakennus" else "henkilotunnus"]
    assert line["headers"]["ce_type"] == f"fi.vtj.change.{group.suffix}"
    [rebuilt], _ = rebuild([line])
    assert same(record, rebuilt)


@each_group
def test_converts_as_a_snapshot(group: Group, convert: Convert) -> None:
    record = example(group)
    del record["muutospv"], record["tietoryhmat"][0]["muutosattribuutti"]
    [line] = convert(snapshot([record]), "--strict")
    assert whole(group, line, convert.exit_code), convert.summary
    assert (line["value"]["kind"], line["value"]["changeType"]) == ("SNAPSHOT", None)
    assert "ce_time" not in line["headers"]
    [rebuilt], _ = rebuild([line])
    assert same(record, rebuilt)


@each_group
def test_its_codes_are_those_of_the_code_sets(group: Group) -> None:
    codesets = Codesets.load()
    shown = example(group)["tietoryhmat"][0]
    for field in group.own["fields"]:
        value, known = shown[field["name"]], codesets[field["codeset"]].codes if "codeset" in field else {}
        if known and isinstance(value, str | int):
            assert str(value) in known, field["name"]
