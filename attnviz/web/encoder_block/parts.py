"""The parts of the page on the encoder block, from top to bottom."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from attnviz import figures
from attnviz.analysis import residual
from attnviz.formatting import numbers, percent
from attnviz.nn import reference
from attnviz.nn.layers import TransformerEncoderLayer
from attnviz.web import shell
from attnviz.web.components.chart import Table
from attnviz.web.components.dial import dial
from attnviz.web.encoder_block import state, text
from attnviz.web.encoder_block.state import Run, Settings
from attnviz.web.lesson import Lesson, Try
from attnviz.web.pacing import breathe

FORMULA = r"""\begin{aligned}
\text{post-norm}\enspace x &\leftarrow \mathrm{LN}\bigl(x + \mathrm{Sublayer}(x)\bigr) \\
\text{pre-norm}\enspace x &\leftarrow x + \mathrm{Sublayer}\bigl(\mathrm{LN}(x)\bigr) \\
\mathrm{LN}(x) &= \frac{x-\mu}{\sqrt{\sigma^2+\varepsilon}}\odot\gamma+\beta \\
\mathrm{FFN}(x) &= W_2\,\varphi(W_1x+b_1)+b_2
\end{aligned}"""
SOURCES = (
    "Post-norm: Vaswani et al. 2017, section 3.1. Pre-norm and its gradients: Xiong et al. 2020, section 3. "
    "LN is LayerNorm: Ba et al. 2016; μ and σ² are mean and variance of the token’s own numbers. φ is ReLU or GELU "
    "(Hendrycks & Gimpel 2016)."
)


def way(lesson: Lesson[Settings], run: Run) -> None:
    """The block as a diagram, for one token in one layer, and what chooses the two."""
    state.settle(lesson, run)
    (token, layer), labels = state.place(lesson), run.labels
    lesson.in_view()
    lesson.question("What does one block do to a word?")
    lesson.sentence(text.way(labels[token], layer, run.block(layer, run.norm_first).lengths(token), run.norm_first))
    for_token, for_layer = st.columns([1, 2])
    with for_token:
        lesson.token_box("Token", "token", labels)
    for_layer.pills("Layer", range(len(run.trace.layers)), key=lesson.key("layer"), required=True)
    diagrams(lesson, run, token, layer)
    st.caption(text.BANDS)
    lesson.tries(Try("A trained pre-norm model: Austen", {}, model="austen"), keeps=("norm",))
    lesson.write_link(run.inputs)
    breathe("encoder_block", (run.inputs, token, layer))  # the sections below follow the picture


def diagrams(lesson: Lesson[Settings], run: Run, token: int, layer: int) -> None:
    """The same layer with its norms in the stream and in the branches, at one scale."""
    both = {pre: run.block(layer, pre).lengths(token) for pre in (False, True)}
    widest = max(max(lengths.values()) for lengths in both.values())
    for column, (pre, lengths) in zip(st.columns(2, gap="large"), both.items(), strict=True):
        name = "Pre-norm: LayerNorm in the branches" if pre else "Post-norm: LayerNorm in the stream"
        whose = f"as in {run.title}" if pre == run.norm_first else "same weights"
        with column:
            lesson.picture(
                figures.block_diagram(lengths, pre, widest, shell.palette()),
                title=f"{name} ({whose})",
                alt=text.stages(run.labels[token], layer, lengths),
                data={"stage": lengths.keys(), "norm": lengths.values()},
                file=f"block-{'pre' if pre else 'post'}",
            )


@shell.fragment
def norm(lesson: Lesson[Settings], run: Run) -> None:
    """What one LayerNorm does to the token."""
    token, layer = state.place(lesson)
    second = lesson.settings().norm == text.SUBLAYERS[1]
    step = state.normed(run.inputs.model, run.inputs.text, layer, token, second)
    lesson.section("What does LayerNorm do to one token?")
    lesson.sentence(text.norm(run.labels[token], step), part="norm")
    if run.feeds_forward:
        side = "before" if run.norm_first else "after"
        st.segmented_control(
            "Which LayerNorm",
            text.SUBLAYERS,
            key=lesson.key("norm"),
            required=True,
            format_func=lambda name: f"{side} {name}",
        )
    rows = {"before": step.before, "standardised": step.standard, "times γ plus β": step.after}
    lesson.picture(
        figures.norm_rows(list(rows.items()), shell.palette()),
        title=text.standardised(step.standard),
        alt=text.moments(rows),
        data={**rows, "γ": step.gain, "β": step.shift},
        file="layernorm",
    )
    lesson.write_link(run.inputs)


def hidden_units(lesson: Lesson[Settings], run: Run) -> None:
    """ReLU and GELU, and where the token's hidden units fall; nothing where layers are attention only."""
    token, layer = state.place(lesson)
    block = run.block(layer, run.norm_first)
    if block.hidden_in is None or block.hidden is None:
        return
    into, out = block.hidden_in[token], block.hidden[token]
    off, activation = float((into < 0).mean()), "ReLU" if run.trace.config.activation == "relu" else "GELU"
    lesson.section("How many hidden units does the token switch on?")
    lesson.sentence(text.hidden(run.labels[token], len(into), off), part="hidden")
    lesson.picture(
        figures.activation_curves(residual.activations(into.min(), into.max()), activation, into, shell.palette()),
        title=text.switched_on(off, run.title, activation),
        alt=f"Curves of ReLU and GELU over a histogram of {len(into)} hidden units, {percent(off)} of them below 0.",
        data={"into": into, "out": out},
        file="hidden-units",
    )


