"""What `settings` of the Helm chart may hold: `python -m producer.config.chart` lays it into the chart's schema."""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from producer.config.kinds import NAME
from producer.config.sections import Settings

SCHEMA: Final = Path("helm/vtj-producer/values.schema.json")
OF_PROCESS: Final = ("feed", "log", "server")  # no feed's table has these
RULES: Final = {name: name for name in ("type", "items", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum")}
BOUNDS: Final = {"ge": "minimum", "le": "maximum"}  # pydantic's words for those of what may be unset


def schema() -> dict[str, Any]:
    """JSON Schema of the settings file without secrets, which must not stand in a chart's values."""
    told = _section(Settings, "The program's settings file, but for secrets: docs/configuration.md.")
    own = {
        name: {"$ref": f"#/properties/settings/properties/{name}"}
        for name in told["properties"]
        if name not in OF_PROCESS
    }
    told["properties"]["feeds"] = {
        "description": "Several feeds by name, each with settings of its own laid over the top level.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{NAME}$"},
        "additionalProperties": _table("Settings of one feed.", own),
    }
    return told


def _section(section: type[BaseModel], description: str) -> dict[str, Any]:
    told, properties = section.model_json_schema()["properties"], {}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            properties[name] = _section(field.annotation, f"The table {name}.")
        elif rules := _rules(told[name]):
            properties[name] = {"description": field.description, **rules}
    return _table(description, properties)


def _rules(told: dict[str, Any]) -> dict[str, Any]:
    """None of a secret, nor of a table of them."""
    kind = next((one for one in told.get("anyOf", ()) if one.get("type") != "null"), told)
    if kind.get("writeOnly") or kind["type"] == "object":
        return {}
    return {name: kind[said] for said, name in (RULES | BOUNDS).items() if said in kind}


def _table(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


if __name__ == "__main__":
    values = json.loads(SCHEMA.read_text("utf-8"))
    values["properties"]["settings"] = schema()
    SCHEMA.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")
