"""The kinds of values that settings have, each with its rule in words."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr

from producer.model import CURSOR_MAX


@dataclass(frozen=True)
class Unit:
    """Said of a number's type, shown in the docs."""

    name: str


def _matches(pattern: str, rule: str) -> AfterValidator:
    """A check whose message is a rule for people, not a regular expression."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(rule)
        return value

    return AfterValidator(check)


def _root(value: str) -> str:
    value = value.rstrip("/")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", value):
        raise ValueError("must begin with https:// or http:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry an account; …__USERNAME and …__PASSWORD do")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path, without ? and #")
    return value


def _upstream_root(value: str) -> str:
    value = _root(value)
    if re.search(r"/(api/v1|r1)(/|$)", urlsplit(value).path):
        raise ValueError("must be the part before /api/v1 (and, with X-Road, before /r1)")
    return value


def _start(value: object) -> str:
    rule = "must be today, a date (yyyy-MM-dd) or a cursor (a whole number below 2^63)"
    if isinstance(value, bool) or not isinstance(value, date | int | str):
        raise ValueError(rule)  # noqa: TRY004 - pydantic turns a ValueError into a message
    text = str(value)  # TOML has dates and numbers of its own
    if text == "today" or (re.fullmatch(r"\d{1,19}", text, re.ASCII) and int(text) <= CURSOR_MAX):
        return text
    # fromisoformat alone would also take 2026-W45-1.
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            pass
    raise ValueError(rule)


def _times(value: object) -> tuple[str, ...]:
    """Each once, in the order of the day."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise ValueError("must be times of day, separated by commas")
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", name):
            raise ValueError("must be times of day from 00:00 to 23:59")
    return tuple(sorted({*names}))


GROUP_NAME = r"[A-Z][A-Z0-9_]*"


def _groups(value: object) -> tuple[str, ...]:
    """Each name once, in the order of naming. What is in a file has been read by now."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise ValueError("must be data groups, separated by commas, or the name of a file of them")
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(GROUP_NAME, name):
            raise ValueError("must name data groups as upstream does, in capitals with _")
    return tuple(dict.fromkeys(names))


def _no_bool(value: object) -> object:
    if isinstance(value, bool):  # TOML's `true` would pass as 1
        raise ValueError("must be a number")  # noqa: TRY004 - as above
    return value


TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's name for what a header name is
OWN_HEADERS = {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type"} | {
    "host", "transfer-encoding", "x-road-client", "x-road-id"
}  # fmt: skip


def _headers(value: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, secret in value.items():
        if not re.fullmatch(TOKEN, name):
            raise ValueError("must have names that HTTP allows")
        if name.lower() in OWN_HEADERS:
            raise ValueError(f"must leave {name} to the program")
        if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", secret.get_secret_value()):
            raise ValueError(f"must give {name} a value of printable ASCII")
    if len({name.lower() for name in value}) < len(value):
        raise ValueError("must name each header once")
    return value


def _printable(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\x21-\x7e]+", value.get_secret_value()):
        raise ValueError("must be printable ASCII without spaces")
    return value


Seconds = Annotated[float, BeforeValidator(_no_bool), Unit("s")]
WholeSeconds = Annotated[int, BeforeValidator(_no_bool), Unit("s")]
Bytes = Annotated[int, BeforeValidator(_no_bool), Unit("bytes")]
Count = Annotated[int, BeforeValidator(_no_bool)]
Url = Annotated[str, AfterValidator(_root)]
UpstreamUrl = Annotated[str, AfterValidator(_upstream_root)]
HeaderName = Annotated[str, _matches(TOKEN, "must be a header name")]
# Kafka warns of topic names that mix "." and "_", because metric names merge them; "." is ours.
NAME, NAME_RULE = r"[a-z0-9][a-z0-9-]{0,62}", "of lower-case letters, digits and -, at most 63"
Name = Annotated[str, _matches(NAME, f"must be {NAME_RULE}")]
XroadClient = Annotated[
    str,
    _matches(
        r"[\x21-\x2e\x30-\x7e]+(/[\x21-\x2e\x30-\x7e]+){2,3}",
        "must be instance/class/code/subsystem in ASCII (the subsystem may be left out)",
    ),
]
Times = Annotated[tuple[str, ...], PlainValidator(_times, json_schema_input_type=tuple[str, ...])]
Groups = Annotated[tuple[str, ...], PlainValidator(_groups, json_schema_input_type=tuple[str, ...])]
Start = Annotated[str, PlainValidator(_start, json_schema_input_type=str)]
Brokers = Annotated[
    str,
    _matches(
        r"([\w.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}(,\s*([\w.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5})*",
        "must be host:port, several separated by commas",
    ),
]
Account = Annotated[str, _matches(r"[^:]*", "must not hold a colon: HTTP Basic has no room for it")]
Token = Annotated[SecretStr, AfterValidator(_printable)]
Headers = Annotated[dict[str, SecretStr], AfterValidator(_headers)]
