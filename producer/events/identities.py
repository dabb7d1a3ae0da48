"""Which codes are one person's, as corrections tell: the records of the topic `identity`."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from producer.events.compiler import Compiler
from producer.events.fit import TIETORYHMA
from producer.events.framing import Framing
from producer.events.groups import Catalogue
from producer.events.identity import event_ids, record_id, usable_code
from producer.model import EncodedEvent, Header, Page

# A record with this group concerns every code that the group names.
CORRECTION: Final = "HENKILOTUNNUS_KORJAUS"
ACTIVE, CHANGED, FORMER = "aktiivinenHenkilotunnus", "muutettuHenkilotunnus", "edellisetHenkilotunnukset"

Codes = tuple[str, ...]  # of one person, the active one last


class Known(NamedTuple):
    """What the topic says of a code. codes: of a person who has several. bucket: that of who wrote it."""

    codes: Codes
    bucket: str


def identity_topic(prefix: str) -> str:
    return f"{prefix}.identity"


class Identities:
    """Every known code → all codes of its person. Chains are followed: after A→B and B→C each leads to C.

    committed: what stands in the topic, as it is read; what a page tells is known at once, and only here.
    """

    ce_type: Final[Header] = ("ce_type", b"fi.vtj.identity")

    def __init__(
        self,
        catalogue: Catalogue,
        framing: Framing,
        *,
        prefix: str,
        feed: str,
        committed: Mapping[str, "Known"] = MappingProxyType({}),
    ) -> None:
        self._committed = committed
        self._learnt: dict[str, Known] = {}
        self._topic, self._feed = identity_topic(prefix), feed
        self._prefix = framing.prefix(catalogue.identity)
        self._encode = Compiler().record(catalogue.identity_shape)

    def begin(self) -> None:
        """What is committed: nothing else is known."""
        self._learnt.clear()

    def codes(self, code: str) -> Codes:
        """Of the person, the active one last."""
        known = [one.codes for one in (self._learnt.get(code), self._committed.get(code)) if one and one.codes]
        return max(known, key=len, default=(code,))  # others may have learnt more since

    def learn(self, code: str, groups: Iterable[Any], bucket: str) -> Codes:
        """The codes of the person, if the change record tells of a correction. code: the record's own."""
        codes: Codes = ()
        for group in groups:
            if type(group) is dict and group.get(TIETORYHMA) == CORRECTION and usable_code(group.get(ACTIVE)):
                codes = self._joined([*_former(group), code, group.get(CHANGED), *codes], group[ACTIVE])
        if len(codes) > 1:
            self._learnt |= dict.fromkeys(codes, Known(codes, bucket))
        return codes if len(codes) > 1 else ()

    def _joined(self, named: Iterable[Any], active: str) -> Codes:
        one = dict.fromkeys(known for code in [*named, active] if usable_code(code) for known in self.codes(code))
        one.pop(active, None)
        return (*one, active)

    def records(
        self, page: Page, position: int, record: str, codes: Codes, headers: list[Header]
    ) -> Iterator[EncodedEvent]:
        """One under each code, the active one too; none when there are none. record: the id of the change record."""
        if not codes:
            return
        value = self._value(page, position, codes)
        for code in codes:
            own = [("ce_id", event_ids(record, f"identity/{code}", 1)[0]), self.ce_type, *headers]
            yield EncodedEvent(self._topic, code.encode(), value, own, page.fetched_at, position)

    def followed(self, page: Page, headers: list[Header]) -> Iterator[EncodedEvent]:
        """A record under the key of everybody who is followed from here on; a tombstone under that of who is not."""
        record = record_id([self._feed, page.bucket, page.cursor])
        for code, begins in page.records:
            value, own = b"", headers
            if begins:
                value = self._value(page, 0, self.codes(code))
                own = [("ce_id", event_ids(record, f"followed/{code}", 1)[0]), self.ce_type, *headers]
            yield EncodedEvent(self._topic, code.encode(), value, own, page.fetched_at, 0)

    def _value(self, page: Page, position: int, codes: Codes) -> bytes:
        body = {
            "feed": self._feed,
            "bucket": page.bucket,
            "cursor": page.cursor,
            "position": position,
            "fetchedAt": page.fetched_at,
            "active": codes[-1],
            "codes": list(codes),
        }
        return self._prefix + self._encode(body).encode("latin-1")


def former_codes(groups: Any) -> list[Any]:
    """Of the person whom a record of perustiedot tells of, if it tells of corrections."""
    told = groups if type(groups) is list else ()
    corrections = [group for group in told if type(group) is dict and group.get(TIETORYHMA) == CORRECTION]
    return [code for group in corrections for code in _former(group) if usable_code(code)]


def _former(group: Mapping[str, Any]) -> list[Any]:
    former = group.get(FORMER)
    return former if type(former) is list else []
