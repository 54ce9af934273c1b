"""What the page "Positions" draws, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
import torch

from attnviz import figures
from attnviz.analysis import word_order
from attnviz.browser.view_state import ViewState
from attnviz.nn import positions, reference
from attnviz.nn.config import ModelConfig
from attnviz.web import cache, shell
from attnviz.web.components import attention_view
from attnviz.web.components.dial import dial
from attnviz.web.lesson import Lesson, Try
from attnviz.web.positions import pictures, shuffle, state, text
from attnviz.web.positions.pictures import Table
from attnviz.web.positions.state import Copies, Settings

OUTLINED = 64  # dimensions: of more, a chosen one is too thin to outline, and the picture need not be sent again
FORMULAS = tuple(
    rf"\text{{{scheme.label}}}\quad & " + r"\\ & ".join(scheme.formula)
    for scheme in map(positions.described, positions.SCHEMES)
    if scheme.formula
)
FORMULA = r"\begin{aligned}" + r"\\".join(FORMULAS) + r"\end{aligned}"
SOURCE = " ".join(
    [
        *(positions.described(name).paper for name in positions.SCHEMES if positions.described(name).formula),
        "Position p, pair i of the dimensions, C of the model, d of a head.",
    ]
)


# ---- the same head's attention -----------------------------------------------------------------------


def one_head(lesson: Lesson[Settings], inputs: shell.Inputs) -> None:
    """One head as the model runs, and with other positions."""
    settings, model = lesson.settings(), cache.model(inputs.model)
    config, info = model.transformer.config, model.info
    layer, head = min(settings.layer, config.n_layers - 1), min(settings.head, config.n_heads - 1)
    scheme, native = state.possible_scheme(lesson, "scheme", config), config.positions
    sentences = st.container()
    controls, left, right = st.columns([236, 436, 436], gap="large")
    with controls:
        _schemes(lesson, "scheme", "Run the model with", config)
        dial("Layer", range(config.n_layers), key=lesson.key("layer"))
        dial("Head", range(config.n_heads), key=lesson.key("head"))
    as_is = f"{'As trained' if info.trained else 'As built'}: {text.WITH[native]}"
    with left:
        _matrix("before", inputs, None, layer, head, as_is)
    with right:
        _matrix("after", inputs, scheme, layer, head, f"Run {text.with_scheme(scheme)}")
    before, after = (state.weights(inputs, run, layer, head) for run in (None, scheme))
    with sentences:
        lesson.sentence(text.attention(before, after, layer, head, scheme, native), part="attention")
        if scheme != native:
            st.caption(shell.escaped(text.outside_training(info.title, info.trained, scheme, native)))


def _schemes(lesson: Lesson[Settings], field: str, label: str, config: ModelConfig) -> None:
    st.radio(label, word_order.schemes_of(config), key=lesson.key(field), format_func=text.NAMES.__getitem__)


def _matrix(name: str, inputs: shell.Inputs, scheme: str | None, layer: int, head: int, title: str) -> None:
    """One head's matrix, as the model runs (None) or with another scheme."""
    key = f"positions-{name}"
    state.drop_old_choices(key, inputs)
    message = state.message(inputs.model, inputs.text, scheme, layer)
    attention_view.attention_view(message, ViewState(layer=layer, head=head), key=key, compact=True, title=title)


def tries_of_schemes(lesson: Lesson[Settings]) -> None:
    """Two schemes in the head above and in the numbers below."""
    lesson.tries(
        Try("Rotate queries and keys instead (RoPE)", {"scheme": "rope", "encoding": "rope", "turn": 3}),
        Try("The table that the model learned", {"scheme": "learned", "encoding": "learned", "pair": 0}),
        keeps=shuffle.OTHER_EXPERIMENTS,
    )


# ---- what a position looks like ----------------------------------------------------------------------


def encoding(lesson: Lesson[Settings], inputs: shell.Inputs, table: Table) -> int:
    """A scheme as a heatmap, and one pair of its dimensions as waves. Returns the head of a bias, else 0."""
    config = cache.model(inputs.model).transformer.config
    lesson.sentence(text.encoding(table.scheme, table.values), part="encoding")
    controls, picture = st.columns(shuffle.COLUMNS, gap="large")
    with controls:
        _schemes(lesson, "encoding", "Scheme", config)
    with picture:
        if table.by_head:  # its head changes what follows too
            return _heatmap_and_waves(lesson, inputs, table)
        shell.fragment(_heatmap_and_waves)(lesson, inputs, table)
    return 0


def _heatmap_and_waves(lesson: Lesson[Settings], inputs: shell.Inputs, table: Table) -> int:
    """The whole encoding, and one pair of its dimensions (or one head of a bias) as lines. Returns which."""
    lesson.settings()
    heatmap = st.container()
    acts = positions.described(table.scheme).acts
    field = {"turn": "turn", "scores": "slope"}.get(acts, "pair")
    label = "Head" if table.by_head else "Pair of dimensions"
    with st.container(width=300):
        index = int(dial(label, range(table.choices), key=lesson.key(field)))
    with heatmap:
        _heatmap(lesson, table, index)
    _waves(lesson, table, index)
    lesson.write_link(inputs)
    return index


def _heatmap(lesson: Lesson[Settings], table: Table, index: int) -> None:
    title = text.ENCODING_TITLES[table.scheme]
    marked = table.columns(index) if table.values.shape[1] <= OUTLINED else ()
    figure = pictures.heatmap(table.model, table.scheme, marked, shell.palette())
    data = partial(by_position, table.values)
    lesson.picture(figure, title=title, alt=title, data=data, file="positions-encoding")


