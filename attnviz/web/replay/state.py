"""The page "Replay": one training's checkpoints, run on words said twice, and its pictures."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st
import torch
from torch import Tensor

from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError
from attnviz.figures import Curve, Panel
from attnviz.models.catalogue import BUNDLED
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.training import snapshots as history
from attnviz.training.snapshots import History
from attnviz.training.tasks import Induction
from attnviz.training.tasks.sequences import Scores, scores
from attnviz.web import cache
from attnviz.web.components import attention_view
from attnviz.web.lesson import Lesson

NAME = "induction"
VIEWS = ("previous", "induction")
PASSED = "replay:passed"
N_WORDS = 8  # said twice
SEEDS = 100
LARGEST_STEP = 1_000_000
SAME, WEAKER, LOST = "It stays as it is", "It gets weaker", "It is lost"
GUESSES = (SAME, WEAKER, LOST)

Head = tuple[int, int]  # layer and head, from 0


@dataclass(frozen=True)
class Settings:
    """What a reader can choose; `token` is the query that is looked at, one of the second time."""

    step: int = 161
    seed: int = 0
    off: bool = False
    token: int = N_WORDS + 4
    guess: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.step <= LARGEST_STEP:
            raise InvalidParameterError(f"step={self.step} is not within 0 … {LARGEST_STEP:,}")
        if not 0 <= self.seed < SEEDS:
            raise InvalidParameterError(f"seed={self.seed} is not within 0 … {SEEDS - 1}")
        if not -1 <= self.token <= 2 * N_WORDS:
            raise InvalidParameterError(f"token={self.token} is not within −1 … {2 * N_WORDS}")
        if self.guess not in ("", *GUESSES):
            raise InvalidParameterError(f"guess={self.guess!r} is no answer")


@dataclass(frozen=True, eq=False)
class Replay:
    """A training, measured at each of its checkpoints."""

    history: History
    scores: tuple[Scores, ...]
    previous: Head  # the best one at the end
    induction: Head

    @property
    def steps(self) -> tuple[int, ...]:
        return self.history.steps

    def scored(self, role: str, at: int) -> float:
        """What the head of a role ("previous" or "induction") scores at a checkpoint."""
        layer, head = getattr(self, role)
        return float(getattr(self.scores[at], role)[layer, head])

    @property
    def forming(self) -> int:
        """The checkpoint after which the induction head's score rises fastest per step."""
        rises = [
            (self.scored("induction", i + 1) - self.scored("induction", i)) / (self.steps[i + 1] - self.steps[i])
            for i in range(len(self.steps) - 1)
        ]
        return max(range(len(rises)), key=rises.__getitem__)


@st.cache_resource(max_entries=1, show_spinner="Measuring the checkpoints …")
def replay() -> Replay:
    """The bundled model's history. Errors: ModelError."""
    cache.model(NAME)  # as any model: it settles how many threads a run takes
    found = history.read(BUNDLED / NAME)
    twice = the_task().twice()
    measured = tuple(scores(found.model(i), twice) for i in range(len(found.steps)))
    return Replay(found, measured, best(measured[-1].previous), best(measured[-1].induction))


@functools.cache
def the_task() -> Induction:
    """What the model was trained on, with its words."""
    return Induction(64)


def best(found: Tensor) -> Head:
    """The layer and head of the highest of (L, H) scores."""
    return divmod(int(found.argmax()), found.shape[1])


def switched_off(head: Head) -> Intervention:
    """A run without one head."""
    return Intervention(head_scale=((*head, 0.0),))


@st.cache_resource(max_entries=64, show_spinner=False)
def without(at: int) -> Scores:
    """The scores at a checkpoint with the previous-token head switched off."""
    run = replay()
    return scores(run.history.model(at), the_task().twice(), switched_off(run.previous))


def text_of(seed: int) -> str:
    """Words drawn by a seed, none twice, and the same ones again."""
    task = the_task()
    drawn = torch.randperm(len(task.words), generator=torch.Generator().manual_seed(seed))[:N_WORDS]
    return task.tokenizer.decode(task.words[drawn].tolist()) * 2


@st.cache_resource(max_entries=64, show_spinner=False)
def trace(at: int, seed: int, off: bool) -> Trace:
    """The model at a checkpoint on the words of a seed."""
    run = replay()
    model = replace(cache.model(NAME), transformer=run.history.model(at))
    return model.run(text_of(seed), intervention=switched_off(run.previous) if off else None)


@st.cache_resource(max_entries=64, show_spinner=False)
def messages(at: int, seed: int, off: bool) -> dict[str, bytes]:
    """What the two matrices are sent."""
    run = replay()
    return {
        role: attention_message.pack(
            attention_message.one_layer(trace(at, seed, off), getattr(run, role)[0]), name=NAME
        )
        for role in VIEWS
    }


def adopt(lesson: Lesson[Settings]) -> Settings:
    """The settings, with the token that the reader chose in one of the matrices since they were drawn."""
    chosen, passed = lesson.chosen(), st.session_state.get(PASSED)
    if passed is not None and passed == chosen.token:  # else a link has the last word
        for role in VIEWS:
            seen = attention_view.current_state(f"replay-{role}", ViewState(queries=_queries(passed))).queries
            if seen != _queries(passed):
                lesson.choose(token=seen[-1] if seen else -1)
                break
    return lesson.chosen()


def _queries(token: int) -> tuple[int, ...]:
    return () if token < 0 else (token,)


def matrix(run: Replay, role: str, at: int, chosen: Settings) -> None:
    """The attention of the head of a role on the words."""
    layer, head = getattr(run, role)
    st.session_state[PASSED] = chosen.token
    title = f"Layer {layer}, head {head}"
    if role == "previous":
        title += ": switched off" if chosen.off else ": the word before?"
    else:
        title += ": what came next last time?"
    attention_view.attention_view(
        messages(at, chosen.seed, chosen.off)[role],
        ViewState(layer=layer, head=head, queries=_queries(chosen.token)),
        key=f"replay-{role}",
        compact=True,
        title=title,
    )


def panels(run: Replay) -> list[Panel]:
    """Loss, and the score of every head, over the steps."""
    firsts, agains = ([getattr(one, name) for one in run.scores] for name in ("first", "again"))
    loss = [Curve("first time", run.steps, firsts), Curve("second time", run.steps, agains)]
    return [
        Panel("loss, nats per word", loss),
        Panel("attention on what came next last time", _head_curves(run, "induction"), top=1, share=True),
        Panel("attention on the word before", _head_curves(run, "previous"), top=1, share=True),
    ]


def _head_curves(run: Replay, role: str) -> list[Curve]:
    """A curve per head, all faint but the one of the role."""
    tables: list[Tensor] = [getattr(one, role) for one in run.scores]
    n_layers, n_heads = tables[0].shape
    return [
        Curve(
            f"layer {layer}, head {head}",
            run.steps,
            [float(one[layer, head]) for one in tables],
            faint=(layer, head) != getattr(run, role),
        )
        for layer in range(n_layers)
        for head in range(n_heads)
    ]


def columns(run: Replay) -> dict[str, Sequence[float]]:
    """The curves' numbers as a table."""
    found: dict[str, Sequence[float]] = {"step": run.steps}
    found["loss_first"], found["loss_again"] = (
        [getattr(one, name) for one in run.scores] for name in ("first", "again")
    )
    for role in VIEWS:
        for curve in _head_curves(run, role):
            found[f"{role}: {curve.name}"] = curve.values
    return found
