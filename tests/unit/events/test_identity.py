from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.events.identity import event_ids, record_id, usable_code
from tests.unit.events.pages import ME, OTHER, Converting, kotikunta, record


@given(st.dictionaries(st.text(), st.integers()))
def test_ids_are_uuids_of_version_8(content: dict[str, int]) -> None:
    identity = record_id(content)
    for text in (identity, *map(bytes.decode, event_ids(identity, ME, 3))):
        uuid = UUID(text)
        assert (uuid.version, uuid.variant, str(uuid)) == (8, RFC_4122, text)


def test_ids_are_the_same_for_ever() -> None:
    """Consumers store them: a changed recipe would make every replayed change a new one."""
    identity = record_id({"b": [1, "ä"], "a": None})
    assert identity == record_id({"a": None, "b": [1, "ä"]}) == "5d4c7897-51ac-8dad-89ba-305072d1a6cc"
    assert event_ids(identity, ME, 2) == [
        b"a779988d-8430-844c-8610-6bd91976ccd6",
        b"c46d4f45-8d3c-8c36-8f20-43a12a2eb296",
    ]


def test_an_event_id_depends_on_place_and_key_not_on_the_number_of_groups() -> None:
    identity = record_id({})
    ids = event_ids(identity, ME, 200)
    assert len(set(ids)) == 200
    assert event_ids(identity, ME, 3) == ids[:3]
    assert set(event_ids(identity, OTHER, 3)).isdisjoint(ids)


def test_a_change_keeps_its_ids_at_every_fetch(convert: Converting) -> None:
    first = convert(record(kotikunta(), kotikunta(kuntakoodi="837")))
    later = convert(record(kotikunta()), record(kotikunta(), kotikunta(kuntakoodi="837")))
    assert [event.headers[0] for event in later.events[1:]] == [event.headers[0] for event in first.events]


@pytest.mark.parametrize("odd", [{"a": "\ud800"}, {"\ud800": 1}, {"a": 10**40}, [[[1]]]])
def test_what_json_writers_refuse_has_an_id_too(odd: object) -> None:
    assert UUID(record_id(odd)).version == 8


@pytest.mark.parametrize("code", [ME, "x", "ä" * 64])
def test_usable_codes(code: str) -> None:
    assert usable_code(code)


@pytest.mark.parametrize("value", ["", "x" * 65, "\udfff", None, 5, True, [ME], {}])
def test_what_is_no_key(value: object) -> None:
    assert not usable_code(value)
