"""Memory that a run took goes back to the machine when it is freed."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Blocks of 20 MB, made and freed, raise the size from which glibc maps a block by itself; then every second of many
# is freed, which from a heap gives nothing back.
PROGRAM = """
import ctypes, sys
from pathlib import Path

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def take(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] == "returned":
    from attnviz.web import allocator
    assert allocator.return_large_blocks()
before = resident()
libc.free(take(20_000_000))
blocks = [take(2_000_000) for _ in range(20)]
for block in blocks[::2]:
    libc.free(block)
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, and glibc's malloc")
def test_freed_blocks_leave_the_process() -> None:
    kept, returned = (
        int(subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True).stdout)
        for how in ("kept", "returned")
    )
    assert kept > 38e6
    assert returned < 23e6
