"""`catalogue.json`: the catalogue for machines. Its format is told in docs/catalogue.md."""

from typing import Any, Final

from producer.catalogue.history import Change
from producer.catalogue.reading import Field
from producer.catalogue.topics import Contents, Topic
from producer.events.framing import full_name

FORMAT: Final = 1


def data(contents: Contents) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "prefix": contents.prefix,
        "topics": [_topic(one) for one in contents.topics],
        "envelope": [_field(one) for one in contents.envelope],
        "types": {
            name: {"doc": one.doc._asdict(), "fields": [_field(inner) for inner in one.fields]}
            for name, one in contents.types.items()
        },
        "codesets": {
            one.name: {
                "doc": one.doc,
                "closed": one.closed,
                "source": one.source,
                "codes": {
                    code: {name: text for name in ("fi", "sv", "en", "source") if (text := getattr(meaning, name))}
                    for code, meaning in one.codes.items()
                },
            }
            for one in contents.codesets.values()
        },
    }


def _topic(one: Topic) -> dict[str, Any]:
    return {
        "topic": one.name,
        "group": one.tietoryhma or None,
        "title": one.title._asdict(),
        "theme": one.theme or None,
        "confidence": one.confidence or None,
        "source": one.source or None,
        "key": one.key,
        "partitions": one.plan.partitions,
        "configs": one.plan.configs,
        "schema": f"schemas/{one.suffix}.avsc",
        "record": full_name(one.schema),
        "fingerprint": one.fingerprint,
        "singleObjectPrefix": one.prefix.hex(),
        "pii": list(one.pii),
        "changes": list(one.changes),
        "withheld": one.restricted,
        "fields": [_field(field) for field in one.own],
        "history": [_change(change) for change in one.history],
        "example": one.example,
    }


def _field(one: Field) -> dict[str, Any]:
    said = {
        "name": one.name,
        "type": one.type,
        "many": one.many,
        "nullable": one.nullable,
        "symbols": list(one.symbols),
        "doc": one.doc._asdict(),
        "pii": one.pii,
        "restricted": one.restricted,
        "codeset": one.codeset,
        "confidence": one.confidence,
        "source": one.source,
    }
    return {name: value for name, value in said.items() if value not in (None, False, [])}


def _change(one: Change) -> dict[str, Any]:
    lists = {
        name: list(names) for name in ("added", "removed", "retyped", "described") if (names := getattr(one, name))
    }
    return {"version": one.version or None, "fingerprint": one.fingerprint, "first": one.first, **lists}
