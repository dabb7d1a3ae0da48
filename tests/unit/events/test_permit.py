"""The groups that the data permit covers: what there is of the catalogue, and where everything else goes."""

import pytest

from producer.config import Registry, Settings
from producer.errors import SettingsError
from producer.events.groups import Catalogue
from producer.model import OUTSIDE
from producer.registry.subjects import subjects
from tests.unit.events.pages import ME, OLD, Converting, kotikunta, record

CATALOGUE = Catalogue.load()
PERMIT = ("KOTIKUNTA", "KUOLINPAIVA")
SUKUPUOLI = {"tietoryhma": "SUKUPUOLI", "muutosattribuutti": "LISATTY", "sukupuoli": "NAINEN", "uusi": 1}
REASON = ("ce_reason", b"outside-permit")


@pytest.fixture(scope="module")
def permitted() -> Converting:
    return Converting(PERMIT)


def test_without_a_permit_all_is_covered() -> None:
    assert CATALOGUE.within(None) is CATALOGUE
    assert not CATALOGUE.outside


def test_the_catalogue_within_a_permit() -> None:
    within = CATALOGUE.within(PERMIT[::-1])
    assert tuple(within.groups) == PERMIT
    assert within.outside == CATALOGUE.groups.keys() - {*PERMIT}
    assert within.topics("vtj") == ["vtj.change.kotikunta", "vtj.change.kuolinpaiva", "vtj.change.unmapped"]
    assert within.within(["KOTIKUNTA"]).outside == CATALOGUE.groups.keys() - {"KOTIKUNTA"}


def test_a_group_that_there_is_not_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        CATALOGUE.within(["KOTIKUNNAT", "KOTIKUNTA", "QQQQ"])
    message = str(caught.value)
    assert "KOTIKUNNAT (did you mean KOTIKUNTA?), QQQQ." in message
    assert "VTJ_PERMIT__GROUPS" in message
    assert "schemas list" in (caught.value.hint or "")


@pytest.mark.parametrize("names", ["topic", "record"])
def test_the_subjects_are_those_of_the_permit(names: str) -> None:
    settings = Settings(registry=Registry.model_validate({"subjects": names}))
    found = [one.name for one in subjects(CATALOGUE.within(PERMIT), settings)]
    # With unmapped and dead letters; the subject of a record serves the state topics too.
    assert len(found) == {"topic": 7, "record": 5}[names]
    assert found[0] == {"topic": "vtj.change.kotikunta-value", "record": "fi.vtj.event.KotikuntaEvent"}[names]


def test_what_is_outside_the_permit_goes_whole_to_unmapped_and_says_why(permitted: Converting) -> None:
    encoded = permitted(record(kotikunta(), SUKUPUOLI, {"tietoryhma": "UUSI", "a": 1}, kotikunta(uusi=2)))
    topics = [event.topic.removeprefix("vtj.change.") for event in encoded.events]
    assert topics == ["kotikunta", "unmapped", "unmapped", "kotikunta"]
    assert [REASON in event.headers for event in encoded.events] == [False, True, False, False]
    value = permitted.value(encoded.events[1])
    assert (value["group"], value["changeType"], value["data"]) == ("SUKUPUOLI", "LISATTY", {})
    assert value["unmapped"] == {"sukupuoli": '"NAINEN"', "uusi": "1"}
    assert dict(encoded.events[1].headers)["ce_type"] == b"fi.vtj.change.unmapped"
    assert encoded.unmapped == {f"SUKUPUOLI ({OUTSIDE})": 1, "UUSI": 1, "KOTIKUNTA.uusi": 1}


def test_an_event_is_the_same_change_whatever_the_permit(permitted: Converting, convert: Converting) -> None:
    one, other = (converting(record(SUKUPUOLI)) for converting in (permitted, convert))
    assert [event.headers[0] for event in one.events] == [event.headers[0] for event in other.events]


def test_a_correction_outside_the_permit_still_names_its_codes(permitted: Converting) -> None:
    correction = {"tietoryhma": "HENKILOTUNNUS_KORJAUS", "aktiivinenHenkilotunnus": OLD, "muutettuHenkilotunnus": ME}
    encoded = permitted(record(kotikunta(), correction))
    assert [(event.key, REASON in event.headers) for event in encoded.events] == [
        (ME.encode(), False),
        (ME.encode(), True),
        (OLD.encode(), False),
        (OLD.encode(), True),
    ]
    assert encoded.unmapped == {f"HENKILOTUNNUS_KORJAUS ({OUTSIDE})": 1}
