"""Ending a transaction: asked for once, and never again behind our back."""

import asyncio

from aiokafka.errors import KafkaError
from aiokafka.producer.sender import EndTxnHandler


class EndTxnOnce(EndTxnHandler):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka's, which sends EndTxn again when the connection breaks, without telling anybody.

    The first one may still be on its way. When it arrives in the middle of the producer's next transaction, it commits
    half of that: events without their cursor. So a broken connection is a doubt like any other: the producer is ended,
    and the next one's InitProducerId has the broker refuse whatever comes late. After an answer, which may say to try
    again, nothing is on its way.
    """

    async def do(self, node_id: int) -> bool:
        try:
            answer = await self._sender.client.send(node_id, self.create_request(), group=self.group)
        except KafkaError as error:
            self._sender._txn_manager.fatal_error(error)
            return False
        backoff = self.handle_response(answer)
        if backoff is not None:
            await asyncio.sleep(backoff)
        return backoff is None
