"""`schemas check`: every fault of a release that would break consumers, and all of them in one run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from producer.errors import SettingsError
from producer.events.files import Fault
from producer.registry.check import check

SCHEMAS = Path(__file__).parents[3] / "schemas"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the schemas that was released once, as 0.0.1."""
    for name in ("avro", "examples", "codesets"):
        shutil.copytree(SCHEMAS / name, tmp_path / name)
    shutil.copytree(SCHEMAS / "avro", tmp_path / "released" / "0.0.1")
    return tmp_path / "avro"


def file(fault: Fault, folder: Path) -> str:
    """The faulty file as seen from the root of the schemas."""
    return fault.path.relative_to(folder.parent).as_posix()


def change(path: Path, how: Callable[[Any], Any]) -> None:
    schema = json.loads(path.read_text("utf-8"))
    how(schema)
    path.write_text(json.dumps(schema), "utf-8")


def faults(folder: Path) -> list[Fault]:
    return check(folder).faults


def test_the_schemas_are_without_fault() -> None:
    checked = check()
    assert checked.faults == []
    assert checked.groups == len(list(SCHEMAS.glob("avro/groups/*.avsc")))


def test_a_copy_is_without_fault(folder: Path) -> None:
    checked = check(folder)
    assert (checked.faults, checked.releases) == ([], 1)


def kind(schema: Any) -> Any:
    (found,) = (field["type"] for field in schema["fields"] if field["name"] == "kind")
    return found


@pytest.mark.parametrize(
    ("where", "how", "field", "what"),
    [
        ("event.avsc", lambda s: kind(s)["symbols"].remove("REPLAY") or kind(s).pop("default"), "kind", "'REPLAY'"),
        ("event.avsc", lambda s: s["fields"][0].update(type="long"), "feed", "reader type: long"),
        ("dead-letter.avsc", lambda s: s["fields"].pop(0), "feed", "has no default"),
        (
            "groups/kotikunta.avsc",
            lambda s: s["fields"][0].update(type=["null", "long"]),
            "kuntakoodi",
            "release 0.0.1",
        ),
        ("types/oikeus.avsc", lambda s: s["fields"][3].update(type=["null", "int"]), "sisalto", "lacking writer type"),
    ],
)
def test_a_breaking_change(folder: Path, where: str, how: Callable[[Any], Any], field: str, what: str) -> None:
    change(folder / where, how)
    found = [
        one for one in faults(folder) if not file(one, folder).startswith("examples/") and "converter" not in one.what
    ]
    assert {(file(one, folder), one.field) for one in found} == {(f"avro/{where}", field)}
    assert any(what in one.what for one in found)
    assert all(one.cure for one in found)


def test_a_new_field_without_default_breaks_a_released_record(folder: Path) -> None:
    change(folder / "dead-letter.avsc", lambda s: s["fields"].append({"name": "uusi", "type": "string", "doc": "d"}))
    [fault] = faults(folder)
    assert (file(fault, folder), fault.field) == ("avro/dead-letter.avsc", "uusi")
    assert "it cannot read what release 0.0.1 wrote" in fault.what


@pytest.mark.parametrize("where", ["types/paivamaara.avsc", "groups/kotikunta.avsc"])
def test_a_renamed_record(folder: Path, where: str) -> None:
    name = json.loads((folder / where).read_text("utf-8"))["name"]
    for path in folder.rglob("*.avsc"):  # and who refers to it
        text = path.read_text("utf-8")
        path.write_text(text.replace(f'.{name}"', '.Uusi"').replace(f'"name": "{name}"', '"name": "Uusi"'), "utf-8")
    found = faults(folder)
    said = [one for one in found if "the record's name is" in one.what]
    assert any(f"{name} in what is read" in one.what or f"{name}Event in what is read" in one.what for one in said)
    if where.startswith("groups/"):
        assert {file(one, folder) for one in said} == {f"avro/{where}"}


def test_every_release_counts(folder: Path) -> None:
    """Transitive: a field that 0.0.1 had and 0.0.2 gave up must not come back with another type."""
    shutil.copytree(folder, folder.parent / "released" / "0.0.2")
    change(folder.parent / "released" / "0.0.2" / "groups" / "kotikunta.avsc", lambda s: s["fields"].pop(0))
    change(folder / "groups" / "kotikunta.avsc", lambda s: s["fields"][0].update(type=["null", "long"]))
    found = [
        one for one in faults(folder) if one.field == "kuntakoodi" and file(one, folder).startswith("avro/groups/")
    ]
    assert found
    assert all("0.0.1" in one.what for one in found)


