"""The judgement of the state topics: what stands there of everybody is what upstream says now."""

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.request import Request, urlopen

from .content import Content, Unreadable, content_found, content_told
from .events import where
from .reading import Stored
from .schemas import Schemas
from .upstream import kebab

BATCH = 1000


def judge_state(
    stored: Sequence[Stored], sandbox: str, codes: Sequence[str], permit: frozenset[str] | None = None
) -> list[str]:
    """Every fault.

    codes: of everybody who is followed, those of today; nobody else may have a state. permit: the groups that it
    covers; None: all.
    """
    schemas = Schemas.load()
    groups = schemas.groups if permit is None else schemas.groups & permit
    expected = {
        (f"state.{kebab(group['tietoryhma'])}", record["henkilotunnus"].encode()): content_told(record, group)
        for record in read_register(sandbox, codes)
        for group in record["tietoryhmat"]
        if group["tietoryhma"] in groups
    }
    found: dict[tuple[str, bytes | None], Stored] = {}
    for one in stored:
        if one.topic.startswith("state."):
            found[one.topic, one.key] = one
    faults = [f"lost: nothing in {topic}" for topic, key in expected if (topic, key) not in found]
    for place, one in found.items():
        if place not in expected:
            if one.value is not None:
                faults.append(f"left: {where(one)} tells of what is not valid")
        elif (content := _content(one, schemas)) != expected[place]:
            faults.append(f"wrong: {where(one)} is {'a tombstone' if content is None else 'not what upstream says'}")
    return faults


def _content(one: Stored, schemas: Schemas) -> Content | None:
    if one.value is None:
        return None
    event = schemas.decode(one.topic.replace("state.", "change.", 1), one.value)
    if event["kind"] != "SNAPSHOT" or event["changeType"] is not None:
        raise Unreadable("not a snapshot")
    return content_found(event)


def read_register(sandbox: str, codes: Sequence[str], path: str = "perustiedot") -> Iterator[Any]:
    """What upstream says now, each kind of group once: the first entry, and all of them in voimassaolevatTiedot."""
    login = base64.b64encode(b"sandbox:sandbox").decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    for first in range(0, len(codes), BATCH):
        body = json.dumps({"hetulista": list(codes[first : first + BATCH])}).encode()
        with urlopen(Request(f"{sandbox.rstrip('/')}/api/v1/{path}", body, headers), timeout=60) as answer:
            for record in json.load(answer)["perustiedot"]:
                yield {**record, "tietoryhmat": list(_gathered(record["tietoryhmat"]))}


def _gathered(groups: Sequence[Any]) -> Iterator[Any]:
    for name in dict.fromkeys(group["tietoryhma"] for group in groups):
        entries = [group for group in groups if group["tietoryhma"] == name]
        withheld = any("turvakiellonAlaisetKentat" in entry for entry in entries)
        yield entries[0] if withheld else entries[0] | {"voimassaolevatTiedot": entries}
