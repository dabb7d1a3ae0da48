"""An upstream that does what the test says: a real server, one scripted answer per request."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from producer.config import Upstream as Settings
from producer.upstream.client import Upstream

# Two of DVV's public test codes, and what no log line and no error may ever hold.
CODES = ["010594Y9032", "020516C903K"]
PASSWORD = "hunter2-of-the-test"
NAME = "Sukunimi-Tes"
SECRETS = [*CODES, PASSWORD, NAME]

EMPTY = b'{"viimeisinKirjausavain": 7, "muutokset": [], "ajanTasalla": true}'
FULL = b'{"viimeisinKirjausavain":9,"ajanTasalla":true,"muutokset":[{"henkilotunnus":"%s","nimi":"%s"}]}' % (
    CODES[0].encode(),
    NAME.encode(),
)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for one, value in self.headers if one.lower() == name.lower()]


@dataclass
class Script:
    """answers: used in turn, the last one for ever."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = [(name.decode(), value.decode()) for name, value in request.raw_headers]
        self.seen.append(Seen(request.method, request.path, headers, await request.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)

    def say(self, body: bytes = EMPTY, status: int = 200, **headers: str) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(body=body, status=status, headers={"Content-Type": "application/json"} | named)

        self.answers.append(answer)


Serve = Callable[..., Awaitable[Script]]
Open = Callable[..., AbstractAsyncContextManager[Upstream]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a scripted upstream; `ssl` is the server's context."""
    async with AsyncExitStack() as stack:

        async def start(ssl: Any = None) -> Script:
            script = Script()
            app = web.Application(client_max_size=64 << 20)
            app.router.add_route("*", "/{path:.*}", script.handle)
            server = TestServer(app, scheme="https" if ssl else "http")
            await server.start_server(ssl=ssl)
            stack.push_async_callback(server.close)
            script.url = str(server.make_url("/")).rstrip("/").replace("127.0.0.1", "localhost")
            return script

        yield start


@pytest.fixture
async def script(serve: Serve) -> Script:
    return await serve()


def client(script: Script, **settings: Any) -> Upstream:
    account = {"username": "tunnus", "password": PASSWORD}
    chosen = Settings.model_validate({"url": script.url} | account | settings)
    return Upstream(chosen)


def told(error: BaseException) -> Iterator[str]:
    """All that an error, and what it is chained to, could give away to whoever prints it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)))
        waiting += [one.__cause__, one.__context__]
