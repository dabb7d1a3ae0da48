"""`schemas check`: everything that can be known of the schema files without a network, all faults in one run.

Beside the folder of the schemas lie `examples/`, `codesets/` (the code sets that fields name) and `released/<version>/`
(what the topics may still hold, or consumers may still read with).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from producer.errors import SettingsError
from producer.events.codesets import Codesets
from producer.events.convert import Converter
from producer.events.examples import record as example
from producer.events.files import Fault, Report, read_json, stop
from producer.events.files import folder as schemas
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.events.shapes import Schema
from producer.events.wire import Misfit
from producer.model import Page
from producer.registry.compatibility import breaks

CLOSED: Final = "Only optional fields come and go. Undo it, or give what is new a name of its own."


@dataclass(frozen=True, slots=True)
class Checked:
    groups: int
    releases: int
    faults: list[Fault]


def check(folder: Path | None = None) -> Checked:
    """folder: like schemas/avro; its neighbours are looked at too. Raises SettingsError when it holds no envelope."""
    folder = folder or schemas("avro")
    if not (folder / "event.avsc").is_file():
        raise SettingsError(f"{folder} has no event.avsc.", hint="Name a folder like schemas/avro.")
    faults: list[Fault] = []
    catalogue = Catalogue.read(folder, faults.append)
    Codesets.load(folder.parent / "codesets", faults.append)
    releases = sorted(path for path in (folder.parent / "released").glob("*/") if path.is_dir())
    if catalogue is not None:
        faults += _names(folder, catalogue)
        faults += _examples(folder, catalogue, faults.append)
        for release in releases:
            faults += _kept(folder, catalogue, release)
    groups = len(catalogue.groups) if catalogue else 0
    return Checked(groups, len(releases), sorted(set(faults), key=lambda one: (one.path, one.field)))


def _names(folder: Path, catalogue: Catalogue) -> Iterator[Fault]:
    """Topic, record and subject are all told from the tietoryhmä."""
    for tietoryhma, group in catalogue.groups.items():
        path = folder / "groups" / f"{group.suffix}.avsc"
        record, kebab = tietoryhma.title().replace("_", ""), tietoryhma.lower().replace("_", "-")
        for member, wanted in (("name", record), ("namespace", "fi.vtj.group")):
            if group.own[member] != wanted:
                yield Fault(path, f"{member} is {group.own[member]}", f'For {tietoryhma} it must be "{wanted}".')
        if group.suffix != kebab:
            yield Fault(path, "the file is not called after its tietoryhmä", f"Rename it to {kebab}.avsc.")


def _examples(folder: Path, catalogue: Catalogue, report: Report) -> Iterator[Fault]:
    shown = folder.parent / "examples"
    unfillable = Fault(folder / "event.avsc", "the converter cannot fill it", "Its fields and scopes are code's too.")
    try:
        converter = Converter(catalogue, SingleObject(), prefix="vtj", feed="vtj")
    except SettingsError:
        yield unfillable
        return
    for group in catalogue.groups.values():
        path = shown / f"{group.suffix}.json"
        record = example(path, report)
        if record is None:
            continue
        page = Page("CHANGE", "0", previous=0, cursor=1, up_to_date=True, fetched_at=0, records=[record])
        try:
            encoded = converter.convert(page)
        except Misfit:
            yield unfillable
            return
        if encoded.dead or f"vtj.change.{group.suffix}" not in {event.topic for event in encoded.events}:
            yield Fault(path, "it does not become an event of its group", f"It must hold {group.tietoryhma}.")
            continue
        for name in group.record.fields.keys() - record["tietoryhmat"][0].keys():
            yield Fault(path, "the field is left out", "Show it with a synthetic value.", name)
        # A group that is known by its name alone is shown with invented fields.
        for name in encoded.unmapped if group.record.fields else ():
            yield Fault(path, "its schema has no place for it", "Correct the example, or the schema's field.", name)
    for path in sorted(shown.glob("*.json")):
        if not (folder / "groups" / f"{path.stem}.avsc").exists():
            yield Fault(path, "no data group has this name", "Rename it, or remove it.")


def _kept(folder: Path, catalogue: Catalogue, release: Path) -> Iterator[Fault]:
    """FULL_TRANSITIVE: against this release too, both ways."""
    before = Catalogue.read(release, stop)
    assert before is not None
    files = _files(folder)
    basis, groups = folder / "event.avsc", folder / "groups"
    for tietoryhma, old in before.groups.items():
        new = catalogue.groups.get(tietoryhma)
        if new is None:
            path = groups / f"{old.suffix}.avsc"
            if not path.exists():  # else its own fault has been told
                yield Fault(path, f"release {release.name} had this group", "Put it back.")
        else:
            path = groups / f"{new.suffix}.avsc"
            yield from _compared(new.schema, old.schema, files, release.name, basis, path)
            if new.suffix != old.suffix:
                what = f"in release {release.name} the topic ended with {old.suffix}"
                yield Fault(path, what, f"Rename it to {old.suffix}.avsc.")
    yield from _compared(catalogue.unmapped.schema, before.unmapped.schema, files, release.name, basis, basis)
    yield from _compared(catalogue.dead_letter, before.dead_letter, files, release.name, basis, basis)
    yield from _compared(catalogue.identity, before.identity, files, release.name, basis, basis)


def _compared(
    new: Schema, old: Schema, files: dict[str, Path], release: str, basis: Path, group: Path
) -> Iterator[Fault]:
    for one in breaks(new, old, f"release {release}"):
        # The envelope's record has no file of its name: each group has it under its own.
        path = files.get(one.record) or (basis if one.field else group)
        yield Fault(path, one.what, CLOSED, one.field)


def _files(folder: Path) -> dict[str, Path]:
    """Full name of a record → its file."""
    read = ((path, read_json(path, lambda _: None)) for path in folder.rglob("*.avsc"))
    return {f"{one.get('namespace')}.{one.get('name')}": path for path, one in read if isinstance(one, dict)}
