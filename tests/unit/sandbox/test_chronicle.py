"""The same seed tells the same log, and every story has the shape that implementers have seen."""

import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from datetime import datetime
from typing import Any

import pytest

from producer.events.codesets import Codesets
from producer.events.convert import Converter
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.sandbox.chronicle import HELSINKI, registered_on
from producer.sandbox.log import Log
from producer.sandbox.tables import ORDER, PROTECTED
from producer.upstream.answer import parse_page

Record = dict[str, Any]
LENGTH = 6000

DIGEST = """
import hashlib
from producer.sandbox.log import Log
log = Log({seed}, 300, censored=False, history=3000)
digest = hashlib.sha256()
for key, record in log.entries(0):
    digest.update(b"%d %b\\n" % (key, record))
print(digest.hexdigest())
"""


def digest_elsewhere(seed: int, hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "TZ": "Pacific/Kiritimati"}
    command = [sys.executable, "-c", DIGEST.format(seed=seed)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_two_processes_tell_the_same_log() -> None:
    assert digest_elsewhere(5, "1") == digest_elsewhere(5, "2") != digest_elsewhere(6, "1")


def test_growth_tells_the_same_as_history() -> None:
    at_once = Log(5, 300, censored=False, history=500)
    grown = Log(5, 300, censored=False, history=100)
    grown.persons(grown.codes()[:50], None)  # who looks, and when, changes nothing
    for changes in (1, 250, 149):
        grown.grow(changes)
        grown.page(0, None, 10)
    assert list(at_once.entries(0)) == list(grown.entries(0))


def test_the_clock_decides_only_the_length(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("producer.sandbox.log.monotonic", lambda: now)
    log = Log(5, 300, censored=False, history=10, changes_per_day=864_000)
    assert len(log) == 10
    now += 3.25
    assert len(log) == 42
    now += 0.75
    assert len(log) == 50
    assert list(log.entries(0)) == list(Log(5, 300, censored=False, history=50).entries(0))


@pytest.fixture(scope="module", params=[False, True], ids=["permit-for-all", "censored"])
def log(request: pytest.FixtureRequest) -> Log:
    return Log(1, 400, censored=request.param, history=LENGTH)


@pytest.fixture(scope="module")
def records(log: Log) -> list[Record]:
    return [json.loads(record) for _, record in log.entries(0)]


def shape(record: Record) -> list[str]:
    return [f"{group['tietoryhma']} {group['muutosattribuutti']}" for group in record["tietoryhmat"]]


def without(group: Record, *names: str) -> Record:
    return {name: value for name, value in group.items() if name not in ("muutosattribuutti", *names)}


def named(record: Record, label: str) -> Record:
    found = [group for group in record["tietoryhmat"] if f"{group['tietoryhma']} {group['muutosattribuutti']}" == label]
    assert len(found) == 1
    group: Record = found[0]
    return group


def with_values(records: list[Record]) -> list[Record]:
    """Records of which nothing is withheld."""
    return [record for record in records if "turvakiellonAlaisetKentat" not in json.dumps(record)]


A, K, E = "VAKINAINEN_KOTIMAINEN_OSOITE", "KOTIKUNTA", "EDELLINEN_KOTIKUNTA"
D, V = "VAKINAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS", "VAESTOKIRJANPITOKUNTA"
MOVE = [f"{A} LISATTY", f"{A} MUUTETTU", f"{D} LISATTY", f"{D} MUUTETTU"]
LONG_MOVE = [*MOVE[:2], f"{K} LISATTY", f"{E} MUUTETTU", f"{V} MUUTETTU", *MOVE[2:]]
CANCELLED = [
    f"{A} POISTETTU",
    f"{A} KORJATTAVA",
    f"{A} KORJATTU",
    f"{K} POISTETTU",
    f"{K} LISATIETO",
    f"{E} KORJATTAVA",
    f"{E} KORJATTU",
]
CORRECTED = [
    "HENKILOTUNNUS_KORJAUS LISATTY",
    "HENKILOTUNNUS_KORJAUS MUUTETTU",
    "HENKILON_NIMI LISATIETO",
    "SYNTYMAPAIVA MUUTETTU",
]


def of_shape(records: list[Record], wanted: list[str]) -> list[Record]:
    found = [record for record in records if shape(record) == wanted]
    assert found, wanted
    return found


def test_records_have_the_outer_shape(records: list[Record]) -> None:
    for index, record in enumerate(records):
        assert list(record) == ["henkilotunnus", "tietoryhmat", "muutospv"]
        assert record["tietoryhmat"]
        moment = datetime.strptime(record["muutospv"], "%Y-%m-%dT%H:%M:%S.%f%z")
        assert moment.astimezone(HELSINKI).date() == registered_on(index)
        for before, group in zip([{}, *record["tietoryhmat"]], record["tietoryhmat"], strict=False):
            if group["muutosattribuutti"] == "KORJATTU":
                assert (before["tietoryhma"], before["muutosattribuutti"]) == (group["tietoryhma"], "KORJATTAVA")


def test_a_record_has_about_two_and_a_half_groups(records: list[Record], log: Log) -> None:
    if log._register.censored:
        records = [record for record in records if "TURVAKIELTO" not in json.dumps(record)]
    assert 2.3 < sum(len(record["tietoryhmat"]) for record in records) / len(records) < 2.7


def test_move(records: list[Record]) -> None:
    of_shape(records, MOVE)
    for record in with_values(of_shape(records, LONG_MOVE)):
        new, old = record["tietoryhmat"][:2]
        assert "loppupv" not in new
        assert old["loppupv"]["arvo"] >= old["alkupv"]["arvo"]
        assert new["kuntakoodi"] == named(record, f"{K} LISATTY")["kuntakoodi"] != old["kuntakoodi"]
        former = named(record, f"{E} MUUTETTU")
        assert former["kuntakoodi"] == old["kuntakoodi"]
        assert former["kunnastaPoisMuuttopv"] == old["loppupv"]
        dwelling = named(record, f"{D} LISATTY")
        assert len(dwelling["asuinpaikantunnus"]) == 16
        assert dwelling["asuinpaikantunnus"].startswith(new["rakennustunnus"])


def test_cancelled_move(records: list[Record]) -> None:
    moves: dict[str, Record] = {}
    cancelled = 0
    for record in records:
        if shape(record) == LONG_MOVE:
            moves[record["henkilotunnus"]] = record
        if shape(record) != CANCELLED:
            continue
        move = moves[record["henkilotunnus"]]
        if len(with_values([record, move])) < 2:
            continue
        removed, wrong, right = record["tietoryhmat"][:3]
        assert without(removed, "voimassaolevatTiedot") == without(named(move, f"{A} LISATTY"))
        assert removed["voimassaolevatTiedot"] == [without(right)]
        assert without(wrong) == without(named(move, f"{A} MUUTETTU"))
        assert without(wrong, "loppupv") == without(right)
        municipality = named(record, f"{K} POISTETTU")
        assert municipality["voimassaolevatTiedot"] == [without(named(record, f"{K} LISATIETO"))]
        former, kept = named(record, f"{E} KORJATTAVA"), named(record, f"{E} KORJATTU")
        assert without(former) == without(named(move, f"{E} MUUTETTU"))
        assert without(former, "kunnastaPoisMuuttopv") == without(kept)
        cancelled += 1
    assert cancelled


def test_name_change(records: list[Record]) -> None:
    histories = [f"{kind} {word}" for kind in ("NIMENMUUTOS", "NIMENMUUTOS_LAAJA") for word in ("LISATTY", "MUUTETTU")]
    changed = of_shape(records, ["HENKILON_NIMI MUUTETTU", *histories])
    for record in changed:
        name, new, old, wide_new, wide_old = record["tietoryhmat"]
        assert (new["nimilaji"], old["nimilaji"]) == ("NYKYINEN_SUKUNIMI", "EDELLINEN_SUKUNIMI")
        assert name["sukunimi"] == new["nimi"] == wide_new["nimi"] != old["nimi"] == wide_old["nimi"]
        assert new["alkupv"] == old["loppupv"] == name["alkupv"]
    assert any(record["tietoryhmat"][0]["sukunimi"] != record["tietoryhmat"][0]["sukunimiUTF8"] for record in changed)


def test_death_and_death_undone(records: list[Record]) -> None:
    died = defaultdict(list)
    for record in of_shape(records, ["KUOLINPAIVA LISATTY"]):
        died[record["henkilotunnus"]].append(without(record["tietoryhmat"][0]))
    undone = of_shape(records, ["KUOLINPAIVA KORJATTAVA", "KUOLINPAIVA KORJATTU"])
    for record in undone:
        wrong, right = record["tietoryhmat"]
        assert wrong["kuollut"] is True
        assert without(wrong) in died[record["henkilotunnus"]]
        assert without(right) == {"tietoryhma": "KUOLINPAIVA", "kuollut": False}
    assert len(undone) < sum(map(len, died.values()))


def test_turvakielto_begins_and_ends(records: list[Record], log: Log) -> None:
    begun = [record for record in records if shape(record)[0] == "TURVAKIELTO LISATTY"]
    over = [record for record in records if shape(record)[0] == "TURVAKIELTO MUUTETTU"]
    assert begun
    assert over
    for record in begun:
        head, *hidden = record["tietoryhmat"]
        assert head["turvakieltoAktiivinen"] is True
        expected = [
            {"tietoryhma": kind, "muutosattribuutti": "MUUTETTU", "turvakiellonAlaisetKentat": fields}
            for kind, fields in PROTECTED.items()
        ]
        assert hidden == (expected if log._register.censored else [])
    for record in over:
        head, *shown = record["tietoryhmat"]
        assert head["turvakieltoAktiivinen"] is False
        assert head["turvaLoppuPv"]["tarkkuus"] == "PAIVA"
        if not log._register.censored:
            assert shown == []
            continue
        assert "katunimi" in named(record, f"{A} MUUTETTU")
        assert "kuntakoodi" in named(record, f"{K} LISATIETO")


def test_between_beginning_and_end_nothing_protected_shows(records: list[Record], log: Log) -> None:
    """Follows each person, over changes of code too, and looks at every record on the way."""
    active: set[str] = set()
    censored = 0
    for record in records:
        code = record["henkilotunnus"]
        groups = {(group["tietoryhma"], group["muutosattribuutti"]): group for group in record["tietoryhmat"]}
        if ("TURVAKIELTO", "LISATTY") in groups:
            active.add(code)
        if ("TURVAKIELTO", "MUUTETTU") in groups:
            active.discard(code)
        for (kind, _), group in groups.items():
            hidden = "turvakiellonAlaisetKentat" in group
            assert hidden == (log._register.censored and code in active and kind in PROTECTED)
            assert not hidden or set(group) == {"tietoryhma", "muutosattribuutti", "turvakiellonAlaisetKentat"}
            censored += hidden
        correction = groups.get(("HENKILOTUNNUS_KORJAUS", "LISATTY"))
        if correction and code in active:
            active.discard(code)
            active.add(correction["aktiivinenHenkilotunnus"])
    assert bool(censored) == log._register.censored


def test_code_corrected(records: list[Record]) -> None:
    gone: set[str] = set()
    chains = 0
    for record in records:
        assert record["henkilotunnus"] not in gone  # nothing comes under an old code any more
        if shape(record) != CORRECTED:
            continue
        old, (active, passive) = record["henkilotunnus"], record["tietoryhmat"][:2]
        assert (active["voimassaolo"], passive["voimassaolo"]) == ("AKTIIVI", "PASSIIVI")
        new = active["muutettuHenkilotunnus"]
        assert active["aktiivinenHenkilotunnus"] == passive["aktiivinenHenkilotunnus"] == new != old
        assert passive["muutettuHenkilotunnus"] == old == active["edellisetHenkilotunnukset"][-1]
        assert active["edellisetHenkilotunnukset"] == passive["edellisetHenkilotunnukset"]
        chains += len(active["edellisetHenkilotunnukset"]) > 1
        gone.add(old)
    assert gone
    assert chains  # A → B → C


def test_unknown_group_and_unknown_field(records: list[Record]) -> None:
    of_shape(records, ["HIEKKALAATIKON_UUSI_RYHMA LISATTY"])
    found = of_shape(records, ["SIVIILISAATY MUUTETTU"])
    assert {"uusiKentta" in record["tietoryhmat"][0] for record in found} == {True, False}


def test_every_confirmed_group_is_told_of_and_nothing_of_it_is_unmapped() -> None:
    """In the sandbox as it comes, and with the converter that people run; but for the field that a story plants."""
    catalogue, log = Catalogue.load(), Log(1, 1000, censored=False, history=1000)
    confirmed = {name for name, group in catalogue.groups.items() if group.own["confidence"] == "confirmed"}
    page = parse_page(log.page(0, None, 1000), bucket="0", previous=-1, fetched_at=0)
    told = {group["tietoryhma"] for record in page.records for group in record["tietoryhmat"]}
    assert told == confirmed | {"HIEKKALAATIKON_UUSI_RYHMA"}
    encoded = Converter(catalogue, SingleObject(), prefix="vtj", feed="vtj").convert(page)
    assert encoded.unmapped.keys() == {"HIEKKALAATIKON_UUSI_RYHMA", "SIVIILISAATY.uusiKentta"}
    assert not encoded.dead
    known = {group["tietoryhma"] for person in log.persons(log.codes(), None) for group in person["tietoryhmat"]}
    assert confirmed <= known


def test_groups_made_from_schemas_hold_together(records: list[Record]) -> None:
    """Dates are in order, codes are of their sets, other persons exist, and a code agrees with the text beside it."""
    codesets = Codesets.load()
    made = [group for record in with_values(records) for group in record["tietoryhmat"]]
    custody = [group for group in made if group["tietoryhma"] == "HUOLTAJA_RAJOITETTU"]
    assert custody
    for group in custody:
        assert list(group)[2] == "huoltaja"
        assert group["huoltaja"]["henkilotunnus"][7] == "9"
        assert group.get("huoltajanRooli", "ISA") in codesets["huoltajan_rooli"].codes
        if "huoltosuhteenAlkupv" in group and "huoltosuhteenLoppupv" in group:
            assert group["huoltosuhteenAlkupv"]["arvo"] <= group["huoltosuhteenLoppupv"]["arvo"]
    assert len({group["huoltaja"]["henkilotunnus"] for group in custody}) > 1
    for group in made:
        if group["tietoryhma"] == "VAKINAINEN_ULKOMAILLA_ASUMINEN" and "asuinpaikantunnus" in group:
            assert group["asuinpaikantunnus"] == f"200{group['valtiokoodi']}00000000"


def test_texts_are_as_varied_as_the_real_ones(records: list[Record]) -> None:
    everything = json.dumps(records, ensure_ascii=False)
    assert '"KUUKAUSI"' in everything
    assert '"postitoimipaikka": {}' in everything
    assert '"katunimi": {"sv"' in everything
    assert "ễ" in everything


def test_perustiedot_follow_from_the_changes(records: list[Record], log: Log) -> None:
    """The last name and address that the log told of somebody are those that perustiedot tells."""
    told: dict[str, dict[str, Record]] = defaultdict(dict)
    for record in records:
        for group in record["tietoryhmat"]:
            if group["muutosattribuutti"] in ("MUUTETTU", "LISATTY", "KORJATTU") and "loppupv" not in group:
                told[record["henkilotunnus"]][group["tietoryhma"]] = group
    checked = 0
    for person in log.persons(log.codes(), None):
        groups = defaultdict(list)
        for group in person["tietoryhmat"]:
            assert "muutosattribuutti" not in group
            groups[group["tietoryhma"]].append(group)
        for kind in ("HENKILON_NIMI", "SIVIILISAATY", A):
            if kind in told[person["henkilotunnus"]]:
                assert groups[kind] == [without(told[person["henkilotunnus"]][kind])]
                checked += 1
        order = [ORDER.index(group["tietoryhma"]) for group in person["tietoryhmat"]]
        assert order == sorted(order)
    assert checked > 100


def test_the_smallest_register_never_runs_dry() -> None:
    log = Log(3, 1, censored=True, history=2000)
    assert len(list(log.entries(0))) == 2000


def test_a_seed_has_its_own_persons() -> None:
    codes = [set(Log(seed, 1000, censored=False).codes()) for seed in (1, 2)]
    assert len(codes[0]) == len(codes[1]) == 1000
    assert len(codes[0] & codes[1]) < 100


def test_the_log_is_pinned() -> None:
    """A change of any byte is a new sandbox: people's notes and expectations name entries of it.

    So is a new group, field or code in `schemas`: the sandbox tells of it.
    """
    log = Log(1, 1000, censored=False, history=2000)
    digest = hashlib.sha256(b"\n".join(record for _, record in log.entries(0))).hexdigest()
    assert digest == PINNED


PINNED = "5c3c7dff0f7e3e9c670af27dd16643d7c250074dda566ee8fa0241f8c05eac46"
