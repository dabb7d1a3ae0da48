"""JSON text of what upstream sent: canonical for ids, raw for `unmapped` and dead letters.

orjson does it where it can. It refuses lone surrogates, integers beyond 64 bits and deep nesting, all of which a parser
may let through; those are spelled here, without recursion, so that no input can end the program.
"""

import json
from typing import Any

import orjson


def canonical(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys: equal for equal values, whatever the order of keys was."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return _spell(value, sort=True).encode()


def raw(value: Any) -> str:
    """JSON text in the order that came."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return _spell(value, sort=False)


def _spell(value: Any, *, sort: bool) -> str:
    pieces: list[str] = []
    rest: list[tuple[bool, Any]] = [(False, value)]  # (is it a finished piece?, piece or value), last first
    while rest:
        finished, item = rest.pop()
        if finished:
            pieces.append(item)
        elif type(item) is dict:
            members = sorted(item.items()) if sort else list(item.items())
            rest.append((True, "}"))
            for at in range(len(members) - 1, -1, -1):
                name, member = members[at]
                rest.append((False, member))
                rest.append((True, f"{',' if at else ''}{json.dumps(name)}:"))
            rest.append((True, "{"))
        elif type(item) is list:
            rest.append((True, "]"))
            for at in range(len(item) - 1, -1, -1):
                rest.append((False, item[at]))
                if at:
                    rest.append((True, ","))
            rest.append((True, "["))
        else:
            pieces.append(json.dumps(item))
    return "".join(pieces)
