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
from producer.events.avsc import CONFIDENCE, PII, THEMES
from producer.events.codesets import Codesets
from producer.events.envelope import Envelope
from producer.events.files import Fault
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.sandbox.tables import PROTECTED

SCHEMAS = Path(__file__).parents[3] / "schemas" / "avro"
CATALOGUE = Catalogue.load()
AGAIN = Catalogue.load(SCHEMAS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the schemas, code sets and examples, to be broken."""
    return Path(shutil.copytree(SCHEMAS.parent, tmp_path / "schemas")) / "avro"


def change(path: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    schema = json.loads(path.read_text("utf-8"))
    how(schema)
    path.write_text(json.dumps(schema), "utf-8")


def faults(folder: Path) -> list[str]:
    """What is wrong with the schemas and code sets: `file field: what. cure`, in the order of reading."""
    found: list[Fault] = []
    Catalogue.read(folder, found.append)
    if (folder.parent / "codesets").is_dir():  # a release has none
        Codesets.load(folder.parent / "codesets", found.append)
    root = folder.parent
    return [f"{one.path.relative_to(root)} {one.field}: {one.what}. {one.cure}".replace(" :", ":") for one in found]


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
    assert canonical == to_parsing_canonical_form(AGAIN.groups.get(group.tietoryhma, AGAIN.unmapped).schema)


def test_every_field_is_described() -> None:
    for path in SCHEMAS.glob("**/*.avsc"):
        schema = json.loads(path.read_text("utf-8"))
        for field in schema["fields"]:
            assert field["doc"], (path.name, field["name"])
            if path.parent != SCHEMAS:
                assert field["pii"] in PII, (path.name, field["name"])
                assert " / " in field["doc"], f"{path.name} {field['name']}: Finnish / English"


def test_every_group_says_what_it_is_and_how_that_is_known() -> None:
    for group in CATALOGUE.groups.values():
        assert group.own["theme"] in THEMES
        assert group.own["confidence"] in CONFIDENCE
        assert group.own["source"]
        assert " / " in group.own["doc"]
        assert group.record.fields or group.own["confidence"] == "partial", "known by name alone"
    assert {group.own["theme"] for group in CATALOGUE.groups.values()} == {*THEMES}
    buildings = [name for name, group in CATALOGUE.groups.items() if group.own["theme"] == "rakennus"]
    assert buildings == [name for name in CATALOGUE.groups if name.startswith("RAKENNUKSEN_")]


def test_what_a_turvakielto_withholds_is_what_the_sandbox_withholds() -> None:
    restricted = {
        name: [field["name"] for field in group.own["fields"] if "restricted" in field]
        for name, group in CATALOGUE.groups.items()
    }
    assert {name: sorted(fields) for name, fields in restricted.items() if fields} == {
        name: sorted(fields) for name, fields in PROTECTED.items()
    }


NAME = {"name": "nimi", "type": ["null", "string"], "default": None, "doc": "Nimi / Name", "pii": "identifying"}
NEW = {
    "type": "record",
    "name": "Lempinimi",
    "namespace": "fi.vtj.group",
    "tietoryhma": "LEMPINIMI",
    "theme": "muut",
    "confidence": "inferred",
    "source": "a test",
    "doc": "Lempinimi / Nickname",
    "fields": [NAME],
}


def test_a_new_group_is_one_file(folder: Path) -> None:
    (folder / "groups" / "lempinimi.avsc").write_text(json.dumps(NEW))
    catalogue = Catalogue.load(folder)
    assert "vtj.change.lempinimi" in catalogue.topics("vtj")
    assert Envelope(catalogue, SingleObject(), "vtj").plans["LEMPINIMI"].topic == "vtj.change.lempinimi"
    assert faults(folder) == []


def test_our_own_schemas_have_no_fault() -> None:
    assert faults(SCHEMAS) == []


def test_a_release_is_read_by_itself() -> None:
    """Beside it are neither code sets nor examples."""
    releases = sorted((SCHEMAS.parent / "released").iterdir())
    assert releases
    for release in releases:
        assert Catalogue.load(release).groups.keys() <= CATALOGUE.groups.keys()
        assert faults(release) == []


@pytest.mark.parametrize(
    ("file", "how", "cause"),
    [
        ("groups/kotikunta.avsc", lambda s: s.pop("tietoryhma"), "tietoryhma"),
        ("groups/kotikunta.avsc", lambda s: s.pop("namespace"), "namespace is missing"),
        ("groups/kotikunta.avsc", lambda s: s.update(type="enum"), "one record"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(type="string"), "kuntakoodi must be nullable"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].pop("default"), "kuntakoodi must be nullable"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(pii="secret"), "kuntakoodi has pii 'secret'"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].pop("doc"), "kuntakoodi needs doc"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(doc="Kunta"), "kuntakoodi needs doc in both"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(codeset="kunnat"), "codeset 'kunnat'"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(confidence="sure"), "confidence 'sure'"),
        ("groups/kotikunta.avsc", lambda s: s["fields"][0].update(restricted=False), "restricted False"),
        ("groups/kotikunta.avsc", lambda s: s.update(theme="kunta"), "theme is 'kunta'"),
        ("groups/kotikunta.avsc", lambda s: s.update(reveals="home"), "reveals is 'home'"),
        ("groups/kotikunta.avsc", lambda s: s.pop("confidence"), "confidence is None"),
        ("groups/kotikunta.avsc", lambda s: s.pop("source"), "source is missing"),
        ("groups/kotikunta.avsc", lambda s: s.update(doc="Kotikunta"), "doc is missing in one language"),
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


def test_every_fault_is_told_at_once(folder: Path) -> None:
    groups = folder / "groups"
    (groups / "lapsi.avsc").write_text('{"type": "record",')
    (groups / "vanhempi.avsc").write_bytes((groups / "kotikunta.avsc").read_bytes())
    change(groups / "kotikunta.avsc", lambda s: s["fields"][0].pop("doc"))
    change(groups / "kotikunta.avsc", lambda s: s["fields"][1].update(codeset="kunnat", pii="secret"))
    change(groups / "huoltaja.avsc", lambda s: s["fields"][1].update(type=["null", "double"]))
    change(groups / "huoltaja.avsc", lambda s: s["fields"][2].pop("type"))
    (folder / "types" / "henkilo.avsc").write_text("[]")
    change(folder / "types" / "paivamaara.avsc", lambda s: s["fields"][0].update(type=["null", "float"]))
    (folder.parent / "codesets" / "tarkkuus.json").write_text("?")
    change(folder.parent / "codesets" / "kunta.json", lambda s: s["codes"][0].update(de="Gemeinde"))
    told = faults(folder)
    assert [line.split(": ", 1)[0].split()[0] for line in told] == [
        "avro/types/henkilo.avsc",
        "avro/groups/huoltaja.avsc",
        "avro/groups/kotikunta.avsc",
        "avro/groups/kotikunta.avsc",
        "avro/groups/kotikunta.avsc",
        "avro/groups/lapsi.avsc",
        "avro/groups/vanhempi.avsc",
        "avro/types/paivamaara.avsc",
        "avro/groups/huoltaja.avsc",
        "codesets/kunta.json",
        "codesets/tarkkuus.json",
    ]
    everything = "\n".join(told)
    for words in (
        "kotikunta.avsc kuntakoodi: needs doc in both languages. Write it as Finnish / English.",
        "kotikunta.avsc kuntaanMuuttopv: has pii 'secret'. Choose one of",
        "codeset 'kunnat', which has no file. Name a file of schemas/codesets",
        "it is not JSON: Expecting property name",
        "fi.vtj.group.Kotikunta is defined in kotikunta.avsc already",
        "paivamaara.avsc arvo: fi.vtj.type.Paivamaara.arvo: type 'float' is not known to the encoder",
        "huoltaja.avsc huoltajanLaji: fi.vtj.group.Huoltaja.huoltajanLaji: type 'double'",
    ):
        assert words in everything
