"""The sandbox as a whole: put together from its options, served over HTTP, and controlled from the same process."""

import asyncio
import json
import math
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from aiohttp import web

from producer.config.sources import first_line
from producer.errors import SettingsError
from producer.observe.door import limited
from producer.sandbox import xroad
from producer.sandbox.control import Control, guard
from producer.sandbox.faults import Script, steps
from producer.sandbox.log import Log
from producer.sandbox.replay import Replay
from producer.sandbox.service import Service, Source
from producer.sandbox.tables import KUNTA_CODES

ACCOUNT: Final = "sandbox"  # user name and password, unless others are given: for tests, and plainly so
MOST_PERSONS: Final = 100_000

_LARGEST_REQUEST: Final = 64 << 20  # bytes: a big city sends all its codes at once
CONNECTIONS: Final = 512  # at once


class Sandbox:
    """`async with Sandbox(...) as sandbox:` serves at `sandbox.url` until the block ends.

    port: 0 takes a free one. history, changes_per_day: see `Log`. page_size: records. requests_per_minute: the quota
    of the account. censored: the permit does not include protected data. municipalities: it selects who lives there;
    none: everybody. faults: a file with a script. replay: a folder of answers instead of made-up persons.
    xroad_clients: who is registered on the security server, as X-Road-Client says it; none: any client. tls_cert,
    tls_key: PEM files, for https; client_certs: one with the certificates that X-Road clients must show (`xroad.tls`).
    Raises SettingsError for what cannot be.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 1,
        persons: int = 1000,
        history: int = 0,
        changes_per_day: float = 0,
        page_size: int = 1000,
        username: str = ACCOUNT,
        password_file: Path | None = None,
        requests_per_minute: int | None = None,
        censored: bool = False,
        municipalities: Sequence[str] = (),
        faults: Path | None = None,
        replay: Path | None = None,
        xroad_clients: Sequence[str] = (),
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        client_certs: Path | None = None,
    ) -> None:
        _require(1 <= persons <= MOST_PERSONS, f"persons must be 1 to {MOST_PERSONS}")
        _require(history >= 0 and 0 <= changes_per_day < math.inf, "history and changes-per-day must not be negative")
        _require(page_size >= 1, "page-size must be at least 1")
        _require(requests_per_minute is None or requests_per_minute >= 1, "requests-per-minute must be at least 1")
        _require(set(municipalities) <= set(KUNTA_CODES), f"municipalities must be of {', '.join(KUNTA_CODES)}")
        _require((tls_cert is None) == (tls_key is None), "tls-cert and tls-key go together")
        _require(client_certs is None or tls_cert is not None, "client-certs needs tls-cert and tls-key")
        self._tls = None if tls_cert is None or tls_key is None else _tls(tls_cert, tls_key, client_certs)
        self.url = ""
        self._address = host, port
        self._source: Source = (
            Replay(replay)
            if replay
            else Log(
                seed,
                persons,
                censored=censored,
                municipalities=municipalities,
                history=history,
                changes_per_day=changes_per_day,
            )
        )
        self._script = Script(seed, steps(_script(faults) if faults else []))
        self._service = Service(
            self._source,
            self._script,
            account=(username, ACCOUNT if password_file is None else _password(password_file)),
            quota=requests_per_minute,
            page_size=page_size,
            security_server=xroad.SecurityServer(xroad_clients, certified=client_certs is not None),
        )
        self._control = Control(self._source, self._script, self._service)
        self.grow, self.append, self.codes = self._source.grow, self._source.append, self._source.codes  # see Log
        self.state = self._control.state

    # control, mirrored by /_sandbox/

    def set_faults(self, script: list[dict[str, Any]]) -> None:
        """Replaces the script of faults. Raises SettingsError."""
        self._script.set(steps(script))

    def log(self, after: int = 0) -> list[tuple[int, Any]]:
        """(kirjausavain, record) of every entry after a cursor, in order."""
        return [(key, json.loads(record)) for key, record in self._source.entries(after)]

    # life

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_LARGEST_REQUEST, middlewares=[guard])
        app.add_routes([*self._service.routes(), *self._control.routes()])
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        (host, port), server = self._address, self._runner.server
        assert server is not None
        try:
            self._listening = await asyncio.get_running_loop().create_server(
                lambda: limited(server, CONNECTIONS), host, port, ssl=self._tls
            )
        except OSError as error:
            await self._runner.cleanup()
            raise SettingsError(
                f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another --port, or 0 for a free one"
            ) from None
        port = self._listening.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        self._service.stop()
        await self._runner.cleanup()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SettingsError(message, hint="see vtj-producer sandbox --help")


def _tls(certificate: Path, key: Path, clients: Path | None) -> ssl.SSLContext:
    try:
        return xroad.tls(certificate, key, clients)
    except (OSError, ssl.SSLError):
        raise SettingsError(
            "the files of tls-cert, tls-key or client-certs are not there, or no PEM certificates and their key",
            hint="see vtj-producer sandbox --help",
        ) from None


def _password(path: Path) -> str:
    try:
        return first_line(path)
    except ValueError as trouble:
        raise SettingsError(f"{path} {trouble}", hint="the password file holds the password, one line") from None


def _script(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise SettingsError(f"cannot read {path} as JSON", hint='a script is a list: [{"fault": 503}]') from None
