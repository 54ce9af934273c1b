"""What the page "Positions" says: sentences and titles written from the numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from attnviz.analysis import word_order
from attnviz.formatting import counted, listed, number, percent, scientific
from attnviz.nn.positions import SCHEMES, Scheme, described

SAME = 1e-4  # of its norm: a vector that changed less is the same but for rounding
A_LITTLE, A_LOT = 0.1, 0.2  # of its norm: up to the first a little, from the second on a lot
EQUAL = 1e-3  # of its size: scores of float32 that differ by less
ROUNDING = 1e-5  # cosines and biases that differ by less differ by rounding alone
SHUFFLE_QUESTION = "Take the positions away and shuffle the words. What happens to each word’s output?"
GUESSES = ("It stays the same", "It changes a little", "It changes a lot")
NAMES = {name: described(name).name for name in SCHEMES}
WITH = {name: described(name).plural for name in SCHEMES}
ONE_WORD = "One word has no order. Type at least two different ones in the sidebar, and they can be shuffled."
ENCODING_TITLES = {name: described(name).title for name in SCHEMES}


# ---- the shuffle test ------------------------------------------------------------------------------


def prediction(without: word_order.Shuffled, *, causal: bool) -> tuple[str, str] | None:
    """The right guess and why, of a shuffle without positions; None where it is neither a little nor a lot."""
    change = float(without.moved.mean())
    if change < SAME:
        return GUESSES[0], (
            "Attention is a weighted sum over all tokens, and without positions nothing in it says where a token "
            "stands: at its new place a word finds the same tokens, gives them the same weights, and gets the same "
            f"output (largest difference {scientific(without.largest)}: rounding)."
        )
    if A_LITTLE < change < A_LOT or not causal:
        return None
    return GUESSES[1] if change <= A_LITTLE else GUESSES[2], (
        "The causal mask lets a word see only what stands before it, and after the shuffle that is something else: "
        f"even without positions the average output changes by {_share(change)} of its norm."
    )


def order(rows: Mapping[str, word_order.Shuffled], title: str, native: str, exact: bool) -> str:
    """Whether the words' outputs come along; `rows` by scheme, "unmasked" for a causal model without its mask."""
    rounding = "in float64" if exact else f"among numbers up to {rows['none'].scale:.1f}: float32’s rounding"
    with_native = (
        f"With {title}’s own {WITH[native]} the average token’s output changes by {_mean(rows[native])} of its norm."
    )
    if "unmasked" in rows:
        return (
            "A causal model can tell without positions: its mask lets the first token see one token, the tenth ten. "
            f"After the shuffle the average token’s output changes by {_mean(rows['none'])} of its norm. Take the "
            "mask away too, and nothing is left of the order: largest difference "
            f"{scientific(rows['unmasked'].largest)} ({rounding}). {with_native}"
        )
    return (
        "Without positions it cannot tell. Shuffle the words, and each word keeps its output wherever it moves: the "
        f"largest difference is {scientific(rows['none'].largest)} ({rounding}). {with_native}"
    )


LONGER = " nnnnn" * 8  # what `order` has more than what stands in its place


def hidden_order(title: str, native: str, *, causal: bool) -> str:
    """What stands in the place of `order` before the guess, about as long: what is asked, and no number."""
    asks = (
        "Shuffle the words, and follow each token to its new place: is its output there the one that it had? After "
        "your guess this says how large the largest difference is"
    )
    mask = ", with the causal mask and without it, and by how much of its norm an output changes" if causal else ""
    return f"{asks}{mask}, and what the same shuffle does with {title}’s own {WITH[native]}."


def row_title(name: str, row: word_order.Shuffled, native: str) -> str:
    """What stands above a scheme's bars; short, for phones."""
    title = {"none": "No positions", "unmasked": "No mask either"}.get(name) or NAMES[name]
    title += " (the model’s own)" if name == native else ""
    if float(row.moved.max()) < SAME:
        return f"{title}: largest difference {scientific(row.largest)}"
    return f"{title}: {_mean(row)} on average"


# ---- the same head's attention -----------------------------------------------------------------------


def attention(before: Tensor, after: Tensor, layer: int, head: int, scheme: str, native: str) -> str:
    """Where a head looks by habit, and what another scheme leaves of that; weights (T, T)."""
    offset = word_order.favourite_offset(before)
    where = {0: "itself", -1: "the token before it", 1: "the token after it"}.get(
        offset, f"the token {abs(offset)} places {'before' if offset < 0 else 'after'} it"
    )
    habit = (
        f"In layer {layer}, head {head} a token gives {percent(word_order.at_offset(before, offset))} of its attention "
        f"to {where}, on average over the text."
    )
    if scheme == native:
        return f"{habit} The model’s own are {WITH[native]}, so both pictures are the same."
    there, elsewhere = _and_the_rest(word_order.at_offset(after, offset))
    return f"{habit} Run {with_scheme(scheme)}, it gives {there} there and {elsewhere} elsewhere."


