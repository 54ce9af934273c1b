"""What the page "Softmax and temperature" says: sentences and titles written from the numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from attnviz.analysis import scaling
from attnviz.formatting import percent, scientific, significant, small_percent
from attnviz.nn.trace import Trace
from attnviz.web.softmax.row import SHARPER, Row

ANSWERS = ("It gains", "It loses", "It keeps its share")
CLEAR = 0.01  # a change of a weight that the reader can be asked about
HIDDEN_SENTENCE = "What this temperature does is hidden until you have guessed."
MOST_BARS = 24  # more tokens than this, and the lightest share one bar


# ---- one row -----------------------------------------------------------------------------------------


def row_sentence(row: Row) -> str:
    """What the temperature makes of the row."""
    if row.allowed == 0:
        return f"“{row.token}” may look at no token: its weights are 0 at every temperature."
    if row.allowed < 2:
        return f"“{row.token}” may look at one token only, which gets 100\u202f% at every temperature."
    best = row.labels[row.order[0]]
    gives = f"“{row.token}” gives “{best}” {percent(row.tops[1])} of its attention"
    seen = str(row.allowed) if row.allowed == len(row.labels) else f"the {row.allowed} that it may see"
    count = f"Effective number of tokens: {row.tokens[1]:.1f} of {seen}"
    if row.temperature == 1:
        return f"At τ = 1, where nothing is changed, {gives}. {count} (entropy {row.bits[1]:.2f}\u202fbits)."
    return (
        f"At τ = {row.temperature:g}, {gives} instead of {percent(row.tops[0])}. {count}, instead of "
        f"{row.tokens[0]:.1f} (entropy {row.bits[1]:.2f}\u202fbits instead of {row.bits[0]:.2f})."
    )


def second_weight(row: Row) -> tuple[str, Sequence[str], str, str] | None:
    """What becomes of the second largest weight at τ = SHARPER, as `Lesson.predict` takes it.

    None where it hardly changes, or where there is none: nothing to ask then.
    """
    if row.allowed < 2:
        return None
    second = row.order[1]
    before, after = float(row.weights[0, second]), float(row.weights[2, second])
    if abs(after - before) < CLEAR:
        return None
    threshold = float(row.weights[0].square().sum())
    grows = after > before
    because = (
        f"τ = {SHARPER:g} squares every weight and divides by the sum of the squares, here {threshold:.4f}: a weight "
        f"above that sum grows, one below it shrinks. “{row.labels[second]}”: {before:.4f}² ÷ {threshold:.4f} ≈ "
        f"{scientific(after, 4)}."
    )
    asks = f"Sharpen to τ = {SHARPER:g}: what happens to the second-largest weight, that of “{row.labels[second]}”?"
    return asks, ANSWERS, ANSWERS[0] if grows else ANSWERS[1], because


def curves_alt(row: Row) -> str:
    """The curves over all temperatures as text: where the row stands."""
    spread, top = row.tokens[1], row.tops[1]
    return f"At τ = {row.temperature:g} the effective number of tokens is {spread:.2f}, the largest weight {top:.3f}."


def curves_title(row: Row) -> str:
    """What both ends of the curves show."""
    if row.allowed < 2:
        return "Nothing to share out"
    cold, _ = row.ends
    one = "one token" if cold[0] == 1 else f"the {cold[0]:.0f} strongest tokens"
    return f"Small τ: everything to {one}. Large τ: the same to all"


def row_title(row: Row) -> str:
    """The point of the bars."""
    if row.allowed < 2:
        return "Nothing to share out"
    best = row.labels[row.order[0]]
    before, after = percent(row.tops[0]), percent(row.tops[1])
    if row.temperature == 1:
        return f"“{best}” has the largest weight, {after}: at every τ it is in front"
    if before == after:
        return f"“{best}” stays at {after} (pale: τ = 1)"
    return f"“{best}” {'rises' if row.tops[1] > row.tops[0] else 'falls'} from {before} (pale, τ = 1) to {after}"


def bars(row: Row) -> tuple[list[str], list[float], list[float], list[str]]:
    """Labels, weights before and after, and texts of the bars: in the text's order, the lightest of many as one."""
    weights = row.weights[:2].tolist()
    allowed = row.order
    shown = sorted(allowed if len(allowed) <= MOST_BARS else allowed[: MOST_BARS - 1])
    rest = [i for i in allowed if i not in set(shown)]
    labels = [row.labels[i] for i in shown] + ([f"{len(rest)} others"] if rest else [])
    columns = [[column[i] for i in shown] + ([sum(column[i] for i in rest)] if rest else []) for column in weights]
    texts = [percent(after) for after in columns[1]]
    if row.temperature != 1:  # the longer bar may be the pale one: each number says which it is
        texts = [f"{percent(before)} → {percent(after)}" for before, after in zip(*columns, strict=True)]
    return labels, columns[0], columns[1], texts


# ---- attention or output -----------------------------------------------------------------------------


