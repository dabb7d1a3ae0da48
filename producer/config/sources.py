"""Where settings come from: environment, TOML file, secret files.

Plain pydantic rather than pydantic-settings: that costs another 80 ms of start-up and 6 MB of memory, knows no origin
of a value, and what it saves (flat names into a tree) is the smaller part of what is done here.
"""

import difflib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from producer.config.kinds import GROUP_NAME
from producer.config.reference import PREFIX, Setting, settings
from producer.config.sections import Settings
from producer.errors import SettingsError

HINT: Final = "`vtj-producer config` shows every setting, with its origin and meaning."

# Kubernetes describes each service of the namespace in such variables; one named vtj-producer must not stop a start.
SERVICE_LINK: Final = re.compile(
    r"VTJ(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)"
)


@dataclass(frozen=True)
class Loaded:
    """settings: checked, each by itself and with the others. origins: dotted name → where its value came from."""

    settings: Settings
    origins: Mapping[str, str]

    def require(self, *names: str) -> None:
        """Raises SettingsError for those of the named settings (dotted) that are unset."""
        known = {setting.name: setting for setting in settings()}
        unset = [known[name] for name in names if self.value(name) is None]
        if unset:
            raise SettingsError(
                "\n".join(f"{one.env} must be set, for example {one.env}={one.example}" for one in unset), hint=HINT
            )

    def value(self, name: str) -> Any:
        """By dotted name."""
        value: Any = self.settings
        for part in name.split("."):
            value = getattr(value, part)
        return value


@dataclass(frozen=True)
class _Given:
    value: Any = field(repr=False)  # perhaps a secret
    origin: str


