"""The parts of the page Positions: what is computed for it and kept, its controls and pictures."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
import torch

from attnviz import figures
from attnviz.analysis import word_order
from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.errors import ShapeError
from attnviz.formatting import number
from attnviz.nn import positions as schemes
from attnviz.nn.config import ModelConfig
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention
from attnviz.nn.transformer import Transformer
from attnviz.web import cache, shell
from attnviz.web.components import attention_view
from attnviz.web.components.dial import dial
from attnviz.web.lesson import Lesson
from attnviz.web.positions import text as words

LARGEST = 9_999  # of any number in the link
SHOWN = 128  # positions in a picture of an encoding
OUTLINED = 64  # dimensions: of more, a chosen one is too thin to outline, and the picture need not be sent again
TIMES = 4  # how far beyond the model's length scores are followed
COLUMNS = [236, 900]  # px: controls and picture

_Run = tuple[str, str, str | None]  # name, scheme and mask

_one_copy = threading.Lock()  # a model in float64 takes twice its memory


# ---- the shuffle test ------------------------------------------------------------------------------


def shuffle_part(lesson: Lesson[Any], inputs: shell.Inputs, seed: int, exact: bool) -> None:
    """Prediction, sentence, both texts and the bars."""
    model = cache.model(inputs.model)
    encoding, own = model.encode(inputs.text), model.transformer.config.positions
    if len(set(encoding.words) - {None}) < 2:
        lesson.sentence("One word has no order. Type at least two in the sidebar, and they can be shuffled.")
        return
    rows = (_shuffled_exactly if exact else _shuffled)(inputs.model, inputs.text, seed)
    said = words.order_sentence(rows, model.info.title, own, exact)
    asked = "Take the positions away and shuffle the words. What happens to each word’s output?"
    lesson.predict("guess", asked, words.GUESSES, *words.prediction(rows))
    lesson.sentence(said)  # after the prediction: it holds the answer
    controls, picture = st.columns(COLUMNS, gap="large")
    with controls:
        st.button("Shuffle again", on_click=_next_seed, args=(lesson, seed), key="positions-again")
        st.number_input("Seed of the shuffle", 0, LARGEST, key=lesson.key("seed"))
        st.toggle("Compute in float64", key=lesson.key("exact"))
    with picture:
        _both_texts(encoding, word_order.word_order(encoding.words, seed))
        moved = {name: row.moved.numpy() for name, row in rows.items()}
        titles = {name: words.row_title(name, row, own) for name, row in rows.items()}
        lesson.picture(
            figures.moved_bars(moved, titles, encoding.labels, shell.palette()),
            title="How far each token’s output moved, of its length, when the words were shuffled",
            alt="Bars per token and scheme. " + said,
            data=pd.DataFrame({"position": range(len(encoding)), "token": encoding.labels, **moved}),
            file="positions-shuffle",
        )


def _next_seed(lesson: Lesson[Any], seed: int) -> None:
    lesson.choose(seed=(seed + 1) % (LARGEST + 1))


def _both_texts(encoding: Encoding, drawn: Sequence[int]) -> None:
    texts = {"before": encoding.labels, "after": [encoding.labels[i] for i in drawn]}
    for name, labels in texts.items():
        with st.container(horizontal=True, gap="small", key=f"positions-text-{name}"):
            st.text(name, width=52)
            st.text(" ".join(labels), width="stretch")


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


def attention_part(lesson: Lesson[Any], inputs: shell.Inputs, chosen: Any) -> None:
    """One head as the model runs, and with other positions."""
    model = cache.model(inputs.model)
    config, info = model.transformer.config, model.info
    layer, head = min(chosen.layer, config.n_layers - 1), min(chosen.head, config.n_heads - 1)
    scheme, own = possible(lesson, "scheme", chosen.scheme, config), config.positions
    place = st.container()
    controls, left, right = st.columns([236, 436, 436], gap="large")
    with controls:
        _schemes(lesson, "scheme", "Run the model with", config)
        dial("Layer", range(config.n_layers), key=lesson.key("layer"))
        dial("Head", range(config.n_heads), key=lesson.key("head"))
    state = ViewState(layer=layer, head=head)
    titles = (f"{'As trained' if info.trained else 'As built'}: {words.WITH[own]}", f"Run with {words.WITH[scheme]}")
    for column, name, title, run in zip((left, right), ("before", "after"), titles, (None, scheme), strict=True):
        with column:
            _drop_old_choices(f"positions-{name}", inputs)
            message = _message(inputs.model, inputs.text, run, layer)
            attention_view.attention_view(message, state, key=f"positions-{name}", compact=True, title=title)
    before, after = (_weights(inputs, run, layer, head) for run in (None, scheme))
    with place:
        lesson.sentence(words.attention_sentence(before, after, layer, head, scheme, own), part="attention")
        if scheme != own:
            st.caption(shell.escaped(words.away_from_home(info.title, info.trained, scheme, own)))


def possible(lesson: Lesson[Any], field: str, scheme: str, config: ModelConfig) -> str:
    """The scheme, or "none" (said to the widget too) if this model cannot run with it."""
    if scheme in word_order.schemes_of(config):
        return scheme
    lesson.choose(**{field: "none"})
    return "none"


def _schemes(lesson: Lesson[Any], field: str, label: str, config: ModelConfig) -> None:
    st.radio(label, word_order.schemes_of(config), key=lesson.key(field), format_func=words.NAMES.__getitem__)


def _drop_old_choices(key: str, inputs: shell.Inputs) -> None:
    """Tokens chosen in a matrix of another text are other tokens now."""
    seen = f"{key}:inputs"
    if st.session_state.get(seen, inputs) != inputs:
        attention_view.choose_state(key, ViewState())
    st.session_state[seen] = inputs


def _change(scheme: str | None) -> Intervention | None:
    return None if scheme is None else Intervention(positions=scheme)


@st.cache_resource(max_entries=24, show_spinner=False)
def _message(name: str, text: str, scheme: str | None, layer: int) -> bytes:
    return attention_message.pack(
        attention_message.one_layer(cache.trace(name, text, _change(scheme)), layer), name=name
    )


def _weights(inputs: shell.Inputs, scheme: str | None, layer: int, head: int) -> torch.Tensor:
    """(T, T) of one head, as the model runs or with another scheme."""
    trace = cache.trace(inputs.model, inputs.text, _change(scheme))
    return trace.layers[layer].attention.weights[0, head]


# ---- what a position looks like -----------------------------------------------------------------------


def encoding_part(lesson: Lesson[Any], inputs: shell.Inputs, chosen: Any) -> None:
    """The encoding as a heatmap, one pair of dimensions as waves, and how alike positions are."""
    transformer = cache.model(inputs.model).transformer
    config = transformer.config
    scheme = possible(lesson, "encoding", chosen.encoding, config)
    with torch.inference_mode():
        table = word_order.encoding(transformer, scheme, min(SHOWN, config.max_len))
    lesson.sentence(words.encoding_sentence(scheme, table), part="encoding")
    controls, picture = st.columns(COLUMNS, gap="large")
    with controls:
        _schemes(lesson, "encoding", "Scheme", config)

    def pictures() -> int:
        return _encoding_pictures(lesson, inputs, scheme, table)

    with picture:
        if scheme == "alibi":  # its head changes what follows too
            index = pictures()
        else:
            st.fragment(pictures)()
            index = 0
    _similarity(lesson, scheme, table, index)


def _encoding_pictures(lesson: Lesson[Any], inputs: shell.Inputs, scheme: str, table: torch.Tensor) -> int:
    """The heatmap, and one pair of its rows (or ALiBi's row of one head) as lines. Returns which."""
    lesson.chosen()
    n, width = table.shape
    rows = {"alibi": "head", "rope": "dimension of a head"}.get(scheme, "dimension")
    across = "distance in tokens" if scheme == "alibi" else "position"
    place = st.container()
    field, label = {"rope": ("turn", "Pair of dimensions"), "alibi": ("slope", "Head")}.get(
        scheme, ("pair", "Pair of dimensions")
    )
    with st.container(width=300):
        index = int(dial(label, range(width if scheme == "alibi" else width // 2), key=lesson.key(field)))
    marked = [index] if scheme == "alibi" else [2 * index, 2 * index + 1]
    with place:
        title = words.ENCODING_TITLES[scheme]
        data = pd.DataFrame(table.numpy()).rename_axis("position").reset_index()
        heat = figures.encoding_heatmap(
            table.numpy(),
            shell.palette(),
            rows=rows,
            columns=across,
            share=scheme == "alibi",
            marked=marked if width <= OUTLINED else (),
        )
        lesson.picture(heat, title=title, alt=title, data=data, file="positions-encoding")
    lines = {words.line_name(scheme, i): table[:, i].numpy() for i in marked}
    title = words.wave_title(scheme, index, table)
    waves = figures.wave_lines(lines, shell.palette(), x=across, y="bias" if scheme == "alibi" else "value")
    data = pd.DataFrame({"position": range(n), **lines})
    lesson.picture(waves, title=title, alt=title, data=data, file="positions-waves")
    lesson.write_link(inputs)
    return index


def _similarity(lesson: Lesson[Any], scheme: str, table: torch.Tensor, index: int) -> None:
    """How alike any two positions are, and whether that depends on anything but their offset."""
    n, width = table.shape
    if scheme == "alibi":
        dot = cosine = schemes.alibi_bias(schemes.alibi_slopes(width), n, n)[index]
    else:
        dot, cosine = word_order.similarity(table)
    spread, dots = word_order.by_offset(cosine), word_order.by_offset(dot)
    said = words.offset_sentence(scheme, spread, dots, index)
    what = f"bias of head {index}" if scheme == "alibi" else "cosine"
    lesson.section("Does only the distance count?")
    lesson.sentence(said, part="offset")
    left, right = st.columns(2, gap="large")
    with left:
        lesson.picture(
            figures.similarity_heatmap(cosine.numpy(), shell.palette(), share=scheme == "alibi"),
            title=f"Every position beside every other: {what}",
            alt=f"Matrix of {n} × {n} positions, {what}. {said}",
            data=pd.DataFrame(cosine.numpy()).rename_axis("position").reset_index(),
            file="positions-similarity",
        )
    with right:
        columns = {"mean": spread.mean, "low": spread.low, "high": spread.high}
        columns |= {"dot_mean": dots.mean, "dot_low": dots.low, "dot_high": dots.high}
        lesson.picture(
            figures.offset_band(spread.mean, spread.low, spread.high, shell.palette(), y=what),
            title=words.band_title(spread),
            alt=said,
            file="positions-offset",
            data=pd.DataFrame({"offset": range(n), **{name: line.numpy() for name, line in columns.items()}}),
        )


# ---- longer than the model ---------------------------------------------------------------------------


def beyond_part(lesson: Lesson[Any], inputs: shell.Inputs, chosen: Any) -> None:
    """A head's score against the distance, to four times the longest text that the model takes."""
    model = cache.model(inputs.model)
    config, labels = model.transformer.config, model.encode(inputs.text).labels
    head, word = min(chosen.first_head, config.n_heads - 1), min(chosen.word, len(labels) - 1)
    curves, refusal = _curves(inputs.model, inputs.text, word)
    limit, without = config.max_len, curves["none"][head]
    shown = {name: curve[head] for name, curve in curves.items() if name != "none"}
    titles = {name: words.range_title(name, curve, limit) for name, curve in shown.items()}
    lesson.sentence(words.beyond_sentence(shown, labels[word], limit, refusal), part="beyond")
    controls, picture = st.columns(COLUMNS, gap="large")
    with controls:
        dial("Head of layer 0", range(config.n_heads), key=lesson.key("first_head"))
        dial("Word", range(len(labels)), key=lesson.key("word"), format_func=lambda i: f"{i} {labels[i]}")
    longest = max(map(len, shown.values()))
    data = {name: np.pad(curve, (0, longest - len(curve)), constant_values=np.nan) for name, curve in shown.items()}
    with picture:
        lesson.picture(
            figures.distance_rows(shown, titles, limit, shell.palette()),
            title="Score q·k/√d against the distance; shaded: further than the model ever reads",
            alt=". ".join(titles.values()),
            data=pd.DataFrame({"distance": range(longest), **data}),
            file="positions-beyond",
        )
        st.caption(
            f"Layer 0; the first copy stands at position 1. Without positions, head {head} scores "
            f"{number(float(without[-1]))} at any distance."
        )


@st.cache_resource(max_entries=32, show_spinner=False)
def _curves(name: str, text: str, word: int) -> tuple[dict[str, np.ndarray], str]:
    """Scores (H, n) by scheme, as far as the scheme goes, and what the learned one says beyond."""
    model = cache.model(name)
    config, token = model.transformer.config, model.encode(text).ids[word]
    curves, refusal = {}, ""
    for scheme in word_order.schemes_of(config):
        try:
            found = word_order.scores_by_distance(model.transformer, token, scheme, TIMES * config.max_len)
        except ShapeError as error:
            refusal = str(error)
            found = word_order.scores_by_distance(model.transformer, token, scheme, config.max_len - 1)
        curves[scheme] = found.numpy()
    return curves, refusal
