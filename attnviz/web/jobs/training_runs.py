"""Trainings that go on beside the app: each in a thread of its own, which no rerun and no change of page touches.

A session has one at a time, a server a few. A run ends with its session: its thread asks whether the session still has
its browser, and pauses when it has been gone for a while. It gives way to the pages (see `courtesy`). Whatever ends it,
it leaves a checkpoint.
"""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import streamlit as st
import torch
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from attnviz.errors import InvalidParameterError, ModelError, TrainingError
from attnviz.formatting import minutes
from attnviz.models import catalogue
from attnviz.models.model import Model
from attnviz.nn.trace import Trace
from attnviz.training import command as workshop
from attnviz.training import loop
from attnviz.training.loop import Step, TrainConfig, Training
from attnviz.training.tasks import TASKS
from attnviz.training.tasks.texts import MOST_BYTES, Language
from attnviz.web import cache
from attnviz.web.jobs import priority

# Limits of a public server, each with a variable of the environment to raise it.
MAX_RUNS = int(os.environ.get("ATTNVIZ_MAX_TRAININGS", 2))  # at a time, all sessions together
MAX_STEPS = int(os.environ.get("ATTNVIZ_MAX_STEPS", 10_000))
MAX_PARAMETERS = int(os.environ.get("ATTNVIZ_MAX_PARAMETERS", 3_000_000))
MAX_TOKENS = int(os.environ.get("ATTNVIZ_MAX_TOKENS", 8_192))  # of a step: batch × length
MAX_WEIGHTS = int(os.environ.get("ATTNVIZ_MAX_WEIGHTS", 16_000_000))  # of attention, of a step: 64 MB as float32

LOOK = 0.5  # seconds between two looks at the probe's attention
ABSENT = 5.0  # seconds without a browser, after which a run pauses: networks stumble for shorter
ACTIVE = ("preparing", "running")

_running: list[Run] = []  # those that hold a thread; guarded by the lock
_lock = threading.Lock()
_log = logging.getLogger(__name__)


class Run:
    """One training and what it has shown so far. The thread writes, the page reads; lists only grow."""

    def __init__(self, config: TrainConfig, text: str | None, present: Callable[[], bool]) -> None:
        """`present` says whether the session still has its browser; it is asked from the thread."""
        self.config, self.text, self.present = config, text, present
        self.status = "preparing"  # "running", "paused", "stopped", "done", "failed"
        self.error = ""  # why it failed, or cannot go on; a sentence
        self.steps: list[Step] = []  # without probes
        self.evaluations: list[Step] = []  # those with metrics
        self.first: Trace | None = None  # the model on the probe before the first step
        self.probe: tuple[int, Trace] | None = None  # and after so many steps
        self._wish = ""  # "pause" or "stop"
        self._pace: deque[tuple[int, float]] = deque(maxlen=100)  # steps and when they were done
        self._looked = self._asked = self._seen = 0.0  # when, last, at the probe, and for the session
        self._training: Training | None = None
        self._journal = workshop.Log()
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # goes when the run is forgotten
        self._thread = threading.Thread(target=self._work)

    # ---- from the page ---------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether it is under way."""
        return self.status in ACTIVE

    @property
    def done(self) -> int:
        """Steps taken."""
        return self.steps[-1].number if self.steps else 0

    @property
    def seconds(self) -> float:
        """Of training, pauses left out."""
        return float(self._journal.seconds if self.active else self._journal.content["seconds_before"])

    @property
    def seconds_left(self) -> float | None:
        """At the pace of the last steps; None before there are some."""
        pace = list(self._pace)
        if len(pace) < 2:
            return None
        (first, began), (last, now) = pace[0], pace[-1]
        return (self.config.steps - last) * (now - began) / (last - first)

    def pause(self) -> None:
        """Ends the thread after the step under way; `go_on` continues."""
        self._wish = self._wish or "pause"

    def stop(self) -> None:
        """Ends the training after the step under way, and writes the model."""
        self._wish = "stop"
        if self.status == "paused":
            self._launch()

    def go_on(self) -> None:
        """Starts, or continues where it was. Errors: TrainingError if the server has no room for it now."""
        self._wish = ""
        self._launch(MAX_RUNS)

    def wait(self, seconds: float | None = None) -> None:
        """Until the thread is at its end."""
        self._thread.join(seconds)

    def files(self) -> dict[str, bytes]:
        """The files of the trained model's folder. Errors: OSError."""
        return {file.name: file.read_bytes() for file in sorted(self._model.iterdir())}

    def model(self) -> Model:
        """The trained model, as its folder has it. Errors: ModelError."""
        return catalogue.load(str(self._model))

    # ---- in the thread ---------------------------------------------------------------------------------

    @property
    def _path(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="attnviz-", ignore_cleanup_errors=True)
        return Path(self._folder.name)

    @property
    def _model(self) -> Path:
        return self._path / "model"

    @property
    def _checkpoint(self) -> Path:
        return self._path / workshop.CHECKPOINT

    def _launch(self, most: int | None = None) -> None:
        with _lock:
            if most is not None and len(_running) >= most:
                raise TrainingError(_full())
            _running.append(self)
        self.status, self.error = "preparing", ""
        self._pace.clear()
        self._seen = self._asked = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="attnviz training", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        """The thread: as many steps as there are, or until somebody wishes otherwise."""
        ended = "failed"
        try:
            torch.set_num_threads(cache.THREADS)  # of the whole process: a page may not have run a model yet
            priority.step_back()
            self._journal.began = time.monotonic()
            self._training = self._training or self._open()
            self._look()
            self.status = "running"
            steps, manners = self._training.steps(), priority.Courtesy()
            while not self._wish:
                with manners.turn():
                    step = next(steps, None)
                    if step is None:
                        break
                    self._take(step)
                self._heed_session()
                manners.give_way(lambda: not self._wish)
            ended = self._close()
        except _Unsaved as error:
            ended, self.error = "paused", str(error)
        except (TrainingError, InvalidParameterError, ModelError) as error:
            self.error = str(error)
        except Exception as error:  # a page that waits for a thread that died would wait for ever
            _log.exception("a training ended unexpectedly")
            self.error = f"The training ended unexpectedly ({type(error).__name__}: {error})."[:300]
        self._journal.content["seconds_before"] = self._journal.seconds
        with _lock:
            _running.remove(self)
        self.status = ended

    def _open(self) -> Training:
        """The training from the start, or from its checkpoint."""
        if self._checkpoint.exists():
            return Training.resume(self._checkpoint, self.text)
        return Training(self.config, self.text)

    def _take(self, step: Step) -> None:
        """Keeps what a step says."""
        bare = replace(step, probe=None)
        self.steps.append(bare)
        self._pace.append((step.number, time.monotonic()))
        self._journal.add(step, self.config)
        if step.metrics is not None:
            self.evaluations.append(bare)
            self._save()
        if time.monotonic() - self._looked >= LOOK:
            self._look()

    def _look(self) -> None:
        """Runs the model on the probe."""
        assert self._training is not None
        self._looked = time.monotonic()
        self.probe = (self._training.done, self._training.probe())
        self.first = self.first or self.probe[1]

    def _heed_session(self) -> None:
        """Wishes for a pause when the session has had no browser for a while; asks once a second at most."""
        now = time.monotonic()
        if now - self._asked < min(1.0, ABSENT):
            return
        self._asked = now
        if self.present():
            self._seen = now
        elif now - self._seen >= ABSENT:
            self.pause()

    def _save(self) -> None:
        assert self._training is not None
        try:
            self._training.save(self._checkpoint)
        except ModelError as error:
            raise _Unsaved(f"{error} The training waits here: Continue tries again.") from None

    def _close(self) -> str:
        """Leaves a checkpoint, and unless the run only pauses, the model. Returns the status."""
        trained = self._training
        assert trained is not None
        self._look()
        self._save()
        finished = bool(self.steps) and self.steps[-1].done
        if self._wish == "pause" and not finished:
            return "paused"
        title = f"{self.config.task} after {trained.done:,} steps"
        workshop.write(trained, self._journal, self._model, title, command(self.config))
        self._training = None  # its weights are rounded now: going on starts from the checkpoint
        return "done" if finished else "stopped"


