"""How a connection to a broker comes about."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from ssl import SSLContext
from typing import Any
from weakref import WeakSet

import aiokafka.client
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaStorageError

from producer.config import Kafka
from producer.errors import KafkaRefused, SettingsError, Stop
from producer.kafka import login
from producer.kafka.deadlines import last_refusal

CONNECT_SHARE = 0.15  # of a request's time, for a connection
LIST_TRANSACTIONS = 66  # key of Kafka's protocol: there since 3.0

RECONNECT = 0.1  # (s) from a failed connection to the next try at that address
_failed: dict[str, float] = {}  # address → when


# Those that a client has opened, to be closed at its end: the first one of a start that is cancelled it forgets.
opened: ContextVar[WeakSet[AIOKafkaConnection] | None] = ContextVar("opened", default=None)


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
        try:
            async with asyncio.timeout(request_timeout_ms / 1000 * CONNECT_SHARE):
                await made.connect()
            if LIST_TRANSACTIONS not in made._versions:
                raise KafkaRefused(
                    f"Kafka at {address} is older than 3.0, or another make.",
                    hint="It takes Apache Kafka 3.0 or later; docs/kafka.md says which were tried.",
                )
        except BaseException:  # cancelled amid its first question too: aiokafka leaves it open then
            made.close()
            raise
        _failed.pop(address, None)
        if (noted := opened.get()) is not None:
            noted.add(made)
        return made
    except (Stop, KafkaError, OSError) as error:
        _failed[address] = time.monotonic()
        stop = login.refused(error, address)
        if stop is None:
            raise
        if (met := last_refusal.get()) is not None:
            met[:] = [stop]
    raise KafkaConnectionError(f"{stop} {stop.hint}")  # aiokafka logs it, and tries again while nothing else ends it


aiokafka.client.create_conn = _connected

# By itself aiokafka sends again until our deadline, and nobody hears what the matter is.
KafkaStorageError.retriable = False

# Where no log is set up, which is every command but the service, what went wrong is told once: by us.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())


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
