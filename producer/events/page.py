"""The conversion of one page, under way."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from producer.events.deadletter import DeadLetters
from producer.events.envelope import Envelope, Plan
from producer.events.fit import (
    CHANGE_TYPE,
    IN_FORCE,
    TIETORYHMA,
    WITHHELD,
    Fitted,
    Unmapped,
    Whole,
    fit_group,
    label,
    plain,
    spelled,
)
from producer.events.identities import ACTIVE, CHANGED, CORRECTION, Codes, Identities
from producer.events.identity import Hasher, event_ids, record_id, usable_building, usable_code
from producer.events.instant import milliseconds
from producer.events.protection import Protection, order_told
from producer.events.spell import raw
from producer.events.wire import Misfit
from producer.model import OUTSIDE, EncodedEvent, EncodedPage, Header, Page

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
_OUTSIDE: Final = ("ce_reason", OUTSIDE.encode())
# The same of an event that is in its own topic too, but for what no schema knows of a person under turvakielto.
PROTECTED: Final = ("ce_reason", b"turvakielto")

# An identity code → a record in which all is withheld that is restricted.
Withheld = Callable[[str], dict[str, Any]]


@dataclass(slots=True, repr=False)
class _Placed:
    """A change record whose person, or building, is known."""

    identity: str
    groups: list[Any]
    chunk: str  # its part of the envelope
    above: Unmapped  # what no schema knows beside the groups, on the page too
    headers: list[Header]
    plans: Mapping[str, Plan]  # of the groups that may take the fast path
    protected: bool = False
    restricted: bool = False  # of a protected person, or of nobody who is known: what no schema knows is restricted


class PageEncoding:
    """Takes the change records of a page one by one. hasher: makes their ids. headers: further ones of every event.

    first: position of the first one.
    """

    def __init__(
        self,
        page: Page,
        feed: str,
        envelope: Envelope,
        dead_letters: DeadLetters,
        identities: Identities | None = None,
        hasher: Hasher = sha256,
        headers: Sequence[Header] = (),
        protection: Protection | None = None,
        withheld: Withheld | None = None,
        first: int = 0,
    ) -> None:
        self._page = page
        self._identities, self._protection, self._withheld = identities, protection, withheld
        self._envelope = envelope
        self._dead_letters = dead_letters
        self._hasher = hasher
        self.headers: list[Header] = [_SPEC, ("ce_source", f"urn:vtj:feed:{feed}".encode()), _AVRO, *headers]
        self._events: list[EncodedEvent] = []
        self._unmapped: dict[str, int] = {}
        self._dead: dict[str, int] = {}
        self._position = first
        self.corrected: list[Codes] = []  # of each person of whom the page tells a correction
        head = envelope.page("", 0, feed, page.bucket, page.cursor, page.fetched_at, page.kind)
        self._heads = {name: plan.prefix + head for name, plan in envelope.plans.items()}
        self._unmapped_head = envelope.unmapped.prefix + head
        self._change_types = frozenset() if page.kind == "SNAPSHOT" else envelope.change_types
        self._above = self._members(page.extra, "../../")
        self._unmapped.pop(EXTRACTED, None)

    def add(self, record: Any) -> None:
        """Encode one change record: its events, or one dead letter, which takes one position."""
        if type(record) is not dict:
            self._bury(record, "record-not-object")
            return
        holder, code = PERSON, record.get(PERSON)
        if not usable_code(code):
            holder, code = BUILDING, record.get(BUILDING)
            if not usable_building(code):
                self._bury(record, "no-identity-code")
                return
        groups = record.get(GROUPS)
        if type(groups) is not list or dict not in map(type, groups):  # what is beside them would be lost
            self._bury(record, "no-groups", code, person=holder == PERSON)
            return

        headers = [*self.headers]
        above = self._above
        time: Any = record.get(CHANGED_AT)
        changed_at = milliseconds(time)
        known: tuple[str, ...] = (holder, GROUPS)
        if changed_at is not None:
            headers.append(("ce_time", time.encode()))
            known = (holder, GROUPS, CHANGED_AT)
        if len(record) != len(known):
            above = {**self._members({n: v for n, v in record.items() if n not in known}, "../"), **above}

        identity = record_id(record, self._hasher)
        chunk = self._envelope.record("", 0, identity, len(groups), code, changed_at)
        placed = _Placed(identity, groups, chunk, above, headers, self._envelope.plans)
        first = self._position
        others = self._other_codes(code, groups)
        codes: Codes = ()
        if others and self._identities is not None:
            codes = self._identities.learn(code, groups, self._page.bucket)
        if self._protection is not None:
            placed.protected = self._protected([code, *others], groups)
            placed.restricted = placed.protected or holder == BUILDING
            if placed.protected:
                placed.plans = {}
        self._add_groups(placed, code)
        for other in others:
            self._position -= len(groups)
            self._add_groups(placed, other, again=True)
        if codes and self._identities is not None:
            self.corrected.append(codes)
            self._events += self._identities.records(self._page, first, identity, codes, headers)
        if placed.protected and self._withheld is not None:
            self.add(self._withheld(code))

    def add_or_bury(self, record: Any) -> None:
        """As `add`, of a page that has failed in it: a record that cannot be encoded becomes a dead letter, whole."""
        events, position, dead = len(self._events), self._position, dict(self._dead)
        try:
            self.add(record)
        except Exception:
            del self._events[events:]
            self._position, self._dead = position, dead
            code = record.get(PERSON) if type(record) is dict else None
            self._bury(record, "poison", code if usable_code(code) else "")

    def add_again(
        self, told: Mapping[str, Any], one: Whole, key: bytes, headers: Sequence[Header], *, restricted: bool
    ) -> None:
        """A group that had no schema, from its decoded event, and has one now: with ids and place as they were.

        one: `whole` of it. headers: of that event. restricted: whether it was.
        """
        person, identity = told["personId"], str(told["recordId"])
        times = [header for header in headers if header[0] == "ce_time"]
        changed_at = milliseconds(times[0][1].decode()) if times else None
        chunk = self._envelope.record("", 0, identity, told["recordSize"], person, changed_at)
        above = {**one.above, **self._above} if one.above else self._above
        record = _Placed(identity, [], chunk, above, [*self.headers, *times], {})
        if self._protection is not None:
            building = usable_building(person)
            record.protected = (restricted and not building) or person in self._protection
            record.restricted = record.protected or building
        event_id = str(told["eventId"]).encode()
        self._events += self._fit(one.group, record, key, event_id, told["position"], again=False)

    def extend(self, events: Iterable[EncodedEvent]) -> None:
        """Records that upstream has not told, behind what it has."""
        self._events += events

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
            changed=_changed(page.records),
            request=page.request,
        )

    def _add_groups(self, record: "_Placed", code: str, *, again: bool = False) -> None:
        """Encode the groups of a record under one code. again: a further code, so all is counted already."""
        plans, heads, append = record.plans, self._heads, self._events.append
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
                    self._events += self._fit(group, record, key, event_id, position, again=again)
                else:
                    headers = [("ce_id", event_id), plan.ce_type, *tail]
                    append(EncodedEvent(plan.topic, key, value.encode("latin-1"), headers, fetched_at, position))
            elif not again:
                self._letter(group, "group-not-object", key, event_id, position, restricted=record.restricted)
            position += 1
        self._position = position

    def _fit(
        self, group: dict[str, Any], record: "_Placed", key: bytes, event_id: bytes, position: int, *, again: bool
    ) -> Iterator[EncodedEvent]:
        """The slow path of one group: what does not fit, and all that is of protected persons."""
        name: Any = group.get(TIETORYHMA)
        plan = self._envelope.plans.get(name) if type(name) is str else None
        unknown = self._envelope.unmapped
        fitted = fit_group((plan or unknown).record, group, self._change_types)
        marks: list[Header] = []
        if plan is None:
            name = label(spelled(fitted.group))
            if fitted.group in self._envelope.outside:
                name, marks = f"{name} ({OUTSIDE})", [_OUTSIDE]
            paths = [name]
        else:
            paths = [f"{fitted.group}.{label(path)}" for path in fitted.unmapped]
        if not again:
            self._count(paths)

        def event(plan: Plan, topic: str | None, fitted: Fitted, above: Unmapped) -> EncodedEvent:
            value = plan.encode(
                (self._unmapped_head if plan is unknown else self._heads[fitted.group]) + record.chunk,
                0,
                event_id.decode(),
                position,
                fitted.group,
                fitted.change_type,
                fitted.data,
                fitted.in_force,
                fitted.withheld,
                {**fitted.unmapped, **above},
            )
            headers = [("ce_id", event_id), plan.ce_type, *record.headers, *marks]
            at = self._page.fetched_at
            return EncodedEvent(topic or plan.topic, key, value.encode("latin-1"), headers, at, position)

        text = bool(fitted.unmapped) or record.above is not self._above
        if plan is None:
            yield event(unknown, unknown.restricted if record.restricted else None, fitted, record.above)
        elif record.protected and text and plan.restricted is None:
            yield event(plan, None, replace(fitted, unmapped={}), self._above)
            marks = [PROTECTED]
            yield event(unknown, unknown.restricted, fit_group(unknown.record, group, self._change_types), record.above)
        else:
            told = text or fitted.data is not None or bool(fitted.in_force)
            yield event(plan, plan.restricted if record.protected and told else None, fitted, record.above)

    def _protected(self, codes: list[str], groups: list[Any]) -> bool:
        assert self._protection is not None
        if self._page.kind == "SNAPSHOT":  # tells of all that is in force
            return order_told(groups) is True
        return self._protection.learn(codes, groups)

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

    def _bury(self, record: Any, reason: str, code: str = "", *, person: bool = False) -> None:
        """person: the code is one of a person, of whom it may be known that nothing is to be hidden."""
        event_id = event_ids(record_id(record, self._hasher), code, 1)[0]
        restricted = self._protection is not None and not (
            person and self._page.kind != "SNAPSHOT" and code not in self._protection
        )
        self._letter(record, reason, code.encode() or None, event_id, self._position, restricted=restricted)
        self._position += 1

    def _letter(
        self, content: Any, reason: str, key: bytes | None, event_id: bytes, position: int, *, restricted: bool
    ) -> None:
        headers = [("ce_id", event_id), self._dead_letters.ce_type, *self.headers]
        letter = self._dead_letters.letter(self._page, position, reason, content, key, headers, restricted=restricted)
        self._events.append(letter)
        self._dead[reason] = self._dead.get(reason, 0) + 1


def _changed(records: Sequence[Any]) -> tuple[int, int] | None:
    """Of two records, not of a thousand: upstream tells them in the order of their registration."""
    ends = [milliseconds(one.get(CHANGED_AT)) for one in (*records[:1], *records[-1:]) if type(one) is dict]
    told = [one for one in ends if one is not None]
    return (told[0], told[1]) if len(told) == 2 else None