def load(config_file: Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Reads all sources. Raises SettingsError with one sentence for each setting that is wrong."""
    known = {setting.name: setting for setting in settings()}
    problems: list[str] = []
    given: dict[str, _Given] = {}
    if config_file is not None:
        given |= _from_file(config_file, known, problems)
    given |= _from_environment(os.environ if environ is None else environ, known, problems)
    _read_secret_files(given, known, problems)
    _read_permit(given, config_file, problems)
    _stop_at(problems)

    tree: dict[str, Any] = {}
    for name, one in given.items():
        *sections, key = name.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[key] = one.value
    try:
        checked = Settings.model_validate(tree)
    except ValidationError as error:
        # Nothing of the error itself is kept, nor chained: it holds the input.
        problems = [_sentence(one["loc"], one["msg"], given, known) for one in error.errors(include_url=False)]
    _stop_at(problems)
    return Loaded(checked, {name: given[name].origin if name in given else "default" for name in known})


def _stop_at(problems: list[str]) -> None:
    if problems:
        raise SettingsError("\n".join(problems), hint=f"That mended, {HINT}")  # until then it says the same


def _from_file(path: Path, known: Mapping[str, Setting], problems: list[str]) -> dict[str, _Given]:
    import tomllib  # only who has a file pays for it

    origin = f"file {path}"
    tree: dict[str, Any] = {}
    try:
        tree = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        problems.append(f"The settings file {path} cannot be read: {error.strerror}.")
    except UnicodeDecodeError:
        problems.append(f"The settings file {path} is not UTF-8.")
    except tomllib.TOMLDecodeError as error:
        # Only the place: the text of the error may quote a secret.
        place = re.search(r"at line \d+, column \d+|at end of document", str(error))
        problems.append(f"The settings file {path} is not TOML{f' ({place[0]})' if place else ''}.")

    def leaves(table: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
        for key, value in table.items():
            name = above + key
            if isinstance(value, dict) and any(other.startswith(f"{name}.") for other in known):
                yield from leaves(value, f"{name}.")
            else:
                yield name, value

    given = {}
    for name, value in leaves(tree, ""):
        if name in known:
            given[name] = _Given(value, origin)
        elif any(other.startswith(f"{name}.") for other in known):
            problems.append(f"{name} in {path} is a section, and needs settings of its own.")
        else:
            problems.append(f"{name} in {path} is no setting{_perhaps(name, known)}")
    return given


def _from_environment(
    environ: Mapping[str, str], known: Mapping[str, Setting], problems: list[str]
) -> dict[str, _Given]:
    by_env = {setting.env: setting for setting in known.values()}
    given = {}
    for variable, text in environ.items():
        if not variable.upper().startswith(PREFIX) or SERVICE_LINK.fullmatch(variable):
            continue
        if variable not in by_env:
            problems.append(f"{variable} in the environment is no setting{_perhaps(variable.upper(), by_env)}")
            continue
        setting = by_env[variable]
        value: Any = text
        if not text:  # what `${X:-}` leaves behind
            continue
        if setting.is_table:
            try:
                value = json.loads(text)
            except ValueError:
                value = None
            if not isinstance(value, dict):
                problems.append(f"{variable} must be a JSON object, for example {variable}='{setting.example}'.")
                continue
        given[setting.name] = _Given(value, f"environment {variable}")
    return given


def _read_secret_files(given: dict[str, _Given], known: Mapping[str, Setting], problems: list[str]) -> None:
    """A setting `x` that has a sibling `x_file` may stand in the first line of that file."""
    for name in known:
        path = given.get(f"{name}_file")
        if path is None:
            continue
        variable, file_variable = known[name].env, known[f"{name}_file"].env
        if name in given:
            problems.append(
                f"{variable} (from {given[name].origin}) and {file_variable} (from {path.origin}) are both set: "
                "keep one."
            )
            continue
        if not isinstance(path.value, str):
            continue  # a type that the sections refuse in their own words
        trouble = ""
        try:
            lines = Path(path.value).read_bytes().decode("utf-8-sig").splitlines()
            if lines and lines[0]:
                given[name] = _Given(lines[0], f"secret file {path.value}")
            else:
                trouble = "has an empty first line"
        except OSError as error:
            trouble = f"cannot be read: {error.strerror}"
        except ValueError:
            trouble = "is not UTF-8"
        if trouble:
            problems.append(f"The file {path.value} that {file_variable} names {trouble}.")


def _read_permit(given: dict[str, _Given], config_file: Path | None, problems: list[str]) -> None:
    """The permit may name a file of its groups instead of the groups."""
    setting = "permit.groups"
    name = given[setting].value if setting in given else None
    if not isinstance(name, str) or "," in name or re.fullmatch(GROUP_NAME, name.strip()):
        return
    if "/" in name:
        path = Path(name)
    else:
        beside = [config_file.parent] if config_file else []
        places = [folder / "permits" / name for folder in (*beside, Path())]
        path = next((place for place in places if place.is_file()), places[-1])
    trouble = "names no data group"
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text("utf-8-sig").splitlines()]
        if names := [line for line in lines if line]:
            given[setting] = _Given(names, f"permit file {path}")
            return
    except OSError as error:
        trouble = f"cannot be read: {error.strerror}"
    except ValueError:
        trouble = "is not UTF-8"
    problems.append(
        f"The permit file {path} {trouble}. VTJ_PERMIT__GROUPS (from {given[setting].origin}) is data groups in "
        "capitals, separated by commas, or a file of them."
    )


def _perhaps(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]}?" if close else "."


def _sentence(
    loc: tuple[int | str, ...], message: str, given: Mapping[str, _Given], known: Mapping[str, Setting]
) -> str:
    path = [str(part) for part in loc]
    name = next((".".join(path[:end]) for end in range(len(path), 0, -1) if ".".join(path[:end]) in known), None)
    message = message.removeprefix("Value error, ")
    if name is None:  # settings that do not fit together speak for themselves
        return message
    setting = known[name]
    rule = re.sub("^Input should", "must", re.sub("^Input is not a valid path.*", "must be a path", message))
    rule = rule.split(", unable to")[0]
    origin = given[name].origin.replace(f"environment {setting.env}", "the environment")
    quote = "'" if setting.is_table else ""
    return f"{setting.env} (from {origin}) {rule}, for example {setting.env}={quote}{setting.example}{quote}"
