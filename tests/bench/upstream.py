"""Upstream for measuring: a process that serves ready pages from memory, so that making them costs the client nothing.

`POST /<run>/<mix>/<pages>/api/v1/muutokset` answers page after page, cursor 0 to <pages>, the mix's ready ones over and
over. Of the mix `calm` a page has 100 records, and comes so late that the one before is long committed.
`POST /<run>/…/api/v1/perustiedot` tells the same of whoever is asked for, twenty groups of each.
`GET /<run>` tells when the run's first and last request came (s, the monotonic clock, which all processes share) and
how many.
On standard output, once: the port, and the number of data groups of each mix's ready pages. Ends with standard input.
"""

import asyncio
import json
import sys
import time
from typing import Final

import orjson

from tests.bench.pages import MIXES, answer, as_json, groups_of_persons, pages

END_OF_HEAD: Final = b"\r\n\r\n"
CALM, CALM_RECORDS, CALM_PAUSE = "calm", 100, 0.25  # s


class Served:
    """ready: mix → JSON arrays of records. persons: JSON arrays of groups."""

    def __init__(self, ready: dict[str, list[bytes]], persons: list[bytes]) -> None:
        self._ready = ready
        self._persons = persons
        self._seen: dict[str, list[float]] = {}

    def answer(self, path: str, body: bytes) -> list[bytes]:
        run, *more = path.strip("/").split("/")
        if not more:
            times = self._seen.get(run, [])
            first, last = (times[0], times[-1]) if times else (None, None)
            return [orjson.dumps({"first": first, "last": last, "requests": len(times)})]
        self._seen.setdefault(run, []).append(time.monotonic())
        if more[-1] == "perustiedot":
            asked = zip(orjson.loads(body)["hetulista"], self._persons, strict=False)
            told = [b'{"henkilotunnus":"%b","tietoryhmat":%b}' % (code.encode(), groups) for code, groups in asked]
            return [b'{"ajanTasalla":true,"perustiedot":[', b",".join(told), b"]}"]
        if more[-2] == "kirjausavain":
            return [b'{"viimeisinKirjausavain":1}']
        ready, count, cursor = self._ready[more[0]], int(more[1]), orjson.loads(body)["viimeisinKirjausavain"]
        if cursor >= count:
            return answer(b"[]", cursor, True)
        return answer(ready[cursor % len(ready)], cursor + 1, cursor + 1 == count)


class Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, served: Served) -> None:
        self._served = served
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(END_OF_HEAD)
        lengths = [line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        if not end or len(body) < int(lengths[0] if lengths else 0):
            return
        self._received = b""
        pieces = self._served.answer(head.split()[1].decode(), body)
        size = sum(map(len, pieces))
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size
        pause = CALM_PAUSE if f"/{CALM}/".encode() in head else 0
        asyncio.get_running_loop().call_later(pause, self.transport.writelines, [answer, *pieces])


async def serve(count: int) -> None:
    made = {mix: pages(count, mix) for mix in MIXES} | {CALM: pages(count, records=CALM_RECORDS)}
    ready: dict[str, list[bytes]] = {mix: [] for mix in made}
    groups: dict[str, list[int]] = {mix: [] for mix in made}
    for mix, some in made.items():
        for records in some:
            ready[mix].append(as_json(records))
            groups[mix].append(sum(len(record["tietoryhmat"]) for record in records))
    served, loop = Served(ready, groups_of_persons()), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(served), "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1], "groups": groups}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
