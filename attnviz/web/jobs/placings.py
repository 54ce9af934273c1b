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
from attnviz.web.jobs.in_line import InLine, Line
from attnviz.web.jobs.sessions import presence

IDLE = 60.0  # seconds that the process waits for the next placing
KEPT_OF_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # the other cores are the pages'

LINE = Line()
_process: subprocess.Popen[bytes] | None = None  # of the one at work, or waiting for the next one; the line's lock
_idle: threading.Timer | None = None
_log = logging.getLogger(__name__)


class Placing(InLine):
    """One way of placing some points."""

    def __init__(self, points: np.ndarray, how: How, dims: int, seed: int, present: Callable[[], bool]) -> None:
        super().__init__(LINE, present)
        self.points, self.how, self.dims, self.seed = points, how, dims, seed
        self.steps: int | None = None  # that t-SNE has taken; None before the library is there, and of Isomap
        self.places: Places | None = None
        self.seconds = 0.0  # of work

    def _do(self) -> None:
        began = time.monotonic()
        self.places = space.bent(np.array(self._asked()))
        self.seconds = time.monotonic() - began

    def _why(self, error: Exception) -> str:
        if isinstance(error, OSError | EOFError):  # the process has ended: it was killed, or memory ran out
            return text.PLACING_BROKE
        if isinstance(error, ValueError):  # what the library says of the points
            return text.placing_failed(str(error))
        _log.error("a placing ended unexpectedly", exc_info=error)
        return text.placing_failed(f"{type(error).__name__}: {error}"[:300])

    def _ends(self, status: str, error: str = "") -> None:
        with LINE.moved:
            super()._ends(status, error)
            if self.status == "done":
                _wait_for_the_next()
            elif LINE.jobs[0] is self:
                _end()

    def _asked(self) -> list[list[float]]:
        """What the process answers. Errors: OSError, EOFError where it ends; ValueError with what the library says."""
        with LINE.moved:
            if not self.active:
                raise EOFError
            process = _started()
        assert process.stdin is not None and process.stdout is not None
        asked = {"how": self.how, "dims": self.dims, "seed": self.seed, "shape": self.points.shape}
        process.stdin.write(json.dumps(asked).encode() + b"\n" + self.points.astype(np.float64).tobytes())
        process.stdin.flush()
        for line in iter(process.stdout.readline, b""):
            if not self.is_wanted():
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
    placing.begin()
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
    with LINE.moved:
        if not LINE.jobs:
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
