"""Where settings come from: environment, TOML file, secret files."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from producer.config.kinds import GROUP_NAME
from producer.config.reference import PREFIX, Setting

# Kubernetes describes each service of the namespace in such variables; one named vtj-producer must not stop a start.
# A port by itself is none of them: somebody wrote one underscore for two.
SERVICE_LINK: Final = re.compile(
    r"VTJ(_[A-Z0-9]+)*_(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=.*|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?=.*|PORT=(tcp|udp|sctp)://.*)"
)


@dataclass(frozen=True)
class Given:
    value: Any = field(repr=False)  # perhaps a secret
    origin: str

    @property
    def source(self) -> str:
        """The origin, in a sentence that names the setting already."""
        return "the environment" if self.origin.startswith("environment ") else self.origin


def toml(path: Path, problems: list[str]) -> dict[str, Any]:
    """{} when it is none."""
    import tomllib  # only who has a file pays for it

    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        problems.append(f"The settings file {path} cannot be read: {error.strerror}.")
    except UnicodeDecodeError:
        problems.append(f"The settings file {path} is not UTF-8.")
    except tomllib.TOMLDecodeError as error:
        # Only the place: the text of the error may quote a secret.
        place = re.search(r"at line \d+, column \d+|at end of document", str(error))
        twice = str(error).startswith(("Cannot declare", "Cannot overwrite", "Duplicate"))
        what = "says something twice" if twice else "is not TOML"
        problems.append(f"The settings file {path} {what}{f' ({place[0]})' if place else ''}.")
    return {}


def from_file(
    tree: Mapping[str, Any], path: Path | None, known: Mapping[str, Setting], problems: list[str]
) -> dict[str, Given]:
    sections = {name[:at] for name in known for at, letter in enumerate(name) if letter == "."}

    def leaves(table: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
        for key, value in table.items():
            name = above + key
            if isinstance(value, dict) and name not in known and (value or name in sections):
                yield from leaves(value, f"{name}.")
            else:
                yield name, value

    given = {}
    for name, value in leaves(tree, ""):
        if name in known:
            feed, _, _ = name.removeprefix("feeds.").partition(".")
            given[name] = Given(value, f"file {path} [feeds.{feed}]" if name.startswith("feeds.") else f"file {path}")
        elif name in sections:
            problems.append(f"{name} in {path} is a section, and needs settings of its own.")
        else:
            problems.append(f"{name} in {path} is no setting{_perhaps(name, known)}")
    return given


def from_environment(environ: Mapping[str, str], known: Mapping[str, Setting], problems: list[str]) -> dict[str, Given]:
    by_env = {setting.env: setting for setting in known.values()}
    given = {}
    for variable, text in environ.items():
        if not variable.upper().startswith(PREFIX) or SERVICE_LINK.fullmatch(f"{variable}={text}"):
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
                told = f"{variable} (from the environment) must be a JSON object"
                problems.append(f"{told}, for example {variable}='{setting.example}'.")
                continue
        given[setting.name] = Given(value, f"environment {variable}")
    return given


def read_secret_files(given: dict[str, Given], known: Mapping[str, Setting], problems: list[str]) -> None:
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
        try:
            given[name] = Given(first_line(Path(path.value)), f"secret file {path.value}")
        except ValueError as trouble:
            example = f"{file_variable}={known[f'{name}_file'].example}"
            told = f"The file {path.value} that {file_variable} (from {path.source}) names {trouble}"
            problems.append(f"{told}, for example {example}")


def read_text(path: Path) -> str:
    """Raises ValueError: what is wrong with the file, as a sentence goes on."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        trouble = f"cannot be read: {error.strerror}"
    except ValueError:
        trouble = "is not UTF-8"
    raise ValueError(trouble)  # outside the `except`: the decoder's error holds the content


def first_line(path: Path) -> str:
    """Of a secret file. Raises ValueError as `read_text`."""
    lines = read_text(path).splitlines()
    if not lines or not lines[0]:
        raise ValueError("has an empty first line")
    return lines[0]


def read_permit(
    given: dict[str, Given], known: Mapping[str, Setting], config_file: Path | None, problems: list[str]
) -> None:
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
    try:
        lines = [line.partition("#")[0].strip() for line in read_text(path).splitlines()]
        if names := [line for line in lines if line]:
            given[setting] = Given(names, f"permit file {path}")
            return
        trouble = "names no data group"
    except ValueError as error:
        trouble = str(error)
    problems.append(
        f"The permit file {path} {trouble}. {known[setting].env} (from {given[setting].source}) is data groups in "
        f"capitals, separated by commas, or a file of them, for example {known[setting].env}={known[setting].example}"
    )


def _perhaps(name: str, names: Iterable[str]) -> str:
    """The most alike that ends in the same, as a feed's settings do; else the most alike."""

    def end(one: str) -> list[str]:
        return re.split(r"\.|__", one.removeprefix(PREFIX))[-2:]

    alike = [one for one in names if end(one) == end(name)]
    close = difflib.get_close_matches(name, alike, n=1, cutoff=0) or difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]}?" if close else "."
