"""What the links are proved with: the settings, a client of upstream, and what each of its calls brought."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, Self
from urllib.parse import urlsplit

from producer.config import Loaded, Settings
from producer.errors import ProducerError
from producer.events.groups import Catalogue
from producer.kafka.connection import connection
from producer.kafka.names import STATE, Names
from producer.upstream.client import Upstream
from producer.upstream.persons import read_persons
from producer.upstream.xroad import SERVICE

CLIENT: Final = "vtj-producer"
PATIENCE: Final = 5.0  # (s) for a connection


class Site:
    """load: reads the settings; may raise SettingsError. Open it with `async with`."""

    settings: Settings
    catalogue: Catalogue
    upstream: Upstream

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self._stack = AsyncExitStack()
        self._outcomes: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def begin(self) -> None:
        """The first link: settings, and the files that they name. Raises SettingsError."""
        loaded = self._load()
        loaded.require("upstream.url", "kafka.bootstrap_servers")
        self.settings = loaded.settings
        self.catalogue = Catalogue.load().within(self.settings.permit.groups)
        connection(self.settings.kafka, CLIENT)
        if self.settings.upstream.persons_file is not None:
            read_persons(self.settings.upstream.persons_file)
        self.upstream = await self._stack.enter_async_context(Upstream(self.settings.upstream))

    @property
    def names(self) -> Names:
        return Names(self.settings.topics.prefix, self.settings.feed.name, STATE)

    @property
    def xroad(self) -> str | None:
        """Our X-Road client; None: not by X-Road."""
        return self.settings.upstream.xroad.client

    @property
    def address(self) -> tuple[str, int]:
        """Of upstream, or the security server."""
        at = urlsplit(self.settings.upstream.url or "")
        return at.hostname or "", at.port or (443 if at.scheme == "https" else 80)

    async def once(self, call: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What the call brought; it goes out once, whoever asks for it. Raises what it raised."""
        if call not in self._outcomes:
            try:
                self._outcomes[call] = await ask()
            except ProducerError as error:
                self._outcomes[call] = error
        outcome = self._outcomes[call]
        if isinstance(outcome, ProducerError):
            raise outcome
        return outcome

    def words(self) -> dict[str, str]:
        """For the letters. Without settings there is nothing to say."""
        if not hasattr(self, "settings"):
            return {}
        settings, client = self.settings, self.xroad or ""
        host, port = self.address
        instance = client.split("/")[0]
        return {
            "here": socket.gethostname(),
            "there": f"{host}:{port}",
            "client": client or "(not by X-Road)",
            "instance": instance,
            "service": f"{instance}/{SERVICE}" if client else settings.upstream.url or "",
            "account": settings.upstream.username or "(none)",
            "brokers": settings.kafka.bootstrap_servers or "",
            "prefix": settings.topics.prefix,
            "group": self.names.group,
            "registry": settings.registry.url or "",
        }


async def trouble(host: str, port: int) -> str | None:
    """What is wrong with a connection to there; None: nothing."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except socket.gaierror:
        return f"the name {host} is not found"
    except TimeoutError:
        return f"{host}:{port} does not answer within {PATIENCE:g} s"
    except OSError as error:
        # Where several addresses were tried, there is an error for each, and no number.
        return (
            f"no connection to {host}:{port} ({os.strerror(error.errno) if error.errno else 'none of its addresses'})"
        )
    writer.close()
    return None
