"""The slow path: a data group that does not fit its schema as it stands.

What fits goes to the typed fields; what does not goes to `unmapped` as JSON text under its path, and the typed place is
null. Paths:

    foo   huoltaja.foo   oikeudet[0].foo   voimassaolevatTiedot[1].foo     of the group
    ../foo                                                                 of the change record
    ../../foo                                                              of the page

A name that is no plain word stands in JSON quotes (`"a.b"`), so that it cannot be taken for a path.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, wraps
from typing import Any, Final

from producer.events import wire
from producer.events.shapes import TEXT, Choice, Leaf, Many, Record, Shape, Texts
from producer.events.spell import raw

TIETORYHMA: Final = "tietoryhma"
CHANGE_TYPE: Final = "muutosattribuutti"
IN_FORCE: Final = "voimassaolevatTiedot"
WITHHELD: Final = "turvakiellonAlaisetKentat"
COMMON: Final = frozenset({TIETORYHMA, CHANGE_TYPE, IN_FORCE, WITHHELD})
UNKNOWN_CHANGE: Final = "TUNTEMATON"

SHORT: Final = 128  # characters of a name, or a path, that is worth keeping

_TEXTS: Final = Many(TEXT)

_WORD: Final = re.compile(r"[^\W\d][\w-]*")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_NUMBERED: Final = re.compile(r"(?<![\w-])(?=[\w-]*\d{6})[\w-]+")  # no name: an identity code behind a letter
_PLACE: Final = re.compile(r"\[\d+\]")
_ITEM: Final = re.compile(rf"{IN_FORCE}\[(\d+)\]\.")
_ABOVE, _PAGE = "../", "../../"

Unmapped = dict[str, str]


def _kept(made: Callable[[str], str]) -> Callable[[str], str]:
    """Remembers what was made of short texts: some groups never fit, and their names are few."""
    cached = lru_cache(4096)(made)

    @wraps(made)
    def remembered(text: str) -> str:
        return (cached if len(text) <= SHORT else made)(text)

    return remembered


@_kept
def spelled(name: str) -> str:
    """A member's name as it stands in a path."""
    return name if _WORD.fullmatch(name) else json.dumps(name)


@_kept
def label(path: str) -> str:
    """A path for people to count: without places in lists, and without names that might be content."""
    return _PLACE.sub("[]", _NUMBERED.sub("?", _QUOTED.sub("?", path)))


@dataclass(slots=True, repr=False)
class Fitted:
    """The parts of an event that fit."""

    group: str
    change_type: str | None
    data: dict[str, Any] | None
    in_force: list[dict[str, Any]] | None
    withheld: list[str] | None
    unmapped: Unmapped


def fit_group(record: Record, group: Mapping[str, Any], symbols: frozenset[str]) -> Fitted:
    """Part a data group into what fits and what does not.

    record: the shape of the group's own fields. symbols: the words of `muutosattribuutti` that are known; none in a
    snapshot, where the member does not belong.
    """
    unmapped: Unmapped = {}
    own = {name: value for name, value in group.items() if name not in COMMON}
    data: dict[str, Any] | None = _record(record, own, "", unmapped)

    name: Any = group.get(TIETORYHMA)
    if name == "" or not _fits(TEXT, name):
        name = ""  # means that there was none; an empty one is told from that by its place in unmapped
        _keep(group, TIETORYHMA, unmapped)

    change_type = group.get(CHANGE_TYPE)
    if type(change_type) is not str or change_type not in symbols:
        change_type = UNKNOWN_CHANGE if symbols and change_type is not None else None
        _keep(group, CHANGE_TYPE, unmapped)

    withheld = group.get(WITHHELD)
    if withheld is not None:
        if not _fits(_TEXTS, withheld):
            withheld = None
            _keep(group, WITHHELD, unmapped)
        elif not own:
            data = None

    in_force = plain(group.get(IN_FORCE), name or None)
    if type(in_force) is list and all(type(item) is dict for item in in_force):
        in_force = [_record(record, item, f"{IN_FORCE}[{at}].", unmapped) for at, item in enumerate(in_force)]
    else:
        in_force = None
        _keep(group, IN_FORCE, unmapped)
    return Fitted(name, change_type, data, in_force, withheld, unmapped)


@dataclass(slots=True, repr=False)
class Whole:
    """A data group without a schema as upstream told it; above, page: members of its record, and of the page.

    above is as it stands in `unmapped`.
    """

    group: dict[str, Any]
    above: Unmapped
    page: dict[str, Any]


def whole(event: Mapping[str, Any]) -> Whole:
    """The opposite of `fit_group`, of a decoded change event whose record has no field: all of it is in `unmapped`."""
    typed: dict[str, Any] = {
        TIETORYHMA: event["group"] or None,
        CHANGE_TYPE: event["changeType"],  # an unknown word is overwritten by the true one
        WITHHELD: event["withheldFields"],
        IN_FORCE: event["inForce"] and [{} for _ in event["inForce"]],
    }
    group = {name: value for name, value in typed.items() if value is not None}
    found = Whole(group, {}, {})
    for path, text in event["unmapped"].items():
        if path.startswith(_PAGE):
            found.page[_name(path.removeprefix(_PAGE))] = json.loads(text)
        elif path.startswith(_ABOVE):
            found.above[path] = text
        elif item := _ITEM.match(path):
            group[IN_FORCE][int(item[1])][_name(path[item.end() :])] = json.loads(text)
        else:
            group[_name(path)] = json.loads(text)
    return found


def _name(spelled: str) -> str:
    name: str = json.loads(spelled) if spelled.startswith('"') else spelled
    return name


def plain(in_force: Any, tietoryhma: str | None) -> Any:
    """`voimassaolevatTiedot` less the members that only say again which group this is."""
    if type(in_force) is not list:
        return in_force
    return [
        {name: value for name, value in item.items() if name != TIETORYHMA or value != tietoryhma}
        if type(item) is dict
        else item
        for item in in_force
    ]


def _keep(group: Mapping[str, Any], name: str, unmapped: Unmapped) -> None:
    if group.get(name) is not None:
        unmapped[name] = raw(group[name])


def _record(record: Record, members: Mapping[str, Any], path: str, unmapped: Unmapped) -> dict[str, Any]:
    fitted = {}
    for name, value in members.items():
        known = record.fields.get(name)
        if known is None:
            unmapped[path + spelled(name)] = raw(value)
        elif value is not None:
            fits = _value(known.shape, value, path + name, unmapped)
            if fits is not None:
                fitted[name] = fits
    return fitted


def _value(shape: Shape, value: Any, path: str, unmapped: Unmapped) -> Any:
    if isinstance(shape, Record):
        if type(value) is dict:
            return _record(shape, value, f"{path}.", unmapped)
    elif isinstance(shape, Many) and isinstance(shape.of, Record):
        if type(value) is list and all(type(item) is dict for item in value):
            return [_record(shape.of, item, f"{path}[{at}].", unmapped) for at, item in enumerate(value)]
    elif _fits(shape, value):
        return value
    unmapped[path] = raw(value)
    return None


@cache
def _writer(shape: Shape) -> Callable[[Any], str]:
    if isinstance(shape, Many):
        return wire.many(_writer(shape.of))
    if isinstance(shape, Choice):
        return wire.choice(shape.symbols)
    if isinstance(shape, Texts):
        return wire.texts
    assert isinstance(shape, Leaf)
    write: Callable[[Any], str] = getattr(wire, shape.write)
    return write


def _fits(shape: Shape, value: Any) -> bool:
    try:
        _writer(shape)(value)
    except wire.Misfit:
        return False
    return True
