"""Restricted topics: who is under turvakielto, and what of theirs stays out of the topics that everybody reads."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from producer.config import Settings, load
from producer.events.convert import Converter
from producer.events.decode import Decoder
from producer.events.files import folder
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue, change_topic, restricted_topic, state_topic
from producer.events.identities import Identities, Known
from producer.events.protection import Protection, Retold, order_stored, order_told, restricted_topics
from producer.events.state import Blanks, gathered
from producer.model import EncodedEvent
from tests.unit.events.pages import ME, OLD, OTHER, PRT, building, kotikunta, page, record

CATALOGUE, FRAMING = Catalogue.load(), SingleObject()
SETTINGS = load(environ={"VTJ_PRIVACY__RESTRICTED_TOPICS": "on"}).settings
PLAIN = Converter(CATALOGUE, FRAMING, prefix="vtj", feed="vtj")  # nothing is restricted
SECRET = "Piilokuja"
ADDRESS = {
    "tietoryhma": "VAKINAINEN_KOTIMAINEN_OSOITE",
    "muutosattribuutti": "MUUTETTU",
    "katunimi": {"fi": SECRET},
}
FORMER = {"tietoryhma": "EDELLINEN_KOTIKUNTA", "muutosattribuutti": "MUUTETTU", "kuntakoodi": "049"}
NAME = {"tietoryhma": "HENKILON_NIMI", "muutosattribuutti": "MUUTETTU", "sukunimi": "Sukunimi-Tes"}
MARKER = {"tietoryhma": "KOTIKUNTA", "muutosattribuutti": "MUUTETTU", "turvakiellonAlaisetKentat": ["kuntakoodi"]}
WIDE = "change.vakinainen-kotimainen-osoite"


def order(active: object = True, attribute: str = "LISATTY", **members: Any) -> dict[str, Any]:
    given = {} if active is None else {"turvakieltoAktiivinen": active}
    return {"tietoryhma": "TURVAKIELTO", "muutosattribuutti": attribute, **given, **members}


def ended(**members: Any) -> dict[str, Any]:
    return order(False, "MUUTETTU", **members)


def correction(active: str, changed: str) -> dict[str, Any]:
    codes = {"aktiivinenHenkilotunnus": active, "muutettuHenkilotunnus": changed}
    return {"tietoryhma": "HENKILOTUNNUS_KORJAUS", "muutosattribuutti": "LISATTY", **codes}


class Committed:
    """What the state says."""

    def __init__(self, *protected: str) -> None:
        self.protected, self.unknown = {*protected}, set[str]()

    def protects(self, key: str) -> bool:
        return key in self.protected or key in self.unknown

    def joined(self, keys: Iterable[str]) -> None:
        self.unknown |= {*keys}


class Restricting:
    """A converter of changes in restricted mode, with everything that it learns from."""

    def __init__(self, *protected: str) -> None:
        self.identities = Identities(CATALOGUE, FRAMING, prefix="vtj", feed="vtj")
        self.orders = Committed(*protected)
        self.protection = Protection(self.identities, self.orders)
        self.converter = Converter(
            CATALOGUE, FRAMING, prefix="vtj", feed="vtj", identities=self.identities, protection=self.protection
        )

    def __call__(self, *records: Any) -> list[EncodedEvent]:
        return [*self.converter.convert(page(*records)).events]

    def topics(self, *records: Any) -> list[str]:
        return topics(self(*records))


def topics(events: Iterable[EncodedEvent]) -> list[str]:
    return [event.topic.removeprefix("vtj.") for event in events]


def value(event: EncodedEvent) -> dict[str, Any]:
    return Decoder(CATALOGUE).decode(event.value)


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([], None),
        (["TURVAKIELTO", NAME, {"tietoryhma": ["TURVAKIELTO"]}], None),
        ([order()], True),
        ([ended()], False),
        ([order(True, "LISATIETO")], True),
        ([order(None)], True),
        ([order("false")], True),
        ([order(), ended()], True),  # renewed
        ([ended(), order()], True),
        ([order(True, "POISTETTU")], False),
        ([order(True, "POISTETTU", voimassaolevatTiedot=[order()])], True),
        ([order(True, "POISTETTU", voimassaolevatTiedot="?")], True),
        ([ended(voimassaolevatTiedot=[{"turvakieltoAktiivinen": True}])], True),
        ([ended(voimassaolevatTiedot=[])], False),
        ([order(True, "KORJATTAVA"), order(False, "KORJATTU")], False),
        ([order(False, "KORJATTAVA"), order(True, "KORJATTU")], True),
        ([order(True, "KORJATTAVA")], None),
    ],
)
def test_what_a_record_says_of_an_order(groups: list[Any], told: bool | None) -> None:
    assert order_told(groups) is told
    if groups and all(
        isinstance(group, dict) and group.get("turvakieltoAktiivinen") in (True, False) for group in groups
    ):
        assert order_stored(value(one) for one in PLAIN.convert(page(record(*groups))).events) is told


def test_the_whole_record_that_begins_an_order_is_restricted() -> None:
    """Also what stands before the order in it, and every record after it that says nothing of the order."""
    convert = Restricting()
    assert convert.topics(record(kotikunta(), NAME)) == ["change.kotikunta", "change.henkilon-nimi"]
    assert convert.topics(record(ADDRESS, order(), FORMER, NAME)) == [
        f"{WIDE}.restricted",
        "change.turvakielto",
        "change.edellinen-kotikunta.restricted",
        "change.henkilon-nimi",
    ]
    assert convert.topics(record(kotikunta()), record(kotikunta(), person=OTHER)) == [
        "change.kotikunta.restricted",
        "change.kotikunta",
    ]


@pytest.mark.parametrize("end", [ended(), order(True, "POISTETTU")])
def test_the_record_that_ends_an_order_gives_the_values_back(end: dict[str, Any]) -> None:
    convert = Restricting(ME)
    back = kotikunta(muutosattribuutti="LISATIETO")
    assert convert.topics(record(back)) == ["change.kotikunta.restricted"]
    assert convert.topics(record(end, ADDRESS, back)) == ["change.turvakielto", WIDE, "change.kotikunta"]
    assert convert.topics(record(ADDRESS)) == [WIDE]


def test_what_has_no_values_needs_no_restriction() -> None:
    convert = Restricting(ME)
    assert convert.topics(record(MARKER)) == ["change.kotikunta"]
    for more in ({"kuntaanMuuttoPv": None}, {"kuntakoodi": "091"}, {"voimassaolevatTiedot": [{"kuntakoodi": "091"}]}):
        assert convert.topics(record({**MARKER, **more})) == ["change.kotikunta.restricted"], more
    assert convert.topics(record({**MARKER, "uusi": SECRET})) == ["change.kotikunta.restricted"]
    assert convert.topics(record(MARKER, uusi=SECRET)) == ["change.kotikunta.restricted"]


def test_an_event_is_the_same_in_either_topic() -> None:
    groups = [json.loads(one.read_text())["tietoryhmat"][0] for one in sorted(folder("examples").glob("*.json"))]
    odd = ("TURVAKIELTO", "HENKILOTUNNUS_KORJAUS")
    changes = record(*(one for one in groups if one["tietoryhma"] not in odd))
    plain, beside = Restricting()(changes), Restricting(ME)(changes)
    whole = [one for one in beside if "ce_reason" not in dict(one.headers)]
    assert len(whole) == len(plain) > 70
    for one, other in zip(whole, plain, strict=True):
        told = value(other)
        assert one.headers == other.headers
        residence = CATALOGUE.groups[told["group"]].residence
        assert one.topic == (restricted_topic(other.topic) if residence else other.topic)
        assert value(one) == (told if residence else {**told, "unmapped": {}})


def test_text_that_no_schema_knows_is_cut_out_of_a_topic_that_has_no_restricted_one() -> None:
    """The event stands there without it, and whole among the restricted unmapped ones."""
    convert = Restricting(ME)
    told = record({**NAME, "uusi": SECRET})
    for changes, path in ((told, "uusi"), (record(NAME, uusi=SECRET), "../uusi")):
        first, second = convert(changes)
        assert topics([first, second]) == ["change.henkilon-nimi", "change.unmapped.restricted"]
        assert SECRET.encode() not in first.value
        assert value(first) == {**value(first), "unmapped": {}, "group": "HENKILON_NIMI"}
        assert value(first)["data"]["sukunimi"] == "Sukunimi-Tes"
        assert value(second)["unmapped"] == {
            **value(second)["unmapped"],
            path: f'"{SECRET}"',
            "sukunimi": '"Sukunimi-Tes"',
        }
        assert dict(second.headers)["ce_reason"] == b"turvakielto"
        assert "ce_reason" not in dict(first.headers)
        assert dict(first.headers)["ce_id"] == dict(second.headers)["ce_id"]
    assert convert.converter.convert(page(told)).unmapped == {"HENKILON_NIMI.uusi": 1}


def test_members_of_the_page_are_of_nobody() -> None:
    """As poimintapv: else a weekly snapshot would have no other events."""
    [event] = Restricting(ME).converter.convert(page(record(NAME), extra={"uusi": 1})).events
    assert event.topic == "vtj.change.henkilon-nimi"
    assert value(event)["unmapped"] == {"../../uusi": "1"}


UNKNOWN = {"tietoryhma": "UUSI_RYHMA", "katu": SECRET}


@pytest.mark.parametrize(
    ("changes", "topic"),
    [
        (record(UNKNOWN), "change.unmapped.restricted"),
        (record(UNKNOWN, person=OTHER), "change.unmapped"),
        (building(UNKNOWN), "change.unmapped.restricted"),
        (SECRET, "dead-letter.restricted"),
        ({"henkilotunnus": None, "tietoryhmat": [ADDRESS]}, "dead-letter.restricted"),
        ({"henkilotunnus": ME, "tietoryhmat": SECRET}, "dead-letter.restricted"),
        ({"henkilotunnus": OTHER, "tietoryhmat": SECRET}, "dead-letter"),
        ({"rakennustunnus": PRT, "tietoryhmat": SECRET}, "dead-letter.restricted"),
        (record(NAME, SECRET), "dead-letter.restricted"),
        (record(NAME, SECRET, person=OTHER), "dead-letter"),
    ],
)
def test_unmapped_groups_and_dead_letters(changes: Any, topic: str) -> None:
    """Of protected persons, and of nobody who is known."""
    assert Restricting(ME).topics(changes)[-1] == topic


def test_what_is_too_large_is_told_of_where_it_would_have_been() -> None:
    convert = Restricting(ME)
    done = convert.converter.convert(page(record(ADDRESS, NAME), record(ADDRESS, person=OTHER), SECRET * 100))
    letters = [convert.converter.oversized(done, event, 700) for event in done.events]
    assert topics(letters) == ["dead-letter.restricted"] * 2 + ["dead-letter", "dead-letter.restricted"]
    assert len(letters[-1].value) <= 700
    assert value(letters[-1])["cut"]


def test_a_person_is_protected_under_every_code() -> None:
    convert = Restricting(OLD)
    moved = convert(record(correction(ME, OLD), ADDRESS, person=OLD))
    assert [one.topic for one in moved if SECRET.encode() in one.value] == [f"vtj.{WIDE}.restricted"] * 2
    for code in (ME, OLD):
        assert convert.topics(record(ADDRESS, person=code)) == [f"{WIDE}.restricted"]
    convert(record(ended(), person=ME))
    for code in (ME, OLD):
        assert convert.topics(record(ADDRESS, person=code)) == [WIDE]
    convert(record(order(), person=OLD))  # a chain: the third code is protected by the first one's order
    convert(record(correction(OTHER, ME), person=ME))
    assert convert.topics(record(ADDRESS, person=OTHER)) == [f"{WIDE}.restricted"]


def test_a_correction_without_an_active_code_protects_all_that_it_names() -> None:
    convert = Restricting(ME)
    convert(record({"tietoryhma": "HENKILOTUNNUS_KORJAUS", "muutettuHenkilotunnus": OLD}))
    assert convert.topics(record(ADDRESS, person=OLD)) == [f"{WIDE}.restricted"]


def stored(group: Mapping[str, Any], cursor: int, code: str = ME) -> tuple[str, dict[str, Any]]:
    changed = record(group, person=code, muutospv=f"2026-11-02T07:15:{cursor:02d}.394Z")
    return code, {**value(PLAIN.convert(page(changed)).events[0]), "cursor": cursor}


def test_who_is_protected_at_an_opening() -> None:
    """The state, and then the changes after it in upstream's order, whatever partitions and codes they stand under."""
    one = Known((OLD, ME), "0")
    identities = Identities(CATALOGUE, FRAMING, prefix="vtj", feed="vtj", committed={ME: one, OLD: one})
    orders = Committed()
    protection = Protection(identities, orders)

    def known(state: Iterable[str], *later: tuple[str, dict[str, Any]]) -> set[str]:
        orders.protected = {*state}
        protection.begin(later)
        return {code for code in (ME, OLD, OTHER) if code in protection}

    assert known([]) == set()
    assert known([ME]) == known([OLD]) == {ME, OLD}
    assert known([], stored(order(), 3)) == {ME, OLD}
    assert known([ME], stored(ended(), 3)) == set()
    assert known([], stored(ended(), 5, OLD), stored(order(), 3)) == set()
    assert known([], stored(order(), 5, OLD), stored(ended(), 3)) == {ME, OLD}
    assert known([OTHER], stored(order(True, "KORJATTAVA"), 3)) == {OTHER}
    code, renewed = stored(order(), 3)
    over = {**renewed, "position": renewed["position"] + 1, "data": {"turvakieltoAktiivinen": False}}
    assert known([], (code, renewed), (code, over)) == {ME, OLD}


