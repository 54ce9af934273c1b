"""Which trainings run, and which wait in line: a server takes a few at a time, in the order in which they asked.

A training keeps its place while it is paused: it goes on before those that came later. Who leaves frees the place.
"""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attnviz.errors import TrainingError
from attnviz.web.jobs import training_limits

if TYPE_CHECKING:
    from attnviz.web.jobs.training_runs import Run

ABSENT = 5.0  # seconds without a browser, after which a training pauses: networks stumble for shorter

running: list[Run] = []  # those that hold a thread; both lists are guarded by the lock
waiting: list[Run] = []  # in the order in which they first asked
_tickets = itertools.count()
_lock = threading.RLock()


@dataclass(frozen=True)
class Place:
    """Where a training stands in line."""

    number: int  # from 1
    n_running: int
    seconds: float | None  # until its turn, at the pace of those that run; None if nobody knows yet
    at_least: bool  # others are before it, and nobody knows how long those take


def ask(run: Run) -> None:
    """Starts a training, or puts it in line. Errors: TrainingError on a server that takes none."""
    if training_limits.MAX_TRAININGS < 1:
        raise TrainingError("This server takes no trainings.")
    with _lock:
        if run in waiting or run in running:  # asked twice, as by a double click
            return
        run.ticket = next(_tickets) if run.ticket is None else run.ticket
        run.status, run.error, run.seen = "waiting", "", time.monotonic()
        waiting.append(run)
        waiting.sort(key=lambda one: one.ticket or 0)
        call_next(run)


def call_next(asks: Run | None = None) -> None:
    """Lets those in front begin, as many as there is room for; who has left goes out of the line. `asks` is here."""
    with _lock:
        here, now = [run for run in waiting if run is asks or run.present()], time.monotonic()
        for run in here:
            run.seen = now
        for run in [run for run in waiting if run not in here and now - run.seen >= ABSENT]:
            waiting.remove(run)
            run.status = "paused"
        for run in here[: max(0, training_limits.MAX_TRAININGS - len(running))]:
            waiting.remove(run)
            begin(run)


def begin(run: Run) -> None:
    """Starts a training's thread."""
    with _lock:
        if run not in running:
            running.append(run)
            run.launch()


def ended(run: Run) -> None:
    """A training's thread is at its end."""
    with _lock:
        running.remove(run)


def leave(run: Run) -> bool:
    """Takes a training out of the line and gives its place up; whether it stood there."""
    with _lock:
        if run not in waiting:
            return False
        waiting.remove(run)
        run.ticket = None
        run.status = "paused" if run.steps else "stopped"
        return True


def place(run: Run) -> Place | None:
    """Where a training stands in line; None if it does not wait."""
    with _lock:
        line = [one for one in waiting if one is run or one.present()]
        if run not in line:
            return None
        number, left = line.index(run) + 1, [one.seconds_left for one in running]
        known = sorted(seconds for seconds in left if seconds is not None)
        seconds = known[min(number, len(known)) - 1] if known and len(known) == len(left) else None
        return Place(number, len(running), seconds, number > 1)
