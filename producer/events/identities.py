"""Which codes are one person's, as corrections tell: the records of the topic `identity`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from producer.events.compiler import Compiler
from producer.events.fit import TIETORYHMA
from producer.events.framing import Framing
from producer.events.groups import Catalogue
from producer.events.identity import event_ids, usable_code
from producer.model import EncodedEvent, Header, Page

# A record with this group concerns every code that the group names.
CORRECTION: Final = "HENKILOTUNNUS_KORJAUS"
ACTIVE, CHANGED, FORMER = "aktiivinenHenkilotunnus", "muutettuHenkilotunnus", "edellisetHenkilotunnukset"

Codes = tuple[str, ...]  # of one person, the active one last


def identity_topic(prefix: str) -> str:
    return f"{prefix}.identity"


class Identities:
    """Every known code → all codes of its person. Chains are followed: after A→B and B→C each leads to C.

    told: called with all codes of a person whenever a correction has been learnt.
    """

    ce_type: Final[Header] = ("ce_type", b"fi.vtj.identity")

    def __init__(self, catalogue: Catalogue, framing: Framing, *, prefix: str, feed: str) -> None:
        self.known: dict[str, Codes] = {}
        self.told: Callable[[Codes], None] = lambda _: None
        self._topic, self._feed = identity_topic(prefix), feed
        self._prefix = framing.prefix(catalogue.identity)
        self._encode = Compiler().record(catalogue.identity_shape)

    def begin(self, known: Mapping[str, Codes]) -> None:
        """What is committed: nothing else is known."""
        self.known = dict(known)

    def learn(self, code: str, groups: Iterable[Any]) -> Codes:
        """The codes of the person, if the change record tells of a correction. code: the record's own."""
        codes: Codes = ()
        for group in groups:
            if type(group) is dict and group.get(TIETORYHMA) == CORRECTION and usable_code(group.get(ACTIVE)):
                codes = self._joined([*_former(group), code, group.get(CHANGED), *codes], group[ACTIVE])
        if len(codes) > 1:
            self.known |= dict.fromkeys(codes, codes)
            self.told(codes)
        return codes if len(codes) > 1 else ()

    def _joined(self, named: Iterable[Any], active: str) -> Codes:
        one = dict.fromkeys(
            known for code in [*named, active] if usable_code(code) for known in self.known.get(code, (code,))
        )
        one.pop(active, None)
        return (*one, active)

    def records(
        self, page: Page, position: int, record: str, codes: Codes, headers: list[Header]
    ) -> Iterator[EncodedEvent]:
        """One under each code, the active one too; none when there are none. record: the id of the change record."""
        if not codes:
            return
        body = {
            "feed": self._feed,
            "bucket": page.bucket,
            "cursor": page.cursor,
            "position": position,
            "fetchedAt": page.fetched_at,
            "active": codes[-1],
            "codes": list(codes),
        }
        value = self._prefix + self._encode(body).encode("latin-1")
        for code in codes:
            own = [("ce_id", event_ids(record, f"identity/{code}", 1)[0]), self.ce_type, *headers]
            yield EncodedEvent(self._topic, code.encode(), value, own, page.fetched_at, position)


def _former(group: Mapping[str, Any]) -> list[Any]:
    former = group.get(FORMER)
    return former if type(former) is list else []