def additions(lesson: Lesson[Settings], run: Run) -> None:
    """How much each branch adds, layer by layer."""
    attention, feed_forward = run.branches().attention_share, run.branches().feed_forward_share
    if feed_forward is None:
        lesson.section("How much does attention add, and in which layer?")
    else:
        lesson.section("Which branch adds more, and in which layer?")
        question = "Averaged over all layers and tokens of this text, which adds more to the stream?"
        answer = text.adds_more(attention, feed_forward, run.trace.config.d_ff)
        shows = lesson.predict("branches", question, text.ADDS_MORE, *answer)
        with lesson.room("branches", 470, {719: 512}):
            if shows:
                _shares(lesson, run)
            else:
                lesson.veil("branches")
        return
    _shares(lesson, run)


def _shares(lesson: Lesson[Settings], run: Run) -> None:
    (token, _), labels, branches = state.place(lesson), run.labels, run.branches()
    attention, feed_forward = branches.attention_share, branches.feed_forward_share
    lesson.sentence(text.additions(labels[token], token, attention, feed_forward), part="branches")
    shares = {"attention": attention} | ({} if feed_forward is None else {"feed_forward": feed_forward})
    means = {name: share.mean(axis=1) for name, share in shares.items()}
    of_token = {f"{name} of the token": share[:, token] for name, share in shares.items()}
    lesson.picture(
        figures.branch_bars(shares, token, labels[token], shell.palette()),
        title=f"Bars: mean of all {len(labels)} tokens. Diamonds: “{labels[token]}”",
        alt=text.shares(**means),
        data={**means, **of_token},
        file="branches",
    )


def drift(lesson: Lesson[Settings], run: Run) -> None:
    """The tokens' ways through the layers, in one plane."""
    (token, _), labels = state.place(lesson), run.labels
    plane = state.drift(run.inputs.model, run.inputs.text)
    states = residual.stream(run.trace)
    lesson.section("How do the tokens move from layer to layer?")
    lesson.sentence(text.drift(labels[token], float(plane.shares.sum()), states[:, token]), part="drift")
    lesson.picture(
        figures.drift_paths(plane.points, plane.shares, labels, token, shell.palette()),
        title="Each line is one token, from its embedding to the last layer (dot)",
        alt=f"Paths of {len(labels)} tokens through {len(run.trace.layers)} layers, "
        "along the two principal components.",
        data=lambda: drift_table(plane, labels),
        file="drift",
    )


