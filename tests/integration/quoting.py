"""An upstream that quotes the persons it was told of, in all that HTTP has room for."""

import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from aiohttp import web

from producer.sandbox.hetu import SIGNS, personal_code
from tests.integration.deployment import change

CODES = [
    personal_code(date(century + 1, 2, 3), 990 + at, sign)
    for century, signs in SIGNS.items()
    for at, sign in enumerate(signs)
]
ONE, OTHER, *_ = CODES
QUOTE = f"henkilötunnus {ONE} ({OTHER}), Salakammari, Kätkölänkuja 3"
NAME = {"etunimi": "Piilopirtti", "sukunimi": "Salakammari", "sukunimiUTF8": "Ruutikellari"}


def group(name: str, **members: Any) -> dict[str, Any]:
    return {"tietoryhma": name, "muutosattribuutti": "LISATTY", **members}


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
QUOTING = {"Retry-After": ONE, "Location": f"/{ONE}", "X-Note": ONE, "Server": ONE, "Set-Cookie": f"hetu={ONE}"}


def says(status: int, body: str | bytes = "", **headers: str) -> Answer:
    """The body, else the request's own with more of the kind."""

    async def answer(request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, bytes) else (body or f"{await request.text()} {QUOTE}").encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=text, status=status, headers={**QUOTING, "Content-Type": "application/json", **named})

    return answer


def xroad(status: int, kind: str, **headers: str) -> Answer:
    return says(status, json.dumps({"type": kind, "message": QUOTE, "detail": ONE}), **headers)


def raw(text: str, *, end: bool = False) -> Answer:
    """Something that is not quite HTTP; then a reset, or an end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(text.encode())
        if not end:
            linger = struct.pack("ii", 1, 0)
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        request.transport.close()
        return web.Response()

    return answer


def page(**members: Any) -> Answer:
    """An answer of muutokset that would be right, but for these members; None takes one away."""
    whole = {
        "viimeisinKirjausavain": 9,
        "ajanTasalla": True,
        "muutokset": [change(ONE, group("HENKILON_NIMI", **NAME))],
    }
    return says(200, json.dumps({name: one for name, one in (whole | members).items() if one is not None}))


@dataclass
class Upstream:
    url: str = ""
    asked: list[str] = field(default_factory=list)


@asynccontextmanager
async def upstream(answers: Sequence[Answer]) -> AsyncIterator[Upstream]:
    """Gives these answers in turn, the last one for ever."""
    told = Upstream()

    async def handle(request: web.Request) -> web.StreamResponse:
        told.asked.append(await request.text())
        return await answers[min(len(told.asked), len(answers)) - 1](request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    told.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield told
    finally:
        await runner.cleanup()
