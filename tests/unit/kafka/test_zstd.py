"""The batches that a producer sends are packed by our own zstd, and anybody's unpacks them."""

import importlib
import random

import cramjam
import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from producer.kafka import zstd

importlib.import_module("producer.kafka.publisher")  # as whoever sends has it

HEADER = 61  # bytes of a batch before its records


def batch(values: list[bytes]) -> bytes:
    made = DefaultRecordBatchBuilder(2, DefaultRecordBatch.CODEC_ZSTD, True, 7, 0, 0, 1 << 20)
    for at, value in enumerate(values):
        assert made.append(at, timestamp=1, key=b"key", value=value, headers=[("ce_id", b"%032d" % at)])
    return bytes(made.build())


@pytest.mark.parametrize("count", [1, 20, 2000])
def test_every_frame_is_ours_whatever_came_before(count: int) -> None:
    values = [b'{"kuntakoodi":"091","lisatieto":"%d"}' % at for at in range(count)]
    for _ in range(3):
        made = batch(values)
        plain = bytes(cramjam.zstd.decompress(made[HEADER:]))
        assert made[HEADER:] == zstd.encode(plain)
        assert made[HEADER:] != bytes(cramjam.zstd.compress(plain, level=3))  # as aiokafka packs
        assert [record.value for record in DefaultRecordBatch(made)] == values


def test_what_cannot_be_packed_is_sent_as_it_is() -> None:
    noise = random.Random(1).randbytes(20_000)
    made = batch([noise])
    assert noise in made
    assert [record.value for record in DefaultRecordBatch(made)] == [noise]
