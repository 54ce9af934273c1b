"""What the page "Softmax and temperature" says: sentences and titles written from the numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attnviz.analysis import scaling
from attnviz.formatting import percent, significant, small_percent
from attnviz.nn.trace import Trace
from attnviz.web.softmax.row import SHARPER, Row

ANSWERS = ("It gains", "It loses", "It keeps its share")
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
    over = f"spreads over {row.tokens[1]:.1f} of {row.allowed} tokens ({row.bits[1]:.2f} bits)"
    if row.temperature == 1:
        return f"At τ = 1, where nothing is changed, {gives} and {over}."
    before = f"{row.tokens[0]:.1f} ({row.bits[0]:.2f} bits)"
    return f"At τ = {row.temperature:g}, {gives} instead of {percent(row.tops[0])}, and {over} instead of {before}."


def second_token(row: Row) -> tuple[str, str, str]:
    """The question about the second token of the row at τ = SHARPER, the true answer, and a sentence why."""
    first, second = row.order[:2]
    name = row.labels[second]
    before, after = float(row.weights[0, second]), float(row.weights[2, second])
    truth = ANSWERS[2] if percent(before) == percent(after) else ANSWERS[0] if after > before else ANSWERS[1]
    because = (
        f"At τ = {SHARPER:g} every weight is squared and all are shared out again: “{name}” goes from "
        f"{percent(before)} to {percent(after)}, “{row.labels[first]}” from {percent(row.tops[0])} to "
        f"{percent(row.tops[2])}."
    )
    return f"Sharpen to τ = {SHARPER:g}: what happens to the second token, “{name}”?", truth, because


def curves_alt(row: Row) -> str:
    """The curves over all temperatures as text: where the row stands."""
    spread, top = row.tokens[1], row.tops[1]
    return f"At τ = {row.temperature:g} the row spreads over {spread:.2f} tokens, its top weight is {top:.3f}."


def row_title(row: Row) -> str:
    """The point of the bars."""
    if row.allowed < 2:
        return "Nothing to share out"
    best = row.labels[row.order[0]]
    if row.temperature == 1:
        return f"“{best}” has the most at τ = 1, and at every other τ"
    verb = "rises" if row.tops[1] > row.tops[0] else "falls"
    return f"“{best}” {verb} from {percent(row.tops[0])} (pale, τ = 1) to {percent(row.tops[1])}"


def bars(row: Row) -> tuple[list[str], list[float], list[float], list[str]]:
    """Labels, weights before and after, and texts of the bars: in the text's order, the lightest of many as one."""
    before, after = row.weights[0].tolist(), row.weights[1].tolist()
    allowed = row.order
    shown = sorted(allowed if len(allowed) <= MOST_BARS else allowed[: MOST_BARS - 1])
    rest = [i for i in allowed if i not in set(shown)]
    labels = [row.labels[i] for i in shown] + ([f"{len(rest)} others"] if rest else [])
    columns = [
        [column[i] for i in shown] + ([sum(column[i] for i in rest)] if rest else []) for column in (before, after)
    ]
    texts = [percent(value) if value >= 0.01 else "" for value in columns[1]]
    return labels, columns[0], columns[1], texts


# ---- attention or output -----------------------------------------------------------------------------


def next_sentence(tokens: scaling.NextTokens, names: Sequence[str], temperature: float, trained: bool) -> str:
    """The difference between the two places for τ, on a model with logits."""
    untrained = "" if trained else " This model is untrained: its next tokens are noise, the arithmetic is not."
    if temperature == 1:
        return f"No. At τ = 1 neither changes anything.{untrained}"
    kept = len(set(tokens.ids) & set(tokens.first_inside))
    same = "the same token first" if tokens.ids[0] == tokens.first_inside[0] else "another token first"
    plain, outside, inside = (small_percent(p[0]) for p in (tokens.plain, tokens.outside, tokens.inside))
    return (
        f"No. On the output, τ = {temperature:g} takes “{names[0]}” from {plain} to {outside} and keeps the order of "
        f"all tokens. In attention it changes what the logits are made of: “{names[0]}” gets {inside}, {same}, {kept} "
        f"of the first {len(tokens.ids)} still among them.{untrained}"
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
        f"No. In every attention row, τ = {temperature:g} moves the last layer’s vectors by {percent(moved[-1])} "
        f"of their length on average. {sampling}"
    )


# ---- why √d_k ----------------------------------------------------------------------------------------


def variance_sentence(measured: tuple[scaling.Variance, ...], pairs: int) -> str:
    """What the random vectors show."""
    last = measured[-1]
    _, low, high = last.scaled
    inside = sum(one.low <= one.width <= one.high for one in measured)
    return (
        f"Over {pairs:,} pairs of random vectors of {last.width:,} numbers, q·k has a variance of "
        f"{last.variance:,.0f}, and q·k / √{last.width:,} one of {last.scaled[0]:.2f}, with a 99\u202f% interval of "
        f"{low:.2f} to {high:.2f}. The theory, variance = dₖ, lies inside the interval at {inside} of {len(measured)} "
        "widths."
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
    half = ranked[len(ranked) // 2][0]
    return (
        f"The rings are the q·k of the {len(ranked)} heads of {title} on this text, before scaling: variances from "
        f"{significant(low)} ({lowest}) to {significant(high)} ({highest}), half of them from {significant(half)} up, "
        f"where random vectors of {width} numbers have {width}."
    )


def head_caption(variance: float, width: int) -> str:
    """One head's own q·k before scaling."""
    if variance != variance:
        return "One pair of tokens has no variance."
    scaled = significant(variance / width)
    measured = f"This head’s q·k has a variance of {significant(variance)} on this text"
    return f"{measured}, and {scaled} after ÷\u00a0√{width}."


def saturation_sentence(last: scaling.Saturation, keys: int) -> str:
    """What softmax makes of rows of random q·k at the largest width."""
    times = last.gradient_scaled / last.gradient if last.gradient > 0 else math.inf
    return (
        f"Softmax over {keys} random keys, dₖ = {last.width:,}: without the factor the top key gets "
        f"{percent(last.top)} on average, and half of the rows have a gradient below {significant(last.gradient)}. "
        f"With it the top key gets {percent(last.top_scaled)}, and the gradient is {significant(times)} times as large."
    )
