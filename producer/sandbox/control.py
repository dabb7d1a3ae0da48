"""The control API, for tests and the demo. It answers only the machine itself.

GET  /_sandbox/log?after=CURSOR          JSON lines {"kirjausavain", "muutos"}: what is served, in order
POST /_sandbox/grow {"changes": n}       the next n changes are there at once
POST /_sandbox/append {"muutokset": []}  records as they are → {"kirjausavaimet": []}
POST /_sandbox/faults []                 replaces the script (see faults.py)
GET  /_sandbox/state, /_sandbox/codes    counts; today's codes of those whom the permit selects, one a line
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from producer.errors import SettingsError
from producer.sandbox.faults import Script, steps
from producer.sandbox.service import Refused, Service, Source

_CHUNK: Final = 1000  # lines


class Control:
    def __init__(self, source: Source, script: Script, service: Service) -> None:
        self._source = source
        self._script = script
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_sandbox/log", self._log),
            web.get("/_sandbox/state", self._state),
            web.get("/_sandbox/codes", self._codes),
            web.post("/_sandbox/grow", self._grow),
            web.post("/_sandbox/append", self._append),
            web.post("/_sandbox/faults", self._faults),
        ]

    def state(self) -> dict[str, Any]:
        """entries, first and last key (first: None while empty), requests by endpoint, faults applied by name."""
        seen = {"requests": dict(self._service.requests), "faults": dict(self._script.served)}
        return self._source.state() | seen

    async def _state(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.state())

    async def _codes(self, request: web.Request) -> web.StreamResponse:
        await self._source.prepare()
        return web.Response(text="".join(f"{code}\n" for code in self._source.codes()))

    async def _log(self, request: web.Request) -> web.StreamResponse:
        after = request.query.get("after", "0")
        if not (after.isascii() and after.isdecimal()):
            raise SettingsError("after must be a cursor", hint="/_sandbox/log?after=0")
        await self._source.prepare()
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        lines: list[bytes] = []
        for key, record in self._source.entries(int(after)):
            lines.append(b'{"kirjausavain":%d,"muutos":%b}\n' % (key, record))
            if len(lines) == _CHUNK:
                await response.write(b"".join(lines))
                lines = []
        await response.write(b"".join(lines))
        return response

    async def _grow(self, request: web.Request) -> web.StreamResponse:
        match await _posted(request):
            case {"changes": int(changes)} if changes >= 0 and not isinstance(changes, bool):
                self._source.grow(changes)
                return web.json_response(self.state())
        raise SettingsError("not a growth", hint='{"changes": 100}')

    async def _append(self, request: web.Request) -> web.StreamResponse:
        match await _posted(request):
            case {"muutokset": list(records)}:
                await self._source.prepare()
                return web.json_response({"kirjausavaimet": self._source.append(records)})
        raise SettingsError("no records to append", hint='{"muutokset": [...]}')

    async def _faults(self, request: web.Request) -> web.StreamResponse:
        self._script.set(steps(await _posted(request)))
        return web.json_response(self.state())


@web.middleware
async def guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """The control API is for this machine alone, and says what is wrong with a request."""
    if not request.path.startswith("/_sandbox/"):
        return await handler(request)
    if not ipaddress.ip_address(request.remote or "0.0.0.0").is_loopback:  # noqa: S104 - an address nobody has
        return Refused(403, "the control API answers only this machine").response()
    try:
        return await handler(request)
    except SettingsError as error:
        return Refused(400, f"{error}; {error.hint}").response()


async def _posted(request: web.Request) -> Any:
    # The standard parser and not orjson: a record may hold numbers of any size, and must come out as it went in.
    try:
        return json.loads(await request.read())
    except ValueError:
        raise SettingsError("the body is not JSON", hint="send one JSON value") from None
