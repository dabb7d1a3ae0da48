"""How the batches of a producer are packed: zstd with one context for all of them."""

import sys
from typing import Final

from aiokafka.record.default_records import DefaultRecordBatchBuilder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# zstd's fastest of those that pack as well: aiokafka's 3 takes a third longer, for a size within 2 % of this one's.
LEVEL: Final = 1

_context: Final = zstd.ZstdCompressor(LEVEL)


def encode(payload: bytes) -> bytes:
    """One frame, which tells its size. Not for several threads at once."""
    _context.set_pledged_input_size(len(payload))
    return _context.compress(payload, zstd.ZstdCompressor.FLUSH_FRAME)


def install() -> None:
    """In place of aiokafka's, which makes a context for each batch: half of the time that a small one takes."""
    module = sys.modules[DefaultRecordBatchBuilder.__module__]  # the compiled one, where there is one
    module.zstd_encode = encode  # type: ignore[attr-defined]
