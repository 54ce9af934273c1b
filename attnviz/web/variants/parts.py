"""The parts of the page on the variants of attention, from top to bottom."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import streamlit as st

from attnviz import figures
from attnviz.analysis import cost, variants
from attnviz.analysis.linear_attention import linear
from attnviz.figures.cost import Line
from attnviz.web import cache, shell
from attnviz.web.components.chart import of_rows
from attnviz.web.components.dial import dial
from attnviz.web.jobs import slices
from attnviz.web.lesson import Lesson, Try
from attnviz.web.variants import state, text
from attnviz.web.variants.state import HeadSurvey, Measurement, Run, Settings

NEAR = ("size", "groups", "longest")  # settings of the other sections
TICK = 0.1  # seconds between two slices of a measurement
FORMULA = (
    r"\begin{array}{l}\displaystyle "
    r"z_i=\frac{\varphi(q_i)\sum_j\varphi(k_j)^{\top}v_j}{\varphi(q_i)\cdot\sum_j\varphi(k_j)}"
    r"\\[1em] \mathrm{bytes}=2\,L\,H_{kv}\,D\,T\cdot 2\end{array}"
)
SOURCES = (
    "Linear attention: Katharopoulos et al. 2020, equation 5, φ(x) = elu(x) + 1. Local: Beltagy et al. 2020. "
    "Strided: Child et al. 2019. Multi-query: Shazeer 2019. Grouped-query, mean-pooled: Ainslie et al. 2023. "
    "Bytes of the cache: key and value (2), L layers, Hₖᵥ heads of keys, D numbers each, T tokens, 2 bytes each."
)


# ---- the same head -----------------------------------------------------------------------------------------


def question(lesson: Lesson[Settings], run: Run, survey: HeadSurvey) -> None:
    """The page's question, and which variant comes closest."""
    lesson.in_view()
    lesson.question("What does attention cost, and what can it save?")
    lesson.sentence(text.closest(survey.variants, survey.layer, survey.head, run.labels))


def controls(lesson: Lesson[Settings], run: Run, survey: HeadSurvey) -> None:
    """Layer, head, window and heads of keys."""
    st.selectbox("Layer", range(run.config.n_layers), key=lesson.key("layer"))
    st.selectbox("Head", range(run.config.n_heads), key=lesson.key("head"))
    dial("Window, tokens to each side", state.WINDOWS, key=lesson.key("size"))
    dial("Key heads, grouped-query", run.key_heads, key=lesson.key("groups"))
    st.caption(text.pairs(survey.variants))


def matrices(lesson: Lesson[Settings], run: Run, survey: HeadSurvey) -> None:
    """The implied matrices side by side."""
    layer, head, by_kind = survey.layer, survey.head, survey.variants.by_kind
    n = len(run.labels)
    weights = np.stack([variant.weights[head].numpy() for variant in by_kind.values()])  # (kinds, T, T)
    tiles = [
        (text.NAMES[kind], text.note(survey.variants, kind, head), tile)
        for kind, tile in zip(by_kind, weights, strict=True)
    ]
    i, j = np.mgrid[:n, :n]
    lesson.picture(
        figures.implied_matrices(tiles, run.labels, shell.palette()),
        title=f"The weights of each way in layer {layer}, head {head}; a row is one token looking",
        alt=". ".join(f"{name}: {note}" for name, note, _ in tiles),
        data={
            "variant": np.repeat([name for name, _, _ in tiles], n * n),
            "query": np.tile(i.ravel(), len(tiles)),
            "key": np.tile(j.ravel(), len(tiles)),
            "weight": weights.ravel(),
        },
        file="variants",
    )


def errors(lesson: Lesson[Settings], survey: HeadSurvey) -> None:
    """The error of every head of the layer."""
    by_kind, even = survey.variants.by_kind, survey.variants.even
    off = {text.NAMES[kind]: variant.error.tolist() for kind, variant in by_kind.items() if kind != "full"}
    lesson.picture(
        figures.error_dots(list(off.items()), survey.head, even[survey.head].item(), shell.palette()),
        title=text.across_heads(survey.variants, survey.layer),
        alt=text.largest_errors(off),
        data={"head": range(len(even)), **off},
        file="variants-errors",
    )
    st.caption(text.dots(survey.head))


def heads_to_try(lesson: Lesson[Settings]) -> None:
    """Two heads that need different things."""
    lesson.tries(
        Try("A head that needs its neighbours only", {"layer": 0, "head": 2, "size": 2}, model="minilm"),
        Try("A head that rests on one far token", {"layer": 4, "head": 5, "size": 2}, model="minilm"),
        keeps=("longest", "context"),
    )


# ---- time and memory on this machine -----------------------------------------------------------------------


def measured(lesson: Lesson[Settings], run: Run) -> None:
    """Time and memory on this machine: a fragment that runs again by itself while it is measured, slice by slice."""
    timed = slices.running("cost")
    shell.fragment(_measured, run_every=TICK if timed else None)(lesson, run, timed)


