"""The page "Watch attention form": what a reader can set, and what follows when something is pressed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import streamlit as st

from attnviz.browser import live
from attnviz.errors import InvalidParameterError, ModelError, TrainingError
from attnviz.nn.config import POSITIONS
from attnviz.training import loop
from attnviz.training.loop import TrainConfig
from attnviz.training.tasks import TASKS
from attnviz.web import cache, reloads, thread
from attnviz.web.jobs import priority, training_limits, training_runs
from attnviz.web.jobs.training_limits import reads_text
from attnviz.web.jobs.training_runs import Run
from attnviz.web.lesson import Lesson
from attnviz.web.sent_file import GONE, gone, sent_file
from attnviz.web.train import heads
from attnviz.web.train.corpus import RHYME, decoded, vocabulary

TICK = 0.8  # seconds between two looks at a training under way
LARGEST = 10**9  # of a number that somebody types; what is too much says the server in a sentence
EVALUATIONS = 16  # at least so many over a run, so that its metric is a curve
WARMUP = 10  # the learning rate rises over a tenth of the steps at most
CORPUS = "train-corpus"  # the field for a text
FILE = "train-file"  # the field for a file
UPLOAD = "train:upload"  # its name and text, once it was read
REFUSED = "train:refused"  # why the last thing that was asked for did not happen
USED = "train:used"  # the name under which the trained model can be seen
SHOWN = "train:shown"  # the settings of the page's last run


@dataclass(frozen=True)
class Settings:
    """What the reader has set. Numbers are taken as typed: a sentence says which of them cannot be."""

    task: str = "induction"
    size: str = "default"  # the preset that the numbers began with
    n_layers: int = 2
    n_heads: int = 4
    d_model: int = 64
    d_ff: int = 0
    positions: str = "alibi"
    learning_rate: float = 3e-3
    steps: int = 800
    batch: int = 64
    length: int = 64
    vocab_size: int = 300
    seed: int = 0
    corpus: str = RHYME
    head: int = -1  # layer · n_heads + head, −1: the one that changed most

    def __post_init__(self) -> None:
        for name, allowed in (("task", TASKS), ("size", loop.PRESETS), ("positions", POSITIONS)):
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is not on offer")
        numbers = {name: value for name, value in asdict(self).items() if isinstance(value, int | float)}
        for name, value in numbers.items():
            if not -1 <= value <= LARGEST:  # nor NaN
                raise InvalidParameterError(f"{name} is not a number to type here")


def open_lesson() -> Lesson[Settings]:
    """The page's settings, as the session or a link has them; a link's text comes in the place of what was typed."""
    memory = st.session_state
    linked, corpus = memory.get("linked"), memory.get("train.corpus")
    lesson = Lesson("train", Settings(), typed=("corpus",))
    if linked is not None and "corpus" in linked:
        memory.pop(CORPUS, None)
        memory.pop(UPLOAD, None)
    elif linked is not None and corpus is not None:  # a long text is in no link: going back does not lose it
        lesson.choose(corpus=corpus)
    return lesson


def note_reader(settings: Settings, timed: bool) -> None:
    """Whether a reader asked for this run of the page, or only its clock, which no training gives way to."""
    priority.set_foreground(not timed or settings != st.session_state.get(SHOWN))
    st.session_state[SHOWN] = settings


# ---- the training that the settings ask for --------------------------------------------------------------


def suggested(task: str, size: str) -> dict[str, Any]:
    """The settings of a task's preset, by field; the vocabulary goes with the text."""
    fields = asdict(preset(task, size))
    return {name: fields[name] for name in asdict(Settings()) if name in fields and name != "vocab_size"} | {"head": -1}


def preset(task: str, size: str) -> TrainConfig:
    """The library's preset; for a text of a few pages, shorter."""
    changes = {"length": 48, "steps": 300} if reads_text(task) else {}
    return loop.preset(task, size, **changes)


