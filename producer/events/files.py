"""The files of `schemas/`: where they lie, and what becomes of a fault in one.

    schemas/avro       event.avsc, types/, groups/ …: see groups.py
    schemas/codesets   one JSON file each: see codesets.py
    schemas/examples   one change record for each group

Whoever reads a file tells its faults to a `Report`: `stop` ends the reading at the first, `schemas check` notes all.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import producer
from producer.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file of `schemas/`. field: "" for the whole file."""

    path: Path
    what: str
    cure: str
    field: str = ""


Report = Callable[[Fault], None]


def stop(fault: Fault) -> NoReturn:
    field = f"{fault.field} " if fault.field else ""
    raise SettingsError(
        f"schema {fault.path}: {field}{fault.what}",
        hint=f"{fault.cure} schemas/README.md says what the file must hold.",
    )


def folder(name: str) -> Path:
    """A folder of the installed package's schemas, or of the checkout's."""
    package = Path(producer.__file__).parent
    for schemas in (package / "schemas", package.parent / "schemas"):
        if (schemas / "avro" / "event.avsc").is_file():
            return schemas / name
    raise SettingsError(
        f"no schemas beside the package {package}", hint="install vtj-producer again: the schemas belong to it"
    )


def beside(avro: Path, name: str) -> Path:
    """A folder that belongs to these schemas; a release has none of its own and uses the package's."""
    own = avro.parent / name
    return own if own.is_dir() else folder(name)


def read_json(path: Path, report: Report) -> Any:
    """None when the file holds no JSON, or null."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        report(Fault(path, f"it cannot be read: {error.strerror}", "Put the file there."))
    except ValueError as error:
        report(Fault(path, f"it is not JSON: {error}", "Mend the syntax at that place."))
    return None


def bilingual(doc: Any) -> bool:
    """Whether a text is there in Finnish and in English."""
    return isinstance(doc, str) and all(part.strip() for part in doc.partition(" / "))
