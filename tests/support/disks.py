"""A disk that is full, for a process that already runs: what the system itself refuses to write."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(process: int = 0, n_bytes: int = 1_000) -> Iterator[None]:
    """No file of the process's, or of this one, gets more bytes. Linux only, but for this process."""
    of_process = (lambda *limit: resource.prlimit(process, *limit)) if process else _of_this_one
    soft, hard = of_process(resource.RLIMIT_FSIZE)
    of_process(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        of_process(resource.RLIMIT_FSIZE, (soft, hard))


def _of_this_one(what: int, limits: tuple[int, int] | None = None) -> tuple[int, int]:
    before = resource.getrlimit(what)
    if limits is not None:
        resource.setrlimit(what, limits)
    return before
