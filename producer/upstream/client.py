"""VTJ-muutosrajapinta over HTTP, direct or through X-Road. One attempt per call; retrying.py wraps it."""

import ssl
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from io import BytesIO
from typing import Final, Self

import aiohttp
import orjson
from multidict import CIMultiDict

from producer import http
from producer.config import Upstream as Settings
from producer.credentials import secret, trust
from producer.errors import MalformedPage, ProducerError, SettingsError
from producer.events.instant import now_ms
from producer.model import BUCKET, Page
from producer.observe import pulse
from producer.upstream import answer, faults, xroad
from producer.upstream.budget import Budget

LARGEST_FAULT: Final = 16 * 1024  # bytes of an error body that are looked at


class Upstream:
    """All calls of an instance: one session, whose connections are kept alive, and one request budget.

    Open it with `async with`. Every call counts in the request budget and waits for it. Raises SettingsError on
    opening, for its files; on calls UpstreamRefused, UpstreamUnavailable, MalformedPage, and SettingsError when an
    answer exceeds VTJ_UPSTREAM__MAX_RESPONSE. No error carries anything of a body.

    poison: the cursor whose page is to be taken even where it breaks the rules, if it can be passed over; None: none's.
    """

    def __init__(self, settings: Settings, *, poison: int | None = None) -> None:
        if settings.url is None:
            raise SettingsError("VTJ_UPSTREAM__URL is not set.", hint="VTJ_UPSTREAM__URL=https://… names upstream.")
        self._settings, self._poison = settings, poison
        self._client = settings.xroad.client
        self._root = f"{xroad.root(settings.url, self._client) if self._client else settings.url}/api/v1"
        self.requests = 0  # all that were sent, those without an answer too
        self.ahead: float | None = None  # (s) upstream's clock before ours, by the Date of the last answer
        self.budget = Budget(settings.requests_per_minute)
        self._trust = trust(settings, "VTJ_UPSTREAM__") if settings.url.startswith("https:") else None
        self._password = secret(settings.password, settings.password_file, "VTJ_UPSTREAM__PASSWORD")

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._credentials()  # its faults are told before anything is asked
        self._session = aiohttp.ClientSession(
            # Names are looked up for every connection: there are few, and an address that has changed is taken at once.
            connector=aiohttp.TCPConnector(use_dns_cache=False),
            timeout=aiohttp.ClientTimeout(
                total=settings.total_timeout, sock_connect=settings.idle_timeout, sock_read=settings.idle_timeout
            ),
            headers=_headers(settings),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def changes_since(self, cursor: int, *, bucket: str = BUCKET, listed: bytes = b"") -> Page:
        """`POST muutokset`: the page after the cursor, its rules checked.

        listed: JSON array of the codes to follow; empty when the permit selects.
        """
        body = await self.raw_changes(cursor, listed=listed)
        parse = answer.parse_poison if cursor == self._poison else answer.parse_page
        page = parse(body, bucket=bucket, previous=cursor, fetched_at=now_ms())
        if page.kind != "CHANGE":
            raise MalformedPage("Upstream answered perustiedot to a request of muutokset.", hint=answer.GATEWAY)
        return replace(page, request=pulse.request.get())

    async def raw_changes(self, cursor: int, *, listed: bytes = b"") -> bytes:
        """The same as upstream sent it, unpacked."""
        persons = b',"hetulista":%b' % listed if listed else b""
        return await self._ask("POST", "muutokset", b'{"viimeisinKirjausavain":%d%b}' % (cursor, persons))

    async def persons(self, codes: Sequence[str], kinds: Sequence[str] | None = None) -> Page:
        """`POST perustiedot`: what is valid now of at most 1000 persons; kinds: groups, None for the whole permit.

        Whom upstream does not know is silently missing. The page's cursor says nothing.
        """
        return await self._snapshot("perustiedot", {"hetulista": codes}, kinds)

    async def weekly(
        self, *, codes: Sequence[str] = (), municipalities: Sequence[str] = (), kinds: Sequence[str] | None = None
    ) -> Page:
        """`POST perustiedot-vko`: the same as it was on the day `poimintapv` (among the page's extra)."""
        asked = {"hetulista": codes} if codes else {"kuntakoodit": municipalities}
        return await self._snapshot("perustiedot-vko", asked, kinds)

    async def _snapshot(self, path: str, asked: dict[str, Sequence[str]], kinds: Sequence[str] | None) -> Page:
        if kinds is not None:  # null is refused
            asked |= {"tietoryhmat": kinds}
        body = await self._ask("POST", path, orjson.dumps(asked))
        page = answer.parse_page(body, bucket=BUCKET, previous=0, fetched_at=now_ms())
        if page.kind != "SNAPSHOT":
            raise MalformedPage(f"Upstream answered muutokset to a request of {path}.", hint=answer.GATEWAY)
        return page

    async def first_cursor(self, day: date) -> int:
        """`GET kirjausavain/{yyyy-MM-dd}`: the first kirjausavain of that day (Finnish time)."""
        return answer.parse_cursor(await self._ask("GET", f"kirjausavain/{day.isoformat()}"))

    async def metaservice(self, name: str) -> bytes:
        """What X-Road tells of the service: the answer of listMethods or getOpenAPI."""
        url, client = self._settings.url, self._client
        if url is None or client is None:
            raise RuntimeError("not by X-Road")
        return await self._ask("GET", name, root=xroad.metaservice(url, client, name))

    async def _ask(self, method: str, path: str, body: bytes | None = None, *, root: str | None = None) -> bytes:
        """root: another address than the path's own."""
        await self.budget.spend()
        self.requests += 1
        (context, headers), call = self._credentials(), f"{method} {path}"
        if self._client:
            headers |= xroad.headers(self._client)
            pulse.request.set(headers["X-Road-Id"])
            call += f" (X-Road-Id {headers['X-Road-Id']})"
        trouble: ProducerError
        try:
            async with self._session.request(
                method,
                root or f"{self._root}/{path}",
                data=None if body is None else BytesIO(body),
                headers=headers,
                ssl=context,
                allow_redirects=False,
            ) as response:
                clock = faults.timestamp(response.headers.get("Date", ""))
                self.ahead = None if clock is None else clock - time.time()
                if response.status == 200:
                    return await self._read(response)
                trouble = await self._trouble(response, call)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            trouble = faults.from_connection(error, call)
        raise trouble

    def _credentials(self) -> tuple[ssl.SSLContext | bool, dict[str, str]]:
        """As the files are now: connections that another certificate was used for are not used again."""
        settings, headers = self._settings, dict[str, str]()
        if settings.username is not None and self._password is not None:
            headers[settings.auth_header] = http.basic(settings.username, self._password())
        return True if self._trust is None else self._trust(), headers

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        limit = self._settings.max_response
        body = await http.body(response, limit)
        if len(body) > limit:
            raise SettingsError(
                f"Upstream's answer is larger than {limit} bytes.",
                hint="Raise VTJ_UPSTREAM__MAX_RESPONSE, and give the process several times that in memory.",
            )
        return body

    async def _trouble(self, response: aiohttp.ClientResponse, call: str) -> ProducerError:
        if self._client and (kind := xroad.fault_type(response.headers, await http.body(response, LARGEST_FAULT))):
            return xroad.fault(kind, call, faults.retry_after(response.headers))
        return faults.from_status(response.status, response.headers, call)


def _headers(settings: Settings) -> CIMultiDict[str]:
    headers = CIMultiDict(
        {
            "User-Agent": "vtj-producer",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": "application/json",  # on GET too: gateways were seen to want it
        }
    )
    for name, value in settings.headers.items():
        headers[name] = value.get_secret_value()
    return headers