def test_whoever_joins_is_protected_until_the_state_tells() -> None:
    """Also who was followed before, and then was not protected: an order may have begun meanwhile."""
    convert = Restricting()
    convert(record(order()), record(ended()))
    assert convert.topics(record(ADDRESS)) == [WIDE]
    joining = replace(page((ME, True), (OTHER, False)), kind="FOLLOWED")
    assert topics(convert.converter.convert(joining).events) == ["identity"] * 2
    assert convert.topics(record(ADDRESS)) == [f"{WIDE}.restricted"]
    assert convert.topics(record(ADDRESS, person=OTHER)) == [WIDE]
    convert.orders.unknown.clear()
    assert convert.topics(record(ADDRESS)) == [WIDE]
    convert(record(order()))
    assert convert.topics(record(ADDRESS)) == [f"{WIDE}.restricted"]


def snapshot(person: str, *groups: dict[str, Any]) -> Any:
    plain = [{name: one for name, one in group.items() if name != "muutosattribuutti"} for group in groups]
    return gathered({"henkilotunnus": person, "tietoryhmat": plain})


def test_a_state_record_tells_by_itself_and_leaves_a_marker_behind() -> None:
    """In place of everything that is restricted: of what the person does not have too, so that it tells nothing."""
    names = CATALOGUE.state_topics("vtj")
    blanks = Blanks(CATALOGUE, names + restricted_topics(SETTINGS, CATALOGUE, names), residence=True)
    converter = Converter(
        CATALOGUE,
        FRAMING,
        prefix="vtj",
        feed="vtj",
        topic=state_topic,
        protection=Protection(),
        withheld=blanks.withheld,
    )
    records = [snapshot(ME, order(), ADDRESS, FORMER, NAME, kotikunta()), snapshot(OTHER, ADDRESS, FORMER)]
    events = converter.convert(page(*records, kind="SNAPSHOT")).events
    mine = {one.topic.removeprefix("vtj.state."): one for one in events if one.key == ME.encode()}
    shown = {name.removesuffix(".restricted") for name in mine if name.endswith(".restricted")}
    assert shown == {"vakinainen-kotimainen-osoite", "edellinen-kotikunta", "kotikunta"}
    for group in CATALOGUE.groups.values():
        if group.residence:
            marker = value(mine[group.suffix])
            assert (marker["data"], marker["inForce"], marker["unmapped"]) == (None, None, {})
            assert marker["withheldFields"] is not None
    assert value(mine["henkilon-nimi"])["data"]["sukunimi"] == "Sukunimi-Tes"
    assert [SECRET.encode() in one.value for one in events if not one.topic.endswith(".restricted")].count(True) == 1
    others = topics(one for one in events if one.key == OTHER.encode())
    assert others == ["state.vakinainen-kotimainen-osoite", "state.edellinen-kotikunta"]
    gone = topics(blanks.tombstones(OTHER, {f"vtj.{one}" for one in others}, 0))
    assert {"state.kotikunta", "state.kotikunta.restricted", "state.edellinen-kotikunta.restricted"} <= {*gone}
    assert not {*others} & {*gone}


