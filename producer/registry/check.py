"""`schemas check`: everything that can be known of the schema files without a network, all faults in one run.

Beside the folder of the schemas lie `examples/`, `codesets/` (the code sets that fields name) and `released/<version>/`
(what the topics may still hold, or consumers may still read with).
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from producer.errors import SettingsError
from producer.events.convert import Converter
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue, Group, folder_of_schemas
from producer.events.shapes import Schema
from producer.events.wire import Misfit
from producer.model import Page
from producer.registry.compatibility import breaks

BOTH_LANGUAGES: Final = re.compile(r"\S.* / .*\S", re.S)
CLOSED: Final = "Only optional fields come and go. Undo it, or give what is new a name of its own."


@dataclass(frozen=True, slots=True)
class Fault:
    """file: below the folder of the schemas. field: "" for the whole file."""

    file: str
    field: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.file}{f' {self.field}' if self.field else ''}: {self.what}\n  → {self.cure}"


@dataclass(frozen=True, slots=True)
class Checked:
    groups: int
    releases: int
    faults: list[Fault]


def check(folder: Path | None = None) -> Checked:
    """folder: like schemas/avro; its neighbours are looked at too. Raises SettingsError when it holds no envelope."""
    folder = folder or folder_of_schemas()
    catalogue, faults = _loaded(folder)
    faults += _descriptions(folder)
    faults += _examples(folder.parent / "examples", catalogue)
    releases = sorted(path for path in (folder.parent / "released").glob("*/") if path.is_dir())
    for release in releases:
        faults += _kept(folder, catalogue, release)
    return Checked(len(catalogue.groups), len(releases), sorted(set(faults), key=lambda one: (one.file, one.field)))


def _loaded(folder: Path) -> tuple[Catalogue, list[Fault]]:
    """The loader stops at its first fault: the file that it names is put aside, and it is asked again."""
    faults: list[Fault] = []
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "avro"
        shutil.copytree(folder, copy)
        while True:
            try:
                return Catalogue.load(copy), faults
            except SettingsError as fault:
                said = re.fullmatch(r"schema (.*?\.avsc): (.*)", str(fault), re.S)
                file = Path(said[1]).relative_to(copy) if said else None
                if said is None or file is None or file.parent.name not in ("groups", "types"):
                    raise SettingsError(str(fault).replace(str(copy), str(folder)), hint=fault.hint) from None
                faults.append(Fault(file.as_posix(), "", said[2], fault.hint))
                (copy / file).unlink()


def _descriptions(folder: Path) -> Iterator[Fault]:
    codesets = folder.parent / "codesets"
    known = {path.stem for path in codesets.glob("*.json")} if codesets.is_dir() else None
    for path in sorted([*folder.glob("groups/*.avsc"), *folder.glob("types/*.avsc")]):
        schema = _json(path)
        if not isinstance(schema, dict):
            continue  # the loader has said so
        file = path.relative_to(folder).as_posix()
        if path.parent.name == "groups":
            yield from _names(file, path.stem, schema)
        fields = schema.get("fields")
        named = [one for one in fields if isinstance(one, dict)] if isinstance(fields, list) else []
        for field in (schema, *named):
            name = "" if field is schema else str(field.get("name", ""))
            if not BOTH_LANGUAGES.fullmatch(str(field.get("doc", ""))):
                cure = 'Write "doc": "suomeksi / in English".'
                yield Fault(file, name, "doc is missing, or in one language only", cure)
            codeset = field.get("codeset")
            if known is not None and codeset is not None and codeset not in known:
                cure = f"Add schemas/codesets/{codeset}.json, or name one that is there."
                yield Fault(file, name, f"the code set {codeset} is not known", cure)


def _names(file: str, stem: str, schema: Schema) -> Iterator[Fault]:
    """Topic, record and subject are all told from the tietoryhmä."""
    tietoryhma = schema.get("tietoryhma")
    if not isinstance(tietoryhma, str):
        return
    record, kebab = tietoryhma.title().replace("_", ""), tietoryhma.lower().replace("_", "-")
    for member, wanted in (("name", record), ("namespace", "fi.vtj.group")):
        if schema.get(member) != wanted:
            yield Fault(file, "", f"{member} is {schema.get(member)}", f'For {tietoryhma} it must be "{wanted}".')
    if stem != kebab:
        yield Fault(file, "", "the file is not called after its tietoryhmä", f"Rename it to {kebab}.avsc.")


def _examples(folder: Path, catalogue: Catalogue) -> Iterator[Fault]:
    unfillable = Fault("event.avsc", "", "the converter cannot fill it", "Its fields, types and scopes are code's too.")
    try:
        converter = Converter(catalogue, SingleObject(), prefix="vtj", feed="vtj")
    except SettingsError:
        yield unfillable
        return
    for group in catalogue.groups.values():
        path = folder / f"{group.suffix}.json"
        file, record = f"../examples/{path.name}", _json(path)
        if not isinstance(record, dict):
            yield Fault(file, "", "it is missing, or no JSON object", f"Write a change record of {group.tietoryhma}.")
            continue
        page = Page("CHANGE", "0", previous=0, cursor=1, up_to_date=True, fetched_at=0, records=[record])
        try:
            encoded = converter.convert(page)
        except Misfit:
            yield unfillable
            return
        if encoded.dead or f"vtj.change.{group.suffix}" not in {event.topic for event in encoded.events}:
            yield Fault(file, "", "it does not become an event of its group", f"It must hold {group.tietoryhma}.")
        for name in encoded.unmapped:
            yield Fault(file, name, "its schema has no place for it", "Correct the example, or the schema's field.")
    groups = {group.suffix for group in catalogue.groups.values()}
    for path in sorted(folder.glob("*.json")):
        if path.stem not in groups and not (folder.parent / "avro" / "groups" / f"{path.stem}.avsc").exists():
            yield Fault(f"../examples/{path.name}", "", "no data group has this name", "Rename it, or remove it.")


def _kept(folder: Path, catalogue: Catalogue, release: Path) -> Iterator[Fault]:
    """FULL_TRANSITIVE: against this release too, both ways."""
    before = Catalogue.load(release)
    files = _files(folder)
    for tietoryhma, old in before.groups.items():
        new = catalogue.groups.get(tietoryhma)
        if new is None:
            if not (folder / "groups" / f"{old.suffix}.avsc").exists():  # else its own fault has been told
                yield Fault(f"groups/{old.suffix}.avsc", "", f"release {release.name} had this group", "Put it back.")
        else:
            yield from _compared(new.schema, old.schema, files, release.name, f"groups/{new.suffix}.avsc")
            yield from _moved(new, old, release.name)
    yield from _compared(catalogue.unmapped.schema, before.unmapped.schema, files, release.name)
    yield from _compared(catalogue.dead_letter, before.dead_letter, files, release.name)


def _compared(
    new: Schema, old: Schema, files: dict[str, str], release: str, group: str = "event.avsc"
) -> Iterator[Fault]:
    for one in breaks(new, old, f"release {release}"):
        # The envelope's record has no file of its name: each group has it under its own.
        file = files.get(one.record) or ("event.avsc" if one.field else group)
        yield Fault(file, one.field, one.what, CLOSED)


def _moved(new: Group, old: Group, release: str) -> Iterator[Fault]:
    if new.suffix != old.suffix:
        what = f"in release {release} the topic ended with {old.suffix}"
        yield Fault(f"groups/{new.suffix}.avsc", "", what, f"Rename it to {old.suffix}.avsc.")


def _files(folder: Path) -> dict[str, str]:
    """Full name of a record → its file."""
    found = {}
    for path in folder.rglob("*.avsc"):
        schema = _json(path)
        if isinstance(schema, dict):
            found[f"{schema.get('namespace')}.{schema.get('name')}"] = path.relative_to(folder).as_posix()
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