class _Unsaved(Exception):
    """A checkpoint that could not be written: the training in memory is intact."""


def command(config: TrainConfig) -> list[str]:
    """The arguments of the command line that trains the same."""
    usual = asdict(loop.preset(config.task))
    changed = [f"{name}={value}" for name, value in asdict(config).items() if value != usual[name]]
    text = ["--text", "text.txt"] if reads_text(config.task) else []
    return ["train", config.task, *text, *(["--set", *changed] if changed else [])]


def reads_text(task: str) -> bool:
    """Whether a task trains on a text of the reader's."""
    return issubclass(TASKS[task], Language)


def check(config: TrainConfig, text: str | None) -> None:
    """Errors: InvalidParameterError if a training is larger than this server allows."""
    vocabulary = config.vocab_size if reads_text(config.task) else 128
    model = config.model(TASKS[config.task].kind, vocabulary, config.length)
    weights = config.n_layers * config.n_heads * config.batch * config.length**2
    for count, most, what in (
        (config.steps, MAX_STEPS, "steps"),
        (config.batch * config.length, MAX_TOKENS, f"tokens a step ({config.batch} × {config.length})"),
        (model.n_parameters, MAX_PARAMETERS, "parameters"),
        (weights, MAX_WEIGHTS, "attention weights a step (layers × heads × batch × length²)"),
        (0 if text is None else len(text.encode("utf-8", "replace")), MOST_BYTES, "bytes of text"),
    ):
        if count > most:
            raise InvalidParameterError(f"{count:,} {what} are more than the {most:,} that this server allows.")


def _full() -> str:
    left = min((run.seconds_left for run in _running if run.seconds_left is not None), default=None)
    soon = "" if left is None else f"; the first of them has about {minutes(left)} left"
    many = f"{len(_running)} trainings run" if len(_running) > 1 else "1 training runs"
    return f"{many} on this server now, as many as it takes{soon}. Try again a little later."


@atexit.register
def _end_all() -> None:
    """A thread inside torch when Python ends would take the whole process down with a message."""
    ending = list(_running)
    for run in ending:
        run.pause()
    for run in ending:
        run.wait(2)


# ---- of the session ----------------------------------------------------------------------------------


def mine() -> Run | None:
    """The session's training, under way or ended; None if there was none."""
    found: Run | None = st.session_state.get("training")
    return found


def begin(config: TrainConfig, text: str | None = None) -> Run:
    """Starts a training for this session, in the place of one that has ended.

    Errors: InvalidParameterError if it is too large, TrainingError if one is under way or the server has no room.
    """
    check(config, text)
    before = mine()
    if before is not None and before.active:
        raise TrainingError(
            f"This session trains already, {before.done} of {before.config.steps} steps. Stop it first."
        )
    run = Run(config, text, presence())
    run.go_on()
    st.session_state["training"] = run
    return run


def presence() -> Callable[[], bool]:
    """Whether this session still has its browser: a question that any thread may ask."""
    context = get_script_run_ctx()
    if context is None or not runtime.exists():
        return lambda: True
    server, session = runtime.get_instance(), context.session_id
    return lambda: server.is_active_session(session)
