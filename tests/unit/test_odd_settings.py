"""Settings that nobody meant: each wrong one is told in one sentence, with its name, its origin and a valid example."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.config import load_feeds
from producer.config.reference import Setting
from producer.config.reference import settings as all_settings
from producer.errors import SettingsError

KNOWN: Mapping[str, Setting] = {one.name: one for one in all_settings()}
NAMES = re.compile(r"VTJ_[A-Z0-9_]+")
EXAMPLE = re.compile(r"for example (?:for )?(VTJ_[A-Z0-9_]+)(?:='?(.*?)'?)?\.?$")
MARK = "Suojakallio"  # stands in every odd text: a message that has it quotes a value

ODD = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    st.sampled_from(["-1", "0", "1e400", "nan", "true", "off", "1.5", "٣", "2026-02-30", "[]", "{}", '{"X": 1}']),
    st.sampled_from(["http://", "https://a.fi/api/v1", "//a", "a:b", "x/y/z", "..", "/", "~", "KOTIKUNTA,", "a:99999"]),
    st.integers(-(2**70), 2**70).map(str),
)
TEXTS = st.one_of(ODD, st.builds(lambda odd, at: odd[:at] + MARK + odd[at:], ODD, st.integers(0, 12)))
VALUES = st.one_of(TEXTS, TEXTS, st.sampled_from([one.example for one in KNOWN.values()]))
TOML = st.recursive(
    TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "url", "X"]), inner, max_size=2),
    max_leaves=3,
)


@st.composite
def misspelt(draw: st.DrawFn) -> str:
    """A setting's name with a slip in it, which makes it none."""
    name = draw(st.sampled_from([one.env for one in KNOWN.values()]))
    at = draw(st.integers(4, len(name) - 1))
    slip = draw(st.sampled_from(["", name[at] * 2, name[at].lower(), "_", "X"]))
    return name[:at] + slip + name[at + 1 :]


ENVIRONMENT = st.dictionaries(st.sampled_from([one.env for one in KNOWN.values()]), VALUES, max_size=3)
MISSPELT = st.dictionaries(misspelt(), VALUES, max_size=1)
FILE = st.dictionaries(
    st.sampled_from([*KNOWN, "upstream", "upstream.xroad", "feeds", "a.b", "upstrem.url"]), TOML, max_size=2
)


def tree(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names → tables; what is in the way of a table gives way."""
    found: dict[str, Any] = {}
    for name, value in leaves.items():
        *above, last = name.split(".")
        table = found
        for one in above:
            table[one] = table[one] if isinstance(table.get(one), dict) else {}
            table = table[one]
        table[last] = value
    return found


def toml(value: Any) -> str:
    if isinstance(value, dict):
        members = (f"{json.dumps(name)} = {toml(one)}" for name, one in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        escaped = "".join(f"\\U{ord(one):08x}" for one in value)
        return f'"{escaped}"'
    return repr(value).lower()


def judge(environ: Mapping[str, str], leaves: Mapping[str, Any], folder: Path) -> None:
    """Loaded, or refused in words that help; nothing else, and no value quoted but a name of a file."""
    file = folder / "vtj.toml"
    file.write_text("\n".join(f"{json.dumps(name)} = {toml(value)}" for name, value in tree(leaves).items()), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        error = refusal(file, environ)
    unknown = environ.keys() - {one.env for one in KNOWN.values()}
    if error is None:
        assert not unknown
        return
    assert error.exit_code == 2
    assert "`vtj-producer config` shows every setting" in error.hint
    assert error.__context__ is None
    lines = str(error).split("\n")
    for line in lines:
        assert_helps(line, environ, file)
    for name in unknown:
        [line] = [one for one in lines if one.startswith(f"{name} in the environment is no setting")]
        suggested = line.rpartition("did you mean ")[2].rstrip("?")
        assert suggested in {one.env for one in KNOWN.values()}


def refusal(file: Path, environ: Mapping[str, str]) -> SettingsError | None:
    try:
        load_feeds(file, environ)
    except SettingsError as error:
        return error
    return None


def assert_helps(line: str, environ: Mapping[str, str], file: Path) -> None:
    named = {*NAMES.findall(line.partition(", for example")[0])}
    example = EXAMPLE.search(line)
    of_feeds = re.search(r" feed|feeds", line) and not line.startswith("The file ")  # which may be called so
    if "is no setting" in line or "is a section" in line or of_feeds:
        assert str(file) in line or "in the environment" in line
    elif len(named) > 1:  # settings that do not fit together: which, and what to do
        assert re.search(
            r": set |: keep |set one|: add |at least|name the same|is plain|name the persons|is not set", line
        ), line
    else:
        assert len(named) == 1, line
        assert re.search(r"\(from (the environment|file |secret file |permit file )", line), line
        assert example, line
        assert {example[1].removesuffix("_FILE")} == {one.removesuffix("_FILE") for one in named}, line
    if "_FILE" not in line and "permit file" not in line:
        assert MARK not in line, line


@settings(deadline=None, max_examples=400)
@given(ENVIRONMENT, MISSPELT, FILE)
def test_what_is_odd_is_told(
    tmp_path_factory: pytest.TempPathFactory,
    environment: dict[str, str],
    misspelt: dict[str, str],
    leaves: dict[str, Any],
) -> None:
    judge(misspelt | environment, leaves, tmp_path_factory.getbasetemp())
