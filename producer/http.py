"""What the HTTP clients here share: who they say they are, and what a broken connection means."""

from base64 import b64encode

import aiohttp


def basic(username: str, password: str) -> str:
    """The value of an Authorization header."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


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
