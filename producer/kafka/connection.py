"""How every client of Kafka here is made and ended, and the deadline round every call to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    InvalidTransactionTimeout,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from producer.config import Kafka
from producer.errors import Doubt, KafkaGone, KafkaRefused, ProducerError, SettingsError, StepDown

REFUSALS = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


def connection(settings: Kafka, client_id: str) -> dict[str, Any]:
    """The arguments that all aiokafka clients share.

    request_timeout_ms lies above our own deadlines: those must end a call, not aiokafka's retries.
    """
    if settings.bootstrap_servers is None:
        raise SettingsError(
            "No Kafka is configured.", hint="Set VTJ_KAFKA__BOOTSTRAP_SERVERS, for example to localhost:9092."
        )
    return {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": client_id,
        "request_timeout_ms": int(settings.commit_timeout * 1000) + 10_000,
    }


@asynccontextmanager
async def deadline(seconds: float | None, what: str) -> AsyncIterator[None]:
    """Bounds the calls inside, and sorts what they raise.

    aiokafka's send futures, commit and stop wait without limit while a broker is down; its own time-outs do not
    bound them. Raises StepDown when another producer took the transactional id, KafkaRefused when an ACL is
    missing, and Doubt for everything else: the broker may or may not have done what was asked.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Doubt(f"{what}: no end {'in time' if seconds is None else f'within {seconds:g} s'}") from None
    except (ProducerFenced, InvalidProducerEpoch):
        raise StepDown(f"{what}: another instance took over, or the broker ended the transaction") from None
    except REFUSALS as error:
        raise KafkaRefused(
            f"{what}: {type(error).__name__}",
            hint="Grant the ACLs that docs/kafka.md lists to this account.",
        ) from None
    except InvalidTransactionTimeout:
        raise KafkaRefused(
            f"{what}: the broker does not grant so long a transaction timeout",
            hint="Lower VTJ_KAFKA__TRANSACTION_TIMEOUT, or raise the broker's transaction.max.timeout.ms.",
        ) from None
    except KafkaError as error:
        # Only the class: the text of some errors repeats what was sent.
        raise Doubt(f"{what}: {type(error).__name__}") from None


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

    It fails more futures than anybody waits for; where it matters the same error was raised already. And it leaves the
    first connection of a client whose start is cancelled to its finalizer, which has closed it when it says so.
    """
    if not isinstance(context.get("exception"), KafkaError) and not isinstance(context.get("conn"), AIOKafkaConnection):
        loop.default_exception_handler(context)


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


@asynccontextmanager
async def started(
    client: AIOKafkaProducer | AIOKafkaConsumer, settings: Kafka, what: str, *, stop_timeout: float = STOP_TIMEOUT
) -> AsyncIterator[None]:
    """Starts a client, within a deadline; at the end it is stopped, or cut off when it does not stop in time.

    While a broker is away `stop()` hangs, and what a deadline leaves of it would poll and reconnect for ever, one more
    set of tasks and connections with every outage: so whatever task the client has begun ends here too.
    """
    begun = WeakSet[asyncio.Task[Any]]()
    try:
        with _noted(begun):
            async with deadline(settings.commit_timeout, what):
                await client.start()
        yield
    finally:
        try:
            with _noted(begun), contextlib.suppress(ProducerError):
                async with deadline(stop_timeout, "stopping a client"):
                    await client.stop()
        finally:
            await _cut(begun)
            connections = client.client if isinstance(client, AIOKafkaProducer) else client._client
            with contextlib.suppress(ProducerError):
                async with deadline(stop_timeout, "closing the connections"):
                    await connections.close()


async def _cut(begun: WeakSet[asyncio.Task[Any]]) -> None:
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
async def reached(settings: Kafka, what: str) -> AsyncIterator[None]:
    """The same for commands and the start of the service: a Kafka that cannot be reached ends them with exit 8."""
    try:
        async with deadline(settings.commit_timeout, what):
            yield
    except Doubt as doubt:
        raise KafkaGone(
            str(doubt), hint=f"Is Kafka up and reachable at {settings.bootstrap_servers} from here?"
        ) from None


@asynccontextmanager
async def administration(settings: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for commands, within their deadline."""
    async with reached(settings, "asking Kafka"):
        admin = AIOKafkaAdminClient(**connection(settings, "vtj-producer"))
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()
