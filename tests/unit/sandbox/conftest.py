"""A client that speaks HTTP to a sandbox, as any other would; and a long log."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

import aiohttp
import pytest

from producer.sandbox import ACCOUNT
from producer.sandbox.log import Log
from tests.unit.sandbox.records import Record


class Served(Protocol):
    """A sandbox of this process or of another."""

    url: str


class Client:
    """Requests with the right account and content type, unless told otherwise."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(self, sandbox: Served, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Status and parsed body: of a POST when there is a body, else of a GET."""
        status, answer, _ = await self.full(sandbox, path, body, **options)
        return status, answer

    async def full(self, sandbox: Served, path: str, body: Any = None, **options: Any) -> tuple[int, Any, Any]:
        headers = dict(options.pop("headers", {}))
        if login := options.pop("login", f"{ACCOUNT}:{ACCOUNT}"):
            headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        if body is not None:
            options["json"] = body
        url = sandbox.url + (path if path.startswith("/") else f"/api/v1/{path}")
        async with self.session.request("GET" if body is None else "POST", url, headers=headers, **options) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def changes(self, sandbox: Served, cursor: int, persons: list[str] | None = None) -> Any:
        body: dict[str, Any] = {"viimeisinKirjausavain": cursor}
        if persons is not None:
            body["hetulista"] = persons
        status, answer = await self.ask(sandbox, "muutokset", body)
        assert status == 200
        return answer

    async def walk(self, sandbox: Served, cursor: int = 0, persons: list[str] | None = None) -> list[Any]:
        """Every page from a cursor to the end."""
        pages: list[Any] = []
        while not pages or not pages[-1]["ajanTasalla"]:
            pages.append(await self.changes(sandbox, cursor, persons))
            cursor = pages[-1]["viimeisinKirjausavain"]
        return pages


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session)


@pytest.fixture(scope="package", params=[False, True], ids=["permit-for-all", "censored"])
def log(request: pytest.FixtureRequest) -> Log:
    return Log(1, 400, censored=request.param, history=6000)


@pytest.fixture(scope="package")
def records(log: Log) -> list[Record]:
    return [json.loads(record) for _, record in log.entries(0)]