def test_the_topics_that_have_restricted_ones() -> None:
    every = [*CATALOGUE.topics("vtj"), *CATALOGUE.state_topics("vtj"), "vtj.dead-letter", "vtj.identity"]
    beside = restricted_topics(SETTINGS, CATALOGUE, every)
    groups = [group for group in CATALOGUE.groups.values() if group.residence]
    assert sorted(beside) == sorted(
        f"{one}.restricted"
        for one in (
            *(topic("vtj", group) for group in groups for topic in (change_topic, state_topic)),
            "vtj.change.unmapped",
            "vtj.dead-letter",
        )
    )
    assert restricted_topics(Settings(), CATALOGUE, every) == []


def test_which_groups_reveal_where_somebody_lived() -> None:
    reveal = {name for name, group in CATALOGUE.groups.items() if "reveals" in group.own}
    assert {"EDELLINEN_KOTIKUNTA", "VAESTOKIRJANPITOKUNTA", "KOTIMAINEN_YHTEYSOSOITE"} <= reveal
    assert not any(one.get("restricted") for name in reveal for one in CATALOGUE.groups[name].own["fields"])
    assert not {"HENKILON_NIMI", "TURVAKIELTO", "HENKILOTUNNUS_KORJAUS", "HUOLTAJA"} & reveal


