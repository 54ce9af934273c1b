"""Jobs beside the app that go one after the other: one is at work, the others wait in line.

A job ends when its session does: its thread asks whether the session still has its browser.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

ABSENT = 5.0  # seconds without a browser, after which a job ends
POLL = 0.5  # seconds between two looks at the session of one that waits


class Line:
    """Jobs of one kind."""

    def __init__(self) -> None:
        self.jobs: list[InLine] = []  # the first one is at work; guarded by the condition
        self.moved = threading.Condition()


class InLine(ABC):
    """One job, under way or ended. The thread writes, the page reads."""

    def __init__(self, line: Line, present: Callable[[], bool]) -> None:
        """`present` says whether the session still has its browser; it is asked from the thread."""
        self.status = "waiting"  # "running", "done", "cancelled", "failed"
        self.error = ""  # why it failed; a sentence
        self._line, self._present = line, present
        self._seen = time.monotonic()
        self._thread = threading.Thread(target=self._work, name=f"attnviz {type(self).__name__.lower()}", daemon=True)

    def begin(self) -> None:
        """Gets into line."""
        with self._line.moved:
            self._line.jobs.append(self)
        self._thread.start()

    @property
    def active(self) -> bool:
        """Whether it is under way, or in line."""
        return self.status in ("waiting", "running")

    @property
    def number(self) -> int:
        """How many are before it."""
        with self._line.moved:
            return self._line.jobs.index(self) if self in self._line.jobs else 0

    def cancel(self) -> None:
        """Ends it, at once."""
        with self._line.moved:
            if self.active:
                self._ends("cancelled")
                self._line.moved.notify_all()

    def wait(self, seconds: float | None = None) -> None:
        """Until the thread is at its end."""
        self._thread.join(seconds)

    def is_wanted(self) -> bool:
        """Whether it is to go on; it is cancelled where its session has been without a browser for too long."""
        now = time.monotonic()
        if self._present():
            self._seen = now
        if self.active and now - self._seen > ABSENT:
            self.status = "cancelled"
        return self.active

    @abstractmethod
    def _do(self) -> None:
        """The work, in the thread. What it raises `_why` says."""

    @abstractmethod
    def _why(self, error: Exception) -> str:
        """The sentence of an error."""

    def _ends(self, status: str, error: str = "") -> None:
        with self._line.moved:
            if self.active:
                self.status, self.error = status, error

    def _work(self) -> None:
        try:
            if self._comes_first():
                self._do()
                self._ends("done")
        except Exception as error:  # a page that waits for a thread that died would wait for ever
            self._ends("failed", self._why(error))
        finally:
            with self._line.moved:
                self._line.jobs.remove(self)
                self._line.moved.notify_all()

    def _comes_first(self) -> bool:
        """Waits in line; False where it is not wanted any more."""
        with self._line.moved:
            while self._line.jobs[0] is not self and self.is_wanted():
                self._line.moved.wait(POLL)
            if self.is_wanted():
                self.status = "running"
            return self.active
