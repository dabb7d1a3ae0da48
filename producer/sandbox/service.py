"""The interface itself: VTJ-muutosrajapinta's four endpoints, direct and by the X-Road path.

What upstream does where it is known; error bodies and the limits of quotas are not:

    GET  /api/v1/kirjausavain/{yyyy-MM-dd}   the key after which the registrations of that day follow
    POST /api/v1/muutokset         {viimeisinKirjausavain, hetulista?}; without the list all that the permit selects
    POST /api/v1/perustiedot       {hetulista (at most 1000), tietoryhmat?}
    POST /api/v1/perustiedot-vko   {hetulista (at most 1000) | kuntakoodit, tietoryhmat?}
    …    /r1/{FI|FI-TEST}/GOV/0245437-2/VTJmutpa/VTJmutpa/api/v1/…   the same through X-Road
    GET  /r1/{FI|FI-TEST}/GOV/0245437-2/VTJmutpa/{listMethods|getOpenAPI?serviceCode=VTJmutpa}   X-Road's own

A cursor may be asked with again and again and never grows old. After a corrected code, changes come under the new
code alone: who follows the old one gets the record of the correction and then nothing.
"""

import asyncio
import math
from collections import Counter, deque
from collections.abc import Mapping
from datetime import date, datetime
from time import monotonic
from typing import Annotated, Any, Final, Self, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from producer import http
from producer.model import CURSOR_MAX
from producer.sandbox import xroad
from producer.sandbox.faults import Script, piecemeal, refusal, reset, stopped, twisted
from producer.sandbox.log import Log
from producer.sandbox.replay import Replay

_METHODS: Final = {"kirjausavain": "GET", "muutokset": "POST", "perustiedot": "POST", "perustiedot-vko": "POST"}
_PATHS: Final = {f"/api/v1/{one}{'/*' * (one == 'kirjausavain')}": method for one, method in _METHODS.items()}

MOST_CODES: Final = 1000  # in one request of perustiedot or perustiedot-vko

Source = Log | Replay


class _Body(BaseModel):
    """Exactly the known properties, of exactly their types (`additionalProperties: false`)."""

    # A property that is left out is not the same as null, which is refused: hence no `| None` here.
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    def given(self, name: str) -> bool:
        return name in self.model_fields_set


class Muutokset(_Body):
    cursor: Annotated[int, Field(alias="viimeisinKirjausavain", ge=0, le=CURSOR_MAX)]
    hetulista: list[str] = Field(default=[], repr=False)


class Perustiedot(_Body):
    hetulista: list[str] = Field(max_length=MOST_CODES, repr=False)
    tietoryhmat: list[str] = []


class PerustiedotVko(_Body):
    hetulista: list[str] = Field(default=[], max_length=MOST_CODES, repr=False)
    kuntakoodit: list[str] = []
    tietoryhmat: list[str] = []

    @model_validator(mode="after")
    def _one_selection(self) -> Self:
        if self.given("hetulista") == self.given("kuntakoodit"):
            raise ValueError("either hetulista or kuntakoodit")
        return self


Body = TypeVar("Body", bound=_Body)


