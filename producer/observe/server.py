"""The service's port: health, readiness, metrics, and the status page. It reads, and never holds up the line."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any, Final

import orjson
from aiohttp import web
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from producer.config import Server
from producer.errors import ProducerError, SettingsError
from producer.observe import metrics, status
from producer.observe.door import limited
from producer.observe.pulse import Pulse
from producer.observe.status import Owners

log = logging.getLogger("vtj.service")

BEAT: Final = 2.0  # s between two snapshots of the page
LOOK: Final = 15.0  # s between two questions to the group coordinator, while somebody looks
VIEWERS: Final = 200
CONNECTIONS: Final = 256  # at once
FIRST_REQUEST: Final = 10.0  # s that a new connection may take to say what it wants
FRESH: Final = 1.0  # s that the metrics are told again, whoever asks
PAGE: Final = {"": "text/html", "status.css": "text/css", "status.js": "text/javascript", "icon.svg": "image/svg+xml"}
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Asking = Callable[[], Awaitable[Owners]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_garbled = logging.getLogger("vtj.service.garbled")
_garbled.disabled = True  # a request that is no HTTP is its sender's matter, and what it says nobody's


class Pages:
    """pulses: of this process's feeds. owners: feed → asks the group coordinator who has which shard."""

    def __init__(self, pulses: Mapping[str, Pulse], owners: Mapping[str, Asking]) -> None:
        self._pulses, self._asking = pulses, owners
        self.history = status.History()
        self._registry = metrics.registry(pulses, self.history.delay)
        self._owners: dict[str, Owners] = {}
        self._viewers: set[asyncio.Queue[bytes]] = set()
        self._started = time.time() * 1000
        self._written, self._exposition = -FRESH, b""

    def application(self) -> web.Application:
        made = web.Application(client_max_size=1024)
        made.on_response_prepare.append(_protect)
        made.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/events", self._events),
                *(web.get(f"/{name}", _file(name or "index.html", kind)) for name, kind in PAGE.items()),
            ]
        )
        return made

    async def _healthz(self, _: web.Request) -> web.Response:
        """That it answers: the process lives, and its event loop turns."""
        return web.json_response({"alive": True})

    async def _readyz(self, _: web.Request) -> web.Response:
        told = {name: status.failing(pulse) for name, pulse in self._pulses.items()} or {"": {"feed": "not begun"}}
        bad = {name: those for name, those in told.items() if those}
        return web.json_response({"ready": not bad, "failing": bad}, status=503 if bad else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        if (now := time.monotonic()) - self._written >= FRESH:
            self._written = now
            self._exposition = generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return web.Response(body=self._exposition, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._viewers) >= VIEWERS:
            raise web.HTTPServiceUnavailable(text="too many viewers")
        news: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._viewers.add(news)
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            news.put_nowait(self._told())
            while True:
                await response.write(b"data: %b\n\n" % await news.get())
        finally:
            self._viewers.discard(news)

    def _told(self) -> bytes:
        return orjson.dumps(status.snapshot(self._pulses, self.history, self._owners, self._started))

    async def beat(self) -> None:
        """Until cancelled: one snapshot for all who look; who is slow misses some."""
        looked = -LOOK
        while True:
            await asyncio.sleep(BEAT)
            if not self._viewers:
                continue
            if time.monotonic() - looked > LOOK:
                looked = time.monotonic()
                for feed, ask in self._asking.items():
                    with contextlib.suppress(ProducerError):
                        self._owners[feed] = await ask()
            told = self._told()
            for news in self._viewers:
                if not news.full():
                    news.put_nowait(told)


async def _protect(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.popall("Server", None)


def _file(name: str, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = (files("producer.observe") / "page" / name).read_bytes()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return answer


class _Door:
    """Who asks nothing is put out after a while."""

    def __init__(self) -> None:
        self._silent: set[Any] = set()

    def opened(self, server: web.Server) -> asyncio.BaseProtocol:
        made = limited(server, CONNECTIONS)
        if isinstance(made, web.RequestHandler):
            self._silent.add(made)
        asyncio.get_running_loop().call_later(FIRST_REQUEST, self._put_out, made)
        return made

    @web.middleware
    async def asked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._silent.discard(request.protocol)
        try:
            return await handler(request)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:
            log.exception("a request could not be answered")
            raise web.HTTPInternalServerError from None

    def _put_out(self, connection: Any) -> None:
        if connection in self._silent:
            self._silent.discard(connection)
            connection.force_close()


@contextlib.asynccontextmanager
async def serving(settings: Server, pulses: Mapping[str, Pulse], owners: Mapping[str, Asking]) -> AsyncIterator[None]:
    """Does nothing without a port. Raises SettingsError when it cannot be had."""
    if settings.port is None:
        yield
        return
    pages = Pages(pulses, owners)
    # Who reads slowly, or not at all, is cut off at the end at once; who sends nothing after a while.
    door, application = _Door(), pages.application()
    application.middlewares.append(door.asked)
    runner = web.AppRunner(
        application,
        access_log=None,
        logger=_garbled,
        shutdown_timeout=0.1,
        keepalive_timeout=30,
        lingering_time=0,
        max_line_size=4096,
        max_field_size=4096,
    )
    await runner.setup()
    server = runner.server
    assert server is not None
    try:
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: door.opened(server), settings.host, settings.port)
    except OSError as error:
        await runner.cleanup()
        raise SettingsError(
            f"VTJ_SERVER__HOST {settings.host}, VTJ_SERVER__PORT {settings.port}: {error.strerror}.",
            hint="Choose another port, or leave it unset: then there is no status page and no /metrics.",
        ) from None
    host, port = listening.sockets[0].getsockname()[:2]
    log.info("serving on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    working = [asyncio.ensure_future(one) for one in (pages.beat(), pages.history.keep(pulses))]
    try:
        yield
    finally:
        listening.close()
        for one in working:
            one.cancel()
        await asyncio.wait(working)
        await runner.cleanup()
