"""Every story has the shape that implementers have seen, and perustiedot change with the records told."""

import json
from collections import defaultdict
from datetime import date
from itertools import pairwise

import orjson
import pytest

from producer.sandbox.chronicle import Chronicle, registered_on
from producer.sandbox.log import Log
from producer.sandbox.register import Register
from producer.sandbox.tables import ORDER, PROTECTED
from tests.unit.sandbox.records import Record, named, of_shape, shape, with_values, without

A, K, E = "VAKINAINEN_KOTIMAINEN_OSOITE", "KOTIKUNTA", "EDELLINEN_KOTIKUNTA"
D, V = "VAKINAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS", "VAESTOKIRJANPITOKUNTA"
F = "EDELLINEN_KOTIMAINEN_ASUINPAIKKATUNNUS"
MOVE = [f"{A} LISATTY", f"{A} MUUTETTU", f"{D} LISATTY", f"{D} MUUTETTU", f"{F} MUUTETTU"]
LONG_MOVE = [*MOVE[:2], f"{K} LISATTY", f"{E} MUUTETTU", f"{V} MUUTETTU", *MOVE[2:]]
CANCELLED = [
    f"{A} POISTETTU",
    f"{A} KORJATTAVA",
    f"{A} KORJATTU",
    f"{K} POISTETTU",
    f"{K} LISATIETO",
    f"{E} KORJATTAVA",
    f"{E} KORJATTU",
    f"{V} MUUTETTU",
    f"{D} POISTETTU",
    f"{D} KORJATTAVA",
    f"{D} KORJATTU",
    f"{F} POISTETTU",
]
CORRECTED = [
    "HENKILOTUNNUS_KORJAUS LISATTY",
    "HENKILOTUNNUS_KORJAUS MUUTETTU",
    "HENKILON_NIMI LISATIETO",
    "SYNTYMAPAIVA MUUTETTU",
]


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
        left = named(record, f"{F} MUUTETTU")
        assert without(left, "tietoryhma") == without(named(record, f"{D} MUUTETTU"), "tietoryhma")


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
        assert without(named(record, f"{V} MUUTETTU"), "tietoryhma") == without(kept, "tietoryhma")
        gone, back = named(record, f"{D} POISTETTU"), named(record, f"{D} KORJATTU")
        assert without(gone, "voimassaolevatTiedot") == without(named(move, f"{D} LISATTY"))
        assert gone["voimassaolevatTiedot"] == [without(back)]
        assert without(named(record, f"{D} KORJATTAVA")) == without(named(move, f"{D} MUUTETTU"))
        history = named(record, f"{F} POISTETTU")
        assert without(history, "voimassaolevatTiedot") == without(named(move, f"{F} MUUTETTU"))
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
    assert all("uusiKentta" in record["tietoryhmat"][0] for record in found)


def test_call_name(records: list[Record]) -> None:
    kinds = ("NIMENMUUTOS", "NIMENMUUTOS_LAAJA", "KUTSUMANIMI")
    for record in of_shape(records, [f"{kind} {word}" for kind in kinds for word in ("LISATTY", "MUUTETTU")]):
        new, old, wide_new, wide_old, name, former = record["tietoryhmat"]
        assert {one["nimilaji"] for one in (new, wide_new, name)} == {"NYKYINEN_KUTSUMANIMI"}
        assert {one["nimilaji"] for one in (old, wide_old, former)} == {"EDELLINEN_KUTSUMANIMI"}
        assert new["nimi"] == wide_new["nimi"] == name["nimi"] != old["nimi"] == wide_old["nimi"] == former["nimi"]
        assert name["alkupv"] == former["loppupv"] == old["loppupv"]
        assert former["alkupv"] == old["alkupv"]
        assert wide_new["nimenmuutostapa"] == "KUTSUMANIMEN_MUUTOS"
        assert not {"loppupv", "nimenmuutostapa"} & {*name, *former, *wide_old, *new} - {"loppupv"}


