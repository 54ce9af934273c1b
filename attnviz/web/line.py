"""How many pages are drawn at a time; the others wait in line, so that what runs take does not add up to any height.

Sixty runs at once are no faster than a few, for they share Python's lock: but each holds its trace and its messages,
and all come late. Those who were slow last time leave one place to the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import streamlit as st

from attnviz.web.limits import LIMITS

SLOW = 0.5  # seconds of processor time of a session's last run, from which on it is among the slow ones
LOOK = 0.25  # seconds between two looks at whether a waiting reader has moved on
TELL = 2.0  # seconds after which a waiting reader is told
_SECONDS = "line:seconds"

T = TypeVar("T")

_here = threading.local()


@dataclass(eq=False)
class Ticket:
    """A run in line."""

    slow: bool
    called: threading.Event = field(default_factory=threading.Event)


class Line:
    """At most `places` runs at a time, in the order in which they came, all but one of them for slow ones too."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._waiting: list[Ticket] = []
        self._inside: list[Ticket] = []
        self._lock = threading.Lock()

    @property
    def n_waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter(self, slow: bool, look: Callable[[int], None] = lambda before: None) -> Ticket:
        """Waits for a place; meanwhile `look` is called with the number of runs before this one, and may raise."""
        ticket = Ticket(slow)
        with self._lock:
            self._waiting.append(ticket)
            self._call()
        try:
            while not ticket.called.wait(LOOK):
                look(self._waiting.index(ticket) if ticket in self._waiting else 0)
        except BaseException:  # as where the reader has moved on
            self.leave(ticket)
            raise
        return ticket

    def leave(self, ticket: Ticket | None) -> None:
        """Gives a place back, or leaves the line; nothing without a ticket."""
        with self._lock:
            for where in (self._waiting, self._inside):
                if ticket in where:
                    where.remove(ticket)
            self._call()

    def _call(self) -> None:
        """Lets those in front in, as many as there is room for. The lock is held."""
        for ticket in list(self._waiting):
            n_slow = sum(one.slow for one in self._inside)
            if len(self._inside) < self.places and not (ticket.slow and n_slow >= max(1, self.places - 1)):
                self._waiting.remove(ticket)
                self._inside.append(ticket)
                ticket.called.set()


LINE = Line(LIMITS.max_runs)


@contextmanager
def place() -> Iterator[None]:
    """Around a run of a page, or of a part of one alone; within another one it is that one's place."""
    if getattr(_here, "ticket", None) is not None:
        yield
        return
    state = st.session_state
    _here.ticket = LINE.enter(state.get(_SECONDS, 0.0) > SLOW, _Look())
    began = time.thread_time()  # its own work: where many read at once, every run takes long by the clock
    try:
        yield
    finally:
        LINE.leave(_here.ticket)
        _here.ticket = None
        state[_SECONDS] = time.thread_time() - began


@contextmanager
def aside() -> Iterator[None]:
    """Around a wait within a run, which needs no place meanwhile, nor where it ends because its reader has moved on."""
    ticket = getattr(_here, "ticket", None)
    if ticket is None:
        yield
        return
    LINE.leave(ticket)
    _here.ticket = None
    yield
    _here.ticket = LINE.enter(ticket.slow, _Look())


def in_line(make: Callable[[], T]) -> Callable[[], T]:
    """`make` with a place of a slow one: for what no run of a page makes, such as a file when it is asked for."""

    def made() -> T:
        ticket = LINE.enter(slow=True)
        try:
            return make()
        finally:
            LINE.leave(ticket)

    return made


class _Look:
    """What a waiting run does now and then: tells its reader once, and ends where the reader has moved on."""

    def __init__(self) -> None:
        self._until = time.monotonic() + TELL

    def __call__(self, before: int) -> None:
        if time.monotonic() > self._until:
            self._until = float("inf")
            st.toast(f"Many read at once: {before} {'run is' if before == 1 else 'runs are'} before yours.")
        st.session_state.get(_SECONDS)  # where Streamlit looks whether the reader has moved on
