"""Pseudonyms: always the same, everywhere a code can stand, and nothing else is changed."""

import re
from hashlib import sha256
from typing import Any

import pytest

from producer.config import Privacy
from producer.events.groups import Catalogue
from producer.events.pseudonyms import Pseudonyms, pseudonyms
from producer.redaction import IDENTITY_CODE
from tests.unit.events.pages import ME, OLD, OTHER, PRT, Converting, building, kotikunta, record

SECRET = b"0123456789abcdef0123456789abcdef"
HIDDEN = Pseudonyms(SECRET, 1)
FIELDS = Catalogue.load().code_fields
MINE = HIDDEN.of(ME)


@pytest.fixture(scope="module")
def keyed() -> Converting:
    return Converting(hidden=HIDDEN)


def test_a_pseudonym_is_the_same_for_ever() -> None:
    """Consumers join by them: a changed recipe would make every person a new one."""
    assert MINE == "k1.nnjiigophbaofokjikcnnnbfebfjface"
    assert HIDDEN.check == "k1:4ce59765296fc50b"
    assert HIDDEN.headers == [("ce_keyversion", b"1")]


def test_another_secret_or_version_makes_other_pseudonyms() -> None:
    others = [HIDDEN, Pseudonyms(SECRET[::-1], 1), Pseudonyms(SECRET, 2)]
    assert len({one.of(ME)[-32:] for one in others}) == 3
    assert len({one.check for one in others}) == 3
    assert len({one.hasher(b"").hexdigest() for one in others}) == 3
    assert [one.of(ME)[:3] for one in others] == ["k1.", "k1.", "k2."]


def test_a_code_in_a_text_has_the_pseudonym_that_it_has_as_a_key() -> None:
    assert HIDDEN.hide(f"x{ME}y{OTHER}{ME}", FIELDS) == f"x{MINE}y{HIDDEN.of(OTHER)}{MINE}"


@pytest.mark.parametrize("before", ["", "0", "01", "0101", "010180", "010180-", "010180-99", "A"])
@pytest.mark.parametrize("after", ["", "0180-9945", "80-9945", "-9945", "A994", "45", "Y"])
def test_no_code_arises_beside_a_pseudonym(before: str, after: str) -> None:
    hidden = HIDDEN.hide(before + ME + after, FIELDS)
    assert not IDENTITY_CODE.search(hidden)
    assert "917Y" not in hidden  # nor is a part of one left over
    assert (MINE in hidden) == (before not in ("010180-", "010180-99"))


@pytest.mark.parametrize(
    "value", [None, True, 5, 2.5, "", "010180-994", PRT, "2026-11-02T07:15:04.394Z", [], {}, {"a": [{"b": None}]}]
)
def test_what_is_no_code_stays(value: Any) -> None:
    assert HIDDEN.hide(value, FIELDS) == value


def test_where_codes_stand_they_are_replaced_whatever_they_look_like() -> None:
    names = {"henkilotunnus", "aktiivinenHenkilotunnus", "muutettuHenkilotunnus", "edellisetHenkilotunnukset"}
    assert names == FIELDS
    odd = "tunnus 7"
    assert HIDDEN.hide({"henkilotunnus": odd, "muu": odd}, FIELDS) == {"henkilotunnus": HIDDEN.of(odd), "muu": odd}
    listed = {"edellisetHenkilotunnukset": [odd, [odd], {"muu": odd, "henkilotunnus": odd}]}
    assert HIDDEN.hide(listed, FIELDS) == {
        "edellisetHenkilotunnukset": [HIDDEN.of(odd), [HIDDEN.of(odd)], {"muu": odd, "henkilotunnus": HIDDEN.of(odd)}]
    }


@pytest.mark.parametrize("unusable", ["", "x" * 65, "\ud800", 5, None, {"a": 1}])
def test_what_cannot_be_a_key_is_made_none(unusable: Any) -> None:
    assert HIDDEN.hide({"henkilotunnus": unusable}, FIELDS) == {"henkilotunnus": unusable}


def test_upstreams_record_stays_as_it_was() -> None:
    told = record({"tietoryhma": "HUOLTAJA", "huoltaja": {"henkilotunnus": OTHER}, ME: [ME]})
    again = eval(repr(told))
    HIDDEN.hide(told, FIELDS)
    assert told == again