def drift_table(plane: residual.Drift, labels: tuple[str, ...]) -> Table:
    """Layer, token and place in the plane: a row per layer and token."""
    layer, position = np.indices(plane.points.shape[:2]).reshape(2, -1)
    table: dict[str, Any] = {"layers passed": layer, "position": position, "token": [labels[i] for i in position]}
    return table | {f"direction {i}": plane.points[layer, position, i] for i in (0, 1)}


@shell.fragment
def depth(lesson: Lesson[Settings], run: Run) -> None:
    """Untrained stacks of 1 to 12 layers: norms of the stream and of gradients at every depth."""
    lesson.section("Why do deep models put the norm first?")
    stacks(lesson, run)
    st.caption(text.STACKS)
    lesson.tries(
        Try("Two layers only", {"depth": 2}),
        Try("Twelve layers, other weights", {"depth": 12, "seed": 1}),
        first=1,
        keeps=("norm",),
        place="depth",
    )


@shell.fragment
def stacks(lesson: Lesson[Settings], run: Run) -> None:
    """What the number of layers changes, without what always stands around it."""
    settings = lesson.settings()
    post, pre = state.depth_sizes(settings.depth, settings.seed)
    question = "Before training, which arrangement has the larger gradient in the last layer?"
    revealed = lesson.predict("depth", question, text.LARGER, *text.larger_gradient(post, pre))
    layers, seed = lesson.slide("depth").columns([3, 1])
    with layers:
        dial("Layers in the stack", state.DEPTHS, key=lesson.key("depth"), marks={1: "1", 6: "6", 12: "12"})
    seed.number_input("Seed of the random weights", 0, state.SEEDS - 1, key=lesson.key("seed"))
    with lesson.room("depth", 500, {1099: 930, 719: 1010}):
        if revealed:
            lesson.sentence(text.depth(post, pre), part="depth")
            depth_pictures(lesson, settings, post, pre)
        else:
            lesson.veil("depth")
    lesson.write_link(run.inputs)


def depth_pictures(lesson: Lesson[Settings], settings: Settings, post: residual.Depth, pre: residual.Depth) -> None:
    """Gradients and stream at every depth, with post-norm and with pre-norm."""
    gradients, stream = st.columns(2, gap="large")
    with gradients:
        title = "Norm of the loss’s gradient with respect to each layer’s weights"
        depth_lines(lesson, "gradients", title, ("layer", "norm of the gradient"), post.gradients, pre.gradients)
    breathe("encoder_block:depth", (settings.depth, settings.seed))
    with stream:
        axes = ("layers passed", "mean norm")
        depth_lines(lesson, "stream", text.streams(post, pre), axes, post.stream, pre.stream)


def depth_lines(
    lesson: Lesson[Settings],
    name: str,
    title: str,
    axes: tuple[str, str],
    post: residual.Array,
    pre: residual.Array,
) -> None:
    """One size at every layer of a stack, with post-norm and with pre-norm."""
    lesson.picture(
        figures.depth_lines(post, pre, *axes, shell.palette()),
        title=title,
        alt=f"Post-norm {numbers(post)}; pre-norm {numbers(pre)}.",
        data={axes[0]: range(len(post)), "post-norm": post, "pre-norm": pre},
        file=name,
    )


def behind(lesson: Lesson[Settings]) -> None:
    """The formulas and the code."""
    lesson.behind(
        FORMULA,
        SOURCES,
        TransformerEncoderLayer.trace,
        TransformerEncoderLayer.feed_forward,
        reference.encoder_layer,
        reference.layer_norm,
        residual.block,
        residual.depth_sizes,
    )
