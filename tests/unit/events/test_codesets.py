"""Code sets are data: whole, in three languages where that is known, and no code sinks anything."""

import json
from pathlib import Path
from typing import Any

import pytest

from producer.errors import SettingsError
from producer.events.codesets import Code, Codesets
from producer.events.groups import Catalogue

FOLDER = Path(__file__).parents[3] / "schemas" / "codesets"
CODESETS = Codesets.load()


def test_every_file_is_a_set() -> None:
    assert list(CODESETS) == sorted(path.stem for path in FOLDER.iterdir())
    assert len(CODESETS) == 31
    assert max(path.stat().st_size for path in FOLDER.iterdir()) < 150_000


def fields(schema: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if isinstance(schema, dict):
        found = [one for one in schema.get("fields", ()) if isinstance(one, dict)]
        schema = list(schema.values())
    return found + [one for inner in schema if isinstance(inner, dict | list) for one in fields(inner)]


def test_every_set_is_referred_to_and_no_other() -> None:
    """Of the envelope's changeType, an enum, the words are a set too."""
    groups = Catalogue.load().groups.values()
    named = {one["codeset"] for group in groups for one in fields(group.schema) if "codeset" in one}
    assert named | {"muutosattribuutti"} == set(CODESETS)
    assert [name for name, one in CODESETS.items() if one.closed] == ["muutosattribuutti"]
    (change,) = (one for one in next(iter(groups)).schema["fields"] if one["name"] == "changeType")
    assert {*change["type"][1]["symbols"]} == {*CODESETS["muutosattribuutti"].codes, "TUNTEMATON"}


def test_labels() -> None:
    assert CODESETS.label("kunta", "091", "sv") == "Helsingfors"
    assert CODESETS.label("kunta", "588", "fi") == "Pertunmaa (–2024)"
    assert CODESETS.label("valtio", "246", "fi") == "Suomi"
    assert CODESETS.label("valtio", "752", "sv") == "Sverige"
    assert CODESETS.label("kieli", "fi", "en") == "Finnish"
    assert CODESETS.label("kieli3", "mis", "fi") == "kieli, jolla ei ole koodia"
    assert CODESETS.label("siviilisaaty", "LESKI", "sv") == "Änka eller änkling"


def test_a_code_that_is_not_known_has_no_label() -> None:
    assert CODESETS.label("kunta", "000", "fi") is None
    assert CODESETS.label("uskontokunta", 275, "fi") is None  # a number in JSON; seen, but what it means is not public
    assert "275" in CODESETS["uskontokunta"].codes
    assert CODESETS.label("postinumero", "00100", "fi") is None
    assert CODESETS.label("ei_koodisto", "1", "fi") is None


def test_the_public_lists_are_whole() -> None:
    municipalities = {code: means for code, means in CODESETS["kunta"].codes.items() if not means.source}
    assert sum("(–" not in (means.fi or "") for means in municipalities.values()) == 308
    assert {"198", "200", "999"} == CODESETS["kunta"].codes.keys() - municipalities.keys()
    countries = [code for code, means in CODESETS["valtio"].codes.items() if not means.source]
    assert len(countries) == 249
    assert {"998", "999", "736", "230", "810"} <= CODESETS["valtio"].codes.keys()
    assert sum(not means.source for means in CODESETS["kieli"].codes.values()) == 184
    for name, width in (("kunta", 3), ("valtio", 3), ("kieli", 2), ("kieli3", 3)):
        assert {len(code) for code in CODESETS[name].codes} == {width}
        assert list(CODESETS[name].codes) == sorted(CODESETS[name].codes)


def test_labels_are_there_in_three_languages() -> None:
    for name in CODESETS.keys() - {"uskontokunta", "olinpaikan_laji", "kieli3"}:
        for code, means in CODESETS[name].codes.items():
            assert means.fi, (name, code)
            assert means.sv, (name, code)
            assert means.en, (name, code)


ONE = [{"code": "1", "fi": "yksi"}]
GOOD = {"name": "koe", "doc": "Koe / A test", "closed": False, "source": "a test", "codes": ONE}


def test_a_set_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "koe.json").write_text(json.dumps(GOOD))
    codesets = Codesets.load(tmp_path)
    assert codesets["koe"].codes == {"1": Code(fi="yksi")}
    assert codesets.label("koe", 1, "fi") == "yksi"
    assert codesets.label("koe", 1, "sv") is None


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("{", "it is not JSON"),
        ([], "it must hold one code set"),
        ({**GOOD, "name": "toinen"}, "name is 'toinen'"),
        ({**GOOD, "doc": "Koe"}, "doc is missing in one language"),
        ({**GOOD, "closed": None}, "source or closed is missing"),
        ({**GOOD, "codes": [{"fi": "yksi"}]}, "code 0 is none"),
        ({**GOOD, "codes": [{"code": 1}]}, "code 0 is none"),
        ({**GOOD, "codes": [{"code": "1", "de": "eins"}]}, "code 0 is none"),
        ({**GOOD, "codes": [{"code": "1"}, {"code": "1"}]}, "code 1 is none, or there twice"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: Any, cause: str) -> None:
    (tmp_path / "koe.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(SettingsError) as caught:
        Codesets.load(tmp_path)
    assert "koe.json" in str(caught.value)
    assert cause in str(caught.value)
    assert caught.value.hint
