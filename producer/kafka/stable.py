"""Up to where readers see: Kafka's last stable offsets."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.offset import OffsetRequest

READ_COMMITTED, LATEST, CLIENT = 1, -1, -1  # of Kafka's protocol


async def unseen(
    client: AIOKafkaClient, records: Mapping[TopicPartition, int]
) -> tuple[dict[TopicPartition, int], bool]:
    """Of these offsets those that read_committed readers do not get to, and whether the brokers said so of them all.

    A transaction is open there or before: its markers are on their way or were passed over, or it is somebody else's.
    Raises KafkaError.
    """
    asked: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for one in records:
        leader = client.cluster.leader_for_partition(one)
        if leader is not None and leader >= 0:
            asked[leader][one.topic].append((one.partition, LATEST))
    requests = [
        client.send(leader, OffsetRequest(CLIENT, READ_COMMITTED, list(topics.items())))
        for leader, topics in asked.items()
    ]
    ends = {
        TopicPartition(topic, at): offset
        for answer in await asyncio.gather(*requests)
        for topic, parts in answer.topics
        for at, code, _, offset, *_ in parts
        if not code
    }
    left = {one: offset for one, offset in records.items() if ends.get(one, -1) <= offset}
    return left, left.keys() <= ends.keys()
