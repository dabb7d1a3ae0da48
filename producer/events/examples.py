"""The examples: a change record for each data group, synthetic, with every field that its schema has."""

from pathlib import Path
from typing import Any

from producer.events.files import Fault, Report, folder, read_json, stop


def group(suffix: str) -> dict[str, Any]:
    """The data group of the installed package's example. suffix: of the group's topic."""
    return record(folder("examples") / f"{suffix}.json", stop)["tietoryhmat"][0]  # type: ignore[index,no-any-return]


def record(path: Path, report: Report) -> dict[str, Any] | None:
    """The change record of an example. None when it holds no such thing, which is then reported."""
    match read_json(path, report):
        case {"tietoryhmat": [{"tietoryhma": str()}]} as shown:
            return dict(shown)
        case None:
            return None
    cure = 'Write {"tietoryhmat": [{"tietoryhma": …}], …}.'
    report(Fault(path, "it must hold one change record with one group", cure))
    return None
