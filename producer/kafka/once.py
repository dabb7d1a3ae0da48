"""The requests of a transaction to its coordinator: each is sent once, and never again behind our back."""

import asyncio
from typing import Any, Final

import aiokafka.producer.sender
from aiokafka.errors import KafkaError
from aiokafka.producer.sender import AddPartitionsToTxnHandler, BaseHandler, EndTxnHandler

# (s) between two AddPartitionsToTxn, while the broker still writes the markers of the commit before
SHORTEST_WAIT: Final = 0.002
LONGEST_WAIT: Final = 0.1


class _Once(BaseHandler):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka sends these again when the connection breaks, without telling anybody.

    The first EndTxn may still be on its way. When it arrives in the middle of the producer's next transaction, it
    commits half of that: events without their cursor. So a broken connection is a doubt like any other: the producer
    is ended, and the next one's InitProducerId has the broker refuse whatever comes late. After an answer, which may
    say to try again, nothing is on its way.
    """

    async def do(self, node_id: int) -> bool:
        sender = self._sender
        try:
            answer = await sender.client.send(node_id, self.create_request(), group=self.group)
        except KafkaError as error:
            sender._message_accumulator.fail_all(error)
            sender._txn_manager.fatal_error(error)
            return False
        backoff = self.handle_response(answer)
        if backoff is not None:
            await asyncio.sleep(backoff)
        return backoff is None


class _EndTxnOnce(_Once, EndTxnHandler):  # type: ignore[misc]
    pass


class _AddPartitionsOnce(_Once, AddPartitionsToTxnHandler):  # type: ignore[misc]
    """What waits for the markers of the commit before asks soon at first, and then less and less often.

    The broker answers CONCURRENT_TRANSACTIONS meanwhile, and aiokafka asks again after 20 ms: longer than all the rest
    of a small commit takes. But it can take seconds, and each of these requests names hundreds of partitions.
    """

    def handle_response(self, answer: Any) -> float | None:
        backoff: float | None = super().handle_response(answer)
        sender = self._sender
        if backoff != aiokafka.producer.sender.BACKOFF_OVERRIDE:
            sender.concurrent_wait = SHORTEST_WAIT
            return backoff
        wait: float = getattr(sender, "concurrent_wait", SHORTEST_WAIT)
        sender.concurrent_wait = min(2 * wait, LONGEST_WAIT)
        return wait


def install() -> None:
    aiokafka.producer.sender.EndTxnHandler = _EndTxnOnce
    aiokafka.producer.sender.AddPartitionsToTxnHandler = _AddPartitionsOnce