def _measured(lesson: Lesson[Settings], run: Run, timed: bool) -> None:
    """`timed`: whether this fragment has a clock."""
    lesson.settings()
    running = slices.running("cost")
    if timed != running:
        st.rerun()  # the whole page, for that is where a fragment's clock is set
    measurement = state.measurement(run)
    lines = text.measured_lines(measurement.steps)
    lesson.section("What does a longer text cost on this machine?")
    question = "Twice the tokens: how many pairs of query and key does full attention then compute?"
    revealed = lesson.predict("pairs", question, text.PAIRS, *text.twice_the_tokens(run.causal))
    left, right = st.columns([1, 3], gap="medium")
    with left:
        measuring(lesson, run, measurement, running)
    with right, lesson.room("pairs", 538, {1319: 984, 1099: 1084, 719: 1110}):
        if not revealed:
            lesson.veil("pairs")
        else:
            lesson.sentence(text.longest(lines), part="measured")
            for place, unit in zip(st.columns(2, gap="medium"), ("seconds", "bytes"), strict=True):
                with place:
                    costs(lesson, lines, unit)
    lesson.write_link(run.inputs)
    if running:  # last, so that Cancel is on screen before the first slice
        slices.advance("cost")
        if not slices.running("cost"):
            st.rerun()  # to show the end


def measuring(lesson: Lesson[Settings], run: Run, measurement: Measurement, running: bool) -> None:
    """How far to measure, the button or the progress, and how it is measured."""
    st.select_slider(
        "Up to, tokens", state.LONGEST, key=lesson.key("longest"), format_func="{:,}".format, disabled=running
    )
    if running:
        now = measurement.now
        st.progress(now.done / now.total if now else 0.0, text.progress(now))
        st.button("Cancel", on_click=slices.cancel, args=("cost",), key="variants-cancel")
    else:
        label = "Measure on this machine" if measurement.now is None else "Measure again"
        st.button(label, on_click=state.start_measuring, args=(lesson, run), key="variants-measure")
    if left_out := text.left_out(measurement.steps):
        st.caption(left_out)
    st.caption(text.conditions(measurement.head_dim, measurement.causal, cache.THREADS))


def costs(lesson: Lesson[Settings], lines: text.Lines, unit: str) -> None:
    """Seconds or bytes against the length."""
    amounts = {text.NAMES[kind]: text.amounts(line, unit) for kind, line in lines.items()}
    drawn = [Line(name, tuple(by_length), tuple(by_length.values())) for name, by_length in amounts.items()]
    title = text.share(lines, unit)
    lesson.picture(
        figures.cost_lines(drawn, unit, shell.palette()),
        title=title,
        alt=f"{title}. Both axes are logarithmic, with lines of growth by n and by n².",
        data=of_rows(
            {"variant": name, "tokens": n, unit: amount}
            for name, by_length in amounts.items()
            for n, amount in by_length.items()
        ),
        file=f"variants-{unit}",
    )


# ---- the key-value cache -----------------------------------------------------------------------------------


@shell.fragment
def key_value_cache(lesson: Lesson[Settings], run: Run) -> None:
    """The key-value cache of published models."""
    lesson.section("What must a model keep while it writes?")
    lesson.sentence(text.KEPT, part="kept")
    at_a_context(lesson, run)
    lesson.tries(Try("A book’s length: 131,072 tokens", {"context": 131_072}), first=2, keeps=NEAR, place="cache")


@shell.fragment
def at_a_context(lesson: Lesson[Settings], run: Run) -> None:
    """What the length of the context changes, without what always stands around it."""
    context = lesson.settings().context
    question = "Llama-2-70B has ten times the parameters of Llama-2-7B. Its cache is …"
    revealed = lesson.predict("cache", question, text.CACHES, *text.larger_model(context))
    left, right = st.columns([1, 3], gap="medium")
    with left:
        dial("Context, tokens", state.CONTEXTS, key=lesson.key("context"), format_func="{:,}".format)
        st.caption(text.CACHE_NOTES)
    with right, lesson.room("cache", 518, {1099: 568, 719: 600}):
        if revealed:
            lesson.sentence(text.key_value_cache(context), part="cache")
            caches(lesson, context)
        else:
            lesson.veil("cache")
    lesson.write_link(run.inputs)


def caches(lesson: Lesson[Settings], context: int) -> None:
    """Every known model's cache, as published and if no heads shared keys."""
    sizes = text.caches(context)
    dots = [(model.name, *sizes[model.name], context <= model.context) for model in cost.MODELS]
    lesson.picture(
        figures.cache_dots(dots, shell.palette()),
        title=f"Cache at {context:,} tokens: filled as published, hollow if no heads shared keys",
        alt=text.cache_sizes(sizes),
        data=of_rows(
            asdict(model) | dict(zip(("bytes", "bytes_if_unshared"), sizes[model.name], strict=True))
            for model in cost.MODELS
        ),
        file="variants-cache",
    )


def behind(lesson: Lesson[Settings]) -> None:
    """The formulas and the code."""
    lesson.behind(
        FORMULA,
        SOURCES,
        linear,
        variants.local,
        variants.strided,
        variants.pooled,
        cost.measure,
        cost.cache_bytes,
    )
