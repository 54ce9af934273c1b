"""The settings of the page "Positions", and the runs that are kept for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch

from attnviz.analysis import word_order
from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.models.hf_model import HFModel
from attnviz.nn import positions
from attnviz.nn.config import ModelConfig
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention, MaskName
from attnviz.nn.transformer import Transformer
from attnviz.web import cache, shell, store
from attnviz.web.components import attention_view
from attnviz.web.first_layers import first_layers
from attnviz.web.lesson import Lesson
from attnviz.web.positions import pictures

LARGEST = 9_999  # of any number in the link
TIMES = 4  # how far beyond the model's length scores are followed

_Run = tuple[str, str, MaskName]  # name, scheme and mask

_one_copy = threading.Lock()  # a model in float64 takes twice its memory


@dataclass(frozen=True)
class Settings:
    """Everything a reader can choose on this page."""

    seed: int = 0
    exact: bool = False
    scheme: str = "none"
    layer: int = 0
    head: int = 2  # of MiniLM's first layer: it looks at the token before
    encoding: str = "sinusoidal"
    pair: int = 24
    turn: int = 3
    slope: int = 2
    first_head: int = 2
    word: int = 10

    def __post_init__(self) -> None:
        for name in ("scheme", "encoding"):
            if getattr(self, name) not in positions.SCHEMES:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is not one of {positions.SCHEMES}")
        for name in ("seed", "layer", "head", "pair", "turn", "slope", "first_head", "word"):
            if not 0 <= getattr(self, name) <= LARGEST:
                raise InvalidParameterError(f"{name}={getattr(self, name)} is not within 0 … {LARGEST}")


def inputs(lesson: Lesson[Settings]) -> shell.Inputs:
    """Model and text of the sidebar; ends the page with a sentence if the model's positions cannot be changed."""
    given = lesson.inputs()
    transformer = cache.model(given.model).transformer
    if isinstance(transformer, HFModel):
        kind = transformer.config.architecture
        shell.refuse(f"A model of the type {kind} has its own positions, which cannot be changed. Pick another one.")
    return given


def possible_scheme(lesson: Lesson[Settings], field: str, config: ModelConfig) -> str:
    """The scheme that a field holds, or "none" (told to the widget too) if this model cannot run with it."""
    scheme: str = getattr(lesson.settings(), field)
    if scheme in word_order.schemes_of(config):
        return scheme
    lesson.choose(**{field: "none"})
    return "none"


# ---- the shuffle test --------------------------------------------------------------------------------


def is_shuffled(encoding: Encoding, seed: int) -> bool:
    """Whether a shuffle makes another text: one word, or a word that is repeated, stays as it is."""
    order = word_order.word_order(encoding.words, seed)
    return [encoding.ids[i] for i in order] != list(encoding.ids)


def shuffled_without(inputs: shell.Inputs, settings: Settings) -> word_order.Shuffled:
    """What the shuffle did without positions: all that the question is about."""
    return _shuffled(inputs.model, inputs.text, settings.seed, (("none", "none", None),))["none"]


def shuffled(inputs: shell.Inputs, settings: Settings) -> dict[str, word_order.Shuffled]:
    """What the shuffle did without positions and with the model's own, which the sentence is about.

    "unmasked" is a causal model without positions and without its mask.
    """
    return _by_scheme(inputs, settings, own_runs(cache.model(inputs.model).transformer.config))


def shuffled_others(inputs: shell.Inputs, settings: Settings) -> dict[str, word_order.Shuffled]:
    """What the shuffle did with the other schemes."""
    return _by_scheme(inputs, settings, other_runs(cache.model(inputs.model).transformer.config))


def own_runs(config: ModelConfig) -> tuple[_Run, ...]:
    """What the shuffle test runs first: name, scheme and mask; a causal model once without its mask too."""
    runs: list[_Run] = [(scheme, scheme, None) for scheme in dict.fromkeys(("none", config.positions))]
    if config.kind == "decoder":
        runs.insert(1, ("unmasked", "none", "none"))
    return tuple(runs)


def other_runs(config: ModelConfig) -> tuple[_Run, ...]:
    """What it runs then: the schemes that the model was not made with."""
    others = [scheme for scheme in word_order.schemes_of(config) if scheme not in ("none", config.positions)]
    return tuple((scheme, scheme, None) for scheme in others)


def _by_scheme(inputs: shell.Inputs, settings: Settings, runs: tuple[_Run, ...]) -> dict[str, word_order.Shuffled]:
    if not settings.exact:
        return _shuffled(inputs.model, inputs.text, settings.seed, runs)
    config = cache.model(inputs.model).transformer.config
    every = _shuffled_exactly(inputs.model, inputs.text, settings.seed, own_runs(config) + other_runs(config))
    return {name: every[name] for name, _, _ in runs}


@store.kept()
def _shuffled(name: str, text: str, seed: int, runs: tuple[_Run, ...]) -> dict[str, word_order.Shuffled]:
    model = cache.model(name)
    return _test(model.transformer, model.encode(text), seed, runs)


@store.kept("Computing in float64 …")
def _shuffled_exactly(name: str, text: str, seed: int, runs: tuple[_Run, ...]) -> dict[str, word_order.Shuffled]:
    model = cache.model(name)
    with _one_copy:
        return _test(word_order.exact(model.transformer), model.encode(text), seed, runs)


