"""Every group of the catalogue has an example of its own: synthetic, complete, and converted whole."""

import json
from pathlib import Path

import pytest

from producer.events.groups import Catalogue, Group
from tests.contract.converting import Convert, changes, snapshot
from tests.contract.rebuild import rebuild, same

FOLDER = Path(__file__).parents[2] / "schemas" / "examples"
GROUPS = list(Catalogue.load().groups.values())


def test_every_group_has_an_example_and_every_example_a_group() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {group.suffix for group in GROUPS}


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.suffix)
def test_converts_without_unmapped(group: Group, convert: Convert) -> None:
    record = json.loads((FOLDER / f"{group.suffix}.json").read_text("utf-8"))
    [line] = convert(changes([record]), "--strict")
    assert convert.exit_code == 0
    assert line["topic"] == f"vtj.change.{group.suffix}"
    assert line["headers"]["ce_type"] == f"fi.vtj.change.{group.suffix}"
    assert None not in line["value"]["data"].values(), "the example leaves fields out"
    [rebuilt], _ = rebuild([line])
    assert same(record, rebuilt)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.suffix)
def test_converts_as_a_snapshot(group: Group, convert: Convert) -> None:
    record = json.loads((FOLDER / f"{group.suffix}.json").read_text("utf-8"))
    del record["muutospv"], record["tietoryhmat"][0]["muutosattribuutti"]
    [line] = convert(snapshot([record]), "--strict")
    assert convert.exit_code == 0
    assert (line["value"]["kind"], line["value"]["changeType"]) == ("SNAPSHOT", None)
    assert "ce_time" not in line["headers"]
    [rebuilt], _ = rebuild([line])
    assert same(record, rebuilt)