def test_mother_tongue_corrected(records: list[Record]) -> None:
    for record in of_shape(records, ["AIDINKIELI LISATTY", "AIDINKIELI POISTETTU"]):
        right, wrong = record["tietoryhmat"]
        assert wrong["voimassaolevatTiedot"] == [without(right)]
        assert right["kielikoodi"] != wrong["kielikoodi"]
        assert right["alkupv"] == wrong["loppupv"]
        assert all(("nimi" in one) == (one["kielikoodi"] == "98") for one in (right, wrong))


def test_citizenship_gained(records: list[Record]) -> None:
    several = 0
    for record in of_shape(records, ["KANSALAISUUS MUUTETTU"]):
        (group,) = record["tietoryhmat"]
        *held, gained = group["henkilonKansalaisuudet"]
        assert group["lisatytKansalaisuudet"] == [gained]
        assert gained["kansalaisuuskoodi"] not in {one["kansalaisuuskoodi"] for one in held}
        assert held[0] == {"kansalaisuuskoodi": "246", "voimassaolo": "AKTIIVI"}
        for what in ("korjattavat", "korjatut", "poistetut", "muutetut"):
            assert group[f"{what}Kansalaisuudet"] == []
        several += len(held) > 1
    assert several


def pairs(records: list[Record], first: list[str], second: list[str]) -> list[tuple[Record, Record]]:
    """Registrations of two persons: a record of one, and then the other's."""
    found = [pair for pair in pairwise(records) if [shape(record) for record in pair] == [first, second]]
    assert found, (first, second)
    return found


def test_marriage_and_divorce(records: list[Record]) -> None:
    numbers = set()
    for word, status, force in (("LISATTY", "AVIOLIITOSSA", "AKTIIVI"), ("MUUTETTU", "ERONNUT", "PASSIIVI")):
        wanted = ["SIVIILISAATY MUUTETTU", f"AVIOLIITTO {word}"]
        couples = 0
        for one, other in pairs(records, wanted, wanted):
            marriages = [record["tietoryhmat"][1] for record in (one, other)]
            codes = [record["henkilotunnus"] for record in (other, one)]
            if [marriage["puoliso"]["henkilotunnus"] for marriage in marriages] != codes:
                continue  # the second record of one couple and the first of the next, or codes of then
            for record in (one, other):
                assert without(record["tietoryhmat"][0]) == {"tietoryhma": "SIVIILISAATY", "siviilisaaty": status}
            assert {marriage["voimassaolo"] for marriage in marriages} == {force}
            assert marriages[0]["vihkipv"] == marriages[1]["vihkipv"]
            assert marriages[0]["vihkitapa"] == marriages[1]["vihkitapa"]
            numbers |= {marriage["jarjestysnumero"] for marriage in marriages}
            couples += 1
        assert couples
    assert numbers >= {1, 2}


def test_a_death_widows(records: list[Record]) -> None:
    part = ["SIVIILISAATY MUUTETTU", "AVIOLIITTO MUUTETTU"]
    for _, left in pairs(records, ["KUOLINPAIVA LISATTY", "AVIOLIITTO MUUTETTU"], part):
        assert named(left, part[0])["siviilisaaty"] == "LESKI"


def test_birth(records: list[Record]) -> None:
    seen: set[str] = set()
    births = 0
    for index, (child, mother) in enumerate(pairwise(records)):
        if shape(mother) != ["LAPSI LISATTY", "LAPSI_SUPPEA LISATTY"]:
            seen.add(child["henkilotunnus"])
            continue
        assert child["henkilotunnus"] not in seen
        assert {group["muutosattribuutti"] for group in child["tietoryhmat"]} == {"LISATTY"}
        whole, narrow = (group["lapsi"] for group in mother["tietoryhmat"])
        assert whole == narrow
        assert whole["henkilotunnus"] == child["henkilotunnus"]
        for kind in ("VANHEMPI", "VANHEMPI_SUPPEA"):
            assert named(child, f"{kind} LISATTY")["vanhempi"]["henkilotunnus"] == mother["henkilotunnus"]
        assert not {"isaAiti", "lapsilaatu"} & {*mother["tietoryhmat"][1]}
        code, born = child["henkilotunnus"], named(child, "SYNTYMAPAIVA LISATTY")["syntymapv"]["arvo"]
        assert code[6] in "ABCDEF"
        assert f"20{code[4:6]}-{code[2:4]}-{code[:2]}" == born
        assert 0 <= (registered_on(index) - date.fromisoformat(born)).days < 3
        births += 1
    assert births