def _and_the_rest(share: float) -> tuple[str, str]:
    """A share and what is left of 100 %, rounded so that both add up."""
    there = percent(share)
    if there.startswith("<"):
        return there, "all but that"
    shown = there.split("\u202f")[0]
    return there, f"{number(100 - float(shown), 1 if '.' in shown else 0)}\u202f%"


def with_scheme(scheme: str) -> str:
    """How a run with other positions is called: “with RoPE”, “without positions”."""
    return "without positions" if scheme == "none" else f"with {WITH[scheme]}"


def outside_training(title: str, trained: bool, scheme: str, native: str) -> str:
    """What a scheme that the model was not made with does not show."""
    if not trained:
        return f"{title} was built with {WITH[native]} and never trained: training would change what either shows."
    return (
        f"{title} was trained with {WITH[native]}: here it is used outside its training conditions. Trained "
        f"{with_scheme(scheme)}, it would have learned something else."
    )


# ---- what a position looks like -----------------------------------------------------------------------


def encoding(scheme: str, table: Tensor) -> str:
    """A scheme's encoding (n, W) in words."""
    (n, width), told = table.shape, described(scheme)
    if told.acts == "nowhere":
        return "Nothing is added, nothing is turned, no score changes: position 5 looks like position 50."
    if told.slopes is not None:
        steep, flat = (-float(value) / max(1, n - 1) for value in (table[-1].min(), table[-1].max()))
        return (
            f"{told.name} leaves the vectors alone and lowers every score by the distance times the head’s slope: "
            f"{steep:.3g} per token in the steepest head, {flat:.2g} in the flattest."
        )
    if told.acts == "scores":
        return (
            f"{told.name} leaves the vectors alone and adds a number to every score, by how far apart two tokens are: "
            f"at {n - 1} tokens from {number(float(table[-1].min()))} to {number(float(table[-1].max()))}, by head."
        )
    if told.rates is None:
        sizes = table.norm(dim=-1)
        origin = "trained like any other weight" if told.learned else "by a formula"
        return (
            f"Every position has a row of {width} numbers, {origin}. Median norm of the first {n} "
            f"rows: {float(sizes.median()):.2f}; the largest, {float(sizes.max()):.2f}, is position "
            f"{int(sizes.argmax())}’s."
        )
    waves = word_order.wavelengths(width, scheme)
    pairs = counted(width // 2, "sine–cosine pair")
    use = f"{pairs} {'is' if width == 2 else 'are'} added to each token’s vector"
    if told.acts == "turn":
        use = f"{counted(width // 2, 'pair')} of dimensions rotate in queries and keys, the same in every head"
    return (
        f"{use}. The fastest repeats every {tokens(float(waves[0]))} tokens, the slowest every "
        f"{tokens(float(waves[-1]))}."
    )


def wave_title(scheme: str, index: int, table: Tensor) -> str:
    """What the waves of pair (or head) `index` show."""
    told = described(scheme)
    if told.acts == "nowhere":
        return "Nothing varies with the position"
    if told.slopes is not None:
        slope = -float(table[-1, index]) / max(1, len(table) - 1)
        return f"Head {index} takes {slope:.4g} from the score for every token of distance"
    if told.acts == "scores":
        return (
            f"Head {index} adds {number(float(table[-1, index]))} to the score at {len(table) - 1} tokens of distance"
        )
    two = f"Dimensions {2 * index} and {2 * index + 1}"
    if told.rates is None:
        return f"{two}: no wave is prescribed; {'these are the weights' if told.learned else 'a formula gives them'}"
    return f"{two} repeat every {tokens(float(word_order.wavelengths(table.shape[1], scheme)[index]))} tokens"


def line_name(scheme: str, dimension: int) -> str:
    """A line's label at its end."""
    told = described(scheme)
    if told.acts == "scores":
        return f"head {dimension}"
    waves = {"input": (" sin", " cos"), "turn": (" cos", " sin")}
    return f"dim {dimension}{waves[told.acts][dimension % 2] if told.rates is not None else ''}"


def halves(scheme: str) -> tuple[str, str]:
    """What a scheme's even and odd dimensions hold."""
    if described(scheme).rates is None:
        return "even", "odd"
    waves = ("sines", "cosines") if described(scheme).acts == "input" else ("cosines", "sines")
    return f"even ({waves[0]})", f"odd ({waves[1]})"


def offsets(scheme: str, spread: word_order.Spread, dots: word_order.Spread, index: int) -> str:
    """Whether similarity depends on the offset only, with the spread that decides it."""
    told = described(scheme)
    if told.acts == "nowhere":
        return "There is nothing to compare: all positions are the same."
    if len(spread.mean) < 2:
        return "This model reads one token: there is no second position."
    if told.acts == "scores":
        return (
            f"Yes, by construction: head {index} changes the score of all pairs equally far apart by the same amount "
            f"(largest difference {scientific(spread.largest)})."
        )
    one = f"{float(spread.mean[1]):.2f}"
    if spread.largest < ROUNDING:
        what = (
            f"two positions 1 apart have cosine {one}"
            if told.acts == "input"
            else f"one vector, rotated for two positions 1 apart, has cosine {one} with itself"
        )
        return (
            f"Yes: wherever they stand, {what}. Pairs with the same offset differ by {scientific(spread.largest)} at "
            f"most, their dot products by {scientific(dots.largest)}: rounding."
        )
    at = int((spread.high - spread.low).argmax())
    return (
        f"No: nothing makes {_table(told)} the same everywhere. Of positions {at} apart, some pairs have cosine "
        f"{number(float(spread.low[at]))}, others {number(float(spread.high[at]))}. Neighbours average "
        f"{number(float(spread.mean[1]))}."
    )


def _table(told: Scheme) -> str:
    return "a learned table" if told.learned else "this table"


def band_title(spread: word_order.Spread) -> str:
    """What the curve over the offsets shows."""
    if spread.largest < ROUNDING:
        return "By offset: one value each, wherever the two stand"
    return f"By offset: the mean, and a band up to {spread.largest:.2f} wide that holds all pairs"


# ---- a head's scores of copies of a word -------------------------------------------------------------


def places(gaps: Mapping[str, np.ndarray], label: str, head: int) -> str:
    """Where a head's score depends on the distance only, and where on the place too; gaps (n,) by scheme."""
    start = (
        f"Many copies of “{label}” stand in a row. The gap is the score that layer 0, head {head} gives the copy 1 "
        "before, minus the one it gives the copy 3 before."
    )
    if not all(map(len, gaps.values())):
        return f"{start} This model reads too few tokens to tell."
    same = {scheme: gap for scheme, gap in gaps.items() if np.ptp(gap) <= EQUAL * max(1.0, float(np.abs(gap).max()))}
    parts = []
    if other := [
        f"{WITH[scheme]} ({number(float(gap.min()))} to {number(float(gap.max()))})"
        for scheme, gap in gaps.items()
        if scheme not in same
    ]:
        parts.append(
            f"The gap depends on the place with {listed(other)}: a score multiplies vectors that mix word and position."
        )
    if same:
        equal = listed([f"{WITH[scheme]} ({number(float(gap[0]))})" for scheme, gap in same.items()])
        parts.append(f"It is the same at every place with {equal}.")
    return " ".join([start, *parts])


# ---- longer than the model ---------------------------------------------------------------------------


def distance(curves: Mapping[str, np.ndarray], label: str, limit: int, refusal: str) -> str:
    """What each scheme does past the longest text that the model takes; curves (n,) by scheme."""
    last = max(map(len, curves.values())) - 1
    refused = f" Past {limit:,} positions the learned table refuses: “{refusal}”." if refusal else ""
    return (
        f"“{label}” looks at copies of itself, further and further back.{refused}{_goes_on(curves, last, limit)}"
        + "".join(
            f" {NAMES[name]} keeps falling in a straight line, to {number(float(curve[last]))} at {last:,} tokens."
            for name, curve in curves.items()
            if described(name).slopes is not None
        )
    )


def _goes_on(curves: Mapping[str, np.ndarray], last: int, limit: int) -> str:
    """Which schemes have a value beyond the model's length, without a straight line that tells it."""
    far = [NAMES[name] for name, curve in curves.items() if len(curve) > last and described(name).slopes is None]
    if not far:
        return ""
    return f" {listed(far)} {'goes' if len(far) == 1 else 'go'} on, to positions that no text of {limit:,} tokens has."


def without_positions(scores: np.ndarray, head: int) -> str:
    """What a head (H, n) makes of copies of a word that have no positions."""
    alike = number(float(scores[head][-1]))
    return (
        f"Layer 0; the first copy stands at position 1. Without positions, head {head} scores {alike} at any distance."
    )


def range_title(name: str, curve: np.ndarray, limit: int) -> str:
    """What stands above a scheme's curve: its range up to the limit and beyond it; short, for phones."""

    def span(part: np.ndarray) -> str:
        return f"{number(float(part.min()))} to {number(float(part.max()))}"

    beyond = f"beyond {limit:,}: {span(curve[limit:])}" if len(curve) > limit else f"undefined beyond {limit:,}"
    return f"{NAMES[name]}: {span(curve[:limit])}; {beyond}"


# ---- numbers in words ----------------------------------------------------------------------------------


def tokens(length: float) -> str:
    """A wavelength: one decimal up to a hundred tokens."""
    return f"{length:.1f}" if length < 100 else f"{length:,.0f}"


def _share(x: float) -> str:
    return scientific(x) if x < SAME else percent(x)


def _mean(row: word_order.Shuffled) -> str:
    return _share(float(row.moved.mean()))
