"""What the page "Attention and cause" draws, in the order of the page."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from attnviz import figures
from attnviz.analysis import agreement, attribution, erasure, evidence, flow, gradients
from attnviz.analysis.evidence import METHODS, Method
from attnviz.formatting import token_name
from attnviz.web import cache, shell
from attnviz.web.components.chart import Table
from attnviz.web.components.table import table
from attnviz.web.evidence import state, text, work
from attnviz.web.evidence.shown import CANCELLED, WAITS, Shown
from attnviz.web.evidence.state import Settings
from attnviz.web.jobs import slices
from attnviz.web.lesson import Lesson, Try

FORMULA = r"""\begin{aligned}
&\text{erasure}_j=f(x)-f(x\text{ without }j)\\
&\text{norm}_j=\lVert\alpha_{ij}\,(x_jW_V+b_V)\,W_O\rVert\\
&\text{gradient}_j=\textstyle\sum_i A_{ij}\,\partial f/\partial A_{ij}\\
&\text{integrated}_j=(x_j-x'_j)\cdot\\
&\qquad\textstyle\int_0^1\partial f/\partial x_j\,(x'+a(x-x'))\,da
\end{aligned}"""
SOURCE = (
    "Rollout, flow: Abnar and Zuidema 2020. ‖αv‖: Kobayashi et al. 2020. Gradient × attention: Serrano and Smith 2019. "
    "Integrated gradients: Sundararajan et al. 2017. Erasure: Li et al. 2016. Whether attention explains: Jain and "
    "Wallace 2019; Wiegreffe and Pinter 2019. Embeddings: Crabbé and van der Schaar 2022. Who wrote it: Elhage et al. "
    "2021. Logit lens: nostalgebraist 2020."
)
MOST_OPTIONS = 4
TICK = 0.3  # seconds between two slices of work
STOPPED = (WAITS, CANCELLED)
TALE = "The brother behind the princess always hugs the cats while she is proud and vain."


def controls(lesson: Lesson[Settings], shown: Shown) -> None:
    """What is predicted, and the layer."""
    columns = iter(st.columns([2, 2, 2, 3], gap="medium"))
    if shown.of.hidden is not None:
        with next(columns):
            labels = cache.trace(shown.of.model, shown.of.text).encodings[0].labels
            lesson.token_box("Hidden token", "position", labels)
    if shown.offers:
        by_target = {one.target: text.offered(one) for one in shown.offers}
        options = [state.LIKELIEST, *by_target]
        names = by_target | {state.LIKELIEST: "the likeliest"}
        if lesson.settings().target not in names:
            lesson.choose(target=state.LIKELIEST)
        title = "Class" if shown.prediction.kind == "class" else "Prediction"
        next(columns).selectbox(title, options, key=lesson.key("target"), format_func=names.__getitem__)
        if shown.prediction.kind == "token":
            next(columns).text_input("Or type a token", key=lesson.key("typed"), placeholder="truth")
    n_layers = len(cache.trace(shown.of.model, shown.of.text).layers)
    names_of = {state.ALL_LAYERS: "All layers"} | {i: f"Layer {i}" for i in range(n_layers)}
    next(columns).selectbox(
        "Attention, ‖αv‖ and gradient of", list(names_of), key=lesson.key("layer"), format_func=names_of.__getitem__
    )
    if shown.typed_pieces:
        st.caption(text.pieces(shown))
    if len(lesson.settings().typed) > state.LONGEST_TYPED:
        st.caption(text.too_long(len(lesson.settings().typed), state.LONGEST_TYPED))


def prediction(lesson: Lesson[Settings], shown: Shown) -> bool:
    """Which token matters most; whether the page may show it."""
    if len(shown.found.own) < 2 or not shown.moves:
        return not shown.waits or lesson.revealed("matters")
    truth = shown.strongest("erasure")
    names = {token: token_name(shown.labels, token) for token in _options(shown)}
    return lesson.predict(
        "matters",
        text.question(shown),
        list(names.values()),
        names[truth],
        text.because(shown),
    )


def _options(shown: Shown) -> list[int]:
    """Tokens to choose among: by turns the first by erasure and by attention.

    Were the others the first by attention alone, which the page shows, the answer would be the one that is not.
    """
    first: list[list[int]] = []
    for method in ("erasure", "attention"):
        sizes = shown.found.values[method].abs()
        first.append(sorted(shown.found.own, key=lambda token: -float(sizes[token])))
    return sorted(list(dict.fromkeys(token for pair in zip(*first, strict=True) for token in pair))[:MOST_OPTIONS])


def sentence(lesson: Lesson[Settings], shown: Shown, *, hides: bool) -> None:
    """What matters most; before the guess, what is asked."""
    verdict, before = text.verdict(shown), text.before(shown)
    lesson.sentence(before if hides else verdict, instead=verdict if hides else before)


def with_integrated(lesson: Lesson[Settings], shown: Shown) -> Shown:
    """The same with integrated gradients, if they are asked for and done."""
    if not st.toggle("Integrated gradients (takes longer)", key=lesson.key("integrated")):
        work.WORK["integrated"].cancel()
        return shown
    found = work.WORK["integrated"].found(shown.of)
    if found is None:
        bar("integrated", shown, gradients.MOST_STEPS)
        return shown
    return replace(shown, found=evidence.joined([shown.found, found]))


def bars(shown: Shown) -> None:
    """How far the measures are that take long."""
    for method in ("erasure", "flow"):
        if shown.found.missing.get(method) in STOPPED:
            bar(method, shown, len(shown.labels))


def bar(method: work.Long, shown: Shown, n: int) -> None:
    """How far a measure is, of n steps at most; the way to end it, or to begin it again."""
    made = work.WORK[method]
    said = text.progress(method, made.done, n), text.cancelled(method)
    slices.bar(made.name, made.done / n, *said, partial(made.again, shown.of))


def picture(lesson: Lesson[Settings], shown: Shown, *, hides: bool) -> None:
    """All measures of all tokens; only attention until the guess."""
    methods: list[Method] = [one for one in METHODS if one in shown.found.values and (one == "attention" or not hides)]
    values = {text.HEADINGS[one]: shown.found.values[one].tolist() for one in methods}
    written = {text.HEADINGS[one]: [text.written(one, x) for x in shown.found.values[one].tolist()] for one in methods}
    signed = [text.HEADINGS[one] for one in evidence.SIGNED]
    lesson.picture(
        figures.measure_columns(values, written, signed, shown.labels, shell.palette(), room=shown.n_measures),
        title="Where it looks" if hides else "What each token has to do with the prediction",
        alt=text.alternative(shown, methods),
        data=lambda: _numbers(shown, methods),
        file="evidence",
    )
    st.caption(text.COLOURS)


def notes(shown: Shown) -> None:
    """What the measures do not say, and which of them are not here."""
    st.caption(f"{text.CAVEAT} {text.erased(shown)}")
    for method, why in shown.found.missing.items():
        st.caption(f"{text.NAMES[method]}: not here, for {why}.")
    if shown.found.integrated is not None:
        st.caption(text.complete(shown.found.integrated))


def _numbers(shown: Shown, methods: list[Method]) -> Table:
    compared = [position in shown.found.own for position in range(len(shown.labels))]
    return {"position": range(len(shown.labels)), "token": shown.labels, "compared": compared} | {
        one: shown.found.values[one] for one in methods
    }


def agreements(lesson: Lesson[Settings], shown: Shown) -> None:
    """Which measures put the tokens into the order of the erasures."""
    lesson.section("Which of them agrees with the erasures?")
    if "erasure" not in shown.found.values or len(shown.found.own) < agreement.LEAST:
        lesson.sentence(text.orders(shown) if "erasure" in shown.found.values else text.verdict(shown), part="orders")
        return
    columns = (
        ("Measure", ""),
        ("Spearman", "number"),
        ("95\u202f% interval", "number"),
        ("Kendall", "number"),
        ("95\u202f% interval", "number"),
        ("most on", ""),
    )
    rows = []
    for method in METHODS:
        compared = shown.found.compared(method) if method != "erasure" else None
        if compared is not None:
            cells = [cell for one in compared for cell in text.correlation(one)]
            most = token_name(shown.labels, shown.strongest(method)) if compared[0].is_there else ""
            rows.append((method, [(text.NAMES[method],), *((cell,) for cell in cells), (most,)]))
    table(f"Rank correlations with the erasures, {len(shown.found.own)} tokens", columns, rows, key="evidence-orders")
    st.caption(f"{len(shown.found.own)} tokens. {text.ORDERS}")


def tries(lesson: Lesson[Settings]) -> None:
    """Predictions worth a look."""
    lesson.tries(
        Try("A next token", {}, "It is a truth universally acknowledged that a single man", "austen"),
        Try("A hidden word", {"position": 11}, TALE, "tales"),
        Try("One layer", {"layer": 0}),
    )


def behind(lesson: Lesson[Settings]) -> None:
    """The formulas and the code."""
    ran = erasure.erased, gradients.gradient_attention, flow.most_flow, agreement.spearman
    lesson.behind(FORMULA, SOURCE, *ran, attribution.logit_parts, attribution.logit_lens)
