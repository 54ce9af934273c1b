"""What happens to one word, number by number?"""

import inspect

import streamlit as st

from attnviz.analysis.provenance import worked_example
from attnviz.analysis.provenance.steps import walk
from attnviz.analysis.provenance.terms import Walk
from attnviz.browser.provenance_message import pack_walk
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn import attention, reference
from attnviz.nn.intervention import Intervention
from attnviz.web import cache, shell
from attnviz.web.components.provenance_view import WalkState, reported, walk_view, wanted_layer
from attnviz.web.lesson import Lesson, Try
from attnviz.web.step_by_step.state import MASKS, Settings, because, in_short, numpy_shares, row_of

shell.ensure()
KEY = "walk"
WIDTHS = ("the width of one head", "the width of the model", "the number of words")
DOWN = "out:1:0/concat:1:0/z.0:1:0/V:0:0/x:0:2/E:0:2"  # from an output of “chase” to the embedding of “cats”
EXAMPLE = {"of": "hand", "head": 0, "mask": "own", "edits": "", "path": "", "step": "softmax"}

lesson = Lesson("step_by_step", Settings())


@st.cache_resource(max_entries=12, show_spinner=False)
def model_walk(model: str, text: str, layer: int, mask: str) -> Walk:
    """One layer of the model's run on a text, under the mask in that layer."""
    change = None if mask == "own" else Intervention(mask=mask, layers=layer)
    return walk(cache.model(model).transformer, cache.trace(model, text, change), layer)


@st.cache_resource(max_entries=12, show_spinner=False)
def model_message(model: str, text: str, layer: int, mask: str, head: int) -> bytes:
    """The same for the browser."""
    return pack_walk(model_walk(model, text, layer, mask), head)


def walk_of(chosen: Settings) -> tuple[Walk, int, bytes]:
    """The walk that the settings ask for, the head (of those there are) and the message for the browser."""
    if chosen.of == "hand":
        found, head = worked_example.by_hand(chosen.edits, chosen.mask), min(chosen.head, worked_example.HEADS - 1)
        more = {"editable": list(worked_example.WEIGHTS), "limit": worked_example.LARGEST}
        return found, head, pack_walk(found, head, more=more)
    inputs = lesson.inputs()
    try:
        config = cache.model(inputs.model).transformer.config
        layer, head = min(chosen.layer, config.n_layers - 1), min(chosen.head, config.n_heads - 1)
        given = (inputs.model, inputs.text, layer, chosen.mask)
        return model_walk(*given), head, model_message(*given, head)
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(f"{error}. Choose another model in the sidebar.")


def take() -> None:
    """What the reader did in the view becomes the page's settings."""
    state, layer = reported(KEY), wanted_layer(KEY)
    if layer is not None:
        lesson.choose(layer=layer, step="out", path="")
    elif state is not None:
        lesson.choose(step=state.step, path=state.path, head=state.head, edits=state.edits)


def source_control() -> None:
    """Which numbers are walked through."""
    model = st.session_state["model"] or "minilm"
    title = cache.model_names().get(model, model).split(" (")[0]
    names = {"hand": "By hand: 4 numbers a word", "text": f"Your text in {title}"}
    st.segmented_control(
        "Walk through",
        list(names),
        key=lesson.key("of"),
        format_func=lambda of: shell.escaped(names[of]),
        required=True,
        on_change=lambda: lesson.choose(path=""),
    )


def other_controls(found: Walk, chosen: Settings) -> None:
    """Layer, head and mask."""
    for field, n in (("layer", found.n_layers), ("head", found.n_heads)):
        if getattr(chosen, field) >= n:
            lesson.choose(**{field: n - 1})
        st.selectbox(field.capitalize(), range(n), key=lesson.key(field), disabled=n == 1, width=110)
    own = chosen.of == "hand" or cache.model(st.session_state["model"] or "minilm").info.family == "GPT"
    names = MASKS | {"own": f"as built ({'causal' if own else 'none'})"}
    st.selectbox("Mask", list(MASKS), key=lesson.key("mask"), format_func=names.__getitem__, width=210)


def two_programs(found: Walk, head: int, row: int) -> None:
    """The same share from torch and from NumPy, with the source of both."""
    shares = found[f"weights.{head}"].values[row]
    key = int(shares.argmax())
    both = (
        ("PyTorch", shares[key], attention.attend),
        ("NumPy", numpy_shares(found, head)[row, key], reference.attention),
    )
    lesson.section("Do two programs get the same number?")
    lesson.sentence(f"The share that “{found.labels[row]}” gives to “{found.labels[key]}”:", part="programs")
    for column, (name, share, _) in zip(st.columns(2), both, strict=True):
        column.metric(name, f"{share:.7f}")
    more = st.expander("The code that ran, side by side", key="walk-code", on_change="rerun")
    if more.open:  # its highlighter costs half a second
        for column, (name, _, function) in zip(more.columns(2), both, strict=True):
            column.caption(f"{name}: `{function.__module__}.{function.__name__}`")
            column.code(inspect.getsource(function), language="python")


@st.fragment
def page() -> None:
    """The lesson; its controls and the view rerun only this."""
    chosen = lesson.chosen()
    lesson.question("What happens to one word, number by number?")
    said, guess, controls = (
        st.container(),
        st.container(),
        st.container(horizontal=True, vertical_alignment="bottom", key="walk-controls"),
    )
    with controls:
        source_control()
    found, head, message = walk_of(chosen)
    row = row_of(chosen, found)
    with controls:
        other_controls(found, chosen)
    with said:
        lesson.sentence(in_short(found, head, row))
    with guess:
        lesson.predict("guess", "How many products add up to one score of QKᵀ?", WIDTHS, WIDTHS[0], because(found))
    walk_view(message, WalkState(chosen.step, chosen.path, head, chosen.edits), key=KEY, on_change=take)
    lesson.tries(
        Try("An output number, down to the embedding", {**EXAMPLE, "step": "x", "path": DOWN}),
        Try("Turn one query around: −2 for 2", {**EXAMPLE, "edits": "W_Q.1.0:-2"}),
        Try("Let words see the future", {**EXAMPLE, "head": 1, "mask": "none", "path": "weights.1:0:2"}),
        Try("Your text in MiniLM", {**EXAMPLE, "of": "text", "layer": 3, "head": 1}, model="minilm"),
    )
    st.latex(
        r"\begin{aligned}&\mathrm{MultiHead}(x)=\mathrm{Concat}(z_0,\dots,z_{H-1})\,W_O\\ "
        r"&z_h=\mathrm{softmax}\!\left(\frac{Q_hK_h^\top}{\sqrt{d_k}}+M\right)V_h\end{aligned}"
    )
    st.caption("Vaswani et al. 2017, sections 3.2.1 and 3.2.2; M holds 0 where a word may look and −∞ where not.")
    two_programs(found, head, row)
    lesson.write_link(shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"]))


page()
