"""Masks: who may look at whom, what that changes, and the test that nothing leaks."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from attnviz import figures
from attnviz.analysis import causality
from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.formatting import percent
from attnviz.nn import attention, mask_patterns, reference
from attnviz.nn.intervention import Intervention
from attnviz.nn.masks import Mask
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell
from attnviz.web.components import attention_view
from attnviz.web.lesson import Lesson, Try
from attnviz.web.masks import state as masks
from attnviz.web.masks import text as masks_said

shell.ensure()
linked = "linked" in st.session_state
lesson = Lesson("masks", masks.Settings())
inputs = lesson.inputs()
model = cache.model(inputs.model)
causal = model.transformer.config.kind == "decoder"


@st.cache_resource(max_entries=24, show_spinner=False)
def leaks(name: str, text: str, position: int, new_id: int | None) -> tuple[causality.Leak, causality.Leak]:
    """The exchange of one word without a mask, and under the causal one."""
    run = cache.model(name)
    one, other = (causality.leak(run, text, position, new_id, Intervention(mask=mask)) for mask in ("none", "causal"))
    return one, other


@st.cache_resource(max_entries=4, show_spinner=False)
def batches(name: str, text: str) -> tuple[Trace, Trace]:
    """The text in a batch with two others, with the padding mask and without."""
    texts, run = (text, *masks.OTHER_TEXTS), cache.model(name)
    return causality.padded(run, texts), causality.padded(run, texts, masked=False)


@st.cache_resource(max_entries=16, show_spinner=False)
def question(name: str, text: str) -> tuple[str, list[str], str, str]:
    """The first prediction: the mask that the model was not trained with."""
    other = "none" if causal else "causal"
    changed = cache.trace(name, text, Intervention(mask=other))
    return masks_said.thirds(cache.trace(name, text), changed, other)


@st.fragment
def who_may_look() -> None:
    """The mask, one head before and after it, and what became of the outputs."""
    encoding, config = model.encode(inputs.text), model.transformer.config
    chosen, labels = masks.adopt(lesson, config.n_layers, config.n_heads), encoding.labels
    found = masks.effect(chosen, inputs.model, inputs.text)
    lesson.question("Who may look at whom?")
    lesson.sentence(masks_said.in_words(chosen, found.keep, found.moved, labels, causal))
    lesson.predict("guess", *question(inputs.model, inputs.text))
    controls(config.n_layers, config.n_heads)
    above = st.container()
    token = min(chosen.token, len(labels) - 1)
    outputs(found.moved, labels, token)  # sent before what stands above it: the browser takes longer for the matrices
    with above:
        masks.matrices(chosen, inputs.model, inputs.text)
        if hungry := masks_said.starving(found.plain, found.trace, found.keep, chosen.layer):
            lesson.sentence(hungry, part="starved")
        elif chosen.mask in masks.SIZED and token >= 0:
            lesson.sentence(masks_said.depth_in_words(found.keep, token, labels[token], config.n_layers), part="depth")
    to_try(labels)
    lesson.write_link(inputs)


def controls(n_layers: int, n_heads: int) -> None:
    """The mask and its size; the head to look at."""
    st.pills("Mask", list(masks.KINDS), key=lesson.key("mask"), format_func=masks.KINDS.__getitem__, required=True)
    size, layer, head, _ = st.columns([4, 2, 2, 3], gap="medium")
    size.slider(
        "n, of local window, blocks, strided and prefix",
        1,
        masks.LARGEST,
        key=lesson.key("n"),
        disabled=lesson.chosen().mask not in masks.SIZED,  # it would move nothing
    )
    layer.selectbox("Layer", range(n_layers), key=lesson.key("layer"))
    head.selectbox("Head", range(n_heads), key=lesson.key("head"))


def outputs(moved: Sequence[float], labels: tuple[str, ...], token: int) -> None:
    """How far each token's final vector moved."""
    most = max(range(len(moved)), key=moved.__getitem__)
    title = f"How far each output moves: “{labels[most]}” at {most} furthest, {percent(moved[most])} of its length"
    if moved[most] <= causality.ROUNDING:
        title = "No output changes"
    figure = figures.token_bars([("", moved)], labels, shell.palette(), marked=token)
    data = pd.DataFrame({"position": range(len(moved)), "token": labels, "relative_change": moved})
    lesson.picture(figure, title=title, alt=f"{title}.", data=data, file="masks")


def to_try(labels: tuple[str, ...]) -> None:
    """Four masks, each one click away."""
    last, it = len(labels) - 1, min(10, len(labels) - 1)
    hand = {"mask": "painted", "token": it, "key": -1, "zoom": ()}
    lesson.tries(
        Try("See only the neighbours", {"mask": "window", "n": 1}),
        Try(f"Hide “{labels[it]}” from all others", {**hand, "painted": masks.hidden_column(it, len(labels))}),
        Try(f"Let “{labels[it]}” look at nothing", {**hand, "painted": f"{it}.0-{last}"}),
        Try("Hide everything from everyone", {**hand, "painted": f"0-{last}.0-{last}"}),
    )


