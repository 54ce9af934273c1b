"""The page "Heads": what the reader has set, and the cards it shows, by names only."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
import torch

from attnviz.analysis import attribution, cards, cards_file, cards_text, copying, roles
from attnviz.analysis.cards import Cards, Example
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs.sample import sample
from attnviz.nn.encoding import Encoding
from attnviz.web import cache, shell, store
from attnviz.web.jobs import slices
from attnviz.web.lesson import Lesson

JUDGED_ON = ("sample", "text")
JUDGED = "heads:judged"  # cards that this session had made, by model
MOST_JUDGED = 3
JOB = "heads:judging"  # the sample, in slices


@dataclass(frozen=True)
class Settings:
    """What the reader has set."""

    on: str = "sample"
    layer: int = 1
    head: int = 9
    across: str = "previous"
    up: str = "sink"
    example: int = 0

    def __post_init__(self) -> None:
        if self.on not in JUDGED_ON or not {self.across, self.up} <= set(roles.MEASURES):
            raise InvalidParameterError(f"on={self.on!r}, across={self.across!r} or up={self.up!r} is not offered")
        if min(self.layer, self.head, self.example) < 0 or max(self.layer, self.head, self.example) > 512:
            raise InvalidParameterError("layer, head or example is out of range")


@dataclass(frozen=True, eq=False)
class Shown:
    """What all parts of the page read."""

    inputs: shell.Inputs
    title: str
    cards: Cards
    texts: tuple[str, ...]
    is_sample: bool
    layer: int
    head: int

    @property
    def examples(self) -> tuple[Example, ...]:
        """Those of the chosen head."""
        return self.cards.examples[self.layer][self.head]

    @property
    def where(self) -> str:
        """What the heads were judged on."""
        return cards_text.judged_on(len(self.texts), self.is_sample)


def shown(lesson: Lesson[Settings], inputs: shell.Inputs) -> Shown:
    """The cards that are asked for; ends the page in a sentence where this model has none."""
    model = cache.model(inputs.model)
    try:
        stored = judged(inputs.model) if lesson.settings().on == "sample" else None
        here = None if stored else on_text(inputs.model, inputs.text)
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(f"{str(error)[:1].upper()}{str(error)[1:]}. Pick another model, or a longer text.")
    found = stored.cards if stored else here
    assert found is not None
    n_layers, n_heads = found.roles.score.shape[1:]
    lesson.fit(layer=n_layers, head=n_heads)
    settings = lesson.settings()
    texts = stored.texts if stored else (inputs.text,)
    return Shown(
        inputs, model.info.title, found, texts, stored is not None and stored.is_sample, settings.layer, settings.head
    )


def judged(name: str) -> cards_file.Stored | None:
    """A model's cards over many texts: those that come with it, or that this session had made."""
    made: dict[str, cards_file.Stored] = st.session_state.setdefault(JUDGED, {})
    return made.get(name) or _shipped(name)


def start_judging(name: str) -> None:
    """Begins to judge a model's heads on the sample."""
    slices.start(JOB, cards.judging(cache.model(name), sample()))
    st.session_state[f"{JOB}:of"] = name


def is_judging(name: str) -> bool:
    """Whether this model's heads are being judged."""
    return slices.running(JOB) and st.session_state[f"{JOB}:of"] == name


def texts_judged() -> int:
    """On how many texts they have been."""
    return len(slices.done(JOB) or ())


def judge_on(name: str) -> None:
    """Judges on for a moment. Errors: as `cards.of_model`; then it is over."""
    try:
        slices.advance(JOB)
    except (InvalidParameterError, ModelError):
        slices.cancel(JOB)
        raise
    done = slices.done(JOB) or []
    if done and isinstance(done[-1], Cards):
        made = st.session_state.setdefault(JUDGED, {})
        while len(made) >= MOST_JUDGED:
            made.pop(next(iter(made)))
        made[name] = cards_file.Stored(done.pop(), sample(), True, "")


@store.kept()
def _shipped(name: str) -> cards_file.Stored | None:
    return cards_file.shipped(name)


@store.kept("Looking at every head …")
def on_text(model: str, source: str) -> Cards:
    """The cards of one text. Errors: as `cards.of_trace`, and as `cache.trace`."""
    return cards.of_trace(cache.model(model), cache.trace(model, source))


@store.kept()
def copying_scores(model: str) -> torch.Tensor | None:
    """How far each head copies: (L, H); None where that cannot be read."""
    return copying.scores_if_read(cache.model(model).transformer)


@store.kept()
def score_parts(model: str, source: str, layer: int, head: int, query: int, key: int) -> attribution.ScoreParts:
    """Where the score of one cell comes from. Errors: as `attribution.score_parts`, and as `cache.trace`."""
    return attribution.score_parts(cache.model(model).transformer, cache.trace(model, source), layer, head, query, key)


def encoding(model: str, source: str) -> Encoding:
    """The tokens of a text."""
    return cache.trace(model, source).encodings[0]
