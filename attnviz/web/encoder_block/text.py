"""The sentences of the page on the encoder block, written from its numbers, as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from attnviz.analysis import residual
from attnviz.formatting import NARROW, number, numbers, percent

SUBLAYERS = ("attention", "feed-forward")
ABOUT_THE_SAME = 0.1  # a difference below 10 % is called none
ALIKE = f"Within 10{NARROW}% of each other"
ADDS_MORE = ("Attention", "Feed-forward", ALIKE)
LARGER = ("Post-norm", "Pre-norm", ALIKE)
NOT_FINITE = "On this text the model’s numbers are not finite (NaN or infinite). Pick another text or model."
NO_FEED_FORWARD = (
    "The layers of this model are attention only: there is no feed-forward network, and no second LayerNorm."
)
BANDS = (
    "A band is as wide as the norm of its vector, the square root of the sum of its squared numbers. Vectors add with "
    "their directions: the norm of a sum is at most the sum of the norms. Layers and positions count from 0."
)
STACKS = (
    "64 numbers per token, 4 heads, 32 random tokens, ReLU, Xavier’s random weights (both stacks have the same), "
    "cross-entropy against random targets; pre-norm ends in one more LayerNorm."
)


def another_model(error: str) -> str:
    """Why this model is not shown here, and what to do."""
    return f"{error.rstrip('.')}. Pick another model in the sidebar."


def larger(a: float, b: float, options: tuple[str, str, str]) -> str:
    """Which of a and b is larger: the first option, the second, or the third where they are about the same."""
    if abs(a - b) <= ABOUT_THE_SAME * max(a, b):
        return options[2]
    return options[0] if a > b else options[1]


# ---- one token in one layer --------------------------------------------------------------------------


def way(label: str, layer: int, lengths: Mapping[str, float], norm_first: bool) -> str:
    """One token's way through one layer."""
    enters = f"“{label}” enters layer {layer} with norm {number(lengths['before'])}."
    adds, after = f"Attention adds a vector of norm {number(lengths['attention'])}", number(lengths["after"])
    if "feed_forward" not in lengths:
        end = "it leaves with norm" if norm_first else "LayerNorm brings its norm to"
        return f"{enters} {adds}; {end} {after}. {NO_FEED_FORWARD}"
    end = "it leaves with norm" if norm_first else "the second LayerNorm brings its norm to"
    feeds = f"and the feed-forward network a vector of norm {number(lengths['feed_forward'])}"
    return f"{enters} {adds}, {feeds}; {end} {after}."


def stages(label: str, layer: int, lengths: Mapping[str, float]) -> str:
    """The same as a text alternative, every norm by name."""
    listed = ", ".join(f"{stage.replace('_', ' ')} {number(length)}" for stage, length in lengths.items())
    return f"Way of the token {label} through layer {layer}, norms of its vector: {listed}."


def norm(label: str, step: residual.Normed) -> str:
    """What one LayerNorm does to one token."""
    weights = (
        f"multiplies each number by its γ ({number(step.gain.min())} to {number(step.gain.max())}) and adds its β "
        f"({number(step.shift.min())} to {number(step.shift.max())}), which training has set, the same for every token."
    )
    if (step.gain == 1).all() and not step.shift.any():
        weights = "multiplies by γ and adds β, which are still 1 and 0: nobody has trained them."
    return (
        f"It takes the {len(step.before)} numbers of “{label}”, subtracts their mean {number(step.before.mean())} and "
        f"divides by their standard deviation {number(step.before.std())}. Then it {weights}"
    )


def standardised(row: residual.Array) -> str:
    """A title: what standardising has made of the vector."""
    mean, deviation = number(row.mean()), number(row.std())
    return f"Standardised: mean {mean}, deviation {deviation}. Then γ scales and β shifts each number"


def moments(rows: Mapping[str, residual.Array]) -> str:
    """Mean and deviation of one vector at several stages, as a text alternative."""
    listed = "; ".join(f"{stage} {numbers((row.mean(), row.std()))}" for stage, row in rows.items())
    return f"Histograms of one vector, mean and deviation: {listed}"


def hidden(label: str, units: int, off: float) -> str:
    """How many hidden units are off."""
    return (
        f"Of the {units:,} hidden units of this feed-forward network, {percent(off)} receive a negative number for "
        f"“{label}”. ReLU turns a negative number into 0, GELU into one between −0.17 and 0."
    )


def switched_on(off: float, title: str, activation: str) -> str:
    """A title: how many hidden units are on."""
    return f"{percent(1 - off)} of the units receive a positive number; {title} uses {activation}"


# ---- all layers --------------------------------------------------------------------------------------


