"""Which codes are one person's: chains of corrections, and two persons that become one."""

import pytest

from producer.events.decode import Decoder
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.events.identities import Codes, Identities
from producer.model import Page

A, B, C, D = "010190-9009", "010190-901A", "010190-902B", "010190-903C"
CATALOGUE = Catalogue.load()


def correction(active: object, changed: object = None, former: object = None) -> dict[str, object]:
    members = {"aktiivinenHenkilotunnus": active, "muutettuHenkilotunnus": changed, "edellisetHenkilotunnukset": former}
    return {"tietoryhma": "HENKILOTUNNUS_KORJAUS", **{name: one for name, one in members.items() if one is not None}}


@pytest.fixture
def identities() -> Identities:
    return Identities(CATALOGUE, SingleObject(), prefix="vtj", feed="vtj")


def test_a_chain_is_rewritten(identities: Identities) -> None:
    assert identities.learn(A, [correction(B, B), correction(B, A)]) == (A, B)
    assert identities.learn(B, [correction(C, C), correction(C, B)]) == (A, B, C)
    assert identities.known == dict.fromkeys((A, B, C), (A, B, C))


def test_what_upstream_lists_is_taken_in(identities: Identities) -> None:
    assert identities.learn(C, [correction(D, D, [A, B, C])]) == (A, B, C, D)


def test_two_persons_become_one(identities: Identities) -> None:
    identities.learn(A, [correction(B, A)])
    identities.learn(C, [correction(D, C)])
    assert identities.learn(B, [correction(B, B), correction(B, D)]) == (A, C, D, B)
    assert set(identities.known.values()) == {(A, C, D, B)}


def test_a_correction_that_is_taken_back(identities: Identities) -> None:
    identities.learn(A, [correction(B, A)])
    assert identities.learn(B, [correction(A, B)]) == (B, A)


@pytest.mark.parametrize(
    "group",
    [correction(None, A), correction(7, A), correction(A, A), correction(A, 5, "no list"), correction(A, A, [A])],
)
def test_what_tells_of_no_other_code_is_no_identity(identities: Identities, group: dict[str, object]) -> None:
    assert identities.learn(A, [group, "no group", {"tietoryhma": "KOTIKUNTA"}]) == ()
    assert identities.known == {}


def test_who_asked_is_told_and_begins_from_what_is_committed(identities: Identities) -> None:
    told: list[Codes] = []
    identities.told = told.append
    identities.begin({A: (A, B), B: (A, B)})
    identities.learn(B, [correction(C, B)])
    assert told == [(A, B, C)]
    identities.begin({})
    assert identities.known == {}


def test_the_records_stand_under_each_code_with_ids_of_their_own(identities: Identities) -> None:
    page = Page("CHANGE", "0", 1, 2, True, 1000, [])
    records = list(identities.records(page, 4, "record", (A, B), []))
    assert [one.key for one in records] == [A.encode(), B.encode()]
    assert len({dict(one.headers)["ce_id"] for one in records}) == 2
    for one in records:
        told = Decoder(CATALOGUE).decode(one.value)
        assert (told["active"], told["codes"], told["cursor"], told["position"]) == (B, [A, B], 2, 4)