def test_custody_is_given_and_taken_on_both_sides(records: list[Record]) -> None:
    widths = ("", "_SUPPEA", "_RAJOITETTU")
    lists = {"lisatytOikeudet", "poistetutOikeudet", "muutetutOikeudet"}
    flags = {"huoltosuhteenMuutos", "huollonOikeudenMuutos", "huollonAsumisenMuutos"}
    for word in ("LISATTY", "MUUTETTU", "POISTETTU"):
        sides = [[f"{kind}{width} {word}" for width in widths] for kind in ("HUOLTAJA", "HUOLLETTAVA")]
        for child, custodian in pairs(records, *sides):
            whole, supple, narrow = child["tietoryhmat"]
            assert without(whole, "tietoryhma", "voimassaolevatTiedot") == without(
                supple, "tietoryhma", "voimassaolevatTiedot"
            )
            assert {*whole} > lists | flags | {"huoltajanLaji", "oikeudet"}
            assert not {*narrow} & (lists | flags | {"huoltajanLaji", "oikeudet"})
            assert whole["huoltosuhteenMuutos"] == (word == "MUUTETTU")
            ward, ward_supple, ward_narrow = custodian["tietoryhmat"]
            assert lists & {*ward} == lists & {*ward_narrow} == flags & {*ward_supple} == set()
            assert lists < {*ward_supple}
            period = [whole[name] for name in ("huoltosuhteenAlkupv", "huoltosuhteenLoppupv", "huoltajanRooli")]
            for group in (*child["tietoryhmat"], *custodian["tietoryhmat"]):
                names = ("huoltosuhteenAlkupv", "huoltosuhteenLoppupv", "huoltajanRooli")
                assert [group[name] for name in names] == period
                assert ("voimassaolevatTiedot" in group) == (word != "LISATTY")
            if word == "LISATTY":
                assert whole["huoltaja"]["henkilotunnus"] == custodian["henkilotunnus"]
                assert ward["huollettava"]["henkilotunnus"] == child["henkilotunnus"]
    given = of_shape(records, [f"HUOLTAJA{width} LISATTY" for width in widths])
    assert {record["tietoryhmat"][0]["huoltajanRooli"] for record in given} == {"AITI", "MUU_HUOLTAJA"}
    removed = of_shape(records, [f"HUOLTAJA{width} POISTETTU" for width in widths])
    assert {len(record["tietoryhmat"][0]["voimassaolevatTiedot"]) for record in removed} == {0, 1}


def test_two_persons_merged(records: list[Record], log: Log) -> None:
    wanted = ["HENKILOTUNNUS_KORJAUS LISATIETO", "HENKILOTUNNUS_KORJAUS MUUTETTU"]
    for stays, goes in pairs(records, wanted, wanted):
        active, passive = stays["tietoryhmat"]
        if passive["muutettuHenkilotunnus"] != goes["henkilotunnus"]:
            continue  # the second record of one and the first of the next
        assert goes["tietoryhmat"] == stays["tietoryhmat"]
        assert (active["voimassaolo"], passive["voimassaolo"]) == ("AKTIIVI", "PASSIIVI")
        assert active["muutettuHenkilotunnus"] == active["aktiivinenHenkilotunnus"] == stays["henkilotunnus"]
        assert active["edellisetHenkilotunnukset"][-1] == goes["henkilotunnus"]
        found = log.persons([stays["henkilotunnus"], goes["henkilotunnus"]], None)
        assert len(found) == 1
        assert found[0]["henkilotunnus"] in log.codes()
        assert goes["henkilotunnus"] not in log.codes()


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