def next_sentence(tokens: scaling.NextTokens, names: Sequence[str], temperature: float, trained: bool) -> str:
    """The difference between the two places for τ, on a model with logits."""
    untrained = "" if trained else " This model is untrained: its next tokens are noise, the arithmetic is not."
    if temperature == 1:
        return f"No. At τ = 1 neither changes anything.{untrained}"
    kept = len(set(tokens.ids) & set(tokens.first_inside))
    same = "the same token comes first" if tokens.ids[0] == tokens.first_inside[0] else "another token comes first"
    plain, outside, inside = (small_percent(p[0]) for p in (tokens.plain, tokens.outside, tokens.inside))
    return (
        f"No. On the output, τ = {temperature:g} takes “{names[0]}” from {plain} to {outside} and keeps the order of "
        f"all tokens. In attention it changes the vectors that the logits are computed from: “{names[0]}” gets "
        f"{inside}, {same}, and {kept} of the {len(tokens.ids)} likeliest tokens are still among the first "
        f"{len(tokens.ids)}.{untrained}"
    )


def next_title(trace: Trace, query: int) -> str:
    """What the dots are probabilities of."""
    label = trace.encodings[0].labels[query]
    if trace.config.kind == "encoder":
        return f"What the model would write in the place of “{label}”"
    return f"What the model would write after “{label}”"


def carried_sentence(moved: Sequence[float], temperature: float) -> str:
    """The difference between the two places for τ, on a model without logits."""
    sampling = (
        "Sampling divides finished logits by τ, after the last layer, and touches nothing inside; this model has no "
        "logits to divide."
    )
    if temperature == 1:
        return f"No. At τ = 1 neither changes anything. {sampling}"
    return (
        f"No. In every attention row, τ = {temperature:g} changes the last layer’s vectors by {percent(moved[-1])} "
        f"of their norm on average. {sampling}"
    )


def carried_title(temperature: float) -> str:
    """The point of the lines of what τ carries from layer to layer."""
    if temperature == 1:
        return "At τ = 1 nothing changes"
    return "τ in attention changes the vectors of every layer; τ in sampling changes none"


# ---- why √d_k ----------------------------------------------------------------------------------------


def variance_sentence(measured: tuple[scaling.Variance, ...], pairs: int) -> str:
    """What the random vectors show."""
    last = measured[-1]
    _, low, high = last.scaled
    inside = sum(one.low <= one.width <= one.high for one in measured)
    return (
        f"{pairs:,} pairs of random vectors of {last.width:,} numbers each: q·k has variance {last.variance:,.0f}; "
        f"divided by √{last.width:,}, {last.scaled[0]:.2f} (99\u202f% confidence interval {low:.2f} to {high:.2f}). "
        f"In theory the variance is dₖ; at {inside} of {len(measured)} widths it lies in the measured interval."
    )


def head_names(trace: Trace) -> list[str]:
    """Every head, layer by layer."""
    config = trace.config
    return [f"layer {layer}, head {head}" for layer in range(config.n_layers) for head in range(config.n_heads)]


def heads_sentence(trace: Trace, variances: Sequence[float], title: str) -> str:
    """The real heads beside the theory."""
    if any(variance != variance for variance in variances):
        return "With one pair of tokens, the heads’ own q·k have no variance to measure."
    ranked, width = sorted(zip(variances, head_names(trace), strict=True)), trace.config.head_dim
    (low, lowest), (high, highest) = ranked[0], ranked[-1]
    return (
        f"Each ring is one of the {len(ranked)} heads of {title} on this text: the variance of its q·k before scaling. "
        f"Smallest {significant(low)} ({lowest}), largest {significant(high)} ({highest}), median "
        f"{significant(statistics.median(variances))}; random vectors of {width} numbers: {width}."
    )


def head_caption(variance: float, width: int) -> str:
    """One head's own q·k before scaling."""
    if variance != variance:
        return "One pair of tokens has no variance."
    scaled = significant(variance / width)
    measured = f"This head’s q·k has a variance of {significant(variance)} on this text"
    return f"{measured}, and {scaled} after division by √{width}."


def saturation_sentence(last: scaling.Saturation, keys: int, gains: Sequence[float]) -> str:
    """What softmax makes of rows of random q·k at the largest width, and of several seeds' gradients (`gains`)."""
    middle, least, most = (_power_of_ten(gain) for gain in (statistics.median(gains), min(gains), max(gains)))
    return (
        f"Softmax over {keys} random keys, dₖ = {last.width:,}: without the factor 1/√dₖ the strongest key gets "
        f"{percent(last.top)} on average, and half of the rows have a gradient below {significant(last.gradient)}. "
        f"With it the strongest key gets {percent(last.top_scaled)}, and the gradient is about {middle} times as large "
        f"(median of {len(gains)} seeds; from {least} to {most})."
    )


def _power_of_ten(value: float) -> str:
    """The nearest power of ten: 10⁴."""
    if not 0 < value < math.inf:
        return "∞"
    return scientific(10.0 ** round(math.log10(value)), 1).removeprefix("1\u00a0×\u00a0")
