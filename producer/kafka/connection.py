"""How every client of Kafka here is made and ended, and the deadline round every call to it."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from ssl import SSLContext
from traceback import walk_tb
from typing import Any
from weakref import WeakSet

import aiokafka.client
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    InvalidTimestampError,
    InvalidTransactionTimeout,
    KafkaConnectionError,
    KafkaError,
    KafkaStorageError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    ProducerFenced,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from producer.config import Kafka
from producer.errors import Doubt, KafkaGone, KafkaRefused, Rejected, SettingsError, StepDown, Stop
from producer.kafka import login

log = logging.getLogger("vtj.kafka")

GRACE = 5.0  # (s) beyond what the broker takes at most
LONG = 5.0  # (s) of waiting for Kafka, before we say so

CONNECT_SHARE = 0.15  # of a request's time, for a connection
LIST_TRANSACTIONS = 66  # key of Kafka's protocol: there since 3.0


class NotLetIn(Doubt):
    """A broker refused us, or we it; `stop` says why. A command ends with that. The service tries again: the account or
    the certificate may just be being renewed.
    """

    def __init__(self, what: str, stop: Stop) -> None:
        super().__init__(f"{what}: {stop} {stop.hint}")
        self.stop, self.exit_code = stop, stop.exit_code
        self.hint = "vtj-producer check walks the whole way to Kafka."


# The last refusal that a connection has met within the innermost deadline: aiokafka tells only that it has no broker.
_met: ContextVar[list[Stop] | None] = ContextVar("_met", default=None)


RECONNECT = 0.1  # (s) from a failed connection to the next try at that address
_failed: dict[str, float] = {}  # address → when


async def _connected(
    host: str,
    port: int,
    *,
    request_timeout_ms: int,
    ssl_context: Callable[[], SSLContext] | None,
    sasl_plain_password: Callable[[], str] | None,
    **options: Any,
) -> AIOKafkaConnection:
    """A connection to a broker that answers, with the credentials of this moment.

    Raises KafkaConnectionError and TimeoutError; then aiokafka tries the next broker. By itself it waits for one that
    takes the connection and says nothing as long as for any request, which is longer than our deadlines: one frozen
    broker of three, and hardly a shard could be opened. And where one refuses, its sender tries again at once, hundreds
    of times a second, and each try leaves a connection behind, in cycles.
    """
    address = f"{host}:{port}"
    await asyncio.sleep(max(0, _failed.get(address, 0) + RECONNECT - time.monotonic()))
    try:
        made = AIOKafkaConnection(
            host,
            port,
            request_timeout_ms=request_timeout_ms,
            ssl_context=ssl_context and ssl_context(),
            sasl_plain_password=sasl_plain_password and sasl_plain_password(),
            **options,
        )
        async with asyncio.timeout(request_timeout_ms / 1000 * CONNECT_SHARE):
            await made.connect()
        if LIST_TRANSACTIONS not in made._versions:
            made.close()
            raise KafkaRefused(
                f"Kafka at {address} is older than 3.0, or another make.",
                hint="It takes Apache Kafka 3.0 or later; docs/kafka.md says which were tried.",
            )
        _failed.pop(address, None)
        return made
    except (Stop, KafkaError, OSError) as error:
        _failed[address] = time.monotonic()
        stop = login.refused(error, address)
        if stop is None:
            raise
        if (met := _met.get()) is not None:
            met[:] = [stop]
    raise KafkaConnectionError(f"{stop} {stop.hint}")  # aiokafka logs it, and tries again while nothing else ends it


aiokafka.client.create_conn = _connected

# By itself aiokafka sends again until our deadline, and nobody hears what the matter is.
KafkaStorageError.retriable = False

REJECTIONS = (
    CorruptRecordException,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
)

# Where no log is set up, which is every command but the service, what went wrong is told once: by us.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())

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
        **login.arguments(settings),
    }


@asynccontextmanager
async def deadline(seconds: float | None, what: str) -> AsyncIterator[None]:
    """Bounds the calls inside, and sorts what they raise.

    aiokafka's send futures, commit and stop wait without limit while a broker is down; its own time-outs do not
    bound them. Raises StepDown when another producer took the transactional id, KafkaRefused when an ACL is
    missing, NotLetIn when no connection came about for that, and Doubt for everything else: the broker may or may not
    have done what was asked. Says when it takes long, since nobody else does before the end.
    """
    met: list[Stop] = []
    outer = _met.get()
    _met.set(met)
    telling = None
    if seconds is not None and seconds > LONG:
        words = "%s: not done after %g s, is Kafka slow or away? Giving up after %g s"
        telling = asyncio.get_running_loop().call_later(LONG, log.warning, words, what, LONG, seconds)
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        if met:
            raise NotLetIn(what, met[0]) from None
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
    except KafkaStorageError:
        raise Doubt(f"{what}: KafkaStorageError, a broker cannot write (is its disk full, or broken?)") from None
    except REJECTIONS as error:
        raise Rejected(f"{what}: {type(error).__name__}") from None
    except KafkaError as error:
        if met:
            raise NotLetIn(what, met[0]) from None
        # Only the class: the text of some errors repeats what was sent.
        raise Doubt(f"{what}: {type(error).__name__}") from None
    finally:
        if telling is not None:
            telling.cancel()
        _met.set(outer)


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
    """Asks any broker that answers, where it does not matter which: by itself aiokafka takes one that has just died."""

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
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
    begun = WeakSet[asyncio.Task[Any]]()
    try:
        async with deadline(settings.commit_timeout, what):
            starting = _alone(client.start(), begun)
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
async def reached(settings: Kafka, what: str, seconds: float | None = None) -> AsyncIterator[None]:
    """The same for commands and the start of the service: a Kafka that cannot be reached ends them with exit 8."""
    try:
        async with deadline(seconds or settings.commit_timeout, what):
            yield
    except NotLetIn as refused:
        raise refused.stop from None
    except Doubt as doubt:
        raise KafkaGone(
            str(doubt),
            hint=f"Is Kafka up and reachable at {settings.bootstrap_servers} from here, and does it speak "
            f"{settings.security_protocol} there (VTJ_KAFKA__SECURITY_PROTOCOL)?",
        ) from None


def settled(settings: Kafka, what: str) -> AbstractAsyncContextManager[None]:
    """`reached`, for reading to the end of what is committed.

    Somebody who died may have left a transaction open there, which nobody but the broker ends.
    """
    return reached(settings, what, settings.transaction_timeout + GRACE)


@asynccontextmanager
async def administration(settings: Kafka) -> AsyncIterator[Admin]:
    """An admin client for commands, within their deadline."""
    admin, what = Admin(**connection(settings, "vtj-producer")), "asking Kafka"
    async with reached(settings, what), started(admin, settings, what):
        yield admin