def test_what_may_change(folder: Path) -> None:
    new = {"name": "uusi", "type": ["null", "string"], "default": None, "doc": "fi / en", "pii": "none"}
    change(folder / "groups" / "kotikunta.avsc", lambda s: s["fields"].append(new))
    change(folder.parent / "examples" / "kotikunta.json", lambda r: r["tietoryhmat"][0].update(uusi="x"))
    change(folder / "groups" / "lapsi.avsc", lambda s: s.update(doc="toisin / otherwise"))
    change(folder / "event.avsc", lambda s: kind(s)["symbols"].append("UUSI"))
    assert faults(folder) == []


def test_a_group_that_is_gone_or_moved(folder: Path) -> None:
    for suffix in ("lapsi", "kotikunta"):
        (folder / "groups" / f"{suffix}.avsc").rename(folder / "groups" / f"{suffix}-uusi.avsc")
        (folder.parent / "examples" / f"{suffix}.json").rename(folder.parent / "examples" / f"{suffix}-uusi.json")
    (folder / "groups" / "aidinkieli.avsc").unlink()
    found = {(file(one, folder), one.what) for one in faults(folder)}
    assert ("avro/groups/lapsi-uusi.avsc", "in release 0.0.1 the topic ended with lapsi") in found
    assert ("avro/groups/lapsi-uusi.avsc", "the file is not called after its tietoryhmä") in found
    assert ("avro/groups/aidinkieli.avsc", "release 0.0.1 had this group") in found
    assert ("examples/aidinkieli.json", "no data group has this name") in found


def test_examples(folder: Path) -> None:
    examples = folder.parent / "examples"
    (examples / "lapsi.json").unlink()
    (examples / "huoltaja.json").write_text("{")
    change(examples / "kotikunta.json", lambda r: r["tietoryhmat"][0].update(uusi=1))
    change(examples / "aidinkieli.json", lambda r: r.pop("henkilotunnus"))
    assert [(file(one, folder), one.field, one.what.split(" enclosed")[0]) for one in faults(folder)] == [
        ("examples/aidinkieli.json", "", "it does not become an event of its group"),
        ("examples/huoltaja.json", "", "it is not JSON: Expecting property name"),
        ("examples/kotikunta.json", "KOTIKUNTA.uusi", "its schema has no place for it"),
        ("examples/lapsi.json", "", "it cannot be read: No such file or directory"),
    ]


def test_all_faults_in_one_run(folder: Path) -> None:
    groups = folder / "groups"
    (groups / "lapsi.avsc").write_text("{")
    change(groups / "huoltaja.avsc", lambda s: s.update(name="Huollettava"))
    change(groups / "sukupuoli.avsc", lambda s: s["fields"][0].pop("doc"))
    change(groups / "kutsumanimi.avsc", lambda s: s["fields"][0].update(doc="vain suomeksi"))
    change(groups / "kotikunta.avsc", lambda s: s["fields"][0].update(codeset="kuntaa"))
    change(groups / "kuolinpaiva.avsc", lambda s: s["fields"][0].pop("default"))
    change(groups / "poissaolo.avsc", lambda s: s["fields"][0].update(type=["null", "boolean"]))
    change(folder / "event.avsc", lambda s: kind(s)["symbols"].remove("REPLAY") or kind(s).pop("default"))
    done = subprocess.run(
        [sys.executable, "-m", "producer", "schemas", "check", str(folder)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    for words in (
        "groups/lapsi.avsc: it is not JSON: Expecting property name",
        "groups/huoltaja.avsc: fi.vtj.group.Huollettava is defined in huollettava.avsc already",
        "groups/sukupuoli.avsc sukupuoli: needs doc in both languages",
        "groups/kutsumanimi.avsc nimilaji: needs doc in both languages",
        "groups/kotikunta.avsc kuntakoodi: has codeset 'kuntaa', which has no file",
        "groups/kuolinpaiva.avsc kuollut: must be nullable with the default null",
        "event.avsc kind: it cannot read what release 0.0.1 wrote: {'REPLAY'}",
        "groups/poissaolo.avsc ",
    ):
        assert words in done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1].endswith(f"{len(lines) // 2} fault(s).")
    assert all(line.startswith("  → ") for line in lines[1:-1:2]), "each with its cure"


def test_a_folder_without_an_envelope(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"event\.avsc"):
        check(tmp_path)