def adds_more(attention: residual.Array, feed_forward: residual.Array, units: int) -> tuple[str, str]:
    """The right answer among ADDS_MORE, over all layers and tokens (L, T), and why."""
    a, f = float(attention.mean()), float(feed_forward.mean())
    truth = larger(a, f, ADDS_MORE)
    attends, feeds = (f"{number(100 * share, 1)}{NARROW}%" for share in (a, f))
    shares = f"On average attention adds {attends} of the stream’s norm, the feed-forward network {feeds}"
    if truth == ADDS_MORE[1]:
        return truth, (
            f"Attention averages the values of several tokens, and what points in different directions cancels; the "
            f"feed-forward network works on each token alone, with {units:,} hidden units. {shares}."
        )
    if truth == ADDS_MORE[0]:
        return truth, (
            f"Attention brings in what other tokens hold; the feed-forward network can only rework what the token has "
            f"by then. {shares}."
        )
    return truth, f"Both branches write into the same stream, and here neither outweighs the other. {shares}."


def additions(label: str, token: int, attention: residual.Array, feed_forward: residual.Array | None) -> str:
    """Which branch adds more, in how many layers (L, T), and where most is added to one token."""
    branches = {"attention": attention} | ({} if feed_forward is None else {"feed-forward": feed_forward})
    layer, name = max(
        ((layer, name) for name, share in branches.items() for layer in range(len(share))),
        key=lambda place: branches[place[1]][place[0], token],
    )
    largest = percent(float(branches[name][layer, token]))
    most = f"Most is added to “{label}” in layer {layer}, by {name}: {largest} of the stream’s norm."
    if feed_forward is None:
        return f"Averaged over all layers and tokens, attention adds {percent(attention.mean())} of the norm. {most}"
    ahead, layers = int((feed_forward.mean(axis=1) > attention.mean(axis=1)).sum()), len(attention)
    return f"In {ahead} of {layers} layers the feed-forward network adds more than attention. {most}"


def shares(**by_branch: Sequence[float] | residual.Array) -> str:
    """What each branch adds, (L,) by name, as a text alternative."""
    listed = "; ".join(
        f"{name.replace('_', '-')} {', '.join(percent(share) for share in means)}" for name, means in by_branch.items()
    )
    return f"Additions as shares of the stream’s norm, layer by layer: {listed}"


def drift(label: str, shown: float, states: residual.Array) -> str:
    """How much the plane shows, and where one token (L + 1, C) moves farthest."""
    moved = np.linalg.norm(np.diff(states, axis=0), axis=1)
    return (
        f"All layers in one plane, the one that shows most of the variance: {percent(shown)}. In all dimensions, "
        f"“{label}” moves farthest in layer {int(moved.argmax())}, by a vector of norm {number(moved.max())}."
    )


# ---- depth -------------------------------------------------------------------------------------------


def larger_gradient(post: residual.Depth, pre: residual.Depth) -> tuple[str, str]:
    """The right answer among LARGER, for the last layer, and why."""
    a, b = float(post.gradients[-1]), float(pre.gradients[-1])
    return larger(a, b, LARGER), (
        f"Behind the last layer of pre-norm comes one more LayerNorm. It divides by the size of the stream, and so "
        f"divides the gradient on its way back: the stream has grown to norm {number(pre.stream[-1])}, while "
        "post-norm’s own LayerNorms hold it at √64 = 8. The gradient in the last layer: "
        f"{number(a, 3)} with post-norm, {number(b, 3)} with pre-norm."
    )


def depth(post: residual.Depth, pre: residual.Depth) -> str:
    """How the gradients run through an untrained stack."""
    layers, last = len(post.gradients), (post.gradients[-1], pre.gradients[-1])
    if layers == 1:
        return (
            f"One untrained layer: the gradient has norm {number(last[0])} with post-norm, {number(last[1])} with "
            "pre-norm."
        )
    sizes = (
        f"{layers} untrained layers: the gradient’s norm goes from {number(post.gradients[0])} in the first to "
        f"{number(last[0])} in the last with post-norm, from {number(pre.gradients[0])} to {number(last[1])} with "
        f"pre-norm. In the last layer post-norm’s is {last[0] / last[1]:.1f} times pre-norm’s."
    )
    if larger(*last, LARGER) != LARGER[0]:
        return sizes
    return (
        f"{sizes} Xiong et al. (2020) found such gradients to be why post-norm needs warm-up: a learning rate that "
        "starts small and rises."
    )


def streams(post: residual.Depth, pre: residual.Depth) -> str:
    """A title: how large the stream is at the end."""
    return (
        f"The stream’s mean norm: {number(post.stream[-1])} after the last layer with post-norm, "
        f"{number(pre.stream[-1])} with pre-norm"
    )
