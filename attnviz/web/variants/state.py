"""The page on the variants of attention: what the reader has set, the run that is shown, and what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from attnviz.analysis import cost, variants
from attnviz.analysis.cost import Step
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn.config import ModelConfig
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell, store
from attnviz.web.first_layers import first_layers
from attnviz.web.jobs import slices
from attnviz.web.lesson import Lesson
from attnviz.web.variants import text

CONTEXTS = tuple(2**i for i in range(10, 18))
LONGEST = cost.LENGTHS[3:]
WINDOWS = range(33)  # tokens to each side


@dataclass(frozen=True)
class Settings:
    """What the reader has set; layer, head and heads of keys are brought to what the model has."""

    layer: int = 3
    head: int = 1
    size: int = 2
    groups: int = 3
    longest: int = LONGEST[-1]
    context: int = 8192

    def __post_init__(self) -> None:
        if min(self.layer, self.head) < 0 or self.size not in WINDOWS or self.groups < 1:
            raise InvalidParameterError(f"layer {self.layer}, head {self.head}, size {self.size}, groups {self.groups}")
        if self.longest not in LONGEST or self.context not in CONTEXTS:
            raise InvalidParameterError(f"{self.longest} or {self.context} tokens are not on offer")


@dataclass(frozen=True, eq=False)
class Run:
    """One text through one model: what all parts of the page read."""

    inputs: shell.Inputs
    trace: Trace

    @property
    def config(self) -> ModelConfig:
        """The model's sizes."""
        return self.trace.config

    @property
    def labels(self) -> tuple[str, ...]:
        """The tokens as a person should read them."""
        return self.trace.encodings[0].labels

    @property
    def causal(self) -> bool:
        """Whether its attention looks at the past only."""
        return self.trace.layers[0].attention.mask.causal

    @property
    def key_heads(self) -> list[int]:
        """How many heads of keys grouped-query attention may have here."""
        n_heads = self.config.n_heads
        return [n for n in range(2, n_heads) if n_heads % n == 0] or [n_heads]


@dataclass(frozen=True, eq=False)
class HeadSurvey:
    """Every variant on a layer's q, k and v, and the head that is shown."""

    layer: int
    head: int
    variants: variants.Survey


def run(lesson: Lesson[Settings]) -> Run:
    """The sidebar's text through its model; ends the page in a sentence where there is nothing to show."""
    inputs = lesson.inputs()
    try:
        layer = min(lesson.settings().layer, cache.model(inputs.model).transformer.config.n_layers - 1)
        run = Run(inputs, first_layers(inputs.model, inputs.text, layer + 1))
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(str(error))
    attention = run.trace.layers[0].attention
    if attention.bias is not None or attention.mask.window is not None or attention.mask.dense is not None:
        shell.refuse(text.OTHER_ATTENTION)
    return run


def survey(lesson: Lesson[Settings], run: Run) -> HeadSurvey:
    """The variants as they are set, brought to what the model has; before their widgets are drawn."""
    lesson.fit(layer=run.config.n_layers, head=run.config.n_heads)
    settings = lesson.settings()
    groups = max((n for n in run.key_heads if n <= settings.groups), default=run.key_heads[0])
    if groups != settings.groups:
        lesson.choose(groups=groups)
    size, layer = settings.size, settings.layer
    return HeadSurvey(layer, settings.head, surveyed(run.inputs.model, run.inputs.text, layer, size, groups))


@store.kept()
def surveyed(name: str, text: str, layer: int, size: int, groups: int) -> variants.Survey:
    """`variants.survey` of a layer."""
    a = first_layers(name, text, layer + 1).layers[layer].attention
    options: dict[str, Any] = {"scale": a.scale, "causal": a.mask.causal, "alibi": a.alibi}
    return variants.survey(a.q[0], a.k[0], a.v[0], size=size, groups=groups, **options)


# ---- time and memory on this machine ---------------------------------------------------------------------


@dataclass(frozen=True)
class Measurement:
    """What was measured on this machine so far."""

    head_dim: int
    causal: bool
    steps: tuple[Step, ...]
    now: Step | None  # the last step of this session's own measurement, under way or over


def start_measuring(lesson: Lesson[Settings], run: Run) -> None:
    """Begins to measure, up to the length that is set: what the button does."""
    lengths = [n for n in cost.LENGTHS if n <= lesson.settings().longest]
    slices.start("cost", cost.measure(lengths=lengths, head_dim=run.config.head_dim, causal=run.causal))
    st.session_state["cost:of"] = (run.config.head_dim, run.causal)


def measurement(run: Run) -> Measurement:
    """This session's measurement, or before the first click the one that all share."""
    steps = slices.done("cost")
    head_dim, causal = st.session_state.get("cost:of", (run.config.head_dim, run.causal))
    return Measurement(head_dim, causal, tuple(steps or first_look(head_dim, causal)), steps[-1] if steps else None)


@store.kept("Measuring on this machine …")
def first_look(head_dim: int, causal: bool) -> tuple[Step, ...]:
    """Short texts, measured once for everybody, so that there is something true to see before the first click."""
    return tuple(cost.measure(lengths=cost.LENGTHS[:4], head_dim=head_dim, causal=causal))
