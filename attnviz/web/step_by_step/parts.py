"""What "Step by step" draws, from its controls down to the same number from two programs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import streamlit as st

from attnviz import figures
from attnviz.analysis.provenance.terms import Provenance
from attnviz.nn import attention, reference
from attnviz.web import shell
from attnviz.web.components.provenance_view import ProvenanceState, provenance_view
from attnviz.web.lesson import Lesson, Try
from attnviz.web.step_by_step import state, text, weights
from attnviz.web.step_by_step.state import Settings, Shown
from attnviz.web.step_by_step.weights import Hiding

DOWN = "out:1:0/concat:1:0/z.0:1:0/V:0:0/x:0:2/E:0:2"  # from an output of “chase” to the embedding of “cats”
SHARES = 320 + 52  # px: a picture with its title and the link to its data


def source_control(lesson: Lesson[Settings]) -> None:
    """Which numbers are walked through."""
    names = state.sources()
    st.segmented_control(
        "Walk through",
        list(names),
        key=lesson.key("of"),
        format_func=lambda of: shell.escaped(names[of]),
        required=True,
        on_change=lambda: lesson.choose(path=""),
    )


def other_controls(lesson: Lesson[Settings], shown: Shown) -> None:
    """Layer, head, word and mask."""
    provenance, settings = shown.provenance, shown.settings
    if settings.of == "hand":
        heads = range(provenance.n_heads)
        lesson.choose(hand_head=shown.head)
        st.selectbox("Head", heads, key=lesson.key("hand_head"), width=110)
    else:
        for field, n in (("layer", provenance.n_layers), ("head", provenance.n_heads)):
            st.selectbox(field.capitalize(), range(n), key=lesson.key(field), disabled=n == 1, width=110)
        lesson.token_box("Word", "query", provenance.labels, width=170)
    masks = state.masks(lesson, settings)
    st.selectbox("Mask", list(masks), key=lesson.key("mask"), format_func=masks.__getitem__, width=210)


@shell.fragment
def view(lesson: Lesson[Settings], drawn: Shown) -> None:
    """The steps with all their numbers, and where the chosen one comes from.

    `drawn` is what the other parts of the page show: they are drawn anew only when it is something else.
    """
    shown = state.run_again(lesson, drawn)
    if shown.beside != drawn.beside:
        st.rerun()
    settings = shown.settings
    row = -1 if settings.of == "hand" else settings.query
    looks = ProvenanceState(settings.step, settings.path, shown.head, row, settings.edits)
    provenance_view(shown.message, looks, key=state.KEY, on_change=lambda: state.take_report(lesson))
    lesson.write_link(state.sidebar())


def tries(lesson: Lesson[Settings]) -> None:
    """Places to begin at."""
    lesson.tries(
        Try("An output number, down to the embedding", {"path": DOWN}),
        Try("Turn one query around: −2 for 2", {"edits": "W_Q.1.0:-2", "step": "softmax"}),
        Try("Let words see the future", {"hand_head": 1, "mask": "none", "path": "weights.1:0:2", "step": "softmax"}),
        Try("LayerNorm of “cats”, by hand", {"path": "m:0:1", "step": "m"}),
        Try("Your text in MiniLM", {"of": "text", "layer": 3, "head": 1, "step": "softmax"}, model="minilm"),
        Try("Positions that turn: RoPE in Austen", {"of": "text", "step": "turn"}, model="austen"),
    )


def hidden_word(lesson: Lesson[Settings], shown: Shown) -> None:
    """What becomes of a row whose largest share may not be given."""
    hiding = weights.hiding(shown.provenance, shown.head, shown.row)
    if hiding is None:  # too few words, or all alike: nothing to ask
        return
    lesson.section("Where does a hidden word’s share go?")
    provenance = shown.provenance
    asks, because = text.hidden_word(provenance, shown.head, hiding), text.hidden_share(provenance, hiding)
    shows = lesson.predict("hidden", asks, text.OUTCOMES, text.outcome(hiding), because)
    with lesson.room("hidden", SHARES + 2, {719: SHARES + 4}):
        if shows:
            _both_rows(lesson, provenance, hiding, because)
        else:
            lesson.veil("hidden")


def _both_rows(lesson: Lesson[Settings], provenance: Provenance, hiding: Hiding, because: str) -> None:
    title = text.hidden_title(provenance, hiding)
    before, after = (100 * hiding.before).tolist(), (100 * hiding.after).tolist()
    names = ("as it is", f"“{provenance.labels[hiding.key]}” hidden")
    lesson.picture(
        figures.paired_bars(provenance.labels, before, after, names, "% of attention", shell.palette()),
        title=title,
        alt=f"{title}. {because}",
        data={"token": provenance.labels, "weight": hiding.before, "weight_hidden": hiding.after},
        file="hidden-word",
    )


def formula() -> None:
    """Multi-head attention as the paper writes it."""
    st.latex(
        r"\begin{aligned}&\mathrm{MultiHead}(x)=\mathrm{Concat}(z_0,\dots,z_{H-1})\,W_O\\ "
        r"&z_h=\mathrm{softmax}\!\left(\frac{Q_hK_h^\top}{\sqrt{d_k}}+M\right)V_h\end{aligned}"
    )
    st.caption("Vaswani et al. 2017, sections 3.2.1 and 3.2.2; M holds 0 where a word may look and −∞ where not.")


def two_programs(lesson: Lesson[Settings], shown: Shown) -> None:
    """The same share from torch and from NumPy, with the source of both."""
    provenance, head, row = shown.provenance, shown.head, shown.row
    shares = provenance[f"weights.{head}"].values[row]
    key = int(shares.argmax())
    programs: tuple[tuple[str, float, Callable[..., Any]], ...] = (
        ("PyTorch", shares[key], attention.attend),
        ("NumPy", weights.numpy_weights(provenance, head)[row, key], reference.attention),
    )
    lesson.section("Do two programs get the same number?")
    lesson.sentence(text.share_of_two_programs(provenance, row, key), part="programs")
    for column, (name, share, _) in zip(st.columns(2), programs, strict=True):
        column.metric(name, f"{share:.7f}")
    more = st.expander("The code that ran, side by side", key="walk-code", on_change="rerun")
    if more.open:  # its highlighter costs half a second
        for column, (name, _, function) in zip(more.columns(2), programs, strict=True):
            column.caption(f"{name}: `{function.__module__}.{function.__name__}`")
            column.code(inspect.getsource(function), language="python")
