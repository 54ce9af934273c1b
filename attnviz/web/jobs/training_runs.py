"""Trainings that go on beside the app: each in a thread of its own, which no rerun and no change of page touches.

A session has one at a time, a server a few; the others wait in line (see `training_queue`). A run pauses when its
session has had no browser for a while; a reload finds it again (see `reloads`). It gives way to the pages (see
`priority`). Whatever ends it, it leaves a checkpoint.
"""

from __future__ import annotations

import atexit
import logging
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import streamlit as st
import torch

from attnviz.errors import InvalidParameterError, ModelError, TrainingError
from attnviz.inputs.temporary import temporary_folder
from attnviz.models import catalogue
from attnviz.models.model import Model
from attnviz.nn.trace import Trace
from attnviz.training import command, loop
from attnviz.training.head_losses import HeadLosses, head_losses
from attnviz.training.loop import Step, TrainConfig, Training
from attnviz.web import cache, reloads
from attnviz.web.jobs import priority, training_limits, training_queue
from attnviz.web.jobs.training_queue import Place

LOOK = 0.5  # seconds between two looks at the probe's attention
ACTIVE = ("waiting", "preparing", "running")

_log = logging.getLogger(__name__)


class Run:
    """One training and what it has shown so far. The thread writes, the page reads; lists only grow."""

    def __init__(self, config: TrainConfig, corpus: str | None, present: Callable[[], bool]) -> None:
        """`present` says whether the session still has its browser; it is asked from the thread."""
        self.config, self.corpus, self.present = config, corpus, present
        self.status = "preparing"  # "waiting", "running", "paused", "stopped", "done", "failed"
        self.error = ""  # why it failed, or cannot go on; a sentence
        self.steps: list[Step] = []  # without probes
        self.evaluations: list[Step] = []  # those with metrics
        self.first: Trace | None = None  # the model on the probe before the first step
        self.probe: tuple[int, Trace] | None = None  # and after so many steps
        self.heads: HeadLosses | None = None  # what each is worth, once it has come to an end
        self.ticket: int | None = None  # its number in line, kept while it is paused; None before it asked
        self.seen = 0.0  # when its session was last seen with its browser
        self._request = ""  # "pause" or "stop"
        self._pace: deque[tuple[int, float]] = deque(maxlen=100)  # steps and when they were done
        self._looked = self._asked = 0.0  # when, last, at the probe, and for the session
        self._training: Training | None = None
        self._journal = command.Log()
        self._written = 0  # the step whose model was last written: before the first there is nothing to write
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # goes when the run is forgotten
        self._thread = threading.Thread(target=self._work)

    # ---- from the page ---------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether it is under way, or in line."""
        return self.status in ACTIVE

    @property
    def place(self) -> Place | None:
        """Where it stands in line; None if it does not wait."""
        return training_queue.place(self)

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
        self._request = self._request or "pause"

    def stop(self) -> None:
        """Ends the training after the step under way, and writes the model; one that waits leaves the line.

        Where the model of the last step is written, or there was no step, preparing ends too.
        """
        if training_queue.leave(self):
            return
        self._request = "stop"
        if self.status == "paused":
            training_queue.begin(self)

    def go_on(self) -> None:
        """Starts, or continues where it was, as soon as there is room. Errors: TrainingError if there never is."""
        self._request = ""
        training_queue.ask(self)

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
            self._folder = temporary_folder()
        return Path(self._folder.name)

    @property
    def _model(self) -> Path:
        return self._path / "model"

    @property
    def _checkpoint(self) -> Path:
        return self._path / command.CHECKPOINT

    def launch(self) -> None:
        """Starts the thread: for the queue, which knows whether there is room."""
        self.status, self.error = "preparing", ""
        self._pace.clear()
        self.seen = self._asked = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="attnviz training", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        """The thread: as many steps as there are, or until somebody asks for something else."""
        ended = "failed"
        try:
            torch.set_num_threads(cache.THREADS)  # of the whole process: a page may not have run a model yet
            priority.lower()
            self._journal.began = time.monotonic()
            self._training = self._training or self._open()
            self._look()
            self.status = "running"
            self._train(self._training)
            ended = self._close()
        except _Ended:
            ended = "paused" if self._request == "pause" else "stopped"
        except _Unsaved as error:
            ended, self.error = "paused", str(error)
        except (TrainingError, InvalidParameterError, ModelError) as error:
            self.error = str(error)
        except Exception as error:  # a page that waits for a thread that died would wait for ever
            _log.exception("a training ended unexpectedly")
            self.error = f"The training ended unexpectedly ({type(error).__name__}); the server's log says why."
        self._journal.content["seconds_before"] = self._journal.seconds
        training_queue.ended(self)
        self.status = ended
        training_queue.call_next()

    def _open(self) -> Training:
        """The training from the start, or from its checkpoint."""
        if self._checkpoint.exists():
            return Training.resume(self._checkpoint, self.corpus, self._keep_preparing)
        return Training(self.config, self.corpus, self._keep_preparing)

    def _keep_preparing(self) -> None:
        """Between the pieces of a text. Errors: _Ended, once somebody asks for an end that needs nothing written."""
        self._check_session()
        if self._request == "pause" or (self._request and self._written == self.done):
            raise _Ended

    def _train(self, training: Training) -> None:
        """Steps, one turn each, giving way to the pages between them."""
        steps, turns = training.steps(), priority.Turns()
        while not self._request:
            with turns.turn():
                step = next(steps, None)
                if step is None:
                    return
                self._take(step)
            self._check_session()
            turns.give_way(lambda: not self._request)

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
        trace = self._training.probe()
        self.first = self.first or trace  # before `probe`: a page that sees the one sees the other
        self.probe = (self._training.done, trace)

    def _check_session(self) -> None:
        """Asks for a pause when the session has had no browser for a while; asks once a second at most."""
        now = time.monotonic()
        if now - self._asked < min(1.0, training_queue.ABSENT):
            return
        self._asked = now
        if self.present():
            self.seen = now
        elif now - self.seen >= training_queue.ABSENT:
            self.pause()

    def _save(self) -> None:
        assert self._training is not None
        with _kept():
            self._training.save(self._checkpoint)

    def _close(self) -> str:
        """Leaves a checkpoint, and unless the run only pauses, the model. Returns the status."""
        trained = self._training
        assert trained is not None
        self._look()
        self._save()
        finished = bool(self.steps) and self.steps[-1].done
        if self._request == "pause" and not finished:
            if not self.present():
                self._training = None  # its checkpoint is enough: memory is for those who are here
            return "paused"
        self.heads = head_losses(trained.model, trained.task)
        title = f"{self.config.task} after {trained.done:,} steps"
        self._training = None  # its weights are rounded with the model: going on starts from the checkpoint
        with _kept():
            command.write(trained, self._journal, self._model, title, command_line(self.config))
        self._written = self.done
        return "done" if finished else "stopped"


