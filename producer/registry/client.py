"""A Confluent-compatible schema registry over HTTP. One attempt per call: who starts the program starts it again.

Own code, on the HTTP client that is here already: python-schema-registry-client brings a second one (httpx), and
confluent-kafka a second Kafka client.
"""

from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
import orjson

from producer import http
from producer.config import Registry as Settings
from producer.credentials import secret, trust
from producer.errors import RegistryFault, SettingsError
from producer.events.shapes import Schema
from producer.registry import faults

SECTION: Final = "VTJ_REGISTRY__"
JSON: Final = "application/vnd.schemaregistry.v1+json"
LARGEST: Final = 4 * 1024 * 1024  # bytes of an answer; a schema of ours has some tens of thousands
UNKNOWN: Final = {40401, 40402, 40403}  # the registry's own codes beside 404: no such subject, version, schema


class Registry:
    """Open it with `async with`. Calls raise RegistryFault, which names the subject; opening SettingsError."""

    def __init__(self, settings: Settings) -> None:
        if settings.url is None:
            raise SettingsError(
                "VTJ_REGISTRY__URL is not set.", hint="VTJ_REGISTRY__URL=https://… names the schema registry."
            )
        self._settings = settings
        self._root = settings.url

    async def __aenter__(self) -> Self:
        tls = self._root.startswith("https:")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust(self._settings, SECTION)() if tls else True),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout),
            headers=_headers(self._settings),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def lookup(self, subject: str, schema: Schema) -> tuple[int, Schema] | None:
        """The id of a schema under a subject, and the schema as it stands there; None when it is not."""
        path = f"/subjects/{quote(subject, safe='')}?normalize=true"
        found = await self._ask("POST", path, f"looking up {subject}", schema)
        return None if found is None else (_id(found, subject), _schema(found, subject))

    async def register(self, subject: str, schema: Schema) -> int:
        """The id, new or not: the call can be repeated."""
        path = f"/subjects/{quote(subject, safe='')}/versions?normalize=true"
        what = f"registering {subject}"
        return _id(_there(await self._ask("POST", path, what, schema), what), subject)

    async def latest(self, subject: str) -> Schema | None:
        """The newest schema of a subject; None when there is none."""
        path = f"/subjects/{quote(subject, safe='')}/versions/latest"
        found = await self._ask("GET", path, f"reading {subject}")
        return None if found is None else _schema(found, subject)

    async def compatible(self, subject: str, schema: Schema) -> tuple[bool, str]:
        """What the registry says of a schema, by the level that is set there, and why; True where there is none yet."""
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true&normalize=true"
        what = f"checking {subject}"
        found = await self._ask("POST", path, what, schema)
        if found is None:
            return True, ""
        verdict, messages = found.get("is_compatible"), found.get("messages")
        if not isinstance(verdict, bool):
            raise faults.garbled(what)
        return verdict, faults.short("; ".join(map(str, messages)) if isinstance(messages, list) else "")

    async def schema(self, number: int) -> Schema | None:
        """The schema with this id; None when there is none."""
        found = await self._ask("GET", f"/schemas/ids/{number}", f"reading schema {number}")
        return None if found is None else _schema(found, f"schema {number}")

    async def level(self) -> str:
        """The compatibility that the registry keeps where a subject says nothing else, e.g. BACKWARD."""
        what = "reading the compatibility level"
        level = _there(await self._ask("GET", "/config", what), what).get("compatibilityLevel")
        if not isinstance(level, str):
            raise faults.garbled(what)
        return faults.short(level)

    async def _ask(self, method: str, path: str, what: str, schema: Schema | None = None) -> dict[str, Any] | None:
        """The answer's object; None for what the registry says is not there."""
        body = None if schema is None else orjson.dumps({"schema": orjson.dumps(schema).decode(), "schemaType": "AVRO"})
        try:
            async with self._session.request(method, self._root + path, data=body, allow_redirects=False) as response:
                status, answer = response.status, await http.body(response, LARGEST)  # what is cut off is no JSON
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            trouble = faults.from_connection(error, what, self._root)
        else:
            found = http.json_object(answer)
            if status == 200 and found is not None:
                return found
            if status == 404 and found is not None and found.get("error_code") in UNKNOWN:
                return None
            trouble = faults.from_status(status, found, what)
        raise trouble  # outside the `except`: aiohttp's errors carry the request with its credentials


def _there(found: dict[str, Any] | None, what: str) -> dict[str, Any]:
    if found is None:
        raise RegistryFault(f"The schema registry does not know the call for {what}.", hint=faults.ELSEWHERE)
    return found


def _id(found: dict[str, Any], subject: str) -> int:
    number = found.get("id")
    if type(number) is not int or not 0 <= number < 2**31:
        raise faults.garbled(subject)
    return number


def _schema(found: dict[str, Any], subject: str) -> Schema:
    text = found.get("schema")
    schema = http.json_object(text) if isinstance(text, str) else None
    if schema is None:
        raise faults.garbled(subject)
    return schema


def _headers(settings: Settings) -> dict[str, str]:
    headers = {"User-Agent": "vtj-producer", "Accept": f"{JSON}, application/json", "Content-Type": JSON}
    # As the files are now: the registry may be asked long after the start.
    password = secret(settings.password, settings.password_file, f"{SECTION}PASSWORD")
    token = secret(settings.token, settings.token_file, f"{SECTION}TOKEN")
    if settings.username is not None and password is not None:
        headers["Authorization"] = http.basic(settings.username, password())
    elif token is not None:
        headers["Authorization"] = f"Bearer {token()}"
    return headers
