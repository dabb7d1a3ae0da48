"""The whole output, and its folder."""

import json
from pathlib import Path
from typing import Any, Final

from producer.catalogue.asyncapi import asyncapi
from producer.catalogue.data import data
from producer.catalogue.site import Files, site
from producer.catalogue.topics import Contents
from producer.errors import SettingsError

MARK: Final = "catalogue.json"  # a folder that has it was made here
OWN: Final = ("topics/*.html", "codesets/*.html", "schemas/*.avsc")  # folders in which nothing else lies


def build(contents: Contents) -> Files:
    """Every file of the catalogue; the same for the same schemas."""
    return {
        **site(contents),
        **{f"schemas/{one.suffix}.avsc": _json(one.schema) for one in contents.topics},
        "asyncapi.json": _json(asyncapi(contents)),
        MARK: _json(data(contents)),
    }


def write(files: Files, folder: Path) -> None:
    """Makes the folder hold these files; pages of groups that are gone are removed.

    Raises SettingsError when the folder holds something else, or cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARK).is_file())):
            raise SettingsError(
                f"{folder} holds something else than a catalogue.", hint="Name an empty or new folder with --output."
            )
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode())
        for pattern in OWN:
            for path in folder.glob(pattern):
                if path.relative_to(folder).as_posix() not in files:
                    path.unlink()
    except OSError as error:
        raise SettingsError(
            f"{error.filename or folder} cannot be written: {error.strerror}.",
            hint="Name a folder that may be written with --output.",
        ) from None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
