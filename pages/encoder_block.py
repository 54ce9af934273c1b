"""What does one block do to a word? The stream, its branches and norms, and what depth does to gradients."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from attnviz import figures
from attnviz.analysis import residual
from attnviz.checks import check_index
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import number, numbers, percent
from attnviz.nn import reference
from attnviz.nn.layers import TransformerEncoderLayer
from attnviz.web import cache, shell
from attnviz.web.components.dial import dial
from attnviz.web.encoder_block import state as encoder
from attnviz.web.encoder_block import text as said
from attnviz.web.lesson import Lesson, Try
from attnviz.web.pacing import breathe

shell.ensure()
DEPTHS = range(1, 13)
SUBLAYERS = ("attention", "feed-forward")
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


@dataclass(frozen=True)
class Settings:
    """What the reader has set."""

    token: int = 10
    layer: int = 3
    norm: str = "attention"
    depth: int = 12
    seed: int = 0
    guess: str = ""
    guess_depth: str = ""

    def __post_init__(self) -> None:
        for name in ("token", "layer", "seed"):
            check_index(name, getattr(self, name))
        if self.norm not in SUBLAYERS or self.depth not in DEPTHS or self.seed > 9999:
            raise InvalidParameterError(f"norm={self.norm!r}, depth={self.depth} or seed={self.seed} is out of range")


lesson = Lesson("encoder_block", Settings())
inputs = lesson.inputs()
model = cache.model(inputs.model)
try:
    trace = cache.trace(inputs.model, inputs.text)
    shares = encoder.branches(inputs.model, inputs.text)
except (InvalidParameterError, ModelError) as error:
    shell.refuse(f"{str(error).rstrip('.')}. Pick another model in the sidebar.")
states = residual.stream(trace)
if not np.isfinite(states).all():
    shell.refuse("On this text the model’s numbers are not finite (NaN or infinite). Pick another text or model.")
labels, first = trace.encodings[0].labels, trace.config.norm_first


def settle() -> None:
    """Brings token and layer into what this text and this model have, before their widgets are drawn."""
    chosen, special = lesson.chosen(), trace.encodings[0].special
    if chosen.token >= len(labels):
        lesson.choose(token=max((i for i in range(len(labels)) if not special[i]), default=0))
    if chosen.layer >= len(trace.layers):
        lesson.choose(layer=len(trace.layers) - 1)


def where() -> tuple[int, int]:
    """The token and the layer that are shown."""
    chosen = lesson.chosen()
    return min(chosen.token, len(labels) - 1), min(chosen.layer, len(trace.layers) - 1)


@st.fragment
def way() -> None:
    """The block as a diagram, for one token in one layer; and what else there is to see of the two."""
    token, layer = where()
    lesson.question("What does one block do to a word?")
    lengths = encoder.block(inputs.model, inputs.text, layer, first).lengths(token)
    lesson.sentence(said.way(labels[token], layer, lengths, first))
    asked = "Over all layers and tokens of this text, which adds more to the stream?"
    lesson.predict("guess", asked, said.ADDS_MORE, *said.adds_more(shares))
    for_token, for_layer = st.columns([1, 2])
    for_token.selectbox(
        "Token", range(len(labels)), key=lesson.key("token"), format_func=lambda i: shell.escaped(f"{i} {labels[i]}")
    )
    for_layer.pills("Layer", range(len(trace.layers)), key=lesson.key("layer"), required=True)
    diagrams(token, layer)
    st.caption(
        "A band is as wide as its vector is long. Two vectors add with their directions, so a sum is never longer "
        "than its parts together. Layers and positions count from 0."
    )
    lesson.write_link(inputs)
    breathe("encoder_block", (inputs, token, layer))  # the sections below follow the picture
    norm()
    hidden_units()
    additions()
    paths()


def diagrams(token: int, layer: int) -> None:
    """The same layer with its norms in the stream and in the branches, at one scale."""
    found = {pre: encoder.block(inputs.model, inputs.text, layer, pre).lengths(token) for pre in (False, True)}
    widest = max(max(lengths.values()) for lengths in found.values())
    for column, pre in zip(st.columns(2, gap="large"), (False, True), strict=True):
        name = "Pre-norm: LayerNorm in the branches" if pre else "Post-norm: LayerNorm in the stream"
        whose = f"as in {model.info.title}" if pre == first else "the same weights, norms moved"
        stages = ", ".join(f"{stage.replace('_', ' ')} {number(length)}" for stage, length in found[pre].items())
        with column:
            lesson.picture(
                figures.block_diagram(found[pre], pre, widest, shell.palette()),
                title=f"{name} ({whose})",
                alt=f"Way of the token {labels[token]} through layer {layer}, lengths of its vector: {stages}.",
                data=pd.DataFrame(found[pre].items(), columns=["stage", "length"]),
                file=f"block-{'pre' if pre else 'post'}",
            )


@st.fragment
def norm() -> None:
    """What one LayerNorm does to the token."""
    token, layer = where()
    step = encoder.normed(inputs.model, inputs.text, layer, token, lesson.chosen().norm == SUBLAYERS[1])
    lesson.section("What does LayerNorm do to one token?")
    lesson.sentence(said.norm(labels[token], step), part="norm")
    side = "before" if first else "after"
    st.segmented_control(
        "Which LayerNorm", SUBLAYERS, key=lesson.key("norm"), required=True, format_func=lambda name: f"{side} {name}"
    )
    rows = {"before": step.before, "standardised": step.standard, "times γ plus β": step.after}
    lesson.picture(
        figures.norm_rows(list(rows.items()), shell.palette()),
        title="Every token comes out with mean 0 and deviation 1; γ and β then weigh its single numbers",
        alt="Histograms of one vector, mean and deviation: "
        + "; ".join(f"{name} {numbers((row.mean(), row.std()))}" for name, row in rows.items()),
        data=pd.DataFrame({**rows, "γ": step.gain, "β": step.shift}),
        file="layernorm",
    )
    lesson.write_link(inputs)


def hidden_units() -> None:
    """ReLU and GELU, and where the token's hidden units fall."""
    token, layer = where()
    run = encoder.block(inputs.model, inputs.text, layer, first)
    into, off = run.hidden_in[token], float((run.hidden_in[token] < 0).mean())
    own = "ReLU" if trace.config.activation == "relu" else "GELU"
    lesson.section("ReLU or GELU: how many hidden units stay off?")
    lesson.sentence(said.hidden(labels[token], len(into), off), part="hidden")
    lesson.picture(
        figures.activation_curves(residual.activations(into.min(), into.max()), own, into, shell.palette()),
        title=f"{percent(1 - off)} of the units are on; {model.info.title} uses {own}",
        alt=f"Curves of ReLU and GELU over a histogram of {len(into)} hidden units, {percent(off)} of them below 0.",
        data=pd.DataFrame({"into": into, "out": run.hidden[token]}),
        file="hidden-units",
    )