def test_nesting_is_followed_to_its_end() -> None:
    deep: Any = ME
    for _ in range(5000):
        deep = [{"a": deep}]
    deep = HIDDEN.hide(deep, FIELDS)
    for _ in range(5000):
        deep = deep[0]["a"]
    assert deep == MINE


def test_an_event_and_its_relatives(keyed: Converting) -> None:
    guardian = {"tietoryhma": "HUOLTAJA", "muutosattribuutti": "LISATTY", "huoltaja": {"henkilotunnus": OTHER}}
    told = record({**guardian, "voimassaolevatTiedot": [{"huoltaja": {"henkilotunnus": OLD}}]}, kotikunta(uusi=[ME]))
    events = keyed(told).events
    assert {event.key for event in events} == {MINE.encode()}
    assert all(event.headers[-2] == ("ce_keyversion", b"1") for event in events)  # ce_time stands behind it
    one, two = map(keyed.value, events)
    assert (one["personId"], one["group"]) == (MINE, "HUOLTAJA")
    assert one["data"]["huoltaja"]["henkilotunnus"] == HIDDEN.of(OTHER)
    assert one["inForce"][0]["huoltaja"]["henkilotunnus"] == HIDDEN.of(OLD)
    assert two["unmapped"] == {"uusi": f'["{MINE}"]'}
    assert two["data"]["kuntakoodi"] == "091"


def test_a_correction_goes_under_the_pseudonym_of_every_code(keyed: Converting) -> None:
    correction = {"tietoryhma": "HENKILOTUNNUS_KORJAUS", "aktiivinenHenkilotunnus": ME, "muutettuHenkilotunnus": OLD}
    events = keyed(record(correction, kotikunta(), person=OLD)).events
    assert [event.key for event in events] == [HIDDEN.of(OLD).encode()] * 2 + [MINE.encode()] * 2


def test_a_building_keeps_its_id(keyed: Converting) -> None:
    [event] = keyed(building({"tietoryhma": "RAKENNUKSEN_SAHKO_VARUSTETIETO"})).events
    assert event.key == PRT.encode()


def test_a_group_outside_the_permit_is_no_way_out() -> None:
    keyed = Converting(["KOTIKUNTA"], HIDDEN)
    [value] = keyed.values(record({"tietoryhma": "HUOLTAJA", "huoltaja": {"henkilotunnus": "tunnus 7", "muu": OTHER}}))
    assert value["unmapped"] == {
        "huoltaja": f'{{"henkilotunnus":"{HIDDEN.of("tunnus 7")}","muu":"{HIDDEN.of(OTHER)}"}}'
    }


def test_ids_and_digests_cannot_be_made_without_the_secret(convert: Converting, keyed: Converting) -> None:
    other = Converting(hidden=Pseudonyms(SECRET[::-1], 1))
    told = building(kotikunta()), 5, record(5, kotikunta())  # the first two have no code in them
    pages = [one(*told) for one in (convert, keyed, other)]
    ids = [[event.headers[0][1] for event in page.events] for page in pages]
    assert len({one for page in ids for one in page}) == 3 * len(ids[0])
    letters = [one.value(page.events[1]) for one, page in zip((convert, keyed, other), pages, strict=True)]
    assert len({letter["rawDigest"] for letter in letters}) == 3
    assert letters[0]["rawDigest"] == sha256(b"5").hexdigest()
    cut = [
        one.value(one.converter.oversized(page, page.events[0], 1))["rawDigest"]
        for one, page in zip((convert, keyed), pages[:2], strict=True)
    ]
    assert cut[1] != sha256(pages[1].events[0].value).hexdigest()
    assert cut[0] == sha256(pages[0].events[0].value).hexdigest()


def test_what_people_count_shows_no_pseudonym(keyed: Converting) -> None:
    page = keyed(record(kotikunta(**{ME: 1, f"x{ME}": 2}), {"tietoryhma": ME}, **{ME: 1}), extra={ME: 1})
    assert page.unmapped
    assert not re.search(r"k1|[a-p]{32}", str(page.unmapped))


def test_plain_settings_make_none() -> None:
    assert pseudonyms(Privacy()) is None
    made = pseudonyms(Privacy.model_validate({"keys": "hmac-sha256", "secret": SECRET.decode(), "key_version": 1}))
    assert made is not None
    assert made.of(ME) == MINE
