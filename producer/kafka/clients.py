"""How every client of Kafka here begins and ends."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from traceback import walk_tb
from typing import Any
from weakref import WeakSet

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError

from producer.config import Kafka
from producer.errors import Doubt
from producer.kafka.connection import connection, opened
from producer.kafka.deadlines import deadline, reached

STOP_TIMEOUT = 0.6  # (s); part of the 5 s from SIGTERM to the end
CUTS = 5  # times a tenth of a second; part of it too

_begun: ContextVar[WeakSet[asyncio.Task[Any]] | None] = ContextVar("_begun", default=None)


def _task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(coroutine, loop=loop, **options)
    begun = _begun.get()
    if begun is not None:
        begun.add(task)
    return task


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What aiokafka reports and nobody needs to hear.

    It fails more futures than anybody waits for, also with what its sender has stumbled over; where it matters the same
    error was raised already. And it leaves the first connection of a client whose start is cancelled to its finalizer,
    which has closed it when it says so.
    """
    error, future = context.get("exception"), context.get("future")
    its_own = isinstance(error, KafkaError) or (not isinstance(future, asyncio.Task) and _from_within(error))
    if not its_own and not isinstance(context.get("conn"), AIOKafkaConnection):
        loop.default_exception_handler(context)


def _from_within(error: BaseException | None) -> bool:
    """Whether it was raised in a line of aiokafka."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__ if error else None)]
    return bool(frames) and frames[-1].f_globals.get("__name__", "").startswith("aiokafka.")


@contextlib.contextmanager
def _noted(begun: WeakSet[asyncio.Task[Any]]) -> Iterator[None]:
    """Notes the tasks that are begun inside, and all that those begin later: they inherit the context."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(_task)
    loop.set_exception_handler(_unheard)
    outer = _begun.get()
    _begun.set(begun)
    try:
        yield
    finally:
        _begun.set(outer)


class Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka is untyped
    """Asks any broker that answers, where it does not matter which: by itself aiokafka takes one that has just died.

    Waits for one, up to the deadline of whoever asks: who has just come back knows of no broker, not even of itself.
    """

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
        while not self._client.cluster.brokers():
            await self._client.force_metadata_update()
            await asyncio.sleep(0.1)
        nodes = [node_id] if node_id is not None else [one.nodeId for one in self._client.cluster.brokers()]
        for node_id in random.sample(nodes, len(nodes)):
            if await self._client.ready(node_id):
                break
        return await super()._send_request(request, node_id)

    async def stop(self) -> None:
        await self.close()


@asynccontextmanager
async def started(
    client: AIOKafkaProducer | AIOKafkaConsumer | Admin,
    settings: Kafka,
    what: str,
    *,
    stop_timeout: float = STOP_TIMEOUT,
) -> AsyncIterator[None]:
    """Starts a client, within a deadline; at the end it is stopped, or cut off when it does not stop in time.

    While a broker is away `stop()` hangs, and what a deadline leaves of it would poll and reconnect for ever, one more
    set of tasks and connections with every outage: so whatever task the client has begun ends here too.
    Nobody needs to hear what it ends with: a batch that is to be sent again, when all have been failed meanwhile, makes
    a KeyError of `stop()`.
    Each of the three calls is a task of its own. aiokafka awaits what it has cancelled: so it keeps cancellations of
    ours to itself, behind which no deadline would hold, and passes on its own, as if we had been told to stop.
    """
    begun, made = WeakSet[asyncio.Task[Any]](), WeakSet[AIOKafkaConnection]()
    try:
        async with deadline(settings.commit_timeout, what):
            outer = opened.set(made)
            starting = _alone(client.start(), begun)
            opened.reset(outer)
            try:
                await asyncio.wait([starting])
            finally:
                await _cut([starting])
            if starting.cancelled():
                raise Doubt(f"{what}: cancelled, and not by us")
            starting.result()
        yield
    finally:
        connections = client.client if isinstance(client, AIOKafkaProducer) else client._client
        try:
            await _end(client.stop(), begun, stop_timeout)
        finally:
            await _end(connections.close(), begun, stop_timeout)
            for one in [*made]:  # which aiokafka forgets when it is cancelled before it has kept it
                one.close()


async def _end(ending: Coroutine[Any, Any, None], begun: WeakSet[asyncio.Task[Any]], seconds: float) -> None:
    try:
        await asyncio.wait([_alone(ending, begun)], timeout=seconds)
    finally:
        await _cut(begun)


def _alone(doing: Coroutine[Any, Any, None], begun: WeakSet[asyncio.Task[Any]]) -> asyncio.Task[None]:
    with _noted(begun):
        task = asyncio.ensure_future(doing)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # it is heard of, or nobody needs to
    return task


async def _cut(begun: Iterable[asyncio.Task[Any]]) -> None:
    """Again and again: aiokafka's sender takes the first cancellation as the word to wait for its own tasks.

    Bounded: a task that will not end must not hold up the service for ever.
    """
    for _ in range(CUTS):
        left = [task for task in begun if not task.done()]
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.1)


@asynccontextmanager
async def administration(settings: Kafka) -> AsyncIterator[Admin]:
    """An admin client for commands, within their deadline."""
    admin, what = Admin(**connection(settings, "vtj-producer")), "asking Kafka"
    async with reached(settings, what), started(admin, settings, what):
        yield admin
