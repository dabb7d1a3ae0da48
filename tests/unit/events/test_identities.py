"""Which codes are one person's: chains of corrections, and two persons that become one."""

import pytest

from producer.events.decode import Decoder
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.events.identities import Identities, Known
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
    assert identities.learn(A, [correction(B, B), correction(B, A)], "0") == (A, B)
    assert identities.learn(B, [correction(C, C), correction(C, B)], "0") == (A, B, C)
    assert {identities.codes(code) for code in (A, B, C)} == {(A, B, C)}


def test_what_upstream_lists_is_taken_in(identities: Identities) -> None:
    assert identities.learn(C, [correction(D, D, [A, B, C])], "0") == (A, B, C, D)


def test_two_persons_become_one(identities: Identities) -> None:
    identities.learn(A, [correction(B, A)], "0")
    identities.learn(C, [correction(D, C)], "0")
    assert identities.learn(B, [correction(B, B), correction(B, D)], "0") == (A, C, D, B)
    assert {identities.codes(code) for code in (A, B, C, D)} == {(A, C, D, B)}


def test_a_correction_that_is_taken_back(identities: Identities) -> None:
    identities.learn(A, [correction(B, A)], "0")
    assert identities.learn(B, [correction(A, B)], "0") == (B, A)


@pytest.mark.parametrize(
    "group",
    [correction(None, A), correction(7, A), correction(A, A), correction(A, 5, "no list"), correction(A, A, [A])],
)
def test_what_tells_of_no_other_code_is_no_identity(identities: Identities, group: dict[str, object]) -> None:
    assert identities.learn(A, [group, "no group", {"tietoryhma": "KOTIKUNTA"}], "0") == ()
    assert identities.codes(A) == (A,)


def test_what_is_learnt_is_forgotten_and_what_is_committed_is_not() -> None:
    committed = {A: Known((A, B), "0"), B: Known((A, B), "0")}
    identities = Identities(CATALOGUE, SingleObject(), prefix="vtj", feed="vtj", committed=committed)
    assert identities.learn(B, [correction(C, B)], "0") == (A, B, C)
    identities.begin()
    assert [identities.codes(code) for code in (A, B, C)] == [(A, B), (A, B), (C,)]


def test_what_others_have_committed_since_counts(identities: Identities) -> None:
    committed: dict[str, Known] = {}
    identities = Identities(CATALOGUE, SingleObject(), prefix="vtj", feed="vtj", committed=committed)
    identities.learn(A, [correction(B, A)], "0")
    committed |= dict.fromkeys((A, B, C), Known((A, B, C), "1"))
    assert identities.codes(A) == (A, B, C)


def test_who_is_followed_has_a_record_and_who_is_not_a_tombstone(identities: Identities) -> None:
    page = Page("FOLLOWED", "3", 7, 7, False, 1000, [(A, True), (B, False)])
    begun, gone = identities.followed(page, [])
    told = Decoder(CATALOGUE).decode(begun.value)
    assert (begun.key, told["active"], told["codes"], told["bucket"], told["cursor"]) == (A.encode(), A, [A], "3", 7)
    assert (gone.key, gone.value) == (B.encode(), b"")


def test_the_records_stand_under_each_code_with_ids_of_their_own(identities: Identities) -> None:
    page = Page("CHANGE", "0", 1, 2, True, 1000, [])
    records = list(identities.records(page, 4, "record", (A, B), []))
    assert [one.key for one in records] == [A.encode(), B.encode()]
    assert len({dict(one.headers)["ce_id"] for one in records}) == 2
    for one in records:
        told = Decoder(CATALOGUE).decode(one.value)
        assert (told["active"], told["codes"], told["cursor"], told["position"]) == (B, [A, B], 2, 4)
