"""How the C library gives memory back: at once, for what is as large as a run's tensors.

glibc maps a large block by itself and returns it when it is freed, but takes every freed one of up to 32 MB as a sign
to serve the next ones from its heaps. These only shrink from their ends: what one run took stays with the process.
Source: mallopt(3), M_MMAP_THRESHOLD.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from functools import cache
from typing import Any

from attnviz.web.limits import LIMITS

M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
ARENAS = 2  # heaps that threads share: each keeps for itself what lies free in it
SMALL_HOST = 1_000_000_000  # bytes of memory, with less of which memory goes before time
EVERY = 2.0  # seconds between two times
EVERY_ON_SMALL_HOST = 0.2
REST = 9  # times as long as giving back took that nothing is given back: a tenth of one core at most
LARGE_BYTES = 1_000_000  # smaller ones come from the heaps, where they cost no page faults

_ended = threading.Event()


def return_large_blocks() -> bool:
    """Keeps glibc from raising that size for this process, and from more heaps; whether it does. No other C library
    has these faults.

    The first costs the page faults of every large block: runs of 500 tokens take a tenth to two thirds longer, of 120
    none. The second is heard before there are many threads only: sixty readers then leave 230 MB less free in heaps.
    """
    mallopt = _of_glibc("mallopt")
    return mallopt is not None and mallopt(M_MMAP_THRESHOLD, LARGE_BYTES) == mallopt(M_ARENA_MAX, ARENAS) == 1


@cache
def keep_trimmed() -> None:
    """Gives back what lies free within the heaps after runs have ended, for as long as the process lives.

    One thread does that for the whole process, however often this is called: tests of pages start many servers.
    """
    trim = _of_glibc("malloc_trim")
    if trim is None:
        return

    every = EVERY_ON_SMALL_HOST if LIMITS.memory_bytes < SMALL_HOST else EVERY

    def watch() -> None:
        while True:
            _ended.wait()
            _ended.clear()
            began = time.monotonic()
            trim(0)  # 5 to 70 ms without Python's lock; an allocation waits for its own heap's turn
            time.sleep(max(every, REST * (time.monotonic() - began)))

    threading.Thread(target=watch, name="attnviz allocator", daemon=True).start()


def run_ended() -> None:
    """Says that there may be something to give back."""
    _ended.set()


def _of_glibc(name: str) -> Any:
    """A function of the C library's; None where it has none of that name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
