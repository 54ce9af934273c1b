"""Memory that a run took goes back to the machine when it is freed."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from attnviz.web import allocator

# Blocks of 20 MB, made and freed, raise the size from which glibc maps a block by itself; then every second of many
# is freed, which from a heap gives nothing back.
PROGRAM = """
import ctypes, sys, time
from pathlib import Path

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def take(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] != "kept":
    from attnviz.web import allocator
    assert allocator.return_large_blocks()
before = resident()
libc.free(take(20_000_000))
size = int(sys.argv[2])
blocks = [take(size) for _ in range(40_000_000 // size)]
for block in blocks[::2]:
    libc.free(block)
if sys.argv[1] == "trimmed":
    allocator.keep_trimmed()
    allocator.run_ended()
    until = time.monotonic() + 5
    while resident() - before > 25e6 and time.monotonic() < until:
        time.sleep(0.01)
print(resident() - before)
"""


def resident_after(how: str, size: int) -> int:
    """Bytes more than before that a process has, after half of 40 MB in blocks of this size were freed."""
    command = [sys.executable, "-c", PROGRAM, how, str(size)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, and glibc's malloc")
@pytest.mark.parametrize(
    ("how", "size"), [("returned", 2_000_000), pytest.param("trimmed", 100_000, marks=pytest.mark.nightly)]
)
def test_freed_blocks_leave_the_process(how: str, size: int) -> None:
    assert resident_after("kept", size) > 38e6
    assert resident_after(how, size) < 25e6


def test_one_thread_trims_for_the_whole_process() -> None:
    """Every server that tests of pages start asks for it; 650 threads once took their turns at the heaps."""
    for _ in range(3):
        allocator.keep_trimmed()
    assert sum(one.name == "attnviz allocator" for one in threading.enumerate()) <= 1
