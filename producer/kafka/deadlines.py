"""The deadline round every call to Kafka, and what becomes of its errors."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    InvalidTimestampError,
    InvalidTransactionTimeout,
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
from producer.errors import Doubt, KafkaGone, KafkaRefused, Rejected, StepDown, Stop

log = logging.getLogger("vtj.kafka")

GRACE = 5.0  # (s) beyond what the broker takes at most
LONG = 5.0  # (s) of waiting for Kafka, before we say so
ENDING = 1.2  # (s) for each thing that is ended in good order: parts of the 5 s from SIGTERM to the end


class NotLetIn(Doubt):
    """A broker refused us, or we it; `stop` says why. A command ends with that. The service tries again: the account or
    the certificate may just be being renewed.
    """

    def __init__(self, what: str, stop: Stop) -> None:
        super().__init__(f"{what}: {stop} {stop.hint}")
        self.stop, self.exit_code = stop, stop.exit_code
        self.hint = "vtj-producer check walks the whole way to Kafka."


# The last refusal that a connection has met within the innermost deadline: aiokafka tells only that it has no broker.
last_refusal: ContextVar[list[Stop] | None] = ContextVar("last_refusal", default=None)

REJECTIONS = (
    CorruptRecordException,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
)

REFUSALS = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


@asynccontextmanager
async def deadline(seconds: float | None, what: str) -> AsyncIterator[None]:
    """Bounds the calls inside, and sorts what they raise.

    aiokafka's send futures, commit and stop wait without limit while a broker is down; its own time-outs do not
    bound them. Raises StepDown when another producer took the transactional id, KafkaRefused when an ACL is
    missing, NotLetIn when no connection came about for that, and Doubt for everything else: the broker may or may not
    have done what was asked. Says when it takes long, since nobody else does before the end.
    """
    met: list[Stop] = []
    outer = last_refusal.get()
    last_refusal.set(met)
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
        last_refusal.set(outer)


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
