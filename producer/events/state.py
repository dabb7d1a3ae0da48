"""From what upstream says of a person now to the records of the state topics.

A state record is an event of kind SNAPSHOT: `inForce` has every entry of the group that is valid now, in upstream's
order, and `data` the first of them, which is the only one of most groups.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from producer.events.fit import IN_FORCE, TIETORYHMA, WITHHELD
from producer.events.groups import Catalogue
from producer.events.page import GROUPS, PERSON
from producer.model import EncodedEvent


def gathered(record: Any) -> Any:
    """An element of `perustiedot` with each kind of group once. What has no groups to gather stays as it is."""
    if type(record) is not dict or type(record.get(GROUPS)) is not list:
        return record
    kinds: dict[Any, list[Any]] = {}
    odd = []
    for group in record[GROUPS]:
        if type(group) is dict and type(group.get(TIETORYHMA)) is str:
            kinds.setdefault(group[TIETORYHMA], []).append(group)
        else:
            odd.append(group)
    return {**record, GROUPS: [_one(entries) for entries in kinds.values()] + odd}


def _one(entries: list[dict[str, Any]]) -> dict[str, Any]:
    if WITHHELD in entries[0] and len(entries) == 1:
        return entries[0]
    return {**entries[0], IN_FORCE: entries}


class Blanks:
    """What takes the place of state that is not valid any more: a tombstone, or the marker of what is withheld.

    topics: of the state, with the restricted ones if there are any. residence: withhold also what upstream does not,
    but tells where somebody lived.
    """

    def __init__(self, catalogue: Catalogue, topics: Iterable[str], *, residence: bool = False) -> None:
        self._topics = [*topics]
        self._withheld = {}
        for name, group in catalogue.groups.items():
            fields = group.own["fields"]
            withheld = [field["name"] for field in fields if field.get("restricted") or (residence and group.residence)]
            if withheld or (residence and group.residence):
                self._withheld[name] = withheld

    def tombstones(self, key: str, present: Collection[str], at: int) -> Iterator[EncodedEvent]:
        """One for every topic in which nothing is present. at: ms."""
        code = key.encode()
        for topic in self._topics:
            if topic not in present:
                yield EncodedEvent(topic, code, b"", [], at, 0)

    def withheld(self, code: str) -> dict[str, Any]:
        """The record of a person whose protected groups are all withheld; upstream too tells of all of them."""
        groups = [{TIETORYHMA: name, WITHHELD: fields} for name, fields in self._withheld.items()]
        return {PERSON: code, GROUPS: groups}
