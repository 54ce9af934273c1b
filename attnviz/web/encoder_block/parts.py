"""The parts of the page on the encoder block, from top to bottom."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from attnviz import figures
from attnviz.analysis import residual
from attnviz.formatting import numbers, percent
from attnviz.nn import reference
from attnviz.nn.layers import TransformerEncoderLayer
from attnviz.web import shell
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
    (token, layer), labels = state.place(lesson, run), run.labels
    lesson.question("What does one block do to a word?")
    lesson.sentence(text.way(labels[token], layer, run.block(layer, run.norm_first).lengths(token), run.norm_first))
    question = "Over all layers and tokens of this text, which adds more to the stream?"
    lesson.predict("guess", question, text.ADDS_MORE, *text.adds_more(run.branches))
    for_token, for_layer = st.columns([1, 2])
    for_token.selectbox(
        "Token", range(len(labels)), key=lesson.key("token"), format_func=lambda i: shell.escaped(f"{i} {labels[i]}")
    )
    for_layer.pills("Layer", range(len(run.trace.layers)), key=lesson.key("layer"), required=True)
    diagrams(lesson, run, token, layer)
    st.caption(
        "A band is as wide as its vector is long. Two vectors add with their directions, so a sum is never longer "
        "than its parts together. Layers and positions count from 0."
    )
    lesson.write_link(run.inputs)
    breathe("encoder_block", (run.inputs, token, layer))  # the sections below follow the picture


def diagrams(lesson: Lesson[Settings], run: Run, token: int, layer: int) -> None:
    """The same layer with its norms in the stream and in the branches, at one scale."""
    both = {pre: run.block(layer, pre).lengths(token) for pre in (False, True)}
    widest = max(max(lengths.values()) for lengths in both.values())
    for column, (pre, lengths) in zip(st.columns(2, gap="large"), both.items(), strict=True):
        name = "Pre-norm: LayerNorm in the branches" if pre else "Post-norm: LayerNorm in the stream"
        whose = f"as in {run.title}" if pre == run.norm_first else "the same weights, norms moved"
        with column:
            lesson.picture(
                figures.block_diagram(lengths, pre, widest, shell.palette()),
                title=f"{name} ({whose})",
                alt=text.stages(run.labels[token], layer, lengths),
                data=pd.DataFrame(lengths.items(), columns=["stage", "length"]),
                file=f"block-{'pre' if pre else 'post'}",
            )


@st.fragment
def norm(lesson: Lesson[Settings], run: Run) -> None:
    """What one LayerNorm does to the token."""
    token, layer = state.place(lesson, run)
    second = lesson.settings().norm == text.SUBLAYERS[1]
    step = state.normed(run.inputs.model, run.inputs.text, layer, token, second)
    lesson.section("What does LayerNorm do to one token?")
    lesson.sentence(text.norm(run.labels[token], step), part="norm")
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
        title="Every token comes out with mean 0 and deviation 1; γ and β then weigh its single numbers",
        alt=text.moments(rows),
        data=pd.DataFrame({**rows, "γ": step.gain, "β": step.shift}),
        file="layernorm",
    )
    lesson.write_link(run.inputs)


def hidden_units(lesson: Lesson[Settings], run: Run) -> None:
    """ReLU and GELU, and where the token's hidden units fall."""
    token, layer = state.place(lesson, run)
    block = run.block(layer, run.norm_first)
    into, off = block.hidden_in[token], float((block.hidden_in[token] < 0).mean())
    activation = "ReLU" if run.trace.config.activation == "relu" else "GELU"
    lesson.section("ReLU or GELU: how many hidden units stay off?")
    lesson.sentence(text.hidden(run.labels[token], len(into), off), part="hidden")
    lesson.picture(
        figures.activation_curves(residual.activations(into.min(), into.max()), activation, into, shell.palette()),
        title=f"{percent(1 - off)} of the units are on; {run.title} uses {activation}",
        alt=f"Curves of ReLU and GELU over a histogram of {len(into)} hidden units, {percent(off)} of them below 0.",
        data=pd.DataFrame({"into": into, "out": block.hidden[token]}),
        file="hidden-units",
    )


