"""The settings of the page "Positions", and the runs that are kept for it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
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
from attnviz.nn.intervention import Intervention
from attnviz.nn.transformer import Transformer
from attnviz.web import cache, shell
from attnviz.web.components import attention_view
from attnviz.web.lesson import Lesson

LARGEST = 9_999  # of any number in the link
SHOWN = 128  # positions in a picture of an encoding
TIMES = 4  # how far beyond the model's length scores are followed

_Run = tuple[str, str, str | None]  # name, scheme and mask

_one_copy = threading.Lock()  # a model in float64 takes twice its memory


@dataclass(frozen=True)
class Settings:
    """Everything a reader can choose on this page."""

    guess: str = ""
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


def shuffled(inputs: shell.Inputs, settings: Settings) -> dict[str, word_order.Shuffled]:
    """What the shuffle did by scheme; "unmasked" is a causal model without positions and without its mask."""
    test = _shuffled_exactly if settings.exact else _shuffled
    return test(inputs.model, inputs.text, settings.seed)


def _runs(config: ModelConfig) -> list[_Run]:
    """What the shuffle test runs: name, scheme and mask; a causal model once without its mask too."""
    runs: list[_Run] = [(scheme, scheme, None) for scheme in word_order.schemes_of(config)]
    if config.kind == "decoder":
        runs.insert(1, ("unmasked", "none", "none"))
    return runs


@st.cache_resource(max_entries=16, show_spinner=False)
def _originals(name: str, text: str) -> dict[str, torch.Tensor]:
    """The outputs of the text as it stands, by run."""
    model = cache.model(name)
    ids = model.encode(text).ids
    runs = _runs(model.transformer.config)
    return {run: word_order.outputs(model.transformer, ids, scheme, mask=mask) for run, scheme, mask in runs}


@st.cache_resource(max_entries=64, show_spinner=False)
def _shuffled(name: str, text: str, seed: int) -> dict[str, word_order.Shuffled]:
    model = cache.model(name)
    return _test(model.transformer, model.encode(text), seed, _originals(name, text))


@st.cache_resource(max_entries=16, show_spinner="Computing in float64 …")
def _shuffled_exactly(name: str, text: str, seed: int) -> dict[str, word_order.Shuffled]:
    model = cache.model(name)
    with _one_copy:
        return _test(word_order.exact(model.transformer), model.encode(text), seed, {})


def _test(
    transformer: Transformer, encoding: Encoding, seed: int, originals: Mapping[str, torch.Tensor]
) -> dict[str, word_order.Shuffled]:
    drawn = word_order.word_order(encoding.words, seed)

    def one(run: _Run) -> tuple[str, word_order.Shuffled]:
        name, scheme, mask = run
        known = originals.get(name)
        return name, word_order.shuffle_test(transformer, encoding.ids, drawn, scheme, mask=mask, original=known)

    with ThreadPoolExecutor(2) as two:  # at a time: half the wait where a second core is free
        return dict(two.map(one, _runs(transformer.config)))


# ---- the same head's attention -----------------------------------------------------------------------


def drop_old_choices(key: str, inputs: shell.Inputs) -> None:
    """Tokens chosen in a matrix of another text are other tokens now."""
    seen = f"{key}:inputs"
    if st.session_state.get(seen, inputs) != inputs:
        attention_view.choose_state(key, ViewState())
    st.session_state[seen] = inputs


@st.cache_resource(max_entries=24, show_spinner=False)
def message(name: str, text: str, scheme: str | None, layer: int) -> bytes:
    """One layer for the browser, as the model runs (None) or with another scheme."""
    one_layer = attention_message.one_layer(cache.trace(name, text, _change(scheme)), layer)
    return attention_message.pack(one_layer, name=name)


def weights(inputs: shell.Inputs, scheme: str | None, layer: int, head: int) -> torch.Tensor:
    """(T, T) of one head, as the model runs or with another scheme."""
    trace = cache.trace(inputs.model, inputs.text, _change(scheme))
    return trace.layers[layer].attention.weights[0, head]


def _change(scheme: str | None) -> Intervention | None:
    return None if scheme is None else Intervention(positions=scheme)


# ---- what a position looks like ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Table:
    """What a scheme gives to each position."""

    scheme: str
    values: torch.Tensor  # (n, W): W dimensions of the model or of a head; of ALiBi (distances, heads)

    @property
    def choices(self) -> int:
        """How many waves there are to look at: pairs of dimensions, or ALiBi's heads."""
        width = self.values.shape[1]
        return width if self.scheme == "alibi" else width // 2

    def columns(self, index: int) -> list[int]:
        """The columns of one of them."""
        return [index] if self.scheme == "alibi" else [2 * index, 2 * index + 1]

    def similarity(self, head: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Dot products and cosines of any two positions (n, n); of ALiBi twice what a head takes from their score."""
        if self.scheme != "alibi":
            return word_order.similarity(self.values)
        n, n_heads = self.values.shape
        bias = positions.alibi_bias(positions.alibi_slopes(n_heads), n, n)[head]
        return bias, bias


def table(lesson: Lesson[Settings], inputs: shell.Inputs) -> Table:
    """The encoding of the scheme that the settings ask for."""
    transformer = cache.model(inputs.model).transformer
    config = transformer.config
    scheme = possible_scheme(lesson, "encoding", config)
    with torch.inference_mode():
        return Table(scheme, word_order.positional_encoding(transformer, scheme, min(SHOWN, config.max_len)))


# ---- longer than the model ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Curves:
    """Scores of a word with copies of itself, against the distance."""

    scores: dict[str, np.ndarray]  # (H, n) by scheme, as far as the scheme goes
    refusal: str  # what the learned scheme says beyond

    def of_head(self, head: int) -> dict[str, np.ndarray]:
        """(n,) by scheme, without the one that is the same at any distance."""
        return {scheme: scores[head] for scheme, scores in self.scores.items() if scheme != "none"}


@st.cache_resource(max_entries=32, show_spinner=False)
def curves(name: str, text: str, word: int) -> Curves:
    """Of one word of the text, in the first layer."""
    model = cache.model(name)
    config, token = model.transformer.config, model.encode(text).ids[word]
    scores, refusal = {}, ""
    for scheme in word_order.schemes_of(config):
        try:
            by_head = word_order.scores_by_distance(model.transformer, token, scheme, TIMES * config.max_len)
        except ShapeError as error:
            refusal = str(error)
            by_head = word_order.scores_by_distance(model.transformer, token, scheme, config.max_len - 1)
        scores[scheme] = by_head.numpy()
    return Curves(scores, refusal)
