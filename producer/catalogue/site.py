"""The static site: plain HTML from the templates beside this file; works from file://, asks nothing of any network."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from producer.catalogue import snippets, words
from producer.catalogue.asyncapi import HEADERS
from producer.catalogue.reading import Text, both
from producer.catalogue.topics import CHANGE_TYPES, Contents, Topic
from producer.errors import SettingsError
from producer.events.deadletter import REASONS

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

HERE: Final = Path(__file__).parent

Files = dict[str, str]  # path in the output folder → content


def site(contents: Contents) -> Files:
    """Every page, with its style and script. Raises SettingsError when the extra `catalogue` is not installed."""
    environment = _environment()
    users: dict[str, list[tuple[Topic, list[str]]]] = {name: [] for name in contents.codesets}
    for topic in contents.topics:
        for name, paths in topic.codesets.items():
            users[name].append((topic, paths))
    users[CHANGE_TYPES] = []  # said of every event; the page says so
    environment.globals |= {
        "contents": contents,
        "by_theme": {
            theme: [one for one in contents.topics if one.theme == theme]
            for theme in words.THEMES
            if any(one.theme == theme for one in contents.topics)
        },
        "users": users,
    }

    def page(template: str, root: str = "", **given: Any) -> str:
        return environment.get_template(template).render(root=root, **given)

    files = {name: page(name) for name in ("index.html", "event.html", "types.html", "codesets.html")}
    for topic in contents.topics:
        files[f"topics/{topic.suffix}.html"] = page("topic.html", "../", topic=topic)
    for codeset in contents.codesets.values():
        files[f"codesets/{codeset.name}.html"] = page("codeset.html", "../", codeset=codeset)
    files |= {path.name: path.read_text("utf-8") for path in sorted((HERE / "static").iterdir())}
    entries = ",\n".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in _entries(contents))
    files["search-index.js"] = f"const CATALOGUE = [\n{entries}\n];\n"
    return files


def _environment() -> "Environment":
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise SettingsError(
            "The catalogue's pages need jinja2, which is not installed.", hint="pip install 'vtj-producer[catalogue]'"
        ) from None
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates", encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "say": say,
        "swap": swap,
        "both": both,
        "words": words,
        "snippets": snippets,
        "change_types": CHANGE_TYPES,
        "headers": HEADERS,
        "reasons": REASONS,
    }
    environment.filters |= {"lines": _lines, "parted": _parted}
    return environment


def say(fi: "str | Text", en: str | None = None) -> "Markup":
    """A text in both languages, of which the page shows one; words in `backticks` are code."""
    from markupsafe import Markup

    text = Text(fi, en) if isinstance(fi, str) and en is not None else fi
    assert isinstance(text, Text)
    if text.fi == text.en:
        return _code(text.fi)
    return Markup('<span class="t" lang="fi">{}</span><span class="t" lang="en">{}</span>').format(*map(_code, text))


def swap(text: Text) -> "Markup":
    """A text in the language that the page does not show now."""
    from markupsafe import Markup

    return Markup('<span class="o" lang="fi">{}</span><span class="o" lang="en">{}</span>').format(*text)


def _code(text: str) -> "Markup":
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just here


def _parted(name: str) -> "Markup":
    """A long name that may go on in the next line behind _ and . too, where a phone would break it anywhere."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=[_.])", "<wbr>", str(escape(name))))  # noqa: S704 - escaped just here


def _lines(line: dict[str, Any]) -> tuple[str, str, str]:
    """A Kafka record as JSON in three parts: what is before `data`, that, and what is after it."""
    text = json.dumps(line, ensure_ascii=False, indent=2)
    found = re.search(r'^    "data": (?:[^{].*|\{\}.*|\{\n(?: {5,}.*\n)* {4}\},?)\n', text, re.M)
    return (text[: found.start()], found[0], text[found.end() :]) if found else (text, "", "")


def _entries(contents: Contents) -> list[dict[str, Any]]:
    """What the search looks through, the most telling first in each."""
    entries: list[dict[str, Any]] = [
        {
            "page": f"topics/{topic.suffix}.html",
            "title": topic.title,
            "name": topic.tietoryhma or topic.suffix,
            "topic": topic.name,
            "theme": words.THEMES.get(topic.theme, Text("", "")),
            "fields": [[one.name, *one.doc, *([one.codeset] if one.codeset else [])] for one in topic.own],
        }
        for topic in contents.topics
    ]
    entries += [
        {
            "page": f"codesets/{one.name}.html",
            "title": both(one.doc),
            "name": one.name,
            "theme": Text("Koodisto", "Code set"),
            "fields": [],
        }
        for one in contents.codesets.values()
    ]
    entries.append(
        {
            "page": "event.html",
            "title": Text("Tapahtuman kuori", "The event's envelope"),
            "name": "Event",
            "theme": Text("Kaikki aiheet", "All topics"),
            "fields": [[one.name, *one.doc] for one in contents.envelope],
        }
    )
    return entries
