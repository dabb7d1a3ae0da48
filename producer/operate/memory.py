"""What the process keeps of the memory that it has used, and who looks through it."""

import contextlib
import ctypes
import gc
from typing import Final

# Of glibc's malloc.h, and bytes.
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
SETTINGS: Final = {M_MMAP_THRESHOLD: 1 << 20, M_TRIM_THRESHOLD: 4 << 20}


def steady_memory() -> None:
    """Keeps Python's cyclic garbage collector off the hot path, and memory that is free no longer than it must.

    A parsed page is 30,000 containers, which would start a collection every few hundred; none of them is in a cycle.
    What is alive now stays for ever and need not be looked at again; the rest is collected while waiting, and, far more
    rarely than by default, in between. Called again, by another feed of the process or by one that begins anew, it lets
    go of what was not for ever.

    With each large block that is freed glibc raises what it keeps, unless somebody has set its limits: orjson takes a
    dozen times the size of a page to parse it, and after 700 kB the process would keep 18 MB.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for name, size in SETTINGS.items():
            mallopt(name, size)
