"""Where one bucket of a feed is kept, and under which names."""

from dataclasses import dataclass

from aiokafka.partitioner import murmur2

# The shards of a deployment are the partitions of the cursor topic. The count is part of where a bucket lives,
# so it can never change; 12 divides well among 2, 3, 4 and 6 instances.
SHARDS = 12
# The bucket of the state topics: a line of its own, with a transactional id of its own.
STATE = "state"


def java_hash(key: bytes) -> int:
    """The number whose remainder by the partition count is where Java's default partitioner puts the key."""
    return int(murmur2(key)) & 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one bucket at Kafka. prefix: VTJ_TOPICS__PREFIX; feed: VTJ_FEED__NAME."""

    prefix: str
    feed: str
    bucket: str

    @property
    def key(self) -> bytes:
        """Key of the bucket's records in the cursor and ledger topics."""
        return f"{self.feed}/{self.bucket}".encode()

    @property
    def shard(self) -> int:
        """The partition of the cursor topic in which the bucket lives."""
        return java_hash(self.key) % SHARDS

    @property
    def transactional_id(self) -> str:
        return f"{self.prefix}.{self.feed}.{STATE if self.bucket == STATE else self.shard}"

    @property
    def group(self) -> str:
        """The consumer group in which the instances of a deployment share out the shards."""
        return f"{self.prefix}.{self.feed}"

    @property
    def cursor_topic(self) -> str:
        return f"{self.prefix}.cursor"

    @property
    def ledger_topic(self) -> str:
        return f"{self.prefix}.ledger"
