"""What a large block leaves with the process."""

import platform
import subprocess
import sys

import pytest

# Once 16 MB have been freed, glibc by itself puts smaller blocks one after the other on its heap. What lies there below
# a block in use, the last one here, stays with the process when it is freed.
KEEPS = """
import gc
import os
import sys

from producer.operate.memory import steady_memory
if sys.argv[1] == "steady":
    steady_memory()
    assert gc.get_threshold()[0] == 200_000 and gc.get_freeze_count()

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

bytes(bytearray(16 << 20))
before = resident()
first, last = b"x" * (12 << 20), b"x" * (1 << 19)
del first
print((resident() - before) >> 20)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc",
    reason="only glibc keeps more with each large block that is freed, and only there limits are set",
)
@pytest.mark.parametrize(("how", "kept"), [("steady", {0}), ("by default", {12})])
def test_what_is_freed_goes_back_to_the_operating_system(how: str, kept: set[int]) -> None:
    done = subprocess.run([sys.executable, "-c", KEEPS, how], capture_output=True, text=True, check=True)
    assert int(done.stdout) in kept, done.stdout
