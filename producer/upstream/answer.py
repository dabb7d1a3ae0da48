"""An answer's bytes → Page. Checks the outer shape and the cursor's rules; what a record holds is the converter's.

Shapes and rules are those that public clients of the interface show (evaka, oppijanumerorekisteri). No message quotes
anything of a body.
"""

import contextlib
import json
from dataclasses import replace
from typing import Any, Final, NoReturn

import orjson

from producer.errors import MalformedPage
from producer.model import CURSOR_MAX, Page

CURSOR: Final = "viimeisinKirjausavain"
UP_TO_DATE: Final = "ajanTasalla"
CHANGES: Final = "muutokset"
SNAPSHOTS: Final = "perustiedot"

RULES: Final = "The cursor stays. This breaks the rules of VTJ-muutosrajapinta: show DVV the time and the cursor."
GATEWAY: Final = (
    "The cursor stays. Does VTJ_UPSTREAM__URL lead to VTJ-muutosrajapinta, and does a gateway change answers?"
)

_KINDS: Final[dict[type, str]] = {  # Python's name of a JSON value → JSON's
    dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number",
    bool: "true or false", type(None): "null",
}  # fmt: skip


def parse_page(body: bytes, *, bucket: str, previous: int, fetched_at: int) -> Page:
    """An answer of `muutokset` (kind CHANGE) or of `perustiedot` (kind SNAPSHOT, whose cursor is `previous`).

    previous: the cursor that was asked with; -1 when it is not known, which every cursor is beyond.
    fetched_at: ms. Of members with the same name the last one counts, as in every common JSON reader.
    Records may hold lone surrogates (`"\\ud800"` is JSON), which UTF-8 cannot carry. Raises MalformedPage.
    """
    answer = _object(body)
    if CHANGES in answer:
        records = _records(answer, CHANGES)
        cursor, up_to_date = _cursor(answer), _up_to_date(answer)
        _check_movement(previous, cursor, up_to_date, len(records))
        return Page("CHANGE", bucket, previous, cursor, up_to_date, fetched_at, records, answer)
    if SNAPSHOTS in answer:
        records = _records(answer, SNAPSHOTS)
        return Page("SNAPSHOT", bucket, previous, previous, _up_to_date(answer), fetched_at, records, answer)
    raise MalformedPage(f"Upstream's answer has neither {CHANGES} nor {SNAPSHOTS}.", hint=GATEWAY)


def parse_poison(body: bytes, *, bucket: str, previous: int, fetched_at: int) -> Page:
    """An answer of `muutokset` that may break the rules, if only its next cursor can be read and lies beyond.

    What stands where the list of records should is a record then. Raises MalformedPage: it cannot be passed over.
    """
    with contextlib.suppress(MalformedPage):
        page = parse_page(body, bucket=bucket, previous=previous, fetched_at=fetched_at)
        return replace(page, poison=True)
    answer = _object(body)
    cursor = _cursor(answer)
    if cursor <= previous:
        raise MalformedPage(
            f"The next cursor is {cursor}, which is not beyond {previous}: the page cannot be passed over.", hint=RULES
        )
    up_to_date = answer.pop(UP_TO_DATE, None) is True
    records = answer.pop(CHANGES, answer)
    records = records if isinstance(records, list) else [records]
    return Page("CHANGE", bucket, previous, cursor, up_to_date, fetched_at, records, answer, poison=True)


def parse_cursor(body: bytes) -> int:
    """The answer of `kirjausavain/{date}`. Raises MalformedPage."""
    return _cursor(_object(body))


def _object(body: bytes) -> dict[str, Any]:
    answer = _json(body)
    if not isinstance(answer, dict):
        raise MalformedPage(
            f"Upstream's answer is JSON, but {_KINDS[type(answer)]} instead of an object.", hint=GATEWAY
        )
    return answer


def _json(body: bytes) -> Any:
    # Raised outside the except blocks: the readers' errors hold the whole body, and a context would keep it.
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    # Slower and more tolerant: lone surrogates, a byte order mark, numbers beyond a double's range.
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse, parse_float=_finite)
    except UnicodeDecodeError:
        problem = "is not UTF-8"
    except (ValueError, RecursionError):
        problem = "is not JSON"
    raise MalformedPage(f"Upstream's answer {problem} ({len(body)} bytes, {_looks_like(body)}).", hint=GATEWAY)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are no JSON, though Python's reader takes them


def _finite(number: str) -> float:
    value = float(number)
    if value - value != 0:  # infinite: could not be written as JSON again
        raise ValueError
    return value


def _looks_like(body: bytes) -> str:
    first = body.lstrip()[:1]
    if not first:
        return "empty"
    if first == b"<":
        return "looks like HTML or XML"
    if first in b"{[":
        return "looks like JSON cut short or garbled"
    return "text" if first.isascii() and first.decode().isprintable() else "binary"


def _records(answer: dict[str, Any], member: str) -> list[Any]:
    records = answer.pop(member)
    if not isinstance(records, list):
        raise MalformedPage(f"{member} in upstream's answer is {_KINDS[type(records)]}, not a list.", hint=RULES)
    return records


def _cursor(answer: dict[str, Any]) -> int:
    if CURSOR not in answer:
        raise MalformedPage(f"Upstream's answer has no {CURSOR}.", hint=RULES)
    cursor = answer.pop(CURSOR)
    if not isinstance(cursor, int) or isinstance(cursor, bool) or not 0 <= cursor <= CURSOR_MAX:
        raise MalformedPage(f"{CURSOR} in upstream's answer is not a whole number from 0 to 2^63-1.", hint=RULES)
    return cursor


def _up_to_date(answer: dict[str, Any]) -> bool:
    up_to_date = answer.pop(UP_TO_DATE, None)
    if not isinstance(up_to_date, bool):
        raise MalformedPage(f"{UP_TO_DATE} in upstream's answer is missing, or not true or false.", hint=RULES)
    return up_to_date


def _check_movement(previous: int, cursor: int, up_to_date: bool, records: int) -> None:
    if cursor < previous:
        raise MalformedPage(
            f"Upstream's cursor went backward, from {previous} to {cursor}.",
            hint=f"{RULES} Was the cursor stored from another VTJ (test, production)?",
        )
    if cursor == previous and records:
        raise MalformedPage(
            f"Upstream returned {records} changes, but the cursor {cursor} that was asked with: they would come again.",
            hint=RULES,
        )
    if cursor == previous and not up_to_date:
        raise MalformedPage(
            f"Upstream says that there is more, but the cursor stays at {cursor}: asking again would never end.",
            hint=RULES,
        )
