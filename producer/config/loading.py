"""The settings of each feed, from all their sources: checked, or refused in a sentence for each fault.

Plain pydantic rather than pydantic-settings: that costs another 80 ms of start-up and 6 MB of memory, knows no origin
of a value, and what it saves (flat names into a tree) is the smaller part of what is done here.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from producer.config.kinds import NAME, NAME_RULE
from producer.config.reference import Setting, settings
from producer.config.sections import Settings
from producer.config.sources import Given, from_environment, from_file, read_permit, read_secret_files, toml
from producer.errors import SettingsError

HINT: Final = "`vtj-producer config` shows every setting, with its origin and meaning."


@dataclass(frozen=True)
class Loaded:
    """settings: checked, each by itself and with the others. origins: dotted name → where its value came from.

    known: dotted name → the setting; of a feed with a table of its own that table's: feeds.NAME.upstream.url.
    """

    settings: Settings
    origins: Mapping[str, str]
    known: Mapping[str, Setting]

    def require(self, *names: str) -> None:
        """Raises SettingsError for those of the named settings (dotted) that are unset."""
        unset = [self.known[name] for name in names if self.value(name) is None]
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


def load(
    config_file: Path | None = None, environ: Mapping[str, str] | None = None, *, feed: str | None = None
) -> Loaded:
    """The settings of one feed. feed: its name, needed where there are several. Raises what `load_feeds` does."""
    loaded = load_feeds(config_file, environ, feed=feed)
    if len(loaded) > 1:
        names = ", ".join(one.settings.feed.name for one in loaded)
        raise SettingsError(f"There are several feeds: {names}.", hint="Name the one that is meant: --feed NAME.")
    return loaded[0]


def load_feeds(
    config_file: Path | None = None, environ: Mapping[str, str] | None = None, *, feed: str | None = None
) -> Sequence[Loaded]:
    """Reads all sources. Those of each feed that the file has a table for; without such tables there is one feed.

    feed: of this one alone; the secret files of the others need not be here. Raises SettingsError with one sentence for
    each setting that is wrong.
    """
    top, problems = {setting.name: setting for setting in settings()}, list[str]()
    tree = {} if config_file is None else toml(config_file, problems)
    tables = {name: _table(name, top) for name in _named(tree, config_file, problems)}
    known = top | {setting.name: setting for table in tables.values() for setting in table.values()}
    given = from_file(tree, config_file, known, problems)
    given |= from_environment(os.environ if environ is None else environ, known, problems)
    if tables and "feed.name" in given:
        problems.append(f"{top['feed.name'].env} (from {given['feed.name'].origin}) is for files without [feeds].")
    _stop_at(problems)

    if tables:
        feeds = {name: (table, _laid_over(given, table)) for name, table in tables.items()}
        _refuse_one_prefix(feeds, problems)
        for name, (_, own) in feeds.items():
            own["feed.name"] = Given(name, f"file {config_file}")
    else:
        feeds = {str(given["feed.name"].value if "feed.name" in given else top["feed.name"].default): (top, given)}
    if feed not in (None, *feeds):
        problems.append(f"There is no feed {feed}. Feeds are: {', '.join(feeds)}.")
    _stop_at(problems)
    loaded = []
    for name, (table, own) in feeds.items():
        if feed in (None, name):
            found: list[str] = []
            loaded += _checked(own, table, config_file, found)
            problems += [f"Feed {name}: {one}" for one in found] if tables else found
    _stop_at(problems)
    return loaded


def _named(tree: dict[str, Any], path: Path | None, problems: list[str]) -> list[str]:
    """The feeds that have a table. Only the file makes one: of a misspelt variable none can come."""
    feeds = tree.get("feeds", {})
    if "feeds" in tree and not (
        feeds and isinstance(feeds, dict) and all(isinstance(one, dict) for one in feeds.values())
    ):
        problems.append(f"feeds in {path} needs a table for each feed, for example [feeds.helsinki].")
        return []
    problems += [
        f"feeds.{name} in {path}: the name of a feed must be {NAME_RULE}."
        for name in feeds
        if not re.fullmatch(NAME, name)
    ]
    return [*feeds]


def _table(feed: str, top: Mapping[str, Setting]) -> dict[str, Setting]:
    """What there is to set for the feed, by the names of the top level. Log and server are the process's."""
    return {
        name: setting if name.startswith(("log.", "server.")) else replace(setting, name=f"feeds.{feed}.{name}")
        for name, setting in top.items()
        if name != "feed.name"
    }


def _laid_over(given: Mapping[str, Given], table: Mapping[str, Setting]) -> dict[str, Given]:
    """What the feed says, over what the top level does. A password file takes the place of a password, too."""
    said = {name: given[setting.name] for name, setting in table.items() if setting.name in given}
    places = {_place(name) for name in said}
    return {name: given[name] for name in table if name in given and _place(name) not in places} | said


def _place(name: str) -> str:
    """The same of two settings of which only one can be said."""
    return "schedule" if name in ("schedule.interval", "schedule.times") else name.removesuffix("_file")


def _refuse_one_prefix(
    feeds: Mapping[str, tuple[Mapping[str, Setting], Mapping[str, Given]]], problems: list[str]
) -> None:
    """State, identities and watchlist have one record of a person: two feeds would undo each other's."""
    whose: dict[str, str] = {}
    for feed, (table, given) in feeds.items():
        setting = table["topics.prefix"]
        prefix = str(given["topics.prefix"].value if "topics.prefix" in given else setting.default)
        if prefix in whose:
            problems.append(
                f"Feed {feed}: the topics' prefix {prefix} is that of feed {whose[prefix]}; every feed needs its own, "
                f"for example {setting.env}={feed}"
            )
        whose.setdefault(prefix, feed)


def _checked(
    given: dict[str, Given], known: Mapping[str, Setting], config_file: Path | None, problems: list[str]
) -> list[Loaded]:
    """One, or none when there is a problem."""
    read_secret_files(given, known, problems)
    read_permit(given, known, config_file, problems)
    if problems:
        return []
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
        problems += [_sentence(one["loc"], one["msg"], given, known) for one in error.errors(include_url=False)]
        return []
    return [Loaded(checked, {name: given[name].origin if name in given else "default" for name in known}, known)]


def _stop_at(problems: list[str]) -> None:
    if problems:
        raise SettingsError("\n".join(map(_line, problems)), hint=f"That mended, {HINT}")  # until then it says the same


def _line(sentence: str) -> str:
    """What a name of a file or of a setting may hold must not break it, nor reach the terminal."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in sentence)


def _sentence(
    loc: tuple[int | str, ...], message: str, given: Mapping[str, Given], known: Mapping[str, Setting]
) -> str:
    path = [str(part) for part in loc]
    name = next((".".join(path[:end]) for end in range(len(path), 0, -1) if ".".join(path[:end]) in known), None)
    message = message.removeprefix("Value error, ")
    if name is None:  # settings that do not fit together speak for themselves
        return message
    setting = known[name]
    rule = re.sub("^Input should", "must", re.sub("^Input is not a valid path.*", "must be a path", message))
    rule = rule.split(", unable to")[0]
    better = known.get(f"{name}_file", setting)  # of a secret there is no example
    quote = "'" if setting.is_table else ""
    return f"{setting.env} (from {given[name].source}) {rule}, for example {better.env}={quote}{better.example}{quote}"
