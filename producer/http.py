"""What the HTTP clients here share: who they say they are, how much they read, what a broken connection means."""

from base64 import b64encode
from typing import Any

import aiohttp
import orjson

CHUNK = 64 * 1024


def basic(username: str, password: str) -> str:
    """The value of an Authorization header."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


async def body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Unpacked. Of one that is larger than most a byte more than that, which is read long before a bomb is large."""
    parts, size = list[bytes](), 0
    async for part in response.content.iter_chunked(CHUNK):
        parts.append(part)
        size += len(part)
        if size > most:
            break
    return b"".join(parts)[: most + 1]


def json_object(text: bytes | str) -> dict[str, Any] | None:
    """None: it is no JSON object."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def trouble(error: BaseException, *, silence: str, total: str) -> str:
    """What broke a connection, in words that cannot quote content. silence, total: settings that bound an answer."""
    if isinstance(error, aiohttp.SocketTimeoutError | aiohttp.ConnectionTimeoutError):
        return f"silence longer than {silence}"
    if isinstance(error, TimeoutError):
        return f"it was not complete within {total}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name of the host is not found"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error.os_error.strerror or type(error.os_error).__name__})"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "it was cut short, or garbled on its way"
    if isinstance(error, aiohttp.ClientResponseError):
        return "it was not HTTP"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return "the connection was closed"
    return type(error).__name__
