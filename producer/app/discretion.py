"""What may not be told again: of the erased nothing, of whoever is under turvakielto now nothing of where they live."""

from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Final

from producer.app.parts import Parts
from producer.app.run import initial_load
from producer.errors import SettingsError
from producer.events.groups import change_topic
from producer.events.protection import ORDER, Retold
from producer.kafka.deadlines import settled

PAGE: Final = "../../"  # how the paths in unmapped begin of what is nobody's


class Discretion:
    """Follows who is erased and who is protected. keep() must run beside whatever uses it; persons are told of by key.

    known: whether it is known who is under turvakielto; else everybody counts as protected. restriction: the same for a
    converter; None where nothing is restricted.
    """

    def __init__(self, made: Parts, *, known: bool) -> None:
        self._kafka, self._known = made.settings.kafka, known
        self._erased, self.roster = made.erased(), made.roster()
        self._orders = made.orders(self.roster, always=True) if known else None
        self.protection = Retold(made.identities(self.roster.identities.rows), self._orders)
        self.restriction = self.protection if made.settings.privacy.restricted_topics else None
        self._harmless = _harmless(made)

    @classmethod
    async def over(cls, made: Parts, topics: Sequence[str]) -> "Discretion":
        """Raises SettingsError when nobody knows who is protected and one of these topics tells of a residence."""
        settings, groups = made.settings, made.catalogue.groups
        async with settled(settings.kafka, "reading how far the initial load is"):
            load = await initial_load(made) if settings.state.enabled else {}
        known = bool(load.get("done")) and ORDER in groups
        harmless = _harmless(made).values()
        if not known and (telling := [one for one in topics if one not in harmless]):
            raise SettingsError(
                "Nobody knows who is under turvakielto now, so no address may be copied: only the state topics say it, "
                f"after a load, where the permit has {ORDER}.",
                hint="Set VTJ_STATE__ENABLED=true and run `vtj-producer load`; or name topics (--topics) that tell of "
                f"no residence, so not {telling[0]}" + (f" and {len(telling) - 1} more." if telling[1:] else "."),
            )
        return cls(made, known=known)

    def keep(self) -> list[Coroutine[Any, Any, None]]:
        orders = [self._orders.keep()] if self._orders else []
        return [self.roster.keep(), self._erased.keep(), *orders]

    async def current(self) -> None:
        """Until all that is committed now is known. Raises KafkaGone, CursorUnreadable."""
        async with settled(self._kafka, "reading who is erased and who is under turvakielto"):
            await self._erased.current()
            await self.roster.current()
            if self._orders:
                await self._orders.begin(self.protection)

    def persons(self, codes: Collection[str]) -> set[str]:
        """Their keys, of every code that is known."""
        known, keys = self.roster.identities.rows, [self.roster.key(code) for code in codes]
        return {one for key in keys for one in (key, *(known[key].codes if key in known else ()))}

    def erased(self, key: str) -> bool:
        return key in self._erased.rows

    def tellable(self, key: str, topic: str, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """What of a decoded event may be told; None: nothing. What no schema knows may be an address too."""
        if self._known and key not in self.protection:
            return {**event}
        if self._harmless.get(event["group"]) != topic:
            return None
        nobodys = {path: told for path, told in event["unmapped"].items() if path.startswith(PAGE)}
        return {**event, "unmapped": nobodys}


def _harmless(made: Parts) -> dict[str, str]:
    """Group → topic, of the groups that do not tell where somebody lives."""
    groups = [one for one in made.catalogue.groups.values() if not one.residence]
    return {one.tietoryhma: change_topic(made.settings.data_prefix, one) for one in groups}
