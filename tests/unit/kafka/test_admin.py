"""What is asked of any broker waits for one: a broker that has just come back tells of none, not even of itself."""

from types import SimpleNamespace
from typing import Any

from producer.kafka.clients import Admin


class Returning:
    """A client whose third look at the cluster finds a broker."""

    def __init__(self) -> None:
        self.looks = 0
        self.cluster = self

    def brokers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nodeId=7)] if self.looks >= 3 else []

    async def force_metadata_update(self) -> bool:
        self.looks += 1
        return self.looks >= 3

    async def ready(self, node_id: int) -> bool:
        return node_id == 7

    async def send(self, node_id: int, request: Any) -> tuple[int, Any]:
        return node_id, request


async def test_a_question_waits_for_a_broker() -> None:
    admin = Admin.__new__(Admin)  # nothing is to be connected
    admin._client = Returning()
    assert await admin._send_request("a question") == (7, "a question")
    assert admin._client.looks == 3
