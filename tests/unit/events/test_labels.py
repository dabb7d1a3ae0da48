"""Labels lie beside an event: by path, in the language asked for or the next best, and only where a code is known."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from producer.cli import tail
from producer.events.codesets import Code, CodeSet, Codesets, Language
from producer.events.groups import Catalogue
from producer.events.labels import Labels

CATALOGUE = Catalogue.load()
FINNISH = Labels.load(CATALOGUE, "fi")
EVENT: dict[str, Any] = {
    "group": "HUOLTAJA",
    "changeType": "LISATTY",
    "data": {
        "huoltaja": {"sukunimi": "Kallioniemi", "sukupuoli": "MIES", "syntymapv": {"tarkkuus": "PAIVA"}},
        "huoltajanRooli": "ISA",
        "huoltosuhteenAlkupv": {"tarkkuus": "VUOSI"},  # of a record that the schema wrote out further up
        "asuminen": None,
        "oikeudet": [{"oikeus": "UUSI"}, {"oikeus": "HUOLLON_JAKO_KUVATTU_SISALTOTEKSTISSA"}],
    },
    "inForce": [{"huoltajanRooli": "UUSI"}, {"huoltaja": {"kansalaisuuskoodi": "246"}}],
}
LABELS = {
    "changeType": "Lisätty",
    "data.huoltaja.sukupuoli": "Mies",
    "data.huoltaja.syntymapv.tarkkuus": "Päivä",
    "data.huoltajanRooli": "Isä",
    "data.huoltosuhteenAlkupv.tarkkuus": "Vuosi",
    "data.oikeudet[1].oikeus": "Huollon jako kuvattu sisältötekstissä",
    "inForce[1].huoltaja.kansalaisuuskoodi": "Suomi",
}


def test_every_known_code_by_its_path_and_nothing_else() -> None:
    event = copy.deepcopy(EVENT)
    labels = FINNISH.of(event)
    assert labels == LABELS
    assert list(labels) == list(LABELS)
    assert event == EVENT


def test_a_list_of_records_that_names_a_code_set_has_the_labels_in_the_records() -> None:
    event = {"group": "KANSALAISUUS", "data": {"lisatytKansalaisuudet": [{"kansalaisuuskoodi": "752"}]}}
    assert FINNISH.of(event) == {"data.lisatytKansalaisuudet[0].kansalaisuuskoodi": "Ruotsi"}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"undecoded": "…"},
        {"reason": "no-groups", "detail": "…", "raw": "{}"},
        {"group": "KOTIKUNTA", "changeType": None, "data": None, "inForce": None},
        {"group": "KOTIKUNTA", "changeType": "TUNTEMATON", "data": {"kuntakoodi": "000"}},
        {"group": "JOKU_MUU", "data": {"kuntakoodi": "091"}},
        {"group": ["KOTIKUNTA"], "changeType": 3.5, "data": "091", "inForce": {"0": {}}},
        {"group": "KOTIKUNTA", "data": {"kuntakoodi": {"091": "091"}}},
    ],
)
def test_what_has_no_label_is_no_error(value: dict[str, Any]) -> None:
    """Dead letters, groups without a schema, codes that came later, and what a stranger's schema made."""
    assert FINNISH.of(value) == {}


def test_a_group_without_a_schema_has_a_kind_of_change() -> None:
    assert FINNISH.of({"group": "JOKU_MUU", "changeType": "LISATTY", "data": {}}) == {"changeType": "Lisätty"}


@pytest.mark.parametrize(
    ("means", "language", "label"),
    [
        (Code(fi="yksi", sv="ett", en="one"), "sv", "ett"),
        (Code(fi="yksi", en="one"), "sv", "yksi"),
        (Code(en="one"), "sv", "one"),
        (Code(sv="ett", en="one"), "fi", "one"),
        (Code(sv="ett"), "en", None),
        (Code(), "fi", None),
    ],
)
def test_the_next_best_language(means: Code, language: Language, label: str | None) -> None:
    codesets = Codesets({"olinpaikan_laji": CodeSet("olinpaikan_laji", "", False, "", {"1": means})})
    event = {"group": "TILAPAINEN_OLINPAIKASSA_ASUMINEN", "data": {"lajikoodi": 1}}  # a number in JSON
    assert Labels(CATALOGUE, codesets, language).of(event).get("data.lajikoodi") == label


def coded(record: Any, named: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of coded fields as the schema has them, found in another way: names resolved by hand."""
    for one in record["fields"]:
        kind = one["type"][-1] if isinstance(one["type"], list) else one["type"]
        many = isinstance(kind, dict) and kind["type"] == "array"
        kind = kind["items"] if many else kind
        if isinstance(kind, dict) and kind["type"] == "record":
            named[f"{kind['namespace']}.{kind['name']}"] = kind
        kind = named.get(kind, kind) if isinstance(kind, str) else kind
        place = f"{path}{one['name']}{'[0]' if many else ''}"
        if isinstance(kind, dict) and kind["type"] == "record":
            yield from coded(kind, named, f"{place}.")
        elif "codeset" in one:
            yield place


class Anything(dict[str, CodeSet]):
    """A code set of every name, which knows the code x."""

    def get(self, name: str, default: Any = None) -> CodeSet:
        return CodeSet(name, "", False, "", {"x": Code(fi=name)})


def filled(schema: Any, named: dict[str, Any]) -> Any:
    """A value with every field; x where there is text."""
    if isinstance(schema, list):
        return filled(schema[-1], named)
    if isinstance(schema, str):
        return filled(named[schema], named) if schema in named else "x"
    if schema["type"] == "array":
        return [filled(schema["items"], named)]
    if schema["type"] == "record":
        named[f"{schema['namespace']}.{schema['name']}"] = schema
        return {one["name"]: filled(one["type"], named) for one in schema["fields"]}
    return "x"


def test_no_coded_field_of_any_group_is_left_out() -> None:
    labels = Labels(CATALOGUE, Codesets(Anything()), "fi")
    seen = 0
    for name, group in CATALOGUE.groups.items():
        value = {**filled(group.schema, {}), "group": name}
        expected = {"changeType", *coded(group.schema, {})}
        assert labels.of(value).keys() == expected, name
        seen += len(expected)
    assert seen > 500


def row(value: dict[str, Any], labels: dict[str, str] | None) -> str:
    record: Any = ConsumerRecord("t", 0, 0, 0, 0, b"140385-917Y", b"", 0, 0, 0, ())
    return tail._row(record, value, labels)


def test_in_the_table_a_label_follows_its_code() -> None:
    assert row(EVENT, None).split("  LISATTY")[0] == row(EVENT, {}).split("  LISATTY")[0]
    shown = row(EVENT, LABELS)
    assert "LISATTY Lisätty  " in shown
    assert "huoltaja=Kallioniemi/MIES Mies/PAIVA Päivä, huoltajanRooli=ISA Isä, " in shown
    assert shown.endswith(
        "oikeudet=[UUSI, HUOLLON_JAKO_KUVATTU_SISALTOTEKSTISSA Huollon jako kuvattu sisältötekstissä]"
    )
    assert row(EVENT, None).endswith("oikeudet=[UUSI, HUOLLON_JAKO_KUVATTU_SISALTOTEKSTISSA]")
