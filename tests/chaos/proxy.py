"""The network between the program and Kafka, which a round can hold, cut and slow down, message by message.

Only what is needed of the protocol is read: the frames, the header of a request, and the broker's address where an
answer names it, which becomes the proxy's. So the broker needs no settings of its own.
"""

import asyncio
import struct
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Final, Self

PRODUCE, METADATA, FIND_COORDINATOR, HEARTBEAT = 0, 3, 10, 12
INIT_PRODUCER_ID, ADD_PARTITIONS, END_TXN = 22, 24, 26
PHASES: Final = {
    PRODUCE: "produce",
    INIT_PRODUCER_ID: "fencing",
    ADD_PARTITIONS: "adding partitions",
    END_TXN: "commit",
}
LAST_WORDS = 3.0  # how long an answer to a dead client is waited for (s)


class Held:
    """A message that waits at the proxy: a request of the process `pid`, or the answer to one."""

    def __init__(self, api: int, pid: int, connection: "Connection") -> None:
        self.api = api
        self.pid = pid
        self._connection = connection
        self.verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def pass_on(self) -> None:
        self._decide(True)

    def drop(self) -> None:
        """It never arrives, as nothing else on its connection from now on; and nothing tells of it."""
        self._connection.mute = True
        self._decide(False)

    def cut(self) -> None:
        """It never arrives, and the connection breaks."""
        self.cut_client()
        self._decide(False)

    def cut_client(self) -> None:
        """The connection breaks on the client's side; the message can still be passed on, late."""
        self._connection.cut_client()

    def _decide(self, passes: bool) -> None:
        if not self.verdict.done():
            self.verdict.set_result(passes)


@dataclass
class Trap:
    """What to hold next: a request, or the answer to one. skip: how many to let pass before."""

    api: int
    answer: bool
    skip: int
    pid: int | None
    caught: asyncio.Future[Held]


class Proxy:
    """`async with Proxy(broker's host:port) as proxy`: the program connects to `proxy.address`.

    delay: seconds before a message is passed on. phases: pid → what Kafka was last asked by it, or None between
    transactions. begun: transactions that had a partition. passed: requests by kind. beat: seconds between two commits,
    of late.
    """

    def __init__(self, bootstrap: str) -> None:
        host, _, port = bootstrap.rpartition(":")
        self.broker = host, int(port)
        self.delay: Callable[[], float] = lambda: 0.0
        self.phases: dict[int, str | None] = {}
        self.begun = 0
        self.passed: Counter[int] = Counter()
        self._open: set[int] = set()
        self._traps: list[Trap] = []
        self._ends: dict[int, float] = {}
        self._beats: deque[float] = deque([0.05], maxlen=50)
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def beat(self) -> float:
        return median(self._beats)

    def catch(self, api: int, *, answer: bool = False, skip: int = 0, pid: int | None = None) -> Awaitable[Held]:
        """The next such message, of that process if one is named; it waits until the round decides."""
        trap = Trap(api, answer, skip, pid, asyncio.get_running_loop().create_future())
        self._traps.append(trap)
        return asyncio.wait_for(trap.caught, 40)

    def disarm(self) -> None:
        """Nothing is held or slowed down any more."""
        for trap in self._traps:
            trap.caught.cancel()
        self._traps.clear()
        self.delay = lambda: 0.0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self._names = list(zip(_spelled(*self.broker), _spelled("127.0.0.1", port), strict=True))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.disarm()
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            try:
                broker = await asyncio.open_connection(*self.broker)
            except OSError:  # it is down
                return
            with suppress(asyncio.CancelledError):  # the end of the test
                await Connection(self, (reader, writer), broker).run()
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    def renamed(self, api: int, answer: bytes) -> bytes:
        """The answer with the proxy's address in place of the broker's."""
        if api in (METADATA, FIND_COORDINATOR):
            for name, other in self._names:
                answer = answer.replace(name, other)
        return answer

    async def held(self, api: int, pid: int, connection: "Connection", *, answer: bool) -> bool:
        """Whether the message goes on, once whoever waits for it has decided."""
        for trap in self._traps:
            if (trap.api, trap.answer) == (api, answer) and trap.pid in (None, pid) and not trap.caught.done():
                if trap.skip:
                    trap.skip -= 1
                    continue
                self._traps.remove(trap)
                held = Held(api, pid, connection)
                trap.caught.set_result(held)
                return await held.verdict
        return True

    def asked(self, api: int, pid: int) -> None:
        self.passed[api] += 1
        if api in PHASES:
            self.phases[pid] = PHASES[api]
        if api == ADD_PARTITIONS and pid not in self._open:
            self._open.add(pid)
            self.begun += 1
        elif api in (END_TXN, INIT_PRODUCER_ID):
            self._open.discard(pid)

    def answered(self, api: int, pid: int) -> None:
        if api == END_TXN:
            self.phases[pid] = None
            now = time.monotonic()
            if (last := self._ends.get(pid)) is not None and now - last < 1:
                self._beats.append(now - last)
            self._ends[pid] = now


class Connection:
    def __init__(
        self,
        proxy: Proxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        broker: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._client, self._broker = client, broker
        self.mute = False
        self._waiting: dict[int, tuple[int, int]] = {}  # correlation id → api, pid
        self._answered = asyncio.Event()

    def cut_client(self) -> None:
        self._client[1].transport.abort()

    async def run(self) -> None:
        requests, answers = asyncio.create_task(self._requests()), asyncio.create_task(self._answers())
        try:
            await asyncio.wait([requests, answers], return_when=asyncio.FIRST_COMPLETED)
            # What was asked by somebody who is gone is answered before Kafka hears that he is gone: whether a message
            # arrives must depend on the round alone, and not on which of two packets is quicker.
            if not answers.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_WORDS):
                        while any(api in PHASES for api, _ in self._waiting.values()):
                            self._answered.clear()
                            await self._answered.wait()
        finally:
            for _, writer in (self._client, self._broker):
                writer.transport.abort()
            for task in (requests, answers):
                task.cancel()
            await asyncio.wait([requests, answers])

    async def _requests(self) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                frame = await _frame(self._client[0])
                api, _, correlation, length = struct.unpack_from(">hhih", frame)
                pid = _pid(frame[10 : 10 + max(length, 0)])
                await asyncio.sleep(self._proxy.delay())
                if await self._proxy.held(api, pid, self, answer=False) and not self.mute:
                    self._waiting[correlation] = api, pid
                    self._proxy.asked(api, pid)
                    await _write(self._broker[1], frame)

    async def _answers(self) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                frame = await _frame(self._broker[0])
                (correlation,) = struct.unpack_from(">i", frame)
                api, pid = self._waiting[correlation]
                await asyncio.sleep(self._proxy.delay())
                goes_on = await self._proxy.held(api, pid, self, answer=True)
                del self._waiting[correlation]
                self._answered.set()
                if goes_on and not self.mute:
                    self._proxy.answered(api, pid)
                    with suppress(OSError):
                        await _write(self._client[1], self._proxy.renamed(api, frame))


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


async def _write(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(struct.pack(">i", len(frame)) + frame)
    await writer.drain()


def _spelled(host: str, port: int) -> tuple[bytes, bytes]:
    """An address as older and newer answers have it."""
    address = host.encode() + struct.pack(">i", port)
    return struct.pack(">h", len(host)) + address, bytes([len(host) + 1]) + address


def _pid(client_id: bytes) -> int:
    """An instance calls itself host-pid-chance; 0 is somebody else."""
    parts = client_id.decode().rsplit("-", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0
