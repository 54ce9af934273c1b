"""What the page "Softmax and temperature" draws, in the order of the page."""

from __future__ import annotations

from dataclasses import asdict

import streamlit as st

from attnviz import figures
from attnviz.analysis import scaling
from attnviz.nn import attention, reference
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell, store
from attnviz.web.components.chart import Table, Written, of_rows, written
from attnviz.web.components.dial import dial
from attnviz.web.lesson import Lesson, Try
from attnviz.web.softmax import state, text
from attnviz.web.softmax.row import Row
from attnviz.web.softmax.state import Settings
from attnviz.web.temperatures import MARKS, TEMPERATURES

AROUND = 54  # px: title of a picture and the link to its data
FORMULA = r"""\begin{aligned}
&\mathrm{weights}=\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}\,\tau}\right)\\
&P(\mathrm{next})=\mathrm{softmax}\!\left(\frac{\mathrm{logits}}{\tau}\right)\\
&\mathrm{Var}(q\cdot k)=d_k
\end{aligned}"""


# ---- one row -----------------------------------------------------------------------------------------


def prediction(lesson: Lesson[Settings], row: Row) -> bool:
    """What a lower temperature does to the second largest weight; whether the page may show it."""
    asked = text.second_weight(row)
    return asked is None or lesson.predict("sharper", *asked)


def sentence(lesson: Lesson[Settings], row: Row, *, hides: bool) -> None:
    """What the temperature does to the row; nothing of what is asked before the guess."""
    if not row.is_sharpened:
        lesson.sentence(text.row_sentence(row))
    elif hides:
        lesson.sentence(text.HIDDEN_SENTENCE, instead=text.row_sentence(row))
    else:
        lesson.sentence(text.row_sentence(row), instead=text.HIDDEN_SENTENCE)


def controls(lesson: Lesson[Settings], settings: Settings, trace: Trace, row: Row) -> None:
    """The temperature, and which row of which head."""
    _temperature(lesson)
    lesson.token_box("Token that looks (query)", "query", row.labels)
    st.selectbox("Layer", range(trace.config.n_layers), key=lesson.key("layer"))
    st.selectbox("Head", range(trace.config.n_heads), key=lesson.key("head"))
    variance = float(scaling.product_variance(trace.layers[settings.layer].attention)[settings.head])
    st.caption(text.head_caption(variance, trace.config.head_dim))


def _temperature(lesson: Lesson[Settings], at: str = "") -> None:
    key = lesson.key("temperature")
    dial("Temperature τ", TEMPERATURES, key=key, format_func="{:g}".format, marks=MARKS, at=at)


def bars(lesson: Lesson[Settings], row: Row, *, hides: bool) -> None:
    """The row's weights, before and after."""
    with lesson.room("row", 54 + 24 * min(row.allowed, text.MOST_BARS) + AROUND):
        if hides:
            lesson.veil("row")
        else:
            _weight_bars(lesson, row)


def _weight_bars(lesson: Lesson[Settings], row: Row) -> None:
    figure = figures.weight_bars(*text.bars(row), shell.palette())
    data = {
        "position": range(len(row.labels)),
        "token": row.labels,
        "score": row.scores,
        "weight_at_1": row.weights[0],
        f"weight_at_{row.temperature:g}": row.weights[1],
    }
    lesson.picture(figure, title=text.row_title(row), alt=text.row_sentence(row), data=data, file="row")


def curves(lesson: Lesson[Settings], row: Row, *, hides: bool) -> None:
    """How many tokens share the row, and the largest weight, at every temperature."""
    with lesson.room("curves", 422 + AROUND):
        if hides:
            lesson.veil("curves")
        else:
            _both_curves(lesson, row)


def _both_curves(lesson: Lesson[Settings], row: Row) -> None:
    now = (row.temperature, row.tokens[1], row.tops[1])
    figure = figures.temperature_curves(TEMPERATURES, row.curve_tokens, row.curve_tops, now, row.ends, shell.palette())
    data = {"tau": TEMPERATURES, "tokens": row.curve_tokens, "top_weight": row.curve_tops}
    lesson.picture(figure, title=text.curves_title(row), alt=text.curves_alt(row), data=data, file="temperature")


def tries(lesson: Lesson[Settings]) -> None:
    """Both ends of the scale, and a model whose next words can be read."""
    lesson.tries(
        Try("Almost argmax: τ = 0.05", {"temperature": 0.05}),
        Try("Almost even: τ = 20", {"temperature": 20.0}),
        Try("A model that predicts words: Austen", {"temperature": 0.5}, model="austen"),
        keeps=("seed",),
    )


