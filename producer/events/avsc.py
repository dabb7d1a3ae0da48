"""One `.avsc` file of `schemas/avro`: read, and held against the rules of schemas/README.md."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from producer.events.files import Fault, Report, bilingual, read_json
from producer.events.fit import COMMON
from producer.events.shapes import Schema

THEMES: Final = ("henkilö", "kiellot", "osoitteet", "asuminen", "suhteet", "muut", "rakennus")
CONFIDENCE: Final = ("confirmed", "partial", "inferred")
PII: Final = ("identifying", "contact", "family", "special", "none")
REVEALS: Final = "residence"

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read(path: Path, codesets: Collection[str], report: Report) -> Schema | None:
    """The record of a file, without the fields that are none; None when there is no record in it at all."""
    schema = read_json(path, report)
    if schema is None:
        return None
    if not isinstance(schema, dict) or schema.get("type") != "record" or not isinstance(schema.get("fields"), list):
        report(Fault(path, "it must hold one record", 'Write {"type": "record", "name": …, "fields": […]}.'))
        return None
    missing = [member for member in ("name", "namespace", "doc") if not isinstance(schema.get(member), str)]
    for member in missing:
        report(Fault(path, f"{member} is missing", f"Give the record a {member}."))
    if {"name", "namespace"} & {*missing}:
        return None
    room = path.parent.name
    for what, cure in _record_faults(schema) if room == "groups" else ():
        report(Fault(path, what, cure))
    names: set[str] = set()
    sound = []
    for at, one in enumerate(schema["fields"]):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str) or "type" not in one:
            report(Fault(path, f"field {at} lacks name or type", "Give it both."))
            continue
        name = one["name"]
        if not _NAME.fullmatch(name) or name in names | COMMON:
            what = f"{name!r} is no name for a field, is there twice, or belongs to the envelope"
            report(Fault(path, what, "Name it as upstream does, once."))
            continue
        names.add(name)
        sound.append(one)
        for what, cure in _field_faults(one, codesets) if room in ("groups", "types") else ():
            report(Fault(path, what, cure, name))
    return {**schema, "fields": sound}


def _record_faults(schema: Schema) -> Iterator[tuple[str, str]]:
    for member, words in (("theme", THEMES), ("confidence", CONFIDENCE)):
        if schema.get(member) not in words:
            yield f"{member} is {schema.get(member)!r}", f"Choose one of {', '.join(words)}."
    if schema.get("reveals", REVEALS) != REVEALS:
        yield f"reveals is {schema['reveals']!r}", f"Write {REVEALS}, or leave it out."
    if not isinstance(schema.get("source"), str):
        yield "source is missing", "Say where the facts are from."
    if not bilingual(schema.get("doc")):
        yield "doc is missing in one language", "Write it as Finnish / English."


def _field_faults(one: dict[str, Any], codesets: Collection[str]) -> Iterator[tuple[str, str]]:
    if not isinstance(one["type"], list) or one["type"][:1] != ["null"] or one.get("default", "") is not None:
        yield "must be nullable with the default null", "Upstream leaves fields out."
    if not bilingual(one.get("doc")):
        yield "needs doc in both languages", "Write it as Finnish / English."
    if one.get("pii") not in PII:
        yield f"has pii {one.get('pii')!r}", f"Choose one of {', '.join(PII)}."
    if "codeset" in one and one["codeset"] not in codesets:
        yield f"has codeset {one['codeset']!r}, which has no file", "Name a file of schemas/codesets, or add it there."
    if one.get("confidence", CONFIDENCE[0]) not in CONFIDENCE:
        yield f"has confidence {one['confidence']!r}", f"Choose one of {', '.join(CONFIDENCE)}, or leave it out."
    if one.get("restricted", True) is not True:
        yield f"has restricted {one['restricted']!r}", "Write true, or leave it out."
