"""What is valid now of persons, of the groups that the permit covers, asked again until it comes."""

from collections.abc import Sequence
from datetime import date

from producer.config import Upstream as Settings
from producer.model import Page
from producer.upstream.client import Upstream
from producer.upstream.retrying import Retrying


class Snapshots:
    """kinds: groups to ask for, or None: all that the account may see. patience: as of Retrying."""

    def __init__(
        self, client: Upstream, settings: Settings, *, kinds: Sequence[str] | None, patience: float | None
    ) -> None:
        self._client = client
        self._kinds = kinds
        self._retrying = Retrying(client, settings, patience=patience)

    async def persons(self, codes: Sequence[str]) -> Page:
        return await self._retrying.again(lambda: self._client.persons(codes, self._kinds))

    async def weekly(self, codes: Sequence[str], municipalities: Sequence[str]) -> Page:
        asked = {"codes": codes, "municipalities": municipalities}
        return await self._retrying.again(lambda: self._client.weekly(**asked, kinds=self._kinds))

    async def first_cursor(self, day: date) -> int:
        return await self._retrying.first_cursor(day)
