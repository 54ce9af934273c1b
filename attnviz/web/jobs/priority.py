"""How trainings give way to the pages: a lower priority, a core that stays free, and a wait while a reader waits.

A training and a page's run take turns at Python's lock, and share the cores with the reader's browser, which has to
draw. So trainings take turns at all cores but one, step by step, and between two steps each looks whether Streamlit
runs a page for somebody, and lets that and the drawing go first.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamlit.runtime.scriptrunner_utils.script_run_context_attr import SCRIPT_RUN_CONTEXT_ATTR_NAME

NICE = 10  # a training's priority, where the system knows one per thread: the app's come first
YIELD = 0.002  # seconds between two steps in which every other thread may take Python's lock, whoever waits
POLL = 0.004  # seconds between two looks at who waits
DRAWING = 0.1  # seconds that a browser has to itself, after a page's run, to draw what came
MOST = 1.0  # seconds at a time that a training gives way


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


_cores = threading.BoundedSemaphore(max(1, cores() - 1))  # those that trainings may have at a time
_background: weakref.WeakSet[threading.Thread] = weakref.WeakSet()  # whose page nobody asked for just now


class Turns:
    """When one training waits, and for how long: never longer in all than it has worked, however busy the pages are."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        readers: Callable[[], list[threading.Thread]] | None = None,
    ) -> None:
        """`readers` are the threads in which a page runs now; all three are arguments for tests."""
        self._clock, self._sleep, self._readers = clock, sleep, readers or page_threads
        self._since = clock()  # when its turn began
        self._credit = 0.0  # seconds that it may wait
        self._seen: dict[threading.Thread, float] = {}  # pages' threads, and when they last ran

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Around a step: no more trainings are in theirs than leave the pages a core."""
        with _cores:
            self._since = self._clock()
            yield

    def give_way(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """To be called between two turns; returns at once when the training is not `wanted` any more."""
        self._credit = min(MOST, self._credit + self._clock() - self._since)
        self._sleep(YIELD)
        began = self._clock()
        while wanted() and self._reader_waits() and self._clock() - began + POLL <= self._credit:
            self._sleep(POLL)
        self._credit -= self._clock() - began

    def _reader_waits(self) -> bool:
        now = self._clock()
        self._seen |= dict.fromkeys(self._readers(), now)
        self._seen = {page: when for page, when in self._seen.items() if now - when < DRAWING}
        return any(page not in _background for page in self._seen)


def page_threads() -> list[threading.Thread]:
    """The threads in which Streamlit runs a page or a fragment now: each run has one."""
    return [thread for thread in threading.enumerate() if hasattr(thread, SCRIPT_RUN_CONTEXT_ATTR_NAME)]


def set_foreground(asked: bool) -> None:
    """Whether a reader `asked` for the page's run that calls this; no training gives way to one by a clock."""
    (_background.discard if asked else _background.add)(threading.current_thread())


def lower() -> None:
    """Lowers the priority of this thread, where threads have one of their own."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))
