"""A page as a test reads it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

LOADING: Final = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "object": "data"}


@dataclass
class Page(HTMLParser):
    """links: targets of <a>. loads: what the browser fetches by itself. inline: script, style and on… within it."""

    text: str
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    metas: dict[str, str] = field(default_factory=dict)
    pres: dict[str, str] = field(default_factory=dict)  # by what labels them

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        self._pre = ""
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if "id" in said:
            assert said["id"] not in self.ids, f"{said['id']} twice"
            self.ids.add(said["id"])
        if tag in LOADING and LOADING[tag] in said:
            self.loads.append(said[LOADING[tag]])
        if tag == "a":
            self.links.append(said["href"])
        if tag == "meta" and "http-equiv" in said:
            self.metas[said["http-equiv"]] = said["content"]
        if tag == "style" or (tag == "script" and "src" not in said):
            self.inline.append(tag)
        self.inline += [name for name in said if name == "style" or name.startswith("on")]
        if tag == "pre":
            self._pre = said["aria-labelledby"]
            self.pres[self._pre] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre":
            self._pre = ""

    def handle_data(self, data: str) -> None:
        if self._pre:
            self.pres[self._pre] += data
