"""Replay: real answers from a folder in place of made-up persons.

Every `*.json` of the folder is one answer, in the order of names. Those of `muutokset` are served byte for byte: a
request gets the first one whose viimeisinKirjausavain is greater than the asked one, whoever its list names, since the
answers were made for somebody's list. After the last one the log is at its end. Answers of `perustiedot` make up the
register. Nothing grows and nothing can be appended.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson

from producer.errors import SettingsError
from producer.events.instant import HELSINKI
from producer.sandbox.register import Group


class Replay:
    """Raises SettingsError when the folder cannot be replayed."""

    def __init__(self, folder: Path) -> None:
        self._pages: list[tuple[int, bytes, list[Any]]] = []
        self._persons: dict[str, Group] = {}
        self._poimintapv = ""
        if not folder.is_dir():
            raise _unfit(folder, "is not a folder")
        for path in sorted(folder.glob("*.json")):
            try:
                body = path.read_bytes()
                answer = orjson.loads(body)
            except (OSError, ValueError):
                raise _unfit(path, "cannot be read as JSON") from None
            match answer:
                case {"viimeisinKirjausavain": int(cursor), "muutokset": list(records)}:
                    if self._pages and cursor < self._pages[-1][0]:
                        raise _unfit(path, "has a viimeisinKirjausavain less than the file before it")
                    self._pages.append((cursor, body, records))
                case {"perustiedot": list(persons)} if all(map(_is_person, persons)):
                    self._persons |= {person["henkilotunnus"]: person for person in persons}
                    self._poimintapv = answer.get("poimintapv", self._poimintapv)
                case _:
                    raise _unfit(path, "is neither an answer of muutokset nor one of perustiedot")
        if not self._pages:
            raise _unfit(folder, "holds no answer of muutokset")

    async def prepare(self) -> None:
        """There is nothing to make."""

    def page(self, cursor: int, persons: frozenset[str] | None, size: int) -> bytes:
        for last, body, _ in self._pages:
            if last > cursor:
                return body
        return orjson.dumps({"viimeisinKirjausavain": cursor, "muutokset": [], "ajanTasalla": True})

    def cursor_before(self, day: date) -> int:
        """The key before the first answer with a record of the day or a later one."""
        before = self._pages[0][0] - 1
        for last, _, records in self._pages:
            if any(_day(record) >= day for record in records):
                return before
            before = last
        return before

    def persons(self, codes: Sequence[str], kinds: Sequence[str] | None) -> list[Group]:
        return [_only(self._persons[code], kinds) for code in dict.fromkeys(codes) if code in self._persons]

    async def weekly(
        self, codes: Sequence[str] | None, municipalities: Sequence[str], kinds: Sequence[str] | None
    ) -> tuple[str, list[Group]]:
        if codes is None:
            codes = [code for code, person in self._persons.items() if _kunta(person) in municipalities]
        return self._poimintapv, self.persons(codes, kinds)

    def grow(self, changes: int) -> None:
        raise SettingsError("a replay does not grow", hint="start the sandbox without --replay")

    def append(self, records: Iterable[Any]) -> list[int]:
        raise SettingsError("nothing can be appended to a replay", hint="start the sandbox without --replay")

    def entries(self, after: int) -> Iterator[tuple[int, bytes]]:
        """Every record with the key of its answer, which is all that is known of its own."""
        for last, _, records in self._pages:
            if last > after:
                yield from ((last, orjson.dumps(record)) for record in records)

    def codes(self) -> list[str]:
        return list(self._persons)

    def state(self) -> dict[str, Any]:
        entries = sum(len(records) for _, _, records in self._pages)
        return {"entries": entries, "first": self._pages[0][0], "last": self._pages[-1][0]}


def _unfit(path: Path, why: str) -> SettingsError:
    return SettingsError(f"{path} {why}", hint="--replay wants a folder of answers, one *.json each, in name order")


def _is_person(person: Any) -> bool:
    match person:
        case {"henkilotunnus": str(), "tietoryhmat": [*groups]}:
            return all(isinstance(group, dict) and "tietoryhma" in group for group in groups)
    return False


def _only(person: Group, kinds: Sequence[str] | None) -> Group:
    groups = [group for group in person["tietoryhmat"] if kinds is None or group["tietoryhma"] in kinds]
    return {**person, "tietoryhmat": groups}


def _kunta(person: Group) -> str | None:
    found = (group.get("kuntakoodi") for group in person["tietoryhmat"] if group["tietoryhma"] == "KOTIKUNTA")
    return next(found, None)


def _day(record: Any) -> date:
    """The day of muutospv; a record without a readable one is older than everything."""
    try:
        return datetime.fromisoformat(record["muutospv"]).astimezone(HELSINKI).date()
    except (TypeError, KeyError, ValueError):
        return date.min