def additions(lesson: Lesson[Settings], run: Run) -> None:
    """How much each branch adds, layer by layer."""
    (token, _), labels = state.place(lesson, run), run.labels
    shares = {"attention": run.branches.attention_share, "feed_forward": run.branches.feed_forward_share}
    means = {name: share.mean(axis=1) for name, share in shares.items()}
    lesson.section("Which branch adds more, and in which layer?")
    lesson.sentence(text.additions(labels[token], token, run.branches), part="branches")
    lesson.picture(
        figures.branch_bars(shares, token, labels[token], shell.palette()),
        title=f"Bars: mean of all {len(labels)} tokens. Diamonds: “{labels[token]}”",
        alt=text.shares(*means.values()),
        data=pd.DataFrame({**means, **{f"{name} of the token": share[:, token] for name, share in shares.items()}}),
        file="branches",
    )


def drift(lesson: Lesson[Settings], run: Run) -> None:
    """The tokens' ways through the layers, in one plane."""
    (token, _), labels = state.place(lesson, run), run.labels
    plane = state.drift(run.inputs.model, run.inputs.text)
    lesson.section("Where do the tokens drift?")
    lesson.sentence(text.drift(labels[token], float(plane.shares.sum()), run.states[:, token]), part="drift")
    layer, position = np.indices(plane.points.shape[:2]).reshape(2, -1)
    table = {"layers passed": layer, "position": position, "token": [labels[i] for i in position]}
    table |= {f"direction {i}": plane.points[layer, position, i] for i in (0, 1)}
    lesson.picture(
        figures.drift_paths(plane.points, plane.shares, labels, token, shell.palette()),
        title="Each line is one token, from its embedding to the last layer (dot)",
        alt=f"Paths of {len(labels)} tokens through {len(run.trace.layers)} layers, "
        "along the two principal components.",
        data=pd.DataFrame(table),
        file="drift",
    )


@st.fragment
def depth(lesson: Lesson[Settings], run: Run) -> None:
    """Untrained stacks of 1 to 12 layers: lengths and gradients at every depth."""
    settings = lesson.settings()
    post, pre = state.depth_sizes(settings.depth, settings.seed)
    lesson.section("Why do deep models put the norm first?")
    question = "Before training, which arrangement has the larger gradient in the last layer?"
    lesson.predict("guess_depth", question, text.LARGER, *text.larger_gradient(post, pre))
    lesson.sentence(text.depth(post, pre), part="depth")
    layers, seed = st.columns([3, 1])
    with layers:
        dial("Layers in the stack", state.DEPTHS, key=lesson.key("depth"), marks={1: "1", 6: "6", 12: "12"})
    seed.number_input("Seed of the random weights", 0, state.SEEDS - 1, key=lesson.key("seed"))
    gradients, stream = st.columns(2, gap="large")
    with gradients:
        title = "Gradient of the loss with respect to each layer’s weights"
        depth_lines(lesson, "gradients", title, ("layer", "length of the gradient"), post.gradients, pre.gradients)
    breathe("encoder_block:depth", (settings.depth, settings.seed))
    with stream:
        title = "Length of the stream: post-norm resets it, pre-norm lets it grow"
        depth_lines(lesson, "stream", title, ("layers passed", "mean length"), post.stream, pre.stream)
    st.caption(
        "64 numbers per token, 4 heads, 32 random tokens, ReLU, Xavier’s random weights (both stacks have the same), "
        "cross-entropy against random targets; pre-norm ends in one more LayerNorm."
    )
    lesson.write_link(run.inputs)


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
        data=pd.DataFrame({axes[0]: range(len(post)), "post-norm": post, "pre-norm": pre}),
        file=name,
    )


def tries(lesson: Lesson[Settings]) -> None:
    """Things to try."""
    lesson.tries(
        Try("A trained pre-norm model: Austen", {}, model="austen"),
        Try("Two layers only: the difference is small", {"depth": 2}),
        Try("Twelve layers, other weights", {"depth": 12, "seed": 1}),
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
