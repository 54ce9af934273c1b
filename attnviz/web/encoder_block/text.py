"""The sentences of the page on the encoder block, written from its numbers, as plain text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from attnviz.analysis import residual
from attnviz.formatting import number, numbers, percent

SUBLAYERS = ("attention", "feed-forward")
ABOUT_THE_SAME = 0.1  # a difference below 10 % is called none
ADDS_MORE = ("Attention", "Feed-forward", "About the same")
LARGER = ("Post-norm", "Pre-norm", "About the same")
NOT_FINITE = "On this text the model’s numbers are not finite (NaN or infinite). Pick another text or model."


def another_model(error: str) -> str:
    """Why this model is not shown here, and what to do."""
    return f"{error.rstrip('.')}. Pick another model in the sidebar."


def larger(a: float, b: float, options: tuple[str, str, str]) -> str:
    """Which of a and b is larger: the first option, the second, or the third where they are about the same."""
    if abs(a - b) <= ABOUT_THE_SAME * max(a, b):
        return options[2]
    return options[0] if a > b else options[1]


def way(label: str, layer: int, lengths: Mapping[str, float], norm_first: bool) -> str:
    """One token's way through one layer."""
    end = "it leaves with length" if norm_first else "the second LayerNorm sets its length to"
    return (
        f"“{label}” enters layer {layer} as a vector of length {number(lengths['before'])}. Attention adds a "
        f"vector of length {number(lengths['attention'])}, the feed-forward network one of "
        f"{number(lengths['feed_forward'])}; {end} {number(lengths['after'])}."
    )


def stages(label: str, layer: int, lengths: Mapping[str, float]) -> str:
    """The same as a text alternative, every length by name."""
    listed = ", ".join(f"{stage.replace('_', ' ')} {number(length)}" for stage, length in lengths.items())
    return f"Way of the token {label} through layer {layer}, lengths of its vector: {listed}."


def adds_more(shares: residual.Branches) -> tuple[str, str]:
    """The right answer among ADDS_MORE, over all layers and tokens, and why."""
    a, f = float(shares.attention_share.mean()), float(shares.feed_forward_share.mean())
    why = f"On average attention adds {percent(a)} of the stream’s length, the feed-forward network {percent(f)}."
    return larger(a, f, ADDS_MORE), why


def norm(label: str, step: residual.Normed) -> str:
    """What one LayerNorm does to one token."""
    weights = (
        f"multiplies each number by its γ ({number(step.gain.min())} to {number(step.gain.max())}) and adds its β "
        f"({number(step.shift.min())} to {number(step.shift.max())}), the same for every token."
    )
    if (step.gain == 1).all() and not step.shift.any():
        weights = "multiplies by γ and adds β, which are still 1 and 0: nobody has trained them."
    return (
        f"It takes the {len(step.before)} numbers of “{label}”, subtracts their mean {number(step.before.mean())} and "
        f"divides by their standard deviation {number(step.before.std())}. Then it {weights}"
    )


def moments(rows: Mapping[str, residual.Array]) -> str:
    """Mean and deviation of one vector at several stages, as a text alternative."""
    listed = "; ".join(f"{stage} {numbers((row.mean(), row.std()))}" for stage, row in rows.items())
    return f"Histograms of one vector, mean and deviation: {listed}"


def hidden(label: str, units: int, off: float) -> str:
    """How many hidden units are off."""
    return (
        f"Of the {units:,} hidden units of this feed-forward network, {percent(off)} receive a negative number for "
        f"“{label}”. ReLU turns it into 0; GELU, never below −0.17, into almost nothing."
    )


def additions(label: str, token: int, shares: residual.Branches) -> str:
    """Which branch adds more, in how many layers."""
    a, f = shares.attention_share, shares.feed_forward_share
    ahead, layers = int((f.mean(axis=1) > a.mean(axis=1)).sum()), len(a)
    largest = max(float(a[:, token].max()), float(f[:, token].max()))
    return (
        f"In {ahead} of {layers} layers the feed-forward network adds more than attention. For “{label}” the largest "
        f"addition is {percent(largest)} of the stream’s length."
    )


def shares(attention: residual.Array, feed_forward: residual.Array) -> str:
    """What the branches add, (L,) each, as a text alternative."""
    listed = "; ".join(f"{percent(a)}, {percent(f)}" for a, f in zip(attention, feed_forward, strict=True))
    return f"Shares of the stream’s length that attention and feed-forward add, layer by layer: {listed}"


def drift(label: str, shown: float, states: residual.Array) -> str:
    """How much the plane shows, and where one token (L + 1, C) moves farthest."""
    moved = np.linalg.norm(np.diff(states, axis=0), axis=1)
    return (
        f"The same plane for all layers, the one that shows most: {percent(shown)} of the variance. “{label}” moves "
        f"farthest in layer {int(moved.argmax())}, by {number(moved.max())}."
    )


def larger_gradient(post: residual.Depth, pre: residual.Depth) -> tuple[str, str]:
    """The right answer among LARGER, for the last layer, and why."""
    a, b = float(post.gradients[-1]), float(pre.gradients[-1])
    return larger(a, b, LARGER), f"{number(a)} with post-norm, {number(b)} with pre-norm."


def depth(post: residual.Depth, pre: residual.Depth) -> str:
    """How the gradients run through an untrained stack."""
    layers, last = len(post.gradients), (post.gradients[-1], pre.gradients[-1])
    if layers == 1:
        return (
            f"One untrained layer: the gradient is {number(last[0])} with post-norm, {number(last[1])} with pre-norm."
        )
    sizes = (
        f"{layers} untrained layers: the gradient goes from {number(post.gradients[0])} in the first to "
        f"{number(last[0])} in the last with post-norm, from {number(pre.gradients[0])} to {number(last[1])} with "
        f"pre-norm. In the last layer post-norm’s is {last[0] / last[1]:.1f} times pre-norm’s."
    )
    if larger(*last, LARGER) != LARGER[0]:
        return sizes
    return (
        f"{sizes} The deeper the stack, the more: this is why post-norm needs warm-up, a learning rate that starts "
        "small and rises."
    )
