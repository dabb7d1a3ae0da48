"""The conversion of one page, under way."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from producer.events.deadletter import DeadLetters
from producer.events.envelope import Envelope, Plan
from producer.events.fit import CHANGE_TYPE, IN_FORCE, TIETORYHMA, WITHHELD, Unmapped, fit_group, label, plain, spelled
from producer.events.identities import ACTIVE, CHANGED, CORRECTION, Identities
from producer.events.identity import event_ids, record_id, usable_building, usable_code
from producer.events.instant import milliseconds
from producer.events.spell import raw
from producer.events.wire import Misfit
from producer.model import EncodedEvent, EncodedPage, Header, Page

PERSON: Final = "henkilotunnus"
BUILDING: Final = "rakennustunnus"  # assumed: no change record of a building has been seen
GROUPS: Final = "tietoryhmat"
CHANGED_AT: Final = "muutospv"

# The weekly snapshot's date of extraction: no field of the envelope, but known, and no news to report.
EXTRACTED: Final = "../../poimintapv"

CORRECTED: Final = (ACTIVE, CHANGED)  # the other codes that a change record is published under

_SPEC: Final = ("ce_specversion", b"1.0")
_AVRO: Final = ("content-type", b"application/avro")

# Why a group that has a schema is among the unmapped all the same: on such events alone, and beside their name's count.
OUTSIDE: Final = "outside-permit"
_OUTSIDE: Final = ("ce_reason", OUTSIDE.encode())


def digest(events: Iterable[EncodedEvent]) -> str:
    """Over the ids as they stand in ce_id, the first header: so it can be told without decoding a value."""
    ids = b"".join([event.headers[0][1] for event in events if event.value]).decode().replace("-", "")
    return sha256(bytes.fromhex(ids)).hexdigest()


@dataclass(slots=True, repr=False)
class _Placed:
    """A change record whose person, or building, is known."""

    identity: str
    groups: list[Any]
    chunk: str  # its part of the envelope
    above: Unmapped  # what no schema knows beside the groups, on the page too
    headers: list[Header]


class PageEncoding:
    """Takes the change records of a page one by one."""

    def __init__(
        self,
        page: Page,
        feed: str,
        envelope: Envelope,
        dead_letters: DeadLetters,
        identities: Identities | None = None,
    ) -> None:
        self._page = page
        self._identities = identities
        self._envelope = envelope
        self._dead_letters = dead_letters
        self._source: Header = ("ce_source", f"urn:vtj:feed:{feed}".encode())
        self._events: list[EncodedEvent] = []
        self._unmapped: dict[str, int] = {}
        self._dead: dict[str, int] = {}
        self._position = 0
        head = envelope.page("", 0, feed, page.bucket, page.cursor, page.fetched_at, page.kind)
        self._heads = {name: plan.prefix + head for name, plan in envelope.plans.items()}
        self._unmapped_head = envelope.unmapped.prefix + head
        self._change_types = frozenset() if page.kind == "SNAPSHOT" else envelope.change_types
        self._above = self._members(page.extra, "../../")
        self._unmapped.pop(EXTRACTED, None)

    def add(self, record: Any) -> None:
        """Encode one change record: its events, or one dead letter, which takes one position."""
        if type(record) is not dict:
            self._bury(record, "record-not-object", "")
            return
        holder, code = PERSON, record.get(PERSON)
        if not usable_code(code):
            holder, code = BUILDING, record.get(BUILDING)
            if not usable_building(code):
                self._bury(record, "no-identity-code", "")
                return
        groups = record.get(GROUPS)
        if type(groups) is not list or dict not in map(type, groups):  # what is beside them would be lost
            self._bury(record, "no-groups", code)
            return

        headers: list[Header] = [_SPEC, self._source, _AVRO]
        above = self._above
        time: Any = record.get(CHANGED_AT)
        changed_at = milliseconds(time)
        known = {holder, GROUPS}
        if changed_at is not None:
            headers.append(("ce_time", time.encode()))
            known.add(CHANGED_AT)
        if len(record) != len(known):
            above = {**self._members({n: v for n, v in record.items() if n not in known}, "../"), **above}

        identity = record_id(record)
        chunk = self._envelope.record("", 0, identity, len(groups), code, changed_at)
        placed = _Placed(identity, groups, chunk, above, headers)
        first = self._position
        self._add_groups(placed, code)
        others = self._other_codes(code, groups)
        for other in others:
            self._position -= len(groups)
            self._add_groups(placed, other, again=True)
        if others and self._identities is not None:
            codes = self._identities.learn(code, groups)
            self._events += self._identities.records(self._page, first, identity, codes, headers)

    def done(self) -> EncodedPage:
        page = self._page
        return EncodedPage(
            bucket=page.bucket,
            previous=page.previous,
            cursor=page.cursor,
            up_to_date=page.up_to_date,
            fetched_at=page.fetched_at,
            records=len(page.records),
            events=self._events,
            unmapped=self._unmapped,
            dead=self._dead,
            digest=digest(self._events),
        )

    def _add_groups(self, record: "_Placed", code: str, *, again: bool = False) -> None:
        """Encode the groups of a record under one code. again: a further code, so all is counted already."""
        plans, heads, append = self._envelope.plans, self._heads, self._events.append
        chunk, above, tail = record.chunk, record.above, record.headers
        fetched_at, position = self._page.fetched_at, self._position
        snapshot = not self._change_types
        key = code.encode()
        ids = event_ids(record.identity, code, len(record.groups))
        for event_id, group in zip(ids, record.groups, strict=True):
            if type(group) is dict:
                name: Any = group.get(TIETORYHMA)
                plan = plans.get(name) if type(name) is str else None
                change_type = group.get(CHANGE_TYPE)
                try:
                    if plan is None or (snapshot and change_type is not None):
                        raise Misfit
                    others = 1 if change_type is None else 2
                    own: dict[str, Any] | None = group
                    in_force, withheld = group.get(IN_FORCE), group.get(WITHHELD)
                    if in_force is not None:
                        in_force = plain(in_force, name)
                        others += 1
                    if withheld is not None:
                        others += 1
                        own = group if len(group) != others else None
                    head = heads[name] + chunk
                    value = plan.encode(
                        head, others, event_id.decode(), position, name, change_type, own, in_force, withheld, above
                    )
                except Misfit:
                    append(self._fit(group, plan, record, key, event_id, position, again=again))
                else:
                    headers = [("ce_id", event_id), plan.ce_type, *tail]
                    append(EncodedEvent(plan.topic, key, value.encode("latin-1"), headers, fetched_at, position))
            elif not again:
                self._letter(group, "group-not-object", key, event_id, position)
            position += 1
        self._position = position

    def _fit(
        self,
        group: dict[str, Any],
        plan: Plan | None,
        record: "_Placed",
        key: bytes,
        event_id: bytes,
        position: int,
        *,
        again: bool,
    ) -> EncodedEvent:
        """The slow path of one group."""
        fitted = fit_group((plan or self._envelope.unmapped).record, group, self._change_types)
        marks: list[Header] = []
        if plan is None:
            plan, head = self._envelope.unmapped, self._unmapped_head
            name = label(spelled(fitted.group))
            if fitted.group in self._envelope.outside:
                name, marks = f"{name} ({OUTSIDE})", [_OUTSIDE]
            paths = [name]
        else:
            head = self._heads[fitted.group]
            paths = [f"{fitted.group}.{label(path)}" for path in fitted.unmapped]
        if not again:
            self._count(paths)
        value = plan.encode(
            head + record.chunk,
            0,
            event_id.decode(),
            position,
            fitted.group,
            fitted.change_type,
            fitted.data,
            fitted.in_force,
            fitted.withheld,
            {**fitted.unmapped, **record.above},
        )
        headers = [("ce_id", event_id), plan.ce_type, *record.headers, *marks]
        return EncodedEvent(plan.topic, key, value.encode("latin-1"), headers, self._page.fetched_at, position)

    def _other_codes(self, own: str, groups: list[Any]) -> list[str]:
        """Further codes that a change record must be published under, in the order of naming."""
        codes: dict[str, None] = {}
        if self._page.kind != "SNAPSHOT":
            for group in groups:
                if type(group) is dict and group.get(TIETORYHMA) == CORRECTION:
                    codes |= {group[name]: None for name in CORRECTED if usable_code(group.get(name))}
            codes.pop(own, None)
        return list(codes)

    def _members(self, members: Mapping[str, Any], path: str) -> Unmapped:
        """Members above the data group that no schema knows; they go with every event below."""
        unmapped = {path + spelled(name): raw(value) for name, value in members.items()}
        self._count([label(one) for one in unmapped])
        return unmapped

    def _count(self, paths: list[str]) -> None:
        for path in paths:
            self._unmapped[path] = self._unmapped.get(path, 0) + 1

    def _bury(self, record: Any, reason: str, code: str) -> None:
        event_id = event_ids(record_id(record), code, 1)[0]
        self._letter(record, reason, code.encode() or None, event_id, self._position)
        self._position += 1

    def _letter(self, content: Any, reason: str, key: bytes | None, event_id: bytes, position: int) -> None:
        headers = [("ce_id", event_id), self._dead_letters.ce_type, _SPEC, self._source, _AVRO]
        self._events.append(self._dead_letters.letter(self._page, position, reason, content, key, headers))
        self._dead[reason] = self._dead.get(reason, 0) + 1
