"""The catalogue: schemas are data, and a broken file is told from the first line on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema
from fastavro.schema import to_parsing_canonical_form

from producer.errors import SettingsError
from producer.events.envelope import Envelope
from producer.events.framing import SingleObject
from producer.events.groups import PII, Catalogue

SCHEMAS = Path(__file__).parents[3] / "schemas" / "avro"
CATALOGUE = Catalogue.load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the schemas, to be broken."""
    return Path(shutil.copytree(SCHEMAS, tmp_path / "avro"))


def change(path: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    schema = json.loads(path.read_text("utf-8"))
    how(schema)
    path.write_text(json.dumps(schema), "utf-8")


def test_every_file_is_a_group() -> None:
    files = {path.stem for path in SCHEMAS.glob("groups/*.avsc")}
    assert {group.suffix for group in CATALOGUE.groups.values()} == files
    for tietoryhma, group in CATALOGUE.groups.items():
        assert group.suffix == tietoryhma.lower().replace("_", "-")
        assert group.record.name == "fi.vtj.group." + tietoryhma.title().replace("_", "")


def test_topics() -> None:
    topics = CATALOGUE.topics("vtj")
    assert topics[-1] == "vtj.change.unmapped"
    assert "vtj.change.vakinainen-kotimainen-osoite" in topics
    assert len(topics) == len(set(topics)) == len(CATALOGUE.groups) + 1


@pytest.mark.parametrize("group", [*CATALOGUE.groups.values(), CATALOGUE.unmapped], ids=lambda group: group.suffix)
def test_a_published_schema_stands_alone(group: Any) -> None:
    parsed = parse_schema(json.loads(json.dumps(group.schema)))
    own = group.record.name.rsplit(".", 1)[1]
    assert isinstance(parsed, dict)
    assert parsed["name"] == f"fi.vtj.event.{own}Event"
    canonical = to_parsing_canonical_form(group.schema)
    assert to_parsing_canonical_form(json.loads(canonical)) == canonical
    assert canonical == to_parsing_canonical_form(Catalogue.load().groups.get(group.tietoryhma, group).schema)


def test_every_field_is_described() -> None:
    for path in SCHEMAS.glob("**/*.avsc"):
        schema = json.loads(path.read_text("utf-8"))
        for field in schema["fields"]:
            assert field["doc"], (path.name, field["name"])
            if path.parent != SCHEMAS:
                assert field["pii"] in PII, (path.name, field["name"])
                assert " / " in field["doc"], f"{path.name} {field['name']}: Finnish / English"


def test_a_new_group_is_one_file(folder: Path) -> None:
    fields = [{"name": "ammatti", "type": ["null", "string"], "default": None, "doc": "Ammatti / Occupation"}]
    schema = {"type": "record", "name": "Ammatti", "namespace": "fi.vtj.group", "tietoryhma": "AMMATTI", "doc": "d"}
    (folder / "groups" / "ammatti.avsc").write_text(json.dumps({**schema, "fields": [{**fields[0], "pii": "special"}]}))
    catalogue = Catalogue.load(folder)
    assert "vtj.change.ammatti" in catalogue.topics("vtj")
    assert Envelope(catalogue, SingleObject(), "vtj").plans["AMMATTI"].topic == "vtj.change.ammatti"


@pytest.mark.parametrize(
    ("file", "how", "cause"),
    [
        ("groups/kotikunta.avsc", lambda s: s.pop("tietoryhma"), "tietoryhma"),
        ("groups/kotikunta.avsc", lambda s: s.pop("namespace"), "namespace is missing"),
        ("groups/kotikunta.avsc", lambda s: s.update(type="enum"), "one record"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(type="string"), "kuntakoodi must be nullable"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].pop("default"), "kuntakoodi must be nullable"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(pii="secret"), "kuntakoodi needs doc, and pii"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].pop("doc"), "kuntakoodi needs doc, and pii"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].pop("name"), "field 0 lacks name or type"),
        (
            "groups/kotikunta.avsc",
            lambda s: s["fields"][0].update(type=["null", "fi.vtj.type.Uusi"]),
            "fi.vtj.type.Uusi",
        ),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(type=["null", "double"]), "double"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(name="kunta koodi"), "kunta koodi"),
        ("groups/kotikunta.avsc", lambda s: s["fields"].append(s["fields"][0]), "kuntakoodi"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(name="tietoryhma"), "belongs to the envelope"),
        ("groups/lapsi.avsc", lambda s: s.update(tietoryhma="KOTIKUNTA"), "KOTIKUNTA has the file kotikunta.avsc"),
        (
            "groups/lapsi.avsc",
            lambda s: s.update(name="Kotikunta"),
            "fi.vtj.group.Kotikunta is defined in kotikunta.avsc",
        ),
        ("types/henkilo.avsc", lambda s: s["fields"][0].pop("default"), "henkilotunnus must be nullable"),
        ("event.avsc", lambda s: s.update(name="Tapahtuma"), "it must define fi.vtj.event.Event"),
    ],
)
def test_a_broken_schema_is_named(folder: Path, file: str, how: Callable[[dict[str, Any]], Any], cause: str) -> None:
    change(folder / file, how)
    with pytest.raises(SettingsError) as caught:
        Catalogue.load(folder)
    assert Path(file).name in str(caught.value)
    assert cause in str(caught.value)
    assert caught.value.hint


def test_a_file_that_is_no_json(folder: Path) -> None:
    (folder / "groups" / "lapsi.avsc").write_text("{")
    with pytest.raises(SettingsError, match=r"lapsi\.avsc"):
        Catalogue.load(folder)


def test_a_missing_file(folder: Path) -> None:
    (folder / "unmapped.avsc").unlink()
    with pytest.raises(SettingsError, match=r"unmapped\.avsc"):
        Catalogue.load(folder)


def test_a_file_name_that_makes_no_topic(folder: Path) -> None:
    (folder / "groups" / "lapsi.avsc").rename(folder / "groups" / "Lapsi_.avsc")
    with pytest.raises(SettingsError, match="becomes a topic's"):
        Catalogue.load(folder)


@pytest.mark.parametrize(
    "how",
    [
        lambda s: s["fields"].append({"name": "uusi", "type": "string", "scope": "page", "doc": "d"}),
        lambda s: s["fields"].insert(0, {"name": "uusi", "type": "string", "scope": "page", "doc": "d"}),
        lambda s: s["fields"].pop(0),
        lambda s: s["fields"][0].pop("scope"),
        lambda s: s["fields"].insert(0, s["fields"].pop(5)),
    ],
)
def test_an_envelope_that_nothing_fills(folder: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    change(folder / "event.avsc", how)
    with pytest.raises(SettingsError, match=r"event\.avsc"):
        Envelope(Catalogue.load(folder), SingleObject(), "vtj")