def config_of(settings: Settings) -> TrainConfig:
    """The training that the settings ask for. Errors: InvalidParameterError."""
    base = preset(settings.task, settings.size)
    fields = {name: value for name, value in asdict(settings).items() if name in asdict(base)}
    if not reads_text(settings.task):
        del fields["vocab_size"]
    often = max(1, min(base.eval_every, settings.steps // EVALUATIONS))
    warmup = max(0, min(base.warmup, settings.steps // WARMUP))
    return replace(base, **fields, warmup=warmup, eval_every=often)


def corpus_of(settings: Settings) -> str | None:
    """The text to train on; None for tasks that make their own examples."""
    if not reads_text(settings.task):
        return None
    return st.session_state[UPLOAD][1] if UPLOAD in st.session_state else settings.corpus


def why_not(settings: Settings) -> str:
    """Why the settings cannot be trained; "" if they can."""
    try:
        corpus = corpus_of(settings)
        if corpus is not None and not corpus.strip():
            return "The text is empty: there is nothing to train on."
        training_limits.check(config_of(settings), corpus)
    except InvalidParameterError as error:
        return str(error)
    return ""


# ---- what the reader does --------------------------------------------------------------------------------


def take_preset(lesson: Lesson[Settings]) -> None:
    """Another task or size brings its own numbers."""
    settings = lesson.settings()
    lesson.choose(**suggested(settings.task, settings.size))
    st.session_state[REFUSED] = ""


def take_text(lesson: Lesson[Settings]) -> None:
    """What was typed."""
    st.session_state.pop(UPLOAD, None)
    corpus = st.session_state[CORPUS]
    lesson.choose(corpus=corpus, vocab_size=vocabulary(len(corpus.encode())))


def take_file(lesson: Lesson[Settings]) -> None:
    """What was uploaded, if it is text; what was there before stays if it is not."""
    file = sent_file(FILE)
    if file is None:  # taken away again: the field counts
        take_text(lesson)
        st.session_state[REFUSED] = GONE if gone(FILE) else ""
        return
    try:
        corpus = decoded(file.name, file.getvalue())
        lesson.choose(vocab_size=vocabulary(file.size))
        st.session_state[UPLOAD], st.session_state[REFUSED] = (file.name, corpus), ""
    except InvalidParameterError as error:
        st.session_state[REFUSED] = str(error)


def start(lesson: Lesson[Settings]) -> None:
    """Starts what is set, or keeps why not."""
    settings, memory = lesson.settings(), st.session_state
    memory.pop(USED, None)
    attempt(lambda: training_runs.begin(config_of(settings), corpus_of(settings)))
    if memory[REFUSED] == "":  # the text may be too long for the link, which a reload has the rest from
        kept = {lesson.kept: settings, lesson.key("corpus"): settings.corpus, UPLOAD: memory.get(UPLOAD)}
        reloads.keep(**kept, **{USED: None})


def attempt(act: Callable[[], object]) -> None:
    """Does something with the run and draws the whole page again, for its clock; keeps why if it cannot be."""
    st.session_state[REFUSED] = ""
    try:
        act()
    except (InvalidParameterError, TrainingError, ModelError, OSError) as error:
        st.session_state[REFUSED] = str(error)
    st.session_state["whole_page"] = True


def use(run: Run) -> None:
    """The trained model becomes the session's own; if it reads a text, that of every page, on one that it can read."""
    trained = run.model()
    st.session_state[USED] = name = cache.keep(trained)
    reloads.keep(**{USED: name})
    layer, head = best_head(run)
    thread.choose(layer=layer, head=head)
    if cache.reads(trained.transformer.config) != "text":
        return
    st.session_state["model"] = name
    if not reads_text(run.config.task):
        assert run.probe is not None
        st.session_state["text"] = trained.tokenizer.decode(list(run.probe[1].encodings[0].ids))


def best_head(run: Run) -> tuple[int, int]:
    """The layer and head that the trained model misses most."""
    assert run.first is not None and run.probe is not None
    return heads.looked_at(-1, run.heads, heads.moved(run.first, run.probe[1]))


def has_live_page(run: Run) -> bool:
    """Whether the app writes a page in which the trained model runs."""
    assert run.probe is not None
    return run.probe[1].config.n_parameters <= live.MOST_PARAMETERS


def live_page(run: Run) -> bytes:
    """The page in which the trained model runs, on a text of its task. Errors: ModelError, OSError."""
    trained = run.model()
    first = ""
    if trained.reads == "text":
        trace = run.probe[1] if run.probe else None
        assert trace is not None
        encodings = (trace.source or trace).encodings
        first = trained.tokenizer.decode(list(encodings[0].ids))
    return live.html([live.held(trained)], live.Start(first)).encode()


def zipped(run: Run) -> bytes:
    """The files of the trained model as one archive with a folder."""
    data, folder = io.BytesIO(), f"attnviz-{run.config.task}"
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in run.files().items():
            archive.writestr(f"{folder}/{name}", content)
    return data.getvalue()
