"""What upstream told: the sandbox's log, and what each of its records must become."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.request import urlopen

from .content import Content, content_told

KEY_MAX = 64
CORRECTION = "HENKILOTUNNUS_KORJAUS"
UNMAPPED, DEAD, IDENTITY, WATCHLIST = "change.unmapped", "dead-letter", "identity", "watchlist"


@dataclass(frozen=True)
class Change:
    """One entry of the log. kirjausavain: upstream's position of it."""

    kirjausavain: int
    record: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class Expected:
    """One Kafka record that must be there.

    index: of the change in the log. ordinal: place of the data group among all groups of all changes that are fed:
    what `position` counts within a page.
    """

    index: int
    kirjausavain: int
    ordinal: int
    topic: str  # without the prefix
    key: bytes | None = field(repr=False)
    content: Content = field(repr=False)


def read_log(sandbox: str) -> list[Change]:
    with urlopen(f"{sandbox.rstrip('/')}/_sandbox/log?after=0", timeout=600) as answer:
        return parse_log(answer)


def parse_log(lines: Iterable[bytes]) -> list[Change]:
    told = [json.loads(line) for line in lines if line.strip()]
    return [Change(one["kirjausavain"], one["muutos"]) for one in told]


def fed(changes: Sequence[Change], persons: frozenset[str] | None) -> Iterator[tuple[int, Change]]:
    """The changes, with their index, that a feed is told which follows these persons (None: all).

    A record that names no person goes to everybody.
    """
    for index, change in enumerate(changes):
        code = change.record.get("henkilotunnus") if isinstance(change.record, dict) else None
        if persons is None or not isinstance(code, str) or code in persons:
            yield index, change


class Covering(Protocol):
    def covers(self, kirjausavain: int) -> bool: ...


def fed_in_spells(changes: Sequence[Change], spells: Mapping[str, Sequence[Covering]]) -> Iterator[tuple[int, Change]]:
    """The same of a bucket that follows each of these persons for a while. spells: code → when, by kirjausavain."""
    for index, change in enumerate(changes):
        code = change.record.get("henkilotunnus") if isinstance(change.record, dict) else None
        whole = not isinstance(code, str)
        if whole or any(spell.covers(change.kirjausavain) for spell in spells.get(str(code), ())):
            yield index, change


def expect(
    index: int, change: Change, ordinal: int, groups: frozenset[str], same: dict[str, list[str]]
) -> tuple[list[Expected], int]:
    """What a change must become, in the order of publishing, and the ordinal after it.

    groups: the data groups that have a schema. same: code → all codes of its person, as the changes before have told.
    """

    def one(place: int, topic: str, code: str | None, content: Content) -> Expected:
        key = None if code is None else code.encode()
        return Expected(index, change.kirjausavain, ordinal + place, topic, key, content)

    record = change.record
    code = record.get("henkilotunnus") if isinstance(record, dict) else None
    told = record.get("tietoryhmat") if isinstance(record, dict) else None
    if not usable(code):
        return [one(0, DEAD, None, content_told(record))], ordinal + 1
    if not isinstance(told, list) or not told:
        return [one(0, DEAD, code, content_told(record))], ordinal + 1

    found = []
    for published in (code, *other_codes(record)):
        for place, group in enumerate(told):
            if isinstance(group, dict):
                name = group.get("tietoryhma")
                topic = f"change.{kebab(name)}" if isinstance(name, str) and name in groups else UNMAPPED
                found.append(one(place, topic, published, content_told(record, group)))
            elif published == code:
                found.append(one(place, DEAD, code, content_told(group)))
    if other_codes(record):
        codes = one_person(record, same)
        same |= dict.fromkeys(codes, codes)
        found += [one(0, IDENTITY, known, content_told([codes[-1], codes])) for known in codes]
    return found, ordinal + len(told)


def one_person(record: Any, same: dict[str, list[str]]) -> list[str]:
    """All codes of whom a correction is about, the active one last; former ones first, in the order of naming."""
    codes: list[str] = []
    for group in record["tietoryhmat"]:
        if not isinstance(group, dict) or group.get("tietoryhma") != CORRECTION:
            continue
        active, former = group.get("aktiivinenHenkilotunnus"), group.get("edellisetHenkilotunnukset")
        if not isinstance(active, str) or not usable(active):
            continue
        named = [*(former if isinstance(former, list) else ()), record["henkilotunnus"]]
        named += [group.get("muutettuHenkilotunnus"), *codes, active]
        known = [other for code in named if usable(code) for other in same.get(code, [code])]
        codes = [*dict.fromkeys(code for code in known if code != active), active]
    return codes if len(codes) > 1 else []


def other_codes(record: Any) -> list[str]:
    """Every other code that a correction in the record names as active or changed, in the order of naming."""
    named = [
        group.get(field)
        for group in record["tietoryhmat"]
        if isinstance(group, dict) and group.get("tietoryhma") == CORRECTION
        for field in ("aktiivinenHenkilotunnus", "muutettuHenkilotunnus")
    ]
    codes = [code for code in named if isinstance(code, str) and usable(code)]
    return [code for code in dict.fromkeys(codes) if code != record["henkilotunnus"]]


def usable(code: Any) -> bool:
    """Whether it can be the key of an event."""
    if not isinstance(code, str) or not 0 < len(code) <= KEY_MAX:
        return False
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in code)


def kebab(group: str) -> str:
    return group.lower().replace("_", "-")
