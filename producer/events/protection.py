"""Who is under turvakielto, where what tells of them goes to topics of its own (VTJ_PRIVACY__RESTRICTED_TOPICS).

Only a record that begins or ends an order says so. Whoever is protected must be remembered from one to the other.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, Protocol

from producer.config import Settings
from producer.events.deadletter import dead_letter_topic
from producer.events.fit import CHANGE_TYPE, IN_FORCE, TIETORYHMA
from producer.events.groups import Catalogue, change_topic, restricted_topic, state_topic
from producer.events.identities import Identities

ORDER: Final = "TURVAKIELTO"
ACTIVE: Final = "turvakieltoAktiivinen"

Event = Mapping[str, Any]  # decoded


def restricted_topics(settings: Settings, catalogue: Catalogue, topics: Iterable[str]) -> list[str]:
    """Those that stand beside these topics: of groups that tell of a residence, of unmapped ones, of dead letters.

    None where nothing is restricted.
    """
    if not settings.privacy.restricted_topics:
        return []
    prefix = settings.data_prefix
    groups = [*(group for group in catalogue.groups.values() if group.residence), catalogue.unmapped]
    parted = {topic(prefix, group) for group in groups for topic in (change_topic, state_topic)}
    parted.add(dead_letter_topic(prefix))
    return [restricted_topic(one) for one in topics if one in parted]


def order_told(groups: Iterable[Any]) -> bool | None:
    """Whether the groups of one record say that an order is in force; None: they say nothing of it.

    A record that renews an order tells of the end of the old one too, so any that is in force decides; what is unclear
    counts as in force.
    """
    told: bool | None = None
    for group in groups:
        if type(group) is dict and group.get(TIETORYHMA) == ORDER and group.get(CHANGE_TYPE) != "KORJATTAVA":
            entries: list[Any] = [] if group.get(CHANGE_TYPE) == "POISTETTU" else [group]
            in_force = group.get(IN_FORCE)
            if in_force is not None:
                entries += in_force if type(in_force) is list else [in_force]
            told = bool(told) or any(type(one) is not dict or one.get(ACTIVE) is not False for one in entries)
    return told


def order_stored(events: Iterable[Event]) -> bool | None:
    """The same of the decoded events of one record."""
    return order_told(
        {
            TIETORYHMA: event["group"],
            CHANGE_TYPE: event["changeType"],
            IN_FORCE: event["unmapped"].get(IN_FORCE) if event["inForce"] is None else event["inForce"],
            **(event["data"] or {}),
        }
        for event in events
    )


class Orders(Protocol):
    """What is committed, and followed. By key."""

    def protects(self, key: str) -> bool:
        """Whether an order is in force, or nobody knows."""

    def joined(self, keys: Iterable[str]) -> None:
        """Of these nobody knows, until the state has told."""


class Protection:
    """Everybody under turvakielto: what is committed, and what records tell, which must come in upstream's order.

    identities: a person is protected under every code that is known. Without orders nobody is, but for what is learnt.
    """

    def __init__(self, identities: Identities | None = None, orders: Orders | None = None) -> None:
        self._identities, self._orders = identities, orders
        self._learnt: dict[str, bool] = {}

    def __contains__(self, code: str) -> bool:
        told = self._learnt.get(code)
        if told is None and self._orders is not None:
            return any(map(self._orders.protects, self._all_codes([code])))
        return told is True

    def begin(self, later: Iterable[tuple[str, Event]]) -> None:
        """What is committed: nothing else is known. later: key and TURVAKIELTO event of what the state has not read."""
        self._learnt.clear()
        in_order = sorted(later, key=lambda told: (told[1]["cursor"], told[1]["position"]))
        for (code, _), told in groupby(in_order, key=lambda told: (told[0], told[1]["recordId"])):
            self._learn([code], order_stored(event for _, event in told))

    def joined(self, keys: Iterable[str]) -> None:
        """Followed from now on: what was learnt of them before is worth nothing."""
        keys = [*keys]
        for one in self._all_codes(keys):
            self._learnt.pop(one, None)
        if self._orders is not None:
            self._orders.joined(keys)

    def learn(self, codes: Collection[str], groups: Iterable[Any]) -> bool:
        """Whether the person of a change record is protected, by that record too.

        codes: those that the record is published under; its correction, if it is one, has been learnt already.
        """
        return self._learn(codes, order_told(groups))

    def _learn(self, codes: Collection[str], told: bool | None) -> bool:
        if told is None and len(codes) == 1:
            return all(code in self for code in codes)
        every = self._all_codes(codes)
        protected = told if told is not None else any(code in self for code in every)
        self._learnt |= dict.fromkeys(every, protected)
        return protected

    def _all_codes(self, codes: Iterable[str]) -> set[str]:
        known = self._identities.codes if self._identities is not None else lambda code: (code,)
        return {one for code in codes for one in (code, *known(code))}


class Retold(Protection):
    """The same of records that are told again: whoever is protected now is so, whatever older records say."""

    _latest: Mapping[str, bool] = MappingProxyType({})

    def __contains__(self, code: str) -> bool:
        return super().__contains__(code) or self._now([code])

    def begin(self, later: Iterable[tuple[str, Event]]) -> None:
        super().begin(later)
        self._latest = {**self._learnt}

    def _learn(self, codes: Collection[str], told: bool | None) -> bool:
        return super()._learn(codes, told) or self._now(codes)

    def _now(self, codes: Iterable[str]) -> bool:
        protects = self._orders.protects if self._orders is not None else lambda _: False
        return any(self._latest.get(one, False) or protects(one) for one in self._all_codes(codes))
