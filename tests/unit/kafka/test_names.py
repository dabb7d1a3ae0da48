"""Where a key is put, against aiokafka's own hash; Java's is asked in tests/integration/test_consume.py."""

from aiokafka.partitioner import murmur2
from hypothesis import example, given
from hypothesis import strategies as st

from producer.kafka.names import java_hash


@given(st.binary(max_size=80))
@example(b"")
@example(b"\xff" * 11)
@example(b"010190-999X")
def test_keys_are_hashed_as_elsewhere(key: bytes) -> None:
    assert java_hash(key) == murmur2(key) & 0x7FFFFFFF
