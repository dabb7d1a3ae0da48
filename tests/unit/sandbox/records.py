"""Change records, looked at."""

import json
from typing import Any

Record = dict[str, Any]


def shape(record: Record) -> list[str]:
    return [f"{group['tietoryhma']} {group['muutosattribuutti']}" for group in record["tietoryhmat"]]


def without(group: Record, *names: str) -> Record:
    return {name: value for name, value in group.items() if name not in ("muutosattribuutti", *names)}


def named(record: Record, label: str) -> Record:
    found = [group for group in record["tietoryhmat"] if f"{group['tietoryhma']} {group['muutosattribuutti']}" == label]
    assert len(found) == 1
    group: Record = found[0]
    return group


def with_values(records: list[Record]) -> list[Record]:
    """Records of which nothing is withheld."""
    return [record for record in records if "turvakiellonAlaisetKentat" not in json.dumps(record)]


def of_shape(records: list[Record], wanted: list[str]) -> list[Record]:
    found = [record for record in records if shape(record) == wanted]
    assert found, wanted
    return found