def _waves(lesson: Lesson[Settings], table: Table, index: int) -> None:
    scheme, values = table.scheme, table.values
    lines = {text.line_name(scheme, i): values[:, i].numpy() for i in table.columns(index)}
    title = text.wave_title(scheme, index, values)
    figure = figures.wave_lines(lines, shell.palette(), x=table.axis, y="bias" if table.by_head else "value")
    data = {"position": range(len(values)), **lines}
    lesson.picture(figure, title=title, alt=title, data=data, file="positions-waves")


def by_position(values: torch.Tensor) -> dict[str, Any]:
    """A table of a matrix: a row per position, a column per column."""
    return {"position": range(len(values)), **{str(i): column for i, column in enumerate(values.T)}}


def similarity(lesson: Lesson[Settings], table: Table, head: int) -> None:
    """How alike any two positions are, and whether that depends on anything but their offset."""
    n, shown = len(table.values), (table.model, table.scheme, head)
    alike, measure = pictures.alike(*shown), pictures.measure(table, head)
    spread, dots = alike.cosines, alike.dots
    sentence = text.offsets(table.scheme, spread, dots, head)
    lesson.sentence(sentence, part="offset")
    left, right = st.columns(2, gap="large")
    with left:
        lesson.picture(
            pictures.every_pair(*shown, shell.palette()),
            title=f"Every position beside every other: {measure}",
            alt=f"Matrix of {n} × {n} positions, {measure}. {sentence}",
            data=partial(by_position, alike.cosine),
            file="positions-similarity",
        )
    with right:
        columns = {"mean": spread.mean, "low": spread.low, "high": spread.high}
        columns |= {"dot_mean": dots.mean, "dot_low": dots.low, "dot_high": dots.high}
        lesson.picture(
            pictures.band(*shown, shell.palette()),
            title=text.band_title(spread),
            alt=sentence,
            file="positions-offset",
            data={"offset": range(n), **columns},
        )


# ---- a head's scores of copies of a word -------------------------------------------------------------


def _head_and_word(lesson: Lesson[Settings], copies: Copies, at: str = "") -> None:
    labels = copies.labels
    dial("Head of layer 0", range(copies.config.n_heads), key=lesson.key("first_head"), at=at)
    dial("Word", range(len(labels)), key=lesson.key("word"), format_func=lambda i: f"{i} {labels[i]}", at=at)


def places(lesson: Lesson[Settings], copies: Copies) -> None:
    """How much higher a head scores a near copy than a far one, at every place of the text."""
    gaps = copies.gaps
    lesson.sentence(text.places(gaps, copies.label, copies.head), part="places")
    controls, picture = st.columns(shuffle.COLUMNS, gap="large")
    with controls:
        _head_and_word(lesson, copies, at="places")
    lines = {text.NAMES[scheme]: gap for scheme, gap in gaps.items()}
    n = len(next(iter(lines.values())))
    if n == 0:
        return
    with picture:
        lesson.picture(
            figures.wave_lines(lines, shell.palette(), x="position of the copy that looks", y="gap", first=3),
            title="The gap: score of the copy 1 before, minus score of the copy 3 before",
            alt=text.places(gaps, copies.label, copies.head),
            data={"position": range(3, 3 + n), **lines},
            file="positions-places",
        )


# ---- longer than the model ---------------------------------------------------------------------------


def distance(lesson: Lesson[Settings], copies: Copies) -> None:
    """A head's score against the distance, to four times the longest text that the model takes."""
    curves, limit, head = copies.curves, copies.config.max_len, copies.head
    scores = curves.of_head(head)
    lesson.sentence(text.distance(scores, copies.label, limit, curves.refusal), part="beyond")
    controls, picture = st.columns(shuffle.COLUMNS, gap="large")
    with controls:
        _head_and_word(lesson, copies)
    titles = {scheme: text.range_title(scheme, curve, limit) for scheme, curve in scores.items()}
    longest = max(map(len, scores.values()))
    data = {name: np.pad(curve, (0, longest - len(curve)), constant_values=np.nan) for name, curve in scores.items()}
    with picture:
        lesson.picture(
            figures.distance_rows(scores, titles, limit, shell.palette()),
            title="Score q·k/√d against the distance; shaded: beyond the longest text that the model reads",
            alt=". ".join(titles.values()),
            data={"distance": range(longest), **data},
            file="positions-beyond",
        )
        st.caption(text.without_positions(curves.scores["none"], head))


# ---- formulas and code -------------------------------------------------------------------------------


@shell.fragment
def behind(lesson: Lesson[Settings], inputs: shell.Inputs) -> None:
    """Formulas and code."""
    lesson.settings()
    lesson.behind(
        FORMULA,
        SOURCE,
        word_order.shuffle_test,
        *_functions(),
        word_order.scores_by_distance,
        word_order.scores_of_copies,
        word_order.gap_by_place,
        reference.alibi_slopes,
        *(twin for twins in (reference.ADDED, reference.TURNED, reference.BIASES) for twin in twins.values()),
    )
    lesson.write_link(inputs)


def _functions() -> list[Callable[..., Any]]:
    """What the schemes are made of, each once."""
    told = [positions.described(name) for name in positions.SCHEMES]
    made_of = [f for scheme in told for f in (scheme.table, scheme.rates, scheme.slopes, scheme.bias) if f is not None]
    return list(dict.fromkeys([positions.learned, positions.rope, positions.turn, *made_of, positions.alibi_bias]))
