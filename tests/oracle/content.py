"""Content that can be compared: a data group as upstream told it, and the same put together again from an event.

Three things are not content: object members that are null (upstream means the same when it leaves them out), an
empty `tietoryhma`, and a `tietoryhma` inside voimassaolevatTiedot that only says again what its group is.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

Content = str  # canonical JSON: numbers, booleans and texts stay apart

STEP = re.compile(r'\.?("(?:[^"\\]|\\.)*"|[^.\[\]"]+)|\[(\d+)\]')
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ABOVE, PAGE = "../", "../../"


class Unreadable(Exception):
    """What stands in Kafka contradicts the schema's own words."""


def content_told(record: Any, group: Any = None) -> Content:
    """Of a data group in its change record, or of something that no event can be made of."""
    if group is None:
        return _canonical(record)
    above = {name: value for name, value in record.items() if name not in ("henkilotunnus", "tietoryhmat", "muutospv")}
    return _content(record["henkilotunnus"], len(record["tietoryhmat"]), _time(record.get("muutospv")), above, group)


def content_found(event: dict[str, Any]) -> Content:
    """Of a decoded event. Raises Unreadable when its parts contradict each other."""
    group: dict[str, Any] = {"tietoryhma": event["group"]} if event["group"] else {}
    if event["changeType"] not in (None, "TUNTEMATON"):
        group["muutosattribuutti"] = event["changeType"]
    if event["inForce"] is not None:
        group["voimassaolevatTiedot"] = _plain(event["inForce"])
    if event["withheldFields"] is not None:
        group["turvakiellonAlaisetKentat"] = _plain(event["withheldFields"])
    if event["data"] is not None:
        group |= _plain(event["data"])
    elif event["withheldFields"] is None:
        raise Unreadable("data is null, but nothing is withheld")
    above: dict[str, Any] = {}
    for path, value in event["unmapped"].items():
        if path.startswith(PAGE):
            continue  # a member of the page: the log knows no pages
        if path.startswith(ABOVE):
            _put(above, path.removeprefix(ABOVE), json.loads(value))
        else:
            _put(group, path, json.loads(value))
    if event["changeType"] == "TUNTEMATON" and "muutosattribuutti" not in group:
        raise Unreadable("changeType is TUNTEMATON without the word upstream used")
    time = _time(above.pop("muutospv", None))
    if event["changedAt"] is not None:
        if time is not None:
            raise Unreadable("changedAt and muutospv are both there")
        time = _milliseconds(event["changedAt"])
    return _content(event["personId"], event["recordSize"], time, above, group)


def letter_found(letter: dict[str, Any]) -> Content:
    """Of a decoded dead letter that holds the whole of what came."""
    return _canonical(json.loads(letter["raw"]))


def _content(person: str, size: int, time: Any, above: dict[str, Any], group: dict[str, Any]) -> Content:
    in_force = group.get("voimassaolevatTiedot")
    if isinstance(in_force, list):
        name = group.get("tietoryhma")
        group = group | {"voimassaolevatTiedot": [_without_name(item, name) for item in in_force]}
    if group.get("tietoryhma") == "":
        group = {member: value for member, value in group.items() if member != "tietoryhma"}
    return _canonical([person, size, time, above, group])


def _without_name(item: Any, name: Any) -> Any:
    if isinstance(item, dict) and isinstance(name, str) and item.get("tietoryhma") == name:
        return {member: value for member, value in item.items() if member != "tietoryhma"}
    return item


def _canonical(value: Any) -> Content:
    return json.dumps(_without_nulls(value), sort_keys=True, separators=(",", ":"))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """What fastavro decoded, as JSON had it."""
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _time(value: Any) -> Any:
    """A time as milliseconds where it can be read as one, else as it is."""
    try:
        return _milliseconds(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return value


def _milliseconds(time: datetime) -> dict[str, int]:
    """Marked, so that it cannot be taken for a number that upstream sent."""
    if time.tzinfo is None:
        raise ValueError
    since = time - EPOCH
    return {"ms": (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000}


def _steps(path: str) -> Iterator[str | int]:
    at = 0
    while at < len(path):
        step = STEP.match(path, at)
        if step is None:
            raise Unreadable("a path in unmapped cannot be read")
        name, place = step.groups()
        yield int(place) if place is not None else json.loads(name) if name.startswith('"') else name
        at = step.end()


def _put(target: Any, path: str, value: Any) -> None:
    """Set what a path leads to, which must not be there yet."""
    *way, last = _steps(path)
    try:
        for step in way:
            target = target[step]
        if isinstance(target, dict) and isinstance(last, str) and last not in target:
            target[last] = value
            return
    except (KeyError, IndexError, TypeError):
        pass
    raise Unreadable("a path in unmapped leads nowhere, or to something that is there already")
