"""Values for Avro schemas: what upstream could send for them, and the same as fastavro wants it."""

from datetime import date
from typing import Any

from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.just("x" * 5000)
INT = st.integers(-(2**31), 2**31 - 1)
LONG = st.integers(-(2**63), 2**63 - 1)
MOMENT = st.integers(-62_135_596_800_000, 253_402_300_799_999)  # years 1-9999


def values(schema: Any, named: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """JSON values that fit a self-contained schema; a member that would be null is left out."""
    named = {} if named is None else named
    if isinstance(schema, list):
        return st.none() | values(schema[1], named)
    if isinstance(schema, str):
        if schema in named:
            return values(named[schema], named)
        return {"string": TEXT, "int": INT, "long": LONG, "boolean": st.booleans()}[schema]
    kind = schema["type"]
    if kind == "record":
        full_name = f"{schema['namespace']}.{schema['name']}"
        named[full_name] = schema
        members = {field["name"]: values(field["type"], named) for field in schema["fields"]}
        return st.fixed_dictionaries(members).map(lambda d: {n: v for n, v in d.items() if v is not None})
    if kind == "array":
        return st.lists(values(schema["items"], named), max_size=3)
    if kind == "map":
        return st.dictionaries(TEXT, TEXT, max_size=3)
    if kind == "enum":
        return st.sampled_from(schema["symbols"])
    if schema.get("logicalType") == "date":
        return st.dates().map(date.isoformat)
    if schema.get("logicalType") == "uuid":
        return st.uuids().map(str)
    if schema.get("logicalType") == "timestamp-millis":
        return MOMENT
    return values(kind, named)


def for_fastavro(schema: Any, value: Any, named: dict[str, Any] | None = None) -> Any:
    """The same value, complete, with days as dates; timestamps stay numbers, UUIDs text."""
    named = {} if named is None else named
    if isinstance(schema, list):
        inner = for_fastavro(schema[1], value, named)  # always walked: it may define a name
        return None if value is None else inner
    if isinstance(schema, str):
        return for_fastavro(named[schema], value, named) if schema in named else value
    if schema["type"] == "record":
        named[f"{schema['namespace']}.{schema['name']}"] = schema
        value = {} if value is None else value
        return {one["name"]: for_fastavro(one["type"], value.get(one["name"]), named) for one in schema["fields"]}
    if schema["type"] == "array":
        for_fastavro(schema["items"], None, named)
        return None if value is None else [for_fastavro(schema["items"], item, named) for item in value]
    if schema.get("logicalType") == "date" and value is not None:
        return date.fromisoformat(value)
    return value
