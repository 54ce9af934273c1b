"""What Explore draws: the attention view, what a change does to the layers after it, and the code that ran."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from attnviz import figures
from attnviz.nn import attention, reference
from attnviz.web import cache, course, shell
from attnviz.web.components import attention_view, start_view
from attnviz.web.components.chart import Table, chart
from attnviz.web.explore import files, state, text
from attnviz.web.lesson import LONGEST


def every_head(inputs: shell.Inputs, shown: state.Shown) -> None:
    """The view of all heads, with the file that the reader asked for in it; it writes the page's link."""
    kind, why_no_live_page = attention_view.requested_file(state.KEY), files.why_no_live_page(inputs.model)
    if kind == "live" and why_no_live_page:  # asked of the model before, or by no menu of ours
        kind = None
    file = None if kind is None else files.file(kind, inputs.model, inputs.text, shown.change, shown.view)
    runnable = None
    if not why_no_live_page and shown.run.longest == shown.run.could_read:  # the browser would read all of a text
        wanted = attention_view.wants_model(state.KEY)
        model = files.model_for_view(inputs.model) if wanted else None
        runnable = attention_view.Runnable(inputs.model, inputs.text, model)
    attention_view.attention_view(
        shown.message,
        shown.view,
        key=state.KEY,
        file=file,
        reach=LONGEST,
        cards=state.cards(inputs.model),
        no_live_page=why_no_live_page,
        runnable=runnable,
    )
    st.caption(text.CAVEAT)
    shell.write_link(inputs, shown.view.to_query())


def start(shown: state.Shown) -> None:
    """The first minute over the view, for who is new here."""
    following = course.after("explore")
    assert following is not None
    start_view.start_view(
        state.KEY,
        layers=shown.run.n_layers,
        heads=shown.run.n_heads,
        following={"page": following.page, "title": following.title, "minutes": following.minutes},
        offered=st.session_state["opened with"] in ({}, state.FIRST_LOOK.to_query()),
        asked=st.session_state.pop("start asked", False),
        key="start",
    )


def not_read(run: cache.Run) -> None:
    """What of the text the model did not read, or not as it stands there."""
    if run.cut:
        st.text(text.left_out(run.n_tokens, run.cut, run.longest, run.could_read))
    if run.unknown:
        st.text(text.unknown(run.unknown, run.read_instead))


def downstream(inputs: shell.Inputs, shown: state.Shown) -> None:
    """What a change did to the vectors that the layers pass on."""
    moved, labels = shown.run.moved, shown.run.labels
    if moved is None:
        return
    token = shown.view.queries[0] if shown.view.queries else None
    sentence = text.downstream(moved[-1], labels, token)
    st.text(sentence)
    chart(
        figures.downstream_lines(moved, labels, token, shell.palette()),
        title="How far the change carries",
        alt=sentence,
        says=text.picture_line(cache.title(inputs.model), inputs.text, shown.change),
        data=lambda: _table(moved, labels),
        file="downstream",
        key="downstream",
    )


def _table(moved: Sequence[Sequence[float]], labels: Sequence[str]) -> Table:
    """The change of each token's vector, relative to its norm: a row per layer."""
    by_token = zip(*moved, strict=True)
    columns = {f"{i} {label}": column for i, (label, column) in enumerate(zip(labels, by_token, strict=True))}
    return {"layer": range(len(moved)), **columns}


def behind() -> None:
    """The formula, and its two programs side by side; sent when opened, for their highlighter costs half a second."""
    more = st.expander("The formula and the code that ran", key="explore_code", on_change="rerun")
    if not more.open:
        return
    more.latex(r"\mathrm{Attention}(Q,K,V)=\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}\,\tau}\right)V")
    more.caption("Vaswani et al. 2017, equation 1, with the temperature τ.")
    literal, fast = more.columns(2)
    literal.markdown("**The mathematics, line by line** (NumPy)")
    literal.caption("`attnviz/nn/reference.py`: the tests hold the code that ran to it.")
    _program(literal, reference.attention, reference.softmax)
    fast.markdown("**The code that ran** (PyTorch)")
    fast.caption("`attnviz/nn/attention.py`: one fused kernel takes the same steps without ever holding all weights.")
    _program(fast, attention.attend, attention._fused)


def _program(column: DeltaGenerator, *functions: Callable[..., Any]) -> None:
    for function in functions:
        column.code(inspect.getsource(function), language="python")
