"""The same seed tells the same log."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import datetime

import pytest

from producer.events.codesets import Codesets
from producer.events.convert import Converter
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.events.instant import HELSINKI
from producer.sandbox.chronicle import registered_on
from producer.sandbox.log import Log
from producer.upstream.answer import parse_page
from tests.unit.sandbox.records import Record, with_values

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
    assert 2.2 < sum(len(record["tietoryhmat"]) for record in records) / len(records) < 2.9


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


PINNED = "66940f42984ab8fdc3635164bdea616af4474e7595e78f9d71d103f387d51b48"
