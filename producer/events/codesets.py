"""Code sets: what the codes in the fields mean. One file of `schemas/codesets` each; a field names its set.

A code that its set does not know is no fault of the data: sets grow without notice, and schemas never change for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

from producer.events.files import Fault, Report, bilingual, folder, read_json, stop

Language = Literal["fi", "sv", "en"]

_TEXTS: Final = {"fi", "sv", "en", "source"}


@dataclass(frozen=True, slots=True)
class Code:
    """What one code means, as far as it is known. source: only where it is not that of the set."""

    fi: str | None = None
    sv: str | None = None
    en: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class CodeSet:
    """closed: an enum in Avro. codes: by code, in the file's order; empty where no values are public."""

    name: str
    doc: str
    closed: bool
    source: str
    codes: Mapping[str, Code] = field(repr=False)


class Codesets(Mapping[str, CodeSet]):
    """Every code set by name."""

    def __init__(self, sets: Mapping[str, CodeSet]) -> None:
        self._sets = sets

    @classmethod
    def load(cls, codesets: Path | None = None, report: Report = stop) -> Self:
        """Those of the installed package, or of a folder. Raises SettingsError, which names the file."""
        paths = sorted((codesets or folder("codesets")).glob("*.json"))
        return cls({one.name: one for path in paths if (one := _read(path, report))})

    def __getitem__(self, name: str) -> CodeSet:
        return self._sets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sets)

    def __len__(self) -> int:
        return len(self._sets)

    def label(self, name: str, code: str | int, language: Language) -> str | None:
        """What a code of a set means in a language; None when set, code or text is not known."""
        known = self._sets.get(name)
        meaning = known.codes.get(str(code)) if known else None
        return getattr(meaning, language) if meaning else None


def _read(path: Path, report: Report) -> CodeSet | None:
    content = read_json(path, report)
    if content is None:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("codes"), list):
        cure = 'Write {"name": …, "doc": …, "closed": …, "source": …, "codes": []}.'
        report(Fault(path, "it must hold one code set", cure))
        return None
    if content.get("name") != path.stem:
        report(Fault(path, f"name is {content.get('name')!r}", f"Name it as the file: {path.stem}."))
    if not bilingual(content.get("doc")):
        report(Fault(path, "doc is missing in one language", "Write it as Finnish / English."))
    if not isinstance(content.get("source"), str) or not isinstance(content.get("closed"), bool):
        cure = "Say where the codes are from, and whether there can be no others."
        report(Fault(path, "source or closed is missing", cure))
    codes: dict[str, Code] = {}
    for at, one in enumerate(content["codes"]):
        code = _code(one)
        if code is None or one["code"] in codes:
            cure = 'Write {"code": …, "fi": …, "sv": …, "en": …}, all text.'
            report(Fault(path, f"code {at} is none, or there twice", cure))
        else:
            codes[one["code"]] = code
    doc, source = str(content.get("doc")), str(content.get("source"))
    return CodeSet(path.stem, doc, content.get("closed") is True, source, codes)


def _code(one: Any) -> Code | None:
    if not isinstance(one, dict) or not all(isinstance(text, str) and text for text in one.values()):
        return None
    texts = {name: text for name, text in one.items() if name != "code"}
    return Code(**texts) if "code" in one and texts.keys() <= _TEXTS else None
