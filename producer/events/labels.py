"""What the codes of an event mean: labels by their paths, beside the value, which stays as it was.

    data.kuntakoodi                 → Helsinki
    data.huoltaja.sukupuoli         → Mies
    inForce[0].oikeudet[1].oikeus   → …

Paths are written as those of `unmapped`, from the event instead of its data group.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

from producer.events.codesets import Codesets, Language
from producer.events.framing import full_name
from producer.events.groups import Catalogue
from producer.events.shapes import Schema

Coded = dict[str, "str | Coded"]  # field → its code set, or the coded fields of the record or records in it

# Of the envelope, whose file names no code set: its schema is published, and a name in it is not worth a release.
_ENVELOPE: Final[Coded] = {"changeType": "muutosattribuutti"}


class Labels:
    """Labels in one language; where a code has none in it, in Finnish, then in English."""

    def __init__(self, catalogue: Catalogue, codesets: Codesets, language: Language) -> None:
        self._codesets = codesets
        self._languages: tuple[Language, ...] = (language, "fi", "en")
        self._coded = {name: _coded(group.schema, {}) | _ENVELOPE for name, group in catalogue.groups.items()}

    @classmethod
    def load(cls, catalogue: Catalogue, language: Language) -> Self:
        """With the code sets of the installed package. Raises SettingsError, which names a broken file."""
        return cls(catalogue, Codesets.load(), language)

    def of(self, value: Mapping[str, Any]) -> dict[str, str]:
        """Path → label, in the order of the value: an event or dead letter as `Decoder` reads it.

        A code that is not known has no label. Neither has a field that this version's schema of the group lacks: a
        registry may have told of an older or a stranger's.
        """
        return dict(self._walk(value, self._coded.get(str(value.get("group")), _ENVELOPE), ""))

    def _walk(self, value: Any, coded: "str | Coded", path: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, list):
            for at, one in enumerate(value):
                yield from self._walk(one, coded, f"{path}[{at}]")
        elif isinstance(coded, str):
            if isinstance(value, str | int) and (label := self._label(coded, value)):
                yield path, label
        elif isinstance(value, Mapping):
            for name, one in value.items():
                if name in coded:
                    yield from self._walk(one, coded[name], f"{path}.{name}" if path else name)

    def _label(self, name: str, code: str | int) -> str | None:
        labels = (self._codesets.label(name, code, language) for language in self._languages)
        return next(filter(None, labels), None)


def _coded(record: Schema, written: dict[str, Coded]) -> Coded:
    """The coded fields of a self-contained schema. written: by full name, what its records were seen to hold so far.

    A list of records may name a code set too, that of the codes in them; the fields inside say which those are.
    """
    found: Coded = {}
    for one in record["fields"]:
        kind = one["type"][1] if isinstance(one["type"], list) else one["type"]
        if isinstance(kind, dict) and kind["type"] == "array":
            kind = kind["items"]
        below: str | Coded | None = one.get("codeset")
        if isinstance(kind, dict) and kind["type"] == "record":
            below = written[full_name(kind)] = _coded(kind, written)
        elif isinstance(kind, str) and kind in written:
            below = written[kind]
        if below:
            found[one["name"]] = below
    return found