def _test(
    transformer: Transformer, encoding: Encoding, seed: int, runs: tuple[_Run, ...]
) -> dict[str, word_order.Shuffled]:
    """The shuffle test by the runs' names."""
    drawn = word_order.word_order(encoding.words, seed)

    def one(run: _Run) -> word_order.Shuffled:
        _, scheme, mask = run
        return word_order.shuffle_test(transformer, encoding.ids, drawn, scheme, mask=mask)

    if len(runs) == 1:
        return {runs[0][0]: one(runs[0])}
    with ThreadPoolExecutor(2) as two:  # at a time: half the wait where a second core is free
        return dict(zip((name for name, _, _ in runs), two.map(one, runs), strict=True))


# ---- the same head's attention -----------------------------------------------------------------------


def drop_old_choices(key: str, inputs: shell.Inputs) -> None:
    """Tokens chosen in a matrix of another text are other tokens now."""
    seen = f"{key}:inputs"
    if st.session_state.get(seen, inputs) != inputs:
        attention_view.choose_state(key, ViewState())
    st.session_state[seen] = inputs


@store.kept()
def message(name: str, text: str, scheme: str | None, layer: int) -> bytes:
    """One layer for the browser, as the model runs (None) or with another scheme."""
    one_layer = attention_message.one_layer(first_layers(name, text, layer + 1, _change(scheme)), layer)
    return attention_message.pack(one_layer, name=name)


def weights(inputs: shell.Inputs, scheme: str | None, layer: int, head: int) -> torch.Tensor:
    """(T, T) of one head, as the model runs or with another scheme."""
    trace = first_layers(inputs.model, inputs.text, layer + 1, _change(scheme))
    return trace.layers[layer].attention.weights[0, head]


def _change(scheme: str | None) -> Intervention | None:
    return None if scheme is None else Intervention(positions=scheme)


# ---- what a position looks like ----------------------------------------------------------------------


def table(lesson: Lesson[Settings], inputs: shell.Inputs) -> pictures.Table:
    """The encoding of the scheme that the settings ask for."""
    config = cache.model(inputs.model).transformer.config
    return pictures.table(inputs.model, possible_scheme(lesson, "encoding", config))


# ---- a head's scores of copies of a word -------------------------------------------------------------


@dataclass(frozen=True)
class Copies:
    """Copies of one word of the text in a row, as a head of the first layer scores them."""

    model: str
    token: int  # its id
    labels: tuple[str, ...]  # of the text
    word: int  # where it stands there
    head: int

    @property
    def label(self) -> str:
        """The word as a person reads it."""
        return self.labels[self.word]

    @property
    def config(self) -> ModelConfig:
        """Of the model."""
        return cache.model(self.model).transformer.config

    @property
    def gaps(self) -> dict[str, np.ndarray]:
        """By scheme and place (n − 3,): the score of the copy 1 before less that of the copy 3 before."""
        return {scheme: gaps[self.head] for scheme, gaps in _gaps(self.model, self.token).items()}

    @property
    def curves(self) -> Curves:
        """Scores against the distance."""
        return _curves(self.model, self.token)


def copies(lesson: Lesson[Settings], inputs: shell.Inputs) -> Copies:
    """The copies that the settings ask for, of a word that this text has."""
    model = cache.model(inputs.model)
    encoding = model.encode(inputs.text)
    word = lesson.follow_token("word", encoding.labels, encoding.special)
    head = min(lesson.settings().first_head, model.transformer.config.n_heads - 1)
    return Copies(inputs.model, encoding.ids[word], encoding.labels, word, head)


@store.kept()
def _gaps(name: str, token: int) -> dict[str, np.ndarray]:
    """(H, n − 3) by scheme."""
    transformer = cache.model(name).transformer
    n = min(pictures.SHOWN, transformer.config.max_len)
    return {
        scheme: np.stack(
            [
                word_order.gap_by_place(head).numpy()
                for head in word_order.scores_of_copies(transformer, token, scheme, n)
            ]
        )
        for scheme in word_order.schemes_of(transformer.config)
        if scheme != "none"
    }


# ---- longer than the model ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Curves:
    """Scores of a word with copies of itself, against the distance."""

    scores: dict[str, np.ndarray]  # (H, n) by scheme, as far as the scheme goes
    refusal: str  # what the learned scheme says beyond

    def of_head(self, head: int) -> dict[str, np.ndarray]:
        """(n,) by scheme, without the one that is the same at any distance."""
        return {scheme: scores[head] for scheme, scores in self.scores.items() if scheme != "none"}


@store.kept()
def _curves(name: str, token: int) -> Curves:
    """Of one word, in the first layer."""
    model = cache.model(name)
    config = model.transformer.config
    scores, refusal = {}, ""
    for scheme in word_order.schemes_of(config):
        try:
            by_head = word_order.scores_by_distance(model.transformer, token, scheme, TIMES * config.max_len)
        except ShapeError as error:
            refusal = str(error)
            by_head = word_order.scores_by_distance(model.transformer, token, scheme, config.max_len - 1)
        scores[scheme] = by_head.numpy()
    return Curves(scores, refusal)