class _Ended(Exception):
    """Somebody asked for the end while the training was still being prepared."""


class _Unsaved(Exception):
    """A file that could not be written: the training in memory, or its checkpoint, is intact."""


@contextmanager
def _kept() -> Iterator[None]:
    """Errors: _Unsaved for what cannot be written."""
    try:
        yield
    except ModelError as error:
        raise _Unsaved(f"{error} The training waits here: Continue tries again.") from None


def command_line(config: TrainConfig) -> list[str]:
    """The arguments of the command line that trains the same."""
    usual = asdict(loop.preset(config.task))
    changed = [f"{name}={value}" for name, value in asdict(config).items() if value != usual[name]]
    corpus = ["--text", "text.txt"] if training_limits.reads_text(config.task) else []
    return ["train", config.task, *corpus, *(["--set", *changed] if changed else [])]


@atexit.register  # a thread inside torch when Python ends would take the whole process down with a message
def end_all(seconds: float = 2.0) -> None:
    """Pauses every training after the step under way, with its checkpoint, and waits for them, `seconds` at most."""
    training_queue.waiting.clear()
    ending = list(training_queue.running)
    for run in ending:
        run.pause()
    until = time.monotonic() + seconds
    for run in ending:
        run.wait(max(0.0, until - time.monotonic()))


# ---- of the session ----------------------------------------------------------------------------------


def mine() -> Run | None:
    """The session's training, under way or ended; None if there was none."""
    run: Run | None = st.session_state.get("training")
    if run is not None and run.status == "waiting":
        training_queue.call_next()  # it may have been passed over while its page was reloading
    return run


def begin(config: TrainConfig, corpus: str | None = None) -> Run:
    """Starts a training for this session, in the place of one that has ended.

    Errors: InvalidParameterError if it is too large, TrainingError if one is under way or the server takes none.
    """
    training_limits.check(config, corpus)
    before = mine()
    if before is not None and before.active:
        raise TrainingError(
            f"This session trains already, {before.done} of {before.config.steps} steps. Stop it first."
        )
    run = Run(config, corpus, reloads.mine().owner_present)
    run.go_on()
    st.session_state["training"] = run
    reloads.keep(training=run)
    return run