def additions() -> None:
    """How much each branch adds, layer by layer."""
    token, _ = where()
    both = {"attention": shares.attention_share, "feed_forward": shares.feed_forward_share}
    means = {name: share.mean(axis=1) for name, share in both.items()}
    lesson.section("Which branch adds more, and in which layer?")
    lesson.sentence(said.additions(labels[token], token, shares), part="branches")
    lesson.picture(
        figures.branch_bars(both, token, labels[token], shell.palette()),
        title=f"Bars: mean of all {len(labels)} tokens. Diamonds: “{labels[token]}”",
        alt="Shares of the stream’s length that attention and feed-forward add, layer by layer: "
        + "; ".join(f"{percent(a)}, {percent(f)}" for a, f in zip(*means.values(), strict=True)),
        data=pd.DataFrame({**means, **{f"{name} of the token": share[:, token] for name, share in both.items()}}),
        file="branches",
    )


def paths() -> None:
    """The tokens' ways through the layers, in one plane."""
    token, _ = where()
    found = encoder.drift(inputs.model, inputs.text)
    lesson.section("Where do the tokens drift?")
    lesson.sentence(said.drift(labels[token], float(found.shares.sum()), states[:, token]), part="drift")
    layer, position = np.indices(found.points.shape[:2]).reshape(2, -1)
    table = {"layers passed": layer, "position": position, "token": [labels[i] for i in position]}
    table |= {f"direction {i}": found.points[layer, position, i] for i in (0, 1)}
    lesson.picture(
        figures.drift_paths(found.points, found.shares, labels, token, shell.palette()),
        title="Each line is one token, from its embedding to the last layer (dot)",
        alt=f"Paths of {len(labels)} tokens through {len(trace.layers)} layers, along the two principal components.",
        data=pd.DataFrame(table),
        file="drift",
    )


@st.fragment
def depth() -> None:
    """Untrained stacks of 1 to 12 layers: lengths and gradients at every depth."""
    chosen = lesson.chosen()
    post, pre = encoder.depth_sizes(chosen.depth, chosen.seed)
    lesson.section("Why do deep models put the norm first?")
    asked = "Before training, which arrangement has the larger gradient in the last layer?"
    lesson.predict("guess_depth", asked, said.LARGER, *said.larger_gradient(post, pre))
    lesson.sentence(said.depth(post, pre), part="depth")
    layers, seed = st.columns([3, 1])
    with layers:
        dial("Layers in the stack", DEPTHS, key=lesson.key("depth"), marks={1: "1", 6: "6", 12: "12"})
    seed.number_input("Seed of the random weights", 0, 9999, key=lesson.key("seed"))
    pictures = (
        ("gradients", "Gradient of the loss with respect to each layer’s weights", "layer", "length of the gradient"),
        ("stream", "Length of the stream: post-norm resets it, pre-norm lets it grow", "layers passed", "mean length"),
    )
    for column, (name, title, x, y) in zip(st.columns(2, gap="large"), pictures, strict=True):
        if name == "stream":
            breathe("encoder_block:depth", (chosen.depth, chosen.seed))
        values = getattr(post, name), getattr(pre, name)
        with column:
            lesson.picture(
                figures.depth_lines(*values, x, y, shell.palette()),
                title=title,
                alt=f"Post-norm {numbers(values[0])}; pre-norm {numbers(values[1])}.",
                data=pd.DataFrame({x: range(len(values[0])), "post-norm": values[0], "pre-norm": values[1]}),
                file=name,
            )
    st.caption(
        "64 numbers per token, 4 heads, 32 random tokens, ReLU, Xavier’s random weights (both stacks have the same), "
        "cross-entropy against random targets; pre-norm ends in one more LayerNorm."
    )
    lesson.write_link(inputs)


@st.fragment
def behind() -> None:
    """Formula and code."""
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


settle()
way()
depth()
lesson.tries(
    Try("A trained pre-norm model: Austen", {}, model="austen"),
    Try("Two layers only: the difference is small", {"depth": 2}),
    Try("Twelve layers, other weights", {"depth": 12, "seed": 1}),
)
behind()
