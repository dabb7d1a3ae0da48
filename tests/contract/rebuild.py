"""The oracle of completeness: a page is put together again from nothing but the Kafka records it became.

Shares no code with the product. It reads JSON lines as `vtj-producer convert` prints them, and knows the meaning of the
envelope's fields and of the paths in `unmapped` as event.avsc describes them.
"""

import json
import re
from datetime import datetime
from typing import Any

_TOKEN = re.compile(
    r'(?P<up>\.\./)|(?P<quoted>"(?:[^"\\]|\\.)*")|\[(?P<place>\d+)\]|(?P<word>[^\W\d][\w-]*)|(?P<dot>\.)'
)

UP = object()  # a step out; a member can be called ".." too

ENVELOPE = {
    "feed", "bucket", "cursor", "fetchedAt", "kind", "recordId", "recordSize", "personId", "changedAt", "eventId",
    "position", "group", "changeType", "data", "inForce", "withheldFields", "unmapped",
}  # fmt: skip


def rebuild(lines: list[dict[str, Any]]) -> tuple[list[Any], dict[str, Any]]:
    """The records of the page and the members beside them."""
    records: list[Any] = []
    extra: dict[str, Any] = {}
    lines = [line for line in lines if "eventId" not in line["value"] or line["key"] == line["value"]["personId"]]
    assert [line["value"]["position"] for line in lines] == list(range(len(lines)))
    while lines:
        value = lines[0]["value"]
        if value.get("reason") in ("record-not-object", "no-identity-code", "no-groups"):
            records.append(_raw(lines.pop(0)["value"]))
            continue
        event = next(line["value"] for line in lines if "eventId" in line["value"])
        size = event["recordSize"]
        own, lines = lines[:size], lines[size:]
        holder = "rakennustunnus" if re.fullmatch(r"\d{9}[0-9A-Y]", event["personId"]) else "henkilotunnus"
        record = {holder: event["personId"], "tietoryhmat": [_group(one["value"]) for one in own]}
        if event["changedAt"] is not None:
            record["muutospv"] = event["changedAt"]
        for path, text in event["unmapped"].items():
            steps = _steps(path)
            if steps[:2] == [UP, UP]:
                extra[steps[2]] = json.loads(text)
            elif steps[0] is UP:
                record[steps[1]] = json.loads(text)
        records.append(record)
        for one in own:
            if "eventId" in one["value"]:
                assert one["value"]["recordId"] == event["recordId"]
                assert one["value"].keys() == ENVELOPE
    return records, extra


def _raw(letter: dict[str, Any]) -> Any:
    assert not letter["cut"]
    return json.loads(letter["raw"])


def _group(value: dict[str, Any]) -> Any:
    if "eventId" not in value:
        assert value["reason"] == "group-not-object"
        return _raw(value)
    unmapped = {tuple(_steps(path)): json.loads(text) for path, text in value["unmapped"].items()}
    group: dict[str, Any] = {} if value["data"] is None else dict(value["data"])
    if ("tietoryhma",) not in unmapped and value["group"]:
        group["tietoryhma"] = value["group"]
    if value["changeType"] is not None:
        group["muutosattribuutti"] = value["changeType"]
    if value["inForce"] is not None:
        group["voimassaolevatTiedot"] = value["inForce"]
    if value["withheldFields"] is not None:
        group["turvakiellonAlaisetKentat"] = value["withheldFields"]
    for steps, content in unmapped.items():
        if steps[0] is not UP:
            place: Any = group
            for step in steps[:-1]:
                place = place[step]
            taken = isinstance(place, dict) and place.get(steps[-1]) not in (None, "TUNTEMATON")
            assert not taken, "an unmapped value where the typed field has one"
            place[steps[-1]] = content
    return group


def _steps(path: str) -> list[Any]:
    """`oikeudet[0]."a.b"` → ["oikeudet", 0, "a.b"]."""
    steps: list[Any] = []
    at = 0
    while at < len(path):
        token = _TOKEN.match(path, at)
        assert token, "a path that its grammar does not know"
        at = token.end()
        if token["up"]:
            steps.append(UP)
        elif token["quoted"]:
            steps.append(json.loads(token["quoted"]))
        elif token["place"]:
            steps.append(int(token["place"]))
        elif token["word"]:
            steps.append(token["word"])
    return steps


def same(record: Any, rebuilt: Any) -> bool:
    """Whether a rebuilt record says what the record said.

    A member that is null counts as left out, as does `tietoryhma` in a voimassaolevatTiedot of the same group; an
    instant is the same in every spelling.
    """
    return _comparable(record) == _comparable(rebuilt)


def _comparable(record: Any) -> str:
    if isinstance(record, dict):
        record = dict(record)
        if isinstance(record.get("muutospv"), str):
            record["muutospv"] = _instant(record["muutospv"])
        if isinstance(record.get("tietoryhmat"), list):
            record["tietoryhmat"] = [_plain(group) for group in record["tietoryhmat"]]
    return json.dumps(_without_nulls(record), sort_keys=True)  # tells 1, 1.0 and true apart, as == does not


def _plain(group: Any) -> Any:
    if not isinstance(group, dict) or not isinstance(group.get("voimassaolevatTiedot"), list):
        return group
    name = group.get("tietoryhma")
    items = [
        {n: v for n, v in item.items() if n != "tietoryhma" or v != name} if isinstance(item, dict) else item
        for item in group["voimassaolevatTiedot"]
    ]
    return {**group, "voimassaolevatTiedot": items}


def _instant(text: str) -> str:
    if "T" not in text:
        return text
    try:
        moment = datetime.fromisoformat(text)
        return text if moment.tzinfo is None else repr(moment.timestamp())
    except (ValueError, OverflowError):
        return text


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
