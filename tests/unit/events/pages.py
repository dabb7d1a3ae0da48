"""Pages for tests: synthetic persons only."""

from collections.abc import Collection
from typing import Any

import pytest

from producer.events.convert import Converter
from producer.events.decode import Decoder
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.events.pseudonyms import Pseudonyms
from producer.model import EncodedEvent, EncodedPage, Kind, Page

ME, OLD, OTHER = "140385-917Y", "140385-9180", "301183-952B"
PRT = "900000021R"
FETCHED = 1_793_600_000_123
CHANGED = "2026-11-02T07:15:04.394Z"


def page(*records: Any, kind: Kind = "CHANGE", extra: dict[str, Any] | None = None) -> Page:
    return Page(kind, "0", 17, 2**62, True, FETCHED, records, extra or {})


def record(*groups: Any, person: Any = ME, **members: Any) -> dict[str, Any]:
    return {"henkilotunnus": person, "tietoryhmat": list(groups), "muutospv": CHANGED, **members}


def building(*groups: Any, prt: Any = PRT, **members: Any) -> dict[str, Any]:
    return {"rakennustunnus": prt, "tietoryhmat": list(groups), "muutospv": CHANGED, **members}


def kotikunta(**members: Any) -> dict[str, Any]:
    return {"tietoryhma": "KOTIKUNTA", "muutosattribuutti": "LISATTY", "kuntakoodi": "091", **members}


class Converting:
    """A converter with a reader behind it."""

    def __init__(self, permit: Collection[str] | None = None, hidden: Pseudonyms | None = None) -> None:
        catalogue, framing = Catalogue.load(), SingleObject()
        self.converter = Converter(catalogue.within(permit), framing, prefix="vtj", feed="vtj", hidden=hidden)
        self._decoder = Decoder(catalogue)

    def __call__(self, *records: Any, **page_members: Any) -> EncodedPage:
        return self.converter.convert(page(*records, **page_members))

    def value(self, event: EncodedEvent) -> dict[str, Any]:
        return self._decoder.decode(event.value)

    def values(self, *records: Any, **page_members: Any) -> list[dict[str, Any]]:
        return [self.value(event) for event in self(*records, **page_members).events]

    def group(self, group: dict[str, Any], **page_members: Any) -> dict[str, Any]:
        """The only event of a record with this group."""
        [value] = self.values(record(group), **page_members)
        return value


@pytest.fixture(scope="session")
def convert() -> Converting:
    return Converting()
