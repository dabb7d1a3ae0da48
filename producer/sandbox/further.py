"""Groups that no story tells of, made from their schemas, code sets and examples.

Every kind that is known for certain takes its turn, so one that gets its schema tomorrow is told of without a line
here. What is in the schema without being certain is left out, as upstream has not been seen to send it.
"""

from datetime import date, timedelta
from functools import cache
from typing import Any, Final

from producer.events import examples
from producer.events.codesets import Codesets
from producer.events.framing import full_name
from producer.events.groups import Catalogue
from producer.events.groups import Group as Kind
from producer.events.shapes import Schema
from producer.sandbox.dice import Dice
from producer.sandbox.register import Group, Person, pv, stub
from producer.sandbox.tables import TOLD

# Members that the codes beside them must agree with: where one is, the codes stay those of the example.
_AGREEING: Final = {"asuinpaikantunnus", "postitoimipaikka", "valtionimi", "kielikoodiISO6392"}


@cache
def kinds() -> list[Kind]:
    groups = Catalogue.load().groups.values()
    return [one for one in groups if one.own["confidence"] == "confirmed" and one.tietoryhma not in TOLD]


@cache
def _codes() -> dict[str, list[str]]:
    """The codes of each set that are plain: a special or withdrawn one has a source of its own."""
    sets = Codesets.load()
    return {name: [code for code, means in one.codes.items() if not means.source] for name, one in sets.items()}


def made(kind: Kind, day: date, dice: Dice, other: Person) -> Group:
    """The group as it could be registered on a day. other: who stands in it where it tells of another person."""
    shown = examples.group(kind.suffix)
    return {"tietoryhma": kind.tietoryhma, **_Maker(kind.own, day, dice, other).record(kind.own, shown)}


class _Maker:
    def __init__(self, schema: Schema, day: date, dice: Dice, other: Person) -> None:
        self._dice, self._other = dice, other
        self._day = day - timedelta(days=1000 + dice.below(4000))  # of the last date written
        self._named: dict[str, Schema] = {}
        self._name(schema)

    def record(self, schema: Schema, shown: Group) -> Group:
        certain = [one for one in schema["fields"] if "confidence" not in one and one["name"] in shown]
        fixed = any(one["name"] in _AGREEING for one in certain)
        return {
            one["name"]: self._value(one["type"][1], None if fixed else one.get("codeset"), shown[one["name"]])
            for at, one in enumerate(certain)
            if not at or self._dice.chance(0.9)
        }

    def _value(self, schema: Any, codeset: str | None, shown: Any) -> Any:
        schema = self._named.get(schema, schema) if isinstance(schema, str) else schema
        if isinstance(schema, dict) and schema["type"] == "array":
            return [self._value(schema["items"], None, item) for item in shown]
        if isinstance(schema, dict) and schema["type"] == "record":
            if schema["name"] == "Paivamaara":
                self._day += timedelta(days=self._dice.below(400))
                return pv(self._day)
            return stub(self._other) if schema["name"] == "Henkilo" else self.record(schema, shown)
        if codeset == "hetu":
            return self._other.code
        codes = _codes().get(codeset or "")
        return type(shown)(self._dice.pick(codes)) if codes else shown

    def _name(self, schema: Any) -> None:
        """Finds the records inside a schema: each is written out where it is first used, and named afterwards."""
        if isinstance(schema, list):
            self._name(schema[1])
        elif isinstance(schema, dict):
            if schema["type"] == "record":
                self._named[full_name(schema)] = schema
            for inner in [one["type"] for one in schema.get("fields", ())] + [schema.get("items")]:
                self._name(inner)
