"""Explore: every head of a trained model on the reader's own text."""

import inspect

import streamlit as st

from attnviz import figures
from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import percent
from attnviz.nn import attention
from attnviz.web import cache, shell
from attnviz.web.components import attention_view
from attnviz.web.components.chart import chart

shell.ensure()
KEY = "explore"
FIRST_LOOK = ViewState(layer=3, head=1, queries=(10,))  # MiniLM on the first example: "it" finds "animal"

inputs = shell.inputs()


@st.fragment
def explore() -> None:
    """The view and what follows from it; what the reader does in it reruns only this."""
    try:
        shell.one_text(inputs.model)
        plain = cache.run(inputs.model, inputs.text, None)
        state = shell.view_state(KEY, inputs, FIRST_LOOK).clamp(plain.n_layers, plain.n_heads, plain.n_tokens)
        change = state.to_intervention() if state.whole else None
        run = plain if change is None or change.changes_nothing else cache.run(inputs.model, inputs.text, change)
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(str(error))
    kind = attention_view.requested_file(KEY)
    file = None if kind is None else cache.file(kind, inputs.model, inputs.text, change, state)
    attention_view.attention_view(run.message, state, key=KEY, file=file)
    shell.write_link(inputs, state.to_query())
    if run.cut:
        st.caption(
            f"The text has {run.n_tokens + run.cut:,} tokens; the model reads {run.max_len:,}. "
            f"The last {run.cut:,} were left out; the sidebar keeps your whole text."
        )
    if run.moved is not None:
        downstream(run.moved, run.labels, state)
    behind_it()


def downstream(moved: tuple[tuple[float, ...], ...], labels: tuple[str, ...], state: ViewState) -> None:
    """What the change did to the vectors that the layers pass on; `moved` is (L, T)."""
    token = state.queries[0] if state.queries else None
    mean = sum(moved[-1]) / len(moved[-1])
    own = (
        ""
        if token is None
        else f"“{labels[token]}” ends {percent(moved[-1][token])} of its length away from where it was, and "
    )
    sentence = f"Run through every layer, {own}the average token {percent(mean)}."
    st.text(sentence)
    chart(
        figures.downstream_lines(moved, labels, token, shell.palette()),
        title="How far the change carries",
        alt=sentence,
        key="downstream",
    )


def behind_it() -> None:
    """The formula, and the code that ran; sent when it is opened, for its highlighter costs half a second."""
    more = st.expander("The formula and the code that ran", key="explore_code", on_change="rerun")
    if more.open:
        more.latex(r"\mathrm{Attention}(Q,K,V)=\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}\,\tau}\right)V")
        more.caption("Vaswani et al. 2017, equation 1, with the temperature τ.")
        more.code(inspect.getsource(attention.attend), language="python")


explore()