@st.fragment
def does_it_leak() -> None:
    """One word exchanged: who notices, with the causal mask and without."""
    chosen, encoding = lesson.chosen(), model.encode(inputs.text)
    labels, n = encoding.labels, len(encoding)
    lesson.section("Can a later word leak into an earlier one?")
    if chosen.position >= n:
        lesson.choose(position=masks.last_word(encoding))
        chosen = lesson.chosen()
    new_id, note = masks.exchange(model, encoding.ids[chosen.position], chosen.word)
    open_, closed = leaks(inputs.model, inputs.text, chosen.position, new_id)
    lesson.predict("leak_guess", *masks_said.who_notices(closed, n))
    lesson.sentence(masks_said.leak_in_words(open_, closed, n), part="leak")
    where, word, _ = st.columns([2, 2, 4], gap="medium")
    where.selectbox("Exchange", range(n), key=lesson.key("position"), format_func=lambda i: f"{i} {labels[i]}")
    word.text_input("for", key=lesson.key("word"), max_chars=40)
    if note:
        st.text(note)
    rows = [("Without a mask", open_.change[-1].tolist()), ("With the causal mask", closed.change[-1].tolist())]
    figure = figures.token_bars(rows, labels, shell.palette(), marked=chosen.position, zero=causality.TOLERANCE)
    data = pd.DataFrame({"position": range(n), "token": labels, "without_mask": rows[0][1], "causal": rows[1][1]})
    title = masks_said.leak_title(closed, n)
    lesson.picture(figure, title=title, alt=f"Change of each output. {title}.", data=data, file="leak")
    lesson.write_link(inputs)


@st.fragment
def what_is_padding() -> None:
    """A real batch of three texts, and what its [PAD] tokens do to the real ones."""
    lesson.section("Who may look at [PAD]?")
    chosen = lesson.chosen()
    masked, bare = batches(inputs.model, inputs.text)
    alone = cache.trace(inputs.model, (inputs.text, *masks.OTHER_TEXTS)[chosen.row])
    labels, head = alone.encodings[0].labels, causality.padded_head(bare, chosen.row)
    changes = [causality.against_alone(batch, chosen.row, alone).tolist() for batch in (bare, masked)]
    lesson.sentence(masks_said.padding_in_words(masked, bare, chosen.row, changes, head, causal), part="padding")
    st.html(masks.token_rows(masked.encodings, shell.palette()))
    st.pills("Look at", range(3), key=lesson.key("row"), format_func=lambda row: f"Text {row}", required=True)
    state = ViewState(layer=head[0], head=head[1])
    for column, batch, what in zip(st.columns(2, gap="medium"), (bare, masked), ("without", "with"), strict=True):
        with column:
            message = attention_message.pack(
                attention_message.one_layer(batch, head[0]), name=inputs.model, batch=chosen.row
            )
            title = f"Text {chosen.row}, layer {head[0]}, head {head[1]}, {what} the padding mask"
            attention_view.attention_view(message, state, key=f"masks-pad-{what}", compact=True, title=title)
    if len(labels) < len(masked.layers[0].resid_post[0]):
        rows = [("Without the padding mask", changes[0]), ("With it", changes[1])]
        figure = figures.token_bars(rows, labels, shell.palette(), zero=causality.ROUNDING)
        columns = {"position": range(len(labels)), "token": labels, "unmasked": changes[0], "masked": changes[1]}
        title = "How far each output is from that of the text alone"
        lesson.picture(figure, title=title, alt=f"{title}.", data=pd.DataFrame(columns), file="padding")
    lesson.write_link(inputs)


if linked or st.session_state.get("masks:inputs", inputs) == inputs:
    st.session_state["masks:inputs"] = inputs
else:  # other tokens: what was chosen among the old ones means nothing now
    st.session_state["masks:inputs"] = inputs
    lesson.choose(token=-1, key=-1, zoom=(), painted="")
who_may_look()
does_it_leak()
what_is_padding()
lesson.behind(
    r"\begin{aligned}&\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}}+M\right)V\\ "
    r"&M_{ij}=\begin{cases}0&\text{query } i \text{ may see key } j\\-\infty&\text{otherwise}\end{cases}\end{aligned}",
    "Vaswani et al. 2017, section 3.2.3. A row of nothing but −∞ would be 0/0: it gets weights 0 here.",
    mask_patterns.strided,
    mask_patterns.block,
    mask_patterns.prefix,
    Mask.keep,
    attention.attend,
    reference.attention,
    causality.leak,
)