def test_without_the_setting_all_is_as_it_was() -> None:
    records = [record(order(), ADDRESS, FORMER, UNKNOWN, {**NAME, "uusi": 1}), record(ADDRESS), SECRET]
    assert not [one for one in PLAIN.convert(page(*records)).events if one.topic.endswith(".restricted")]


def test_who_is_protected_now_is_so_whatever_is_told_again() -> None:
    """ME by the state, OLD by what the state has not read yet, OTHER by what is told again itself."""
    orders = Committed(ME)
    retold = Retold(orders=orders)
    event = {"group": "TURVAKIELTO", "changeType": "LISATTY", "inForce": None, "data": order(), "unmapped": {}}
    retold.begin([(OLD, event | {"cursor": 9, "position": 0, "recordId": "1"})])
    again = Converter(CATALOGUE, FRAMING, prefix="vtj", feed="vtj", protection=retold)

    def told(*records: Any) -> list[str]:
        return topics(again.convert(replace(page(*records), kind="REPLAY")).events)

    assert told(record(ended(), person=ME), record(ADDRESS, person=ME))[-1] == f"{WIDE}.restricted"
    assert told(record(ended(), person=OLD), record(ADDRESS, person=OLD))[-1] == f"{WIDE}.restricted"
    assert told(record(ADDRESS, person=OTHER)) == [WIDE]
    assert told(record(order(), person=OTHER), record(ADDRESS, person=OTHER))[-1] == f"{WIDE}.restricted"
    assert told(record(ended(), person=OTHER), record(ADDRESS, person=OTHER))[-1] == WIDE
    assert ME in retold
    orders.protected.clear()
    assert ME not in retold


def test_a_letter_of_poison_is_restricted_whoever_it_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows how far the record was looked at: it may be the one that begins a turvakielto."""

    def failing(*_: Any) -> None:
        raise KeyError

    converter = Converter(CATALOGUE, FRAMING, prefix="vtj", feed="vtj", protection=Protection())
    monkeypatch.setattr(Protection, "learn", failing)
    (letter,) = converter.convert(replace(page(record(NAME)), poison=True)).events
    assert (letter.topic, letter.key) == ("vtj.dead-letter.restricted", ME.encode())