Answers = dict[int, tuple[str, bytes]]  # of each person: the code, and the answer as it is


def answers(register: Register) -> Answers:
    """What perustiedot tells today of everybody whom the permit selects."""
    told = ((person.index, register.tell(person, None)) for person in register if register.selects(person))
    return {index: (answer["henkilotunnus"], orjson.dumps(answer)) for index, answer in told}


def in_force(told: Answers, index: int) -> dict[str, list[Record]]:
    """Groups by kind; those that are withheld say nothing."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for group in json.loads(told[index][1])["tietoryhmat"]:
        if "turvakiellonAlaisetKentat" not in group:
            groups[group["tietoryhma"]].append(group)
    return groups


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("censored", "municipalities"), [(False, ()), (True, ()), (False, ("091", "837", "905")), (True, ("091", "564"))]
)
def test_perustiedot_change_with_the_records_told_and_not_otherwise(
    seed: int, censored: bool, municipalities: tuple[str, ...]
) -> None:
    """After each record, nobody's answer is another than before but that of whom it tells, and in no kind but those
    that it names. What it names as changed has changed."""
    register = Register(seed, 50, censored=censored, municipalities=municipalities)
    chronicle = Chronicle(register)
    before, entered, left, untold = answers(register), 0, 0, 0
    for _ in range(1500):
        code, text = next(chronicle)
        after = answers(register)
        changed = {index for index in before.keys() | after.keys() if before.get(index) != after.get(index)}
        if not code:
            assert not changed
            untold += 1
            continue
        record = json.loads(text)
        assert record["henkilotunnus"] == code
        (index,) = {index for told in (before, after) for index, (its, _) in told.items() if its == code}
        assert changed <= {index}
        groups = record["tietoryhmat"]
        kinds = {group["tietoryhma"] for group in groups}
        if index not in before:
            assert [without(group) for group in groups] == json.loads(after[index][1])["tietoryhmat"]
            assert {group["muutosattribuutti"] for group in groups} == {"LISATTY"}
            entered += 1
        elif index not in after:
            assert kinds & {"KOTIKUNTA", "HENKILOTUNNUS_KORJAUS"}
            left += 1
        else:
            old, new = in_force(before, index), in_force(after, index)
            different = {kind for kind in old.keys() | new.keys() if old.get(kind) != new.get(kind)}
            assert different <= kinds
            shown = (group for group in groups if "turvakiellonAlaisetKentat" not in group)
            assert {group["tietoryhma"] for group in shown if group["muutosattribuutti"] != "LISATIETO"} <= different
        before = after
    assert entered
    assert left
    assert bool(untold) == bool(municipalities)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_selection_tells_the_same_of_those_who_live_there_and_nothing_of_others(seed: int) -> None:
    """Who moves in comes with all groups, who moves out has the record of it. Cancelled moves are moves."""
    here = ("091", "837", "905")
    everybody = Chronicle(Register(seed, 60, censored=False))
    some = Chronicle(Register(seed, 60, censored=False, municipalities=here))

    def residents() -> set[int]:
        return {person.index for person in everybody.register if person.one("KOTIKUNTA")["kuntakoodi"] in here}

    before, came, went = residents(), 0, 0
    for _ in range(3000):
        persons = {person.code: person.index for person in everybody.register}
        code, text = next(everybody)
        persons = {person.code: person.index for person in everybody.register} | persons
        after, index, selected = residents(), persons[code], next(some)
        if index in before:
            assert selected == (code, text)
            went += index not in after
        elif index in after:
            record = json.loads(selected[1])
            assert selected[0] == record["henkilotunnus"] == code
            assert {group["muutosattribuutti"] for group in record["tietoryhmat"]} == {"LISATTY"}
            (person,) = some.register.find([code])
            assert [without(group) for group in record["tietoryhmat"]] == list(person.ordered())
            came += 1
        else:
            assert selected == ("", b"")
        before = after
    assert came
    assert went