# ---- attention or output -----------------------------------------------------------------------------


def sampling(lesson: Lesson[Settings], inputs: shell.Inputs, settings: Settings) -> None:
    """The same τ in attention and on the output."""
    effect = state.carried(inputs.model, inputs.text, settings.temperature, settings.query)
    if isinstance(effect, list):
        sentence = text.carried_sentence(effect, settings.temperature)
        title = text.carried_title(settings.temperature)
        figure = figures.carried_lines(effect, shell.palette())
        data: Table = {"layer": range(len(effect)), "change": effect}
    else:
        names, trained = state.token_names(inputs.model, effect.ids), cache.model(inputs.model).info.trained
        sentence = text.next_sentence(effect, names, settings.temperature, trained)
        title = text.next_title(cache.trace(inputs.model, inputs.text), settings.query)
        figure = figures.token_dots(names, effect.plain, effect.inside, effect.outside, shell.palette())
        data = {"token": names, "tau_1": effect.plain, "in_attention": effect.inside, "on_output": effect.outside}
    lesson.sentence(sentence, part="sampling")
    controls, picture = st.columns([236, 904], gap="large")
    with controls:
        _temperature(lesson, at="sampling")
    with picture:
        lesson.picture(figure, title=title, alt=sentence, data=data, file="sampling")


# ---- why √d_k ----------------------------------------------------------------------------------------


def variance(lesson: Lesson[Settings], inputs: shell.Inputs, seed: int, measured: tuple[scaling.Variance, ...]) -> None:
    """How q·k grows with the width: of random vectors, and of the model's heads."""
    trace = cache.trace(inputs.model, inputs.text)
    variances = state.head_variances(trace)
    controls, picture = st.columns([236, 904], gap="large")
    with controls:
        st.number_input("Seed of the vectors", 0, state.SEEDS - 1, key=lesson.key("seed"))
        st.button("New random vectors", on_click=lambda: lesson.choose(seed=(seed + 1) % state.SEEDS))
    with picture:
        figure = figures.variance_lines(
            [one.width for one in measured],
            [(one.variance, one.low, one.high) for one in measured],
            [one.scaled for one in measured],
            (trace.config.head_dim, variances, text.head_names(trace)),
            shell.palette(),
        )
        heads = text.heads_sentence(trace, variances, cache.model(inputs.model).info.title)
        title = "The variance of q·k grows with dₖ; divided by √dₖ it stays at 1"
        lesson.picture(figure, title=title, alt=heads, data=of_rows(map(asdict, measured)), file="variance")
        st.text(heads)


def saturation(lesson: Lesson[Settings], seed: int, measured: tuple[scaling.Saturation, ...]) -> None:
    """What the softmax does to products that are too large."""
    lesson.sentence(text.saturation_sentence(measured[-1], state.KEYS, state.gradient_gains()), part="saturation")
    data, (weights, gradients) = of_rows(map(asdict, measured)), _saturation_pictures(seed, shell.palette())
    left, right = st.columns(2, gap="large")
    with left:
        title = "Without the factor, one key takes nearly all the weight"
        lesson.picture(weights, title=title, alt=title, data=data, file="saturation")
    with right:
        title = "… and hardly any gradient is left to learn from"
        lesson.picture(gradients, title=title, alt=title, data=data, file="gradient")


@store.kept()
def _saturation_pictures(seed: int, palette: figures.Palette) -> tuple[Written, Written]:
    """The largest weight, and the gradient, of random rows: no text changes them."""
    _, measured = state.random_vectors(seed)
    widths = [one.width for one in measured]
    tops = [one.top for one in measured], [one.top_scaled for one in measured]
    gradients = [one.gradient for one in measured], [one.gradient_scaled for one in measured]
    return (
        written(figures.saturation_lines(widths, *tops, "%", palette)),
        written(figures.saturation_lines(widths, *gradients, "size of the gradient", palette)),
    )


# ---- formulas and code -------------------------------------------------------------------------------


@shell.fragment
def behind(lesson: Lesson[Settings], inputs: shell.Inputs) -> None:
    """The formula and the code."""
    lesson.settings()
    lesson.behind(
        FORMULA,
        "Vaswani et al. 2017, section 3.2.1 and its footnote 4; temperature: Hinton et al. 2015, equation 1.",
        scaling.tempered,
        attention.attend,
        scaling.dot_products,
        scaling.variance_interval,
        scaling.gradient_size,
        reference.softmax,
    )
    lesson.write_link(inputs)
