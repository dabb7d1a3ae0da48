"""The connections that a server of ours takes: as many as it is made for, and no more."""

import asyncio

from aiohttp import web


def limited(server: web.Server, most: int) -> asyncio.BaseProtocol:
    """The protocol of a new connection: aiohttp's while there is room; else the connection is closed as it comes."""
    return _Closed() if len(server.connections) >= most else server()


class _Closed(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
