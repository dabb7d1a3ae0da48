"""Where one bucket of a feed is kept, and under which names."""

from dataclasses import dataclass, replace
from struct import iter_unpack
from typing import Final

# The shards of a deployment are the partitions of the cursor topic. The count is part of where a bucket lives,
# so it can never change; 12 divides well among 2, 3, 4 and 6 instances.
SHARDS = 12
# Buckets beside those of a feed's persons, each a line of its own with a transactional id of its own: that of the state
# topics, that of what upstream is asked for again, that of what is copied to another topic, and that of dead letters.
# What is told after all of those alone is news, to the state and to copies.
STATE, BACKFILL, REPLAY, LETTERS = "state", "backfill", "replay", "letters"
BESIDE = (STATE, BACKFILL, REPLAY, LETTERS)
NO_NEWS = (STATE, BACKFILL, REPLAY)

MURMUR_SEED: Final = 0x9747_B28C
MURMUR: Final = 0x5BD1_E995
WORD: Final = 0xFFFF_FFFF


def java_hash(key: bytes) -> int:
    """The number whose remainder by the partition count is where Java's default partitioner puts the key.

    Kafka's murmur2 by words, since aiokafka's goes by bytes and takes twice the time.
    """
    size = len(key)
    rest = size & 3
    made = MURMUR_SEED ^ size
    for (four,) in iter_unpack("<I", key[: size - rest]):
        word = four * MURMUR & WORD
        made = (made * MURMUR ^ (word ^ word >> 24) * MURMUR) & WORD
    if rest:
        made = (made ^ int.from_bytes(key[-rest:], "little")) * MURMUR & WORD
    made = (made ^ made >> 13) * MURMUR & WORD
    return (made ^ made >> 15) & 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one bucket at Kafka. prefix: VTJ_TOPICS__PREFIX; feed: VTJ_FEED__NAME.

    keys: check value of the pseudonyms that stand for its persons (Pseudonyms.check); None: their codes do.
    """

    prefix: str
    feed: str
    bucket: str
    keys: str | None = None

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
        return f"{self.prefix}.{self.feed}.{self.shard_name}"

    @property
    def shard_name(self) -> str:
        """What has transactions of its own: the shard by its number, or a bucket beside those of persons."""
        return self.bucket if self.bucket in BESIDE else str(self.shard)

    def beside(self, bucket: str, feed: str) -> bool:
        """Whether that bucket has the same transactional id."""
        return replace(self, feed=feed, bucket=bucket).transactional_id == self.transactional_id

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
