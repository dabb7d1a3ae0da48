"""Scripted faults: a list of steps, each applied to the next requests that match it.

A step is a JSON object: `fault` and, if wanted, `endpoint` (only this one), `times` (default 1; null: for ever) and
`probability` (default 1, drawn from the sandbox's seed). Of the steps that are not used up, the first that matches a
request and wins its draw is applied. `fault` is a status or a word:

    400 401 403 429 500 502 503  answered with it; `retry_after` (s) adds the header, `as_date` makes it an HTTP date,
                             `xroad` (a type such as Server.ServerProxy.NetworkError) makes it a fault of X-Road
    hang                     no answer (`seconds`: then the normal one after all)
    drip                     the normal answer in a hundred pieces with pauses, over `seconds` (default 60)
    reset                    the connection is reset before an answer
    truncated                the connection is closed in the middle of the body
    not_json                 200 with a page of HTML
    charset                  200 with a body in ISO-8859-1 that says it is UTF-8
    gzip, gzip_bomb          the answer compressed; an answer of some kilobytes that unpacks to 128 MiB
    record                   `records` (default: one of each way to break the rules) go into the log, then the answer
    backward                 viimeisinKirjausavain is less than the one asked with
    stuck                    nothing new, and yet not ajanTasalla
    ok                       the normal answer: counts requests that pass before the next step
"""

import asyncio
import gzip
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from producer.errors import SettingsError
from producer.sandbox.dice import Dice
from producer.sandbox.hetu import personal_code
from producer.sandbox.xroad import XroadFault

Endpoint = Literal["kirjausavain", "muutokset", "perustiedot", "perustiedot-vko", "listMethods", "getOpenAPI"]
Word = Literal[
    "hang", "drip", "reset", "truncated", "not_json", "charset", "gzip", "gzip_bomb",
    "record", "backward", "stuck", "ok",
]  # fmt: skip

_OF_CHANGES: Final = ("record", "backward", "stuck")  # these mean something in muutokset alone
_BOMB: Final = 128  # MiB
_SOMEBODY: Final = personal_code(date(1970, 1, 1), 999, "-")
_NAME: Final = {"tietoryhma": "HENKILON_NIMI", "muutosattribuutti": "MUUTETTU", "etunimi": "Rikki"}
BROKEN_RECORDS: Final[tuple[Any, ...]] = (
    "ei tietue",
    None,
    {"tietoryhmat": [_NAME], "muutospv": "2026-01-01T00:00:00.000Z"},
    {"henkilotunnus": 10170999, "tietoryhmat": [_NAME], "muutospv": "2026-01-01T00:00:00.000Z"},
    {"henkilotunnus": _SOMEBODY, "muutospv": "2026-01-01T00:00:00.000Z"},
    {"henkilotunnus": _SOMEBODY, "tietoryhmat": {"0": _NAME}, "muutospv": "2026-01-01T00:00:00.000Z"},
    {"henkilotunnus": _SOMEBODY, "tietoryhmat": ["HENKILON_NIMI", {}], "muutospv": "2026-01-01T00:00:00.000Z"},
    {"henkilotunnus": _SOMEBODY, "tietoryhmat": [_NAME], "muutospv": "eilen"},
)


class Step(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    fault: Literal[400, 401, 403, 429, 500, 502, 503] | Word
    endpoint: Endpoint | None = None
    times: int | None = Field(1, ge=1)
    probability: float = Field(1, gt=0, le=1)
    retry_after: int | None = Field(None, ge=0)
    as_date: bool = False
    xroad: str | None = None
    seconds: float | None = Field(None, ge=0)
    records: list[Any] = Field(default=list(BROKEN_RECORDS), repr=False)


_STEPS: Final = TypeAdapter(list[Step])


def steps(script: Any) -> list[Step]:
    """A script as JSON values → its steps. Raises SettingsError, which does not quote records."""
    try:
        return _STEPS.validate_python(script)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        where = found[0]["loc"][:2]  # of a fault, which is a status or a word, there is an error for each
        said = "; ".join(one["msg"] for one in found if one["loc"][:2] == where)
        raise SettingsError(
            f"the fault script is wrong at {'.'.join(map(str, where)) or 'its root'}: {said}",
            hint='a script is a JSON list of steps such as [{"fault": 503, "times": 2}]',
        ) from None


class Script:
    """served: fault → how often it was applied, over all scripts."""

    def __init__(self, seed: int, script: Iterable[Step]) -> None:
        self._dice = Dice(seed, 4)
        self.served: Counter[str] = Counter()
        self.set(script)

    def set(self, script: Iterable[Step]) -> None:
        """Replaces what is left of the script."""
        self._steps = list(script)
        self._left = [step.times for step in self._steps]

    def take(self, endpoint: str) -> Step | None:
        for place, step in enumerate(self._steps):
            left = self._left[place]
            meant = step.endpoint or ("muutokset" if step.fault in _OF_CHANGES else endpoint)
            if left == 0 or meant != endpoint or not self._dice.chance(step.probability):
                continue
            if left is not None:
                self._left[place] = left - 1
            self.served[str(step.fault)] += 1
            return step
        return None


def refusal(step: Step) -> web.Response:
    """The answer of a step whose fault is a status."""
    assert isinstance(step.fault, int)
    if step.xroad:
        response = XroadFault(step.fault, step.xroad, "scripted").response()
    else:
        response = web.json_response({"status": step.fault, "message": "scripted"}, status=step.fault)
    if step.retry_after is not None:
        then = format_datetime(datetime.now(UTC) + timedelta(seconds=step.retry_after), usegmt=True)
        response.headers["Retry-After"] = then if step.as_date else str(step.retry_after)
    return response


def reset(request: web.Request) -> None:
    """Closes the connection with RST and not with FIN: the client sees a reset, not an end."""
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def twisted(fault: Word, body: bytes, asked: int) -> tuple[bytes, Mapping[str, str]]:
    """The normal answer → the body that is sent instead, and its headers. asked: the cursor of the request."""
    match fault:
        case "not_json":
            return b"<!doctype html><title>502</title><p>Katkos</p>", {"Content-Type": "text/html"}
        case "charset":
            body = body[:-1].decode().encode("iso-8859-1", "replace") + b',"huomautus":"\xe4"}'
        case "gzip":
            return gzip.compress(body, 1), {"Content-Encoding": "gzip"}
        case "gzip_bomb":
            return gzip.compress(body[:-1] + b" " * (_BOMB << 20) + b"}", 9), {"Content-Encoding": "gzip"}
        case "backward":
            body = orjson.dumps(orjson.loads(body) | {"viimeisinKirjausavain": max(0, asked - 1)})
        case "stuck":
            body = orjson.dumps({"viimeisinKirjausavain": asked, "muutokset": [], "ajanTasalla": False})
    return body, {}


async def piecemeal(
    request: web.Request, response: web.StreamResponse, body: bytes, step: Step, stop: asyncio.Event
) -> web.StreamResponse:
    """Sends a body slowly, or only half of it."""
    response.content_length = len(body)
    await response.prepare(request)
    if step.fault == "truncated":
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.close()
        return response
    size = max(1, len(body) // 100)
    for start in range(0, len(body), size):
        await response.write(body[start : start + size])
        if await stopped(stop, (60 if step.seconds is None else step.seconds) / 100):
            break
    return response


async def stopped(stop: asyncio.Event, seconds: float | None) -> bool:
    """Waits, at most until the sandbox is asked to stop; says whether it was."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
