"""The page "Replay": what a reader can set, and one training's checkpoints, run on words said twice."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import streamlit as st
import torch
from torch import Tensor

from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError
from attnviz.models.catalogue import BUNDLED
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.training import snapshots
from attnviz.training.snapshots import Snapshots
from attnviz.training.tasks import Induction
from attnviz.training.tasks.sequences import Scores, scores
from attnviz.web import cache, store
from attnviz.web.components import attention_view
from attnviz.web.components.dial import nearest
from attnviz.web.lesson import Lesson

NAME = "induction"
ROLES = ("previous", "induction")  # of the two heads
PASSED = "replay:passed"  # the token that the matrices were last drawn with
N_WORDS = 8  # said twice
SEEDS = 100
LARGEST_STEP = 1_000_000
RISE = 2 / 3  # of a score's whole rise: most of it

Head = tuple[int, int]  # layer and head, from 0


@dataclass(frozen=True)
class Settings:
    """What a reader can choose; `token` is the query that is looked at, one of the second time."""

    step: int = 161
    seed: int = 0
    off: bool = False
    token: int = N_WORDS + 4

    def __post_init__(self) -> None:
        if not 0 <= self.step <= LARGEST_STEP:
            raise InvalidParameterError(f"step={self.step} is not within 0 … {LARGEST_STEP:,}")
        if not 0 <= self.seed < SEEDS:
            raise InvalidParameterError(f"seed={self.seed} is not within 0 … {SEEDS - 1}")
        if not -1 <= self.token <= 2 * N_WORDS:
            raise InvalidParameterError(f"token={self.token} is not within −1 … {2 * N_WORDS}")


@dataclass(frozen=True, eq=False)
class Replay:
    """A training, measured at each of its checkpoints."""

    history: Snapshots
    scores: tuple[Scores, ...]
    previous: Head  # the best one at the end
    induction: Head

    @property
    def steps(self) -> tuple[int, ...]:
        return self.history.steps

    def head(self, role: str) -> Head:
        """The head of a role, "previous" or "induction"."""
        return self.previous if role == "previous" else self.induction

    def scored(self, role: str, at: int) -> float:
        """What the head of a role scores at a checkpoint."""
        return float(getattr(self.scores[at], role)[self.head(role)])

    @property
    def forming(self) -> int:
        """The checkpoint after which the induction head's score rises fastest per step."""
        rises = [
            (self.scored("induction", i + 1) - self.scored("induction", i)) / (self.steps[i + 1] - self.steps[i])
            for i in range(len(self.steps) - 1)
        ]
        return max(range(len(rises)), key=rises.__getitem__)

    @property
    def rise(self) -> tuple[int, int]:
        """The checkpoints between which its score rises by RISE of all that it rises: those fewest steps apart."""
        share = [self.scored("induction", at) for at in range(len(self.steps))]
        enough = RISE * (max(share) - share[0])
        spans = [
            (self.steps[end] - self.steps[begin], begin, end)
            for begin in range(len(share))
            for end in range(begin + 1, len(share))
            if share[end] - share[begin] >= enough
        ]
        return min(spans)[1:]


@dataclass(frozen=True, eq=False)
class Moment:
    """The checkpoint that the reader looks at."""

    replay: Replay
    at: int  # of its checkpoints
    settings: Settings

    @property
    def trace(self) -> Trace:
        """The model on the words."""
        return trace(self.at, self.settings.seed, self.settings.off)

    @property
    def without(self) -> Scores | None:
        """The scores with the previous-token head switched off; None as long as it is on."""
        return all_without()[self.at] if self.settings.off else None


def moment(lesson: Lesson[Settings], replay: Replay) -> Moment:
    """What the settings ask for now; no head is off before the reader has said what becomes of the other one."""
    settings = adopt(lesson)
    if not lesson.revealed("off"):
        settings = replace(settings, off=False)
    return Moment(replay, nearest(replay.steps, settings.step), settings)


@store.kept("Measuring the checkpoints …")
def replay() -> Replay:
    """The bundled model's history. Errors: ModelError."""
    cache.model(NAME)  # as any model: it settles how many threads a run takes
    history = snapshots.read(BUNDLED / NAME)
    twice = the_task().twice()
    measured = tuple(scores(history.model(i), twice) for i in range(len(history.steps)))
    return Replay(history, measured, best(measured[-1].previous), best(measured[-1].induction))


@functools.cache
def the_task() -> Induction:
    """What the model was trained on, with its words."""
    return Induction(64)


def best(table: Tensor) -> Head:
    """The layer and head of the highest of (L, H) scores."""
    return divmod(int(table.argmax()), table.shape[1])


def switched_off(head: Head) -> Intervention:
    """A run without one head."""
    return Intervention(head_scale=((*head, 0.0),))


@store.kept()
def all_without() -> tuple[Scores, ...]:
    """The scores at every checkpoint with the previous-token head switched off."""
    past, twice = replay(), the_task().twice()
    return tuple(scores(past.history.model(i), twice, switched_off(past.previous)) for i in range(len(past.steps)))


@store.kept()
def on_seen(at: int) -> tuple[float, float]:
    """The probability that a checkpoint gives, the first time, to words that came before; and that of an even guess.

    None of them can be next, for the first time each word comes once. Means over the sequences' words, from the second.
    """
    twice, n_words = the_task().twice(), len(the_task().words)
    half = twice.shape[1] // 2
    with torch.inference_mode():
        logits = replay().history.model(at)(twice).logits
        assert logits is not None
        given = logits.softmax(dim=-1)  # (16, 2P + 1, V)
    seen = [float(given[:, i].gather(1, twice[:, 1 : i + 1]).sum(dim=1).mean()) for i in range(1, half)]
    return sum(seen) / len(seen), sum(range(1, half)) / len(seen) / n_words


def text_of(seed: int) -> str:
    """Words drawn by a seed, none twice, and the same ones again."""
    task = the_task()
    drawn = torch.randperm(len(task.words), generator=torch.Generator().manual_seed(seed))[:N_WORDS]
    return task.tokenizer.decode(task.words[drawn].tolist()) * 2


@store.kept()
def trace(at: int, seed: int, off: bool) -> Trace:
    """The model at a checkpoint on the words of a seed."""
    past = replay()
    model = replace(cache.model(NAME), transformer=past.history.model(at))
    return model.run(text_of(seed), intervention=switched_off(past.previous) if off else None)


@store.kept()
def messages(at: int, seed: int, off: bool) -> dict[str, bytes]:
    """What the two matrices are sent."""
    past, run = replay(), trace(at, seed, off)
    return {
        role: attention_message.pack(attention_message.one_layer(run, past.head(role)[0]), name=NAME) for role in ROLES
    }


def adopt(lesson: Lesson[Settings]) -> Settings:
    """The settings, with the token that the reader picked in one of the matrices since they were drawn."""
    settings, passed = lesson.settings(), st.session_state.get(PASSED)
    if passed is not None and passed == settings.token:  # else a link has the last word
        for role in ROLES:
            picked = attention_view.current_state(f"replay-{role}", ViewState(queries=queries(passed))).queries
            if picked != queries(passed):
                lesson.choose(token=picked[-1] if picked else -1)
                break
    return lesson.settings()


def queries(token: int) -> tuple[int, ...]:
    """A setting's token as the view takes it."""
    return () if token < 0 else (token,)
