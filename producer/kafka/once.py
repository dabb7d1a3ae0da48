"""The requests of a transaction to its coordinator: each is sent once, and never again behind our back."""

import asyncio

import aiokafka.producer.sender
from aiokafka.errors import KafkaError
from aiokafka.producer.sender import AddPartitionsToTxnHandler, BaseHandler, EndTxnHandler


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
    pass


def install() -> None:
    aiokafka.producer.sender.EndTxnHandler = _EndTxnOnce
    aiokafka.producer.sender.AddPartitionsToTxnHandler = _AddPartitionsOnce
