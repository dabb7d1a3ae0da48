"""Encoded pages of our own making."""

import secrets
from typing import Any

from producer.model import EncodedPage, Page
from tests.integration.deployment import Deployment, change, kotikunta

FETCHED = 1_793_600_000_123


def encoded(deployment: Deployment, previous: int, cursor: int, *records: Any, up_to_date: bool = True) -> EncodedPage:
    """The page between two cursors, by the real converter."""
    page = Page("CHANGE", "0", previous, cursor, up_to_date, FETCHED, records)
    return deployment.converter.convert(page)


def bulky(person: str, size: int) -> dict[str, Any]:
    """A change whose event has somewhat more than so many bytes, which no compression makes fewer."""
    return change(person, kotikunta(lisatieto=secrets.token_urlsafe(size)[:size]))
