"""Softmax and temperature: one attention row from sharp to even, and why scores are divided by √d_k."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from attnviz import figures
from attnviz.analysis import measures, scaling
from attnviz.errors import InvalidParameterError
from attnviz.nn import attention, reference
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell
from attnviz.web.components.dial import dial
from attnviz.web.lesson import Lesson, Try
from attnviz.web.softmax import text as words

shell.ensure()
MARKS = {0.05: "sharp", 1.0: "1", 20.0: "even"}
PAIRS, QUERIES, KEYS = 1_000, 64, 16
SEEDS = 10_000
FORMULA = r"""\begin{aligned}
&\mathrm{weights}=\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}\,\tau}\right)\\
&P(\mathrm{next})=\mathrm{softmax}\!\left(\frac{\mathrm{logits}}{\tau}\right)\\
&\mathrm{Var}(q\cdot k)=d_k
\end{aligned}"""


@dataclass(frozen=True)
class Settings:
    """What the reader can choose; the first look is the head of MiniLM in which "it" finds "animal"."""

    temperature: float = 2.0
    layer: int = 3
    head: int = 1
    query: int = 10
    seed: int = 0
    guess: str = ""

    def __post_init__(self) -> None:
        if self.temperature not in words.TEMPERATURES:
            raise InvalidParameterError(f"temperature={self.temperature} is none of the steps from 0.05 to 20")
        if min(self.layer, self.head, self.query, self.seed) < 0 or self.seed >= SEEDS:
            raise InvalidParameterError(f"layer, head, query and seed count from 0, the seed to {SEEDS - 1}")
        if self.guess not in ("", *words.ANSWERS):
            raise InvalidParameterError(f"guess={self.guess!r} is no answer")


lesson = Lesson("softmax", Settings())
inputs = lesson.inputs()


@st.cache_data(max_entries=8, show_spinner=False)
def drawn(seed: int) -> tuple[tuple[scaling.Variance, ...], tuple[scaling.Saturation, ...]]:
    """The measurements on the random vectors of a seed."""
    return (
        scaling.measure_variance(pairs=PAIRS, seed=seed),
        scaling.measure_saturation(keys=KEYS, queries=QUERIES, seed=seed),
    )


@st.cache_data(max_entries=128, show_spinner=False)
def carried(model: str, text: str, temperature: float, query: int) -> scaling.NextTokens | list[float]:
    """What τ in every attention row does: to the next token, or without logits to the vectors, per layer."""
    plain = cache.trace(model, text)
    changed = cache.model(model).run(text, intervention=Intervention(temperature=temperature))
    if words.speaks(plain):
        assert plain.logits is not None and changed.logits is not None
        return scaling.next_tokens(plain.logits[0, query], changed.logits[0, query], temperature)
    moved: list[float] = measures.relative_change(plain, changed)[:, 0].mean(dim=1).tolist()
    return moved


def clamped(trace: Trace) -> Settings:
    """The settings, on a layer, a head and a token that this model and this text have."""
    chosen = lesson.chosen()
    for field, count in (
        ("layer", trace.config.n_layers),
        ("head", trace.config.n_heads),
        ("query", len(trace.encodings[0])),
    ):
        if getattr(chosen, field) >= count:
            special = trace.encodings[0].special if field == "query" else ()  # a word, if there is one
            lesson.choose(**{field: max((i for i, one in enumerate(special) if not one), default=count - 1)})
    return lesson.chosen()


@st.fragment
def one_row() -> None:
    """A row of one head under τ, and the same τ on the output."""
    trace = cache.trace(inputs.model, inputs.text)
    chosen = clamped(trace)
    row = words.read_row(trace, chosen.layer, chosen.head, chosen.query, chosen.temperature)
    lesson.question("What does temperature do to attention?")
    lesson.sentence(words.row_sentence(row))
    if row.allowed > 1:
        question, truth, because = words.second_token(row)
        lesson.predict("guess", shell.escaped(question), words.ANSWERS, truth, because)
    controls, left, right = st.columns([236, 430, 430], gap="large")
    with controls:
        dial("Temperature τ", words.TEMPERATURES, key=lesson.key("temperature"), format_func=tau, marks=MARKS)
        st.selectbox(
            "Token that looks (query)",
            range(len(row.labels)),
            key=lesson.key("query"),
            format_func=lambda i: shell.escaped(f"{i} {row.labels[i]}"),
        )
        st.selectbox("Layer", range(trace.config.n_layers), key=lesson.key("layer"))
        st.selectbox("Head", range(trace.config.n_heads), key=lesson.key("head"))
        variance = float(scaling.product_variance(trace.layers[chosen.layer].attention)[chosen.head])
        st.caption(words.head_caption(variance, trace.config.head_dim))
    with left:
        title, bars = words.row_title(row), words.bars(row)
        figure = figures.weight_bars(*bars, shell.palette())
        lesson.picture(figure, title=title, alt=words.row_sentence(row), data=words.row_table(row), file="row")
    with right:
        now = (chosen.temperature, row.tokens[1], row.tops[1])
        data = pd.DataFrame({"tau": words.TEMPERATURES, "tokens": row.curve_tokens, "top_weight": row.curve_tops})
        figure = figures.temperature_curves(
            words.TEMPERATURES, row.curve_tokens, row.curve_tops, now, row.ends, shell.palette()
        )
        title = "Small τ: all to one token. Large τ: the same to all"
        alt = f"At τ = {now[0]:g} the row spreads over {now[1]:.2f} tokens, its top weight is {now[2]:.3f}."
        lesson.picture(figure, title=title, alt=alt, data=data, file="temperature")
    lesson.tries(
        Try("Almost argmax: τ = 0.05", {"temperature": 0.05}),
        Try("Almost even: τ = 20", {"temperature": 20.0}),
        Try("A model that predicts words: Austen", {"temperature": 0.5}, model="austen"),
    )
    sampling(chosen)
    lesson.write_link(inputs)


def sampling(chosen: Settings) -> None:
    """The same τ in attention and on the output."""
    lesson.section("Is it the temperature of sampling?")
    found = carried(inputs.model, inputs.text, chosen.temperature, chosen.query)
    model = cache.model(inputs.model)
    if isinstance(found, list):
        says, title = words.carried_sentence(found, chosen.temperature), "τ in attention moves every layer’s vectors"
        figure = figures.carried_lines(found, shell.palette())
        data = pd.DataFrame({"layer": range(len(found)), "moved": found})
    else:
        names = words.token_names(model, found.ids)
        says = words.next_sentence(found, names, chosen.temperature, model)
        title = words.next_title(model, cache.trace(inputs.model, inputs.text), chosen.query)
        figure = figures.token_dots(names, found.plain, found.inside, found.outside, shell.palette())
        data = pd.DataFrame(
            {"token": names, "tau_1": found.plain, "in_attention": found.inside, "on_output": found.outside}
        )
    lesson.sentence(says, part="sampling")
    controls, picture = st.columns([236, 904], gap="large")
    with controls:
        dial(
            "Temperature τ",
            words.TEMPERATURES,
            key=lesson.key("temperature"),
            format_func=tau,
            marks=MARKS,
            at="sampling",
        )
    with picture:
        lesson.picture(figure, title=title, alt=says, data=data, file="sampling")


@st.fragment
def why() -> None:
    """The variance of q·k, and what softmax makes of it."""
    chosen, trace = lesson.chosen(), cache.trace(inputs.model, inputs.text)
    measured, saturated = drawn(chosen.seed)
    variances = [float(one) for layer in trace.layers for one in scaling.product_variance(layer.attention)]  # (L·H,)
    lesson.section("Why divide by √dₖ?")
    lesson.sentence(words.variance_sentence(measured, PAIRS), part="variance")
    controls, picture = st.columns([236, 904], gap="large")
    with controls:
        st.number_input("Seed of the vectors", 0, SEEDS - 1, key=lesson.key("seed"))
        st.button("New random vectors", on_click=lambda: lesson.choose(seed=(chosen.seed + 1) % SEEDS))
    with picture:
        figure = figures.variance_lines(
            [one.width for one in measured],
            [(one.variance, one.low, one.high) for one in measured],
            [one.scaled for one in measured],
            (trace.config.head_dim, variances, words.head_names(trace)),
            shell.palette(),
        )
        heads = words.heads_sentence(trace, variances, cache.model(inputs.model).info.title)
        title = "The variance of q·k grows with dₖ; divided by √dₖ it stays at 1"
        lesson.picture(figure, title=title, alt=heads, data=pd.DataFrame(measured), file="variance")
        st.text(heads)
    saturation(saturated)
    lesson.write_link(inputs)


def saturation(measured: tuple[scaling.Saturation, ...]) -> None:
    """What the softmax does to products that are too large."""
    last = measured[-1]
    lesson.sentence(words.saturation_sentence(last, KEYS), part="saturation")
    widths, data = [one.width for one in measured], pd.DataFrame(measured)
    left, right = st.columns(2, gap="large")
    with left:
        figure = figures.saturation_lines(
            widths, [one.top for one in measured], [one.top_scaled for one in measured], "%", shell.palette()
        )
        title = "Without the factor, one key takes nearly everything"
        lesson.picture(figure, title=title, alt=title, data=data, file="saturation")
    with right:
        figure = figures.saturation_lines(
            widths,
            [one.gradient for one in measured],
            [one.gradient_scaled for one in measured],
            "size of softmax’s gradient",
            shell.palette(),
        )
        title = "… and nothing is left to learn from"
        lesson.picture(figure, title=title, alt=title, data=data, file="gradient")


def tau(temperature: float) -> str:
    """A temperature as text."""
    return f"{temperature:g}"


@st.fragment
def behind() -> None:
    """The formula and the code."""
    lesson.chosen()
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


one_row()
why()
behind()
