"""Runs of a page at the same time: their matrix products leave Python's lock, so that a second core halves the wait."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

T = TypeVar("T")
U = TypeVar("U")


def at_once(one: Callable[[], T], other: Callable[[], U]) -> tuple[T, U]:
    """What two functions return, which may read the session as the page does. Errors: those of either."""
    context = get_script_run_ctx()
    with ThreadPoolExecutor(1, initializer=lambda: add_script_run_ctx(None, context)) as beside:
        waits = beside.submit(other)
        return one(), waits.result()