class Refused(Exception):
    """The service's own no. Its body is a guess: implementers never wrote down what DVV's looks like."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers

    def response(self) -> web.Response:
        body = {"status": self.status, "message": str(self)}
        return web.Response(
            status=self.status, body=orjson.dumps(body), headers=self.headers, content_type="application/json"
        )


class Service:
    """account: user name and password. quota: requests per minute, or None. page_size: most records in an answer.

    requests: endpoint → how often it was asked, whatever came of it.
    """

    def __init__(
        self,
        source: Source,
        script: Script,
        *,
        account: tuple[str, str],
        quota: int | None,
        page_size: int,
        security_server: xroad.SecurityServer,
    ) -> None:
        self._source = source
        self._script = script
        self._login = http.basic(*account)
        self._quota = quota
        self._page_size = page_size
        self._security_server = security_server
        self._recent: deque[float] = deque()
        self._stop = asyncio.Event()
        self.requests: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/r1/{path:.*}", self._by_xroad), web.route("*", "/api/v1/{path:.*}", self._directly)]

    def stop(self) -> None:
        """Answers that hang or drip end."""
        self._stop.set()

    async def _directly(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.path, {})

    async def _by_xroad(self, request: web.Request) -> web.StreamResponse:
        try:
            path = self._security_server.service_path(request)
        except xroad.XroadFault as fault:
            return fault.response()
        return await self._serve(request, path, xroad.response_headers(request, await request.read()))

    async def _serve(self, request: web.Request, path: str, extra: Mapping[str, str]) -> web.StreamResponse:
        try:
            endpoint, argument = _endpoint(request.method, path)
            self.requests[endpoint] += 1
            step = self._script.take(endpoint)
            if step is None:
                body, _ = await self._answer(request, endpoint, argument)
                return _json(body, extra)
            if isinstance(step.fault, int):
                return _with(refusal(step), {} if step.xroad else extra)
            if step.fault == "reset" or (step.fault == "hang" and await stopped(self._stop, step.seconds)):
                reset(request)
                return web.Response()
            if step.fault == "record":
                await self._source.prepare()
                self._source.append(step.records)
            body, asked = await self._answer(request, endpoint, argument)
            if step.fault in ("drip", "truncated"):
                response = web.StreamResponse(headers={**extra, "Content-Type": "application/json"})
                return await piecemeal(request, response, body, step, self._stop)
            body, changed = twisted(step.fault, body, asked)
            return _json(body, {**extra, **changed})
        except Refused as refused:
            return _with(refused.response(), extra)

    async def _answer(self, request: web.Request, endpoint: str, argument: str) -> tuple[bytes, int]:
        """The body, and the cursor that was asked with (0 where there is none). Raises Refused."""
        if endpoint in xroad.METASERVICES:
            return xroad.told(endpoint, request.path.split("/")[2], _PATHS), 0
        self._admit(request)
        if endpoint == "kirjausavain":
            return orjson.dumps({"viimeisinKirjausavain": self._source.cursor_before(_date(argument))}), 0
        if request.content_type != "application/json":
            raise Refused(415, "Content-Type must be application/json")
        text = await request.read()
        if endpoint == "muutokset":
            wanted = _body(Muutokset, text)
            persons = frozenset(wanted.hetulista) if wanted.given("hetulista") else None
            if persons is not None:
                await self._source.prepare()
            return self._source.page(wanted.cursor, persons, self._page_size), wanted.cursor
        answer: dict[str, Any] = {"ajanTasalla": True}
        if endpoint == "perustiedot":
            asked = _body(Perustiedot, text)
            await self._source.prepare()
            answer["perustiedot"] = self._source.persons(asked.hetulista, _kinds(asked))
        else:
            weekly = _body(PerustiedotVko, text)
            codes = weekly.hetulista if weekly.given("hetulista") else None
            day, found = await self._source.weekly(codes, weekly.kuntakoodit, _kinds(weekly))
            answer |= {"poimintapv": day, "perustiedot": found}
        return orjson.dumps(answer), 0

    def _admit(self, request: web.Request) -> None:
        """Account first, then its quota: so many requests in any sixty seconds."""
        if request.headers.get("Authorization") != self._login:
            raise Refused(401, "unknown account", {"WWW-Authenticate": 'Basic realm="VTJ-muutosrajapinta"'})
        if self._quota is None:
            return
        now = monotonic()
        while self._recent and self._recent[0] <= now - 60:
            self._recent.popleft()
        if len(self._recent) >= self._quota:
            wait = math.ceil(self._recent[0] + 60 - now)
            raise Refused(429, "too many requests", {"Retry-After": str(max(1, wait))})
        self._recent.append(now)


def _json(body: bytes, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": "application/json", **headers})


def _with(response: web.Response, headers: Mapping[str, str]) -> web.Response:
    response.headers.update(headers)
    return response


def _endpoint(method: str, path: str) -> tuple[str, str]:
    """A path → endpoint and the rest of the path. Raises Refused."""
    if path.removeprefix("/") in xroad.METASERVICES:
        return path.removeprefix("/"), ""
    name, _, argument = path.removeprefix("/api/v1/").partition("/")
    if not path.startswith("/api/v1/") or name not in _METHODS or bool(argument) != (name == "kirjausavain"):
        raise Refused(404, "no such path")
    if method != _METHODS[name]:
        raise Refused(405, "wrong method", {"Allow": _METHODS[name]})
    return name, argument


def _date(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise Refused(400, "the date must be yyyy-MM-dd") from None


def _body(model: type[Body], text: bytes) -> Body:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        # The name of an unknown property is the client's own text, and could be anything.
        place = "" if first["type"] == "extra_forbidden" or not first["loc"] else f" ({first['loc'][0]})"
        raise Refused(400, f"{first['msg'].partition(':')[0]}{place}") from None


def _kinds(asked: Perustiedot | PerustiedotVko) -> list[str] | None:
    return asked.tietoryhmat if asked.given("tietoryhmat") else None
