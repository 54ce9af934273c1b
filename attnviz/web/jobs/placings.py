"""Points placed by t-SNE or Isomap, in a process beside the app that can be ended: one placing at a time, in line.

The process stays for a while, for the next placing: starting it takes seconds. What it takes of memory goes with it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from attnviz.analysis import space, space_child
from attnviz.analysis.space import How, Places
from attnviz.web.jobs import text
from attnviz.web.jobs.sessions import presence

IDLE = 60.0  # seconds that the process waits for the next placing
ABSENT = 5.0  # seconds without a browser, after which a placing ends
POLL = 0.5  # seconds between two looks at the session of one that waits
KEPT_OF_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # the other cores are the pages'

_line: list[Placing] = []  # the first one is at work; guarded by the condition
_moved = threading.Condition()  # the line has
_process: subprocess.Popen[bytes] | None = None  # of the one at work, or waiting for the next one
_idle: threading.Timer | None = None
_log = logging.getLogger(__name__)


class Placing:
    """One way of placing some points, under way or ended. The thread writes, the page reads."""

    def __init__(self, points: np.ndarray, how: How, dims: int, seed: int, present: Callable[[], bool]) -> None:
        """`present` says whether the session still has its browser; it is asked from the thread."""
        self.points, self.how, self.dims, self.seed, self.present = points, how, dims, seed, present
        self.status = "waiting"  # "running", "done", "cancelled", "failed"
        self.error = ""  # why it failed; a sentence
        self.steps: int | None = None  # that t-SNE has taken; None before the library is there, and of Isomap
        self.places: Places | None = None
        self.seconds = 0.0  # of work
        self._seen = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="attnviz placing", daemon=True)

    @property
    def active(self) -> bool:
        """Whether it is under way, or in line."""
        return self.status in ("waiting", "running")

    @property
    def number(self) -> int:
        """How many are before it."""
        with _moved:
            return _line.index(self) if self in _line else 0

    def cancel(self) -> None:
        """Ends it, and the process if that is at work for it."""
        with _moved:
            if self.active:
                self.status = "cancelled"
                if _line[0] is self:
                    _end()
                _moved.notify_all()

    def wait(self, seconds: float | None = None) -> None:
        """Until the thread is at its end."""
        self._thread.join(seconds)

    def _work(self) -> None:
        try:
            if self._comes_first():
                began = time.monotonic()
                self.places = space.bent(np.array(self._asked()))
                self.seconds = time.monotonic() - began
                self._ends("done")
        except (OSError, EOFError):  # the process has ended: it was killed, or memory ran out
            self._ends("failed", text.PLACING_BROKE)
        except ValueError as error:  # what the library says of the points
            self._ends("failed", text.placing_failed(str(error)))
        except Exception as error:  # a page that waits for a thread that died would wait for ever
            _log.exception("a placing ended unexpectedly")
            self._ends("failed", text.placing_failed(f"{type(error).__name__}: {error}"[:300]))
        finally:
            with _moved:
                _line.remove(self)
                _moved.notify_all()

    def _ends(self, status: str, error: str = "") -> None:
        with _moved:
            if self.active:
                self.status, self.error = status, error
            if self.status == "done":
                _wait_for_the_next()
            elif _line[0] is self:
                _end()

    def _comes_first(self) -> bool:
        """Waits in line; False where it is not wanted any more."""
        with _moved:
            while _line[0] is not self and self._is_wanted():
                _moved.wait(POLL)
            if self._is_wanted():
                self.status = "running"
            return self.active

    def _is_wanted(self) -> bool:
        if self.present():
            self._seen = time.monotonic()
        if time.monotonic() - self._seen > ABSENT:
            self.status = "cancelled"
        return self.active

    def _asked(self) -> list[list[float]]:
        """What the process answers. Errors: OSError, EOFError where it ends; ValueError with what the library says."""
        with _moved:
            if not self.active:
                raise EOFError
            process = _started()
        assert process.stdin is not None and process.stdout is not None
        asked = {"how": self.how, "dims": self.dims, "seed": self.seed, "shape": self.points.shape}
        process.stdin.write(json.dumps(asked).encode() + b"\n" + self.points.astype(np.float64).tobytes())
        process.stdin.flush()
        for line in iter(process.stdout.readline, b""):
            if not self._is_wanted():
                raise EOFError
            said = json.loads(line)
            if "error" in said:
                raise ValueError(said["error"])
            if "places" in said:
                places: list[list[float]] = said["places"]
                return places
            self.steps = said["done"]
        raise EOFError


def begin(points: np.ndarray, how: How, dims: int, seed: int) -> Placing:
    """Places points (N, D) for this session, as soon as those before it are placed. Errors: as `space.check_bent`."""
    space.check_bent(len(points), how)
    placing = Placing(points, how, dims, seed, presence())
    with _moved:
        _line.append(placing)
    placing._thread.start()
    return placing


def _started() -> subprocess.Popen[bytes]:
    """The process, begun where there is none."""
    global _process
    if _idle is not None:
        _idle.cancel()
    if _process is None or _process.poll() is not None:
        environment = {name: os.environ[name] for name in KEPT_OF_ENVIRONMENT if name in os.environ}
        _process = subprocess.Popen(
            [sys.executable, "-I", str(Path(space_child.__file__)), json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | ONE_THREAD,
            cwd=os.path.abspath(os.sep),
        )
    return _process


def _wait_for_the_next() -> None:
    """Ends the process if none comes for a while."""
    global _idle
    _idle = threading.Timer(IDLE, end_if_idle)
    _idle.daemon = True
    _idle.start()


def end_if_idle() -> None:
    """Ends the process unless it is at work."""
    with _moved:
        if not _line:
            _end()


def _end() -> None:
    global _process
    if _process is None:
        return
    _process.kill()
    _process.wait()
    for pipe in (_process.stdin, _process.stdout):
        with contextlib.suppress(OSError, ValueError):  # a thread may be reading it
            if pipe is not None:
                pipe.close()
    _process = None
