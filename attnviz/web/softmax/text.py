"""The softmax lesson's numbers and the sentences written from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import pandas as pd
import torch
from torch import Tensor

from attnviz.analysis import measures, scaling
from attnviz.formatting import percent, significant, small_percent
from attnviz.inputs.words import readable
from attnviz.models.model import Model
from attnviz.nn.trace import Trace

DECADE = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0)
# About evenly spaced on a log scale, 1 in the middle.
TEMPERATURES = (
    *(0.05, 0.06, 0.07, 0.08, 0.09),
    *(round(tau / 10, 2) for tau in DECADE),
    *DECADE,
    *(10.0, 12.0, 14.0, 16.0, 18.0, 20.0),
)
SHARPER = 0.5  # the temperature that the reader is asked about
ANSWERS = ("It gains", "It loses", "It keeps its share")
MOST_BARS = 24  # more tokens than this, and the lightest share one bar


@dataclass(frozen=True, eq=False)
class Row:
    """One query's attention row under temperatures; weights are float64, measures one per temperature."""

    labels: tuple[str, ...]  # of the keys; a piece of a word begins with "·"
    token: str  # the query's label
    temperature: float
    scores: Tensor  # (S,), −∞ where the mask forbids
    weights: Tensor  # (3, S) at τ = 1, the chosen one and SHARPER
    bits: tuple[float, ...]  # entropy of these three
    tokens: tuple[float, ...]  # 2 to its power: as many as so many tokens evenly
    tops: tuple[float, ...]
    curve_tokens: tuple[float, ...]  # at TEMPERATURES
    curve_tops: tuple[float, ...]

    @property
    def allowed(self) -> int:
        """How many tokens the query may look at."""
        return int((self.scores > -torch.inf).sum())

    @property
    def order(self) -> list[int]:
        """The allowed positions, heaviest first: the same at every temperature."""
        return cast(list[int], self.scores.argsort(descending=True, stable=True)[: self.allowed].tolist())

    @property
    def ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(tokens, top weight) for τ → 0 and τ → ∞."""
        cold, hot = (_measures(weights[None]) for weights in scaling.limits(self.scores))
        return (cold[1][0], cold[2][0]), (hot[1][0], hot[2][0])


def read_row(trace: Trace, layer: int, head: int, query: int, temperature: float) -> Row:
    """The row of a run without changes, softmaxed again at each temperature."""
    encoding = trace.encodings[0]
    labels = tuple(
        f"·{label}" if more else label for label, more in zip(encoding.labels, encoding.continues, strict=True)
    )
    scores = trace.layers[layer].attention.scores[0, head, query]
    weights = scaling.tempered(scores, (1.0, temperature, SHARPER))
    bits, tokens, tops = _measures(weights)
    _, curve_tokens, curve_tops = _measures(scaling.tempered(scores, TEMPERATURES))
    return Row(labels, labels[query], temperature, scores, weights, bits, tokens, tops, curve_tokens, curve_tops)


def _measures(weights: Tensor) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Entropy in bits, in tokens, and top weight of each row of (N, S)."""
    bits = measures.entropy(weights).clamp(min=0.0)
    return tuple(bits.tolist()), tuple((2**bits).tolist()), tuple(weights.amax(dim=-1).tolist())


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


def row_title(row: Row) -> str:
    """The point of the bars."""
    if row.allowed < 2:
        return "Nothing to share out"
    best = row.labels[row.order[0]]
    if row.temperature == 1:
        return f"“{best}” has the most at τ = 1, and at every other τ"
    verb = "rises" if row.tops[1] > row.tops[0] else "falls"
    return f"“{best}” {verb} from {percent(row.tops[0])} (pale, τ = 1) to {percent(row.tops[1])}"


def row_table(row: Row) -> pd.DataFrame:
    """The row as data: token, score, weight at τ = 1 and at the chosen one."""
    return pd.DataFrame(
        {
            "position": range(len(row.labels)),
            "token": row.labels,
            "score": row.scores.tolist(),
            "weight_at_1": row.weights[0].tolist(),
            f"weight_at_{row.temperature:g}": row.weights[1].tolist(),
        }
    )


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


def speaks(trace: Trace) -> bool:
    """Whether the model gives logits over its vocabulary for every token."""
    return trace.logits is not None and trace.logits.dim() == 3


def token_names(model: Model, ids: tuple[int, ...]) -> list[str]:
    """Tokens of the vocabulary as a person reads them."""
    return [readable(model.tokenizer.decode([i], skip_special=False)) or str(i) for i in ids]


def next_sentence(found: scaling.NextTokens, names: list[str], temperature: float, model: Model) -> str:
    """The difference between the two places for τ, on a model with logits."""
    if temperature == 1:
        says = "No. At τ = 1 neither changes anything."
    else:
        kept = len(set(found.ids) & set(found.first_inside))
        same = "the same token first" if found.ids[0] == found.first_inside[0] else "another token first"
        says = (
            f"No. On the output, τ = {temperature:g} takes “{names[0]}” from {small_percent(found.plain[0])} to "
            f"{small_percent(found.outside[0])} and keeps the order of all tokens. In attention it changes what the "
            f"logits are made of: “{names[0]}” gets {small_percent(found.inside[0])}, {same}, {kept} of the first "
            f"{len(found.ids)} still among them."
        )
    untrained = (
        "" if model.info.trained else " This model is untrained: its next tokens are noise, the arithmetic is not."
    )
    return says + untrained


def next_title(model: Model, trace: Trace, query: int) -> str:
    """What the dots are probabilities of."""
    label = trace.encodings[0].labels[query]
    if model.transformer.config.kind == "encoder":
        return f"What the model would write in the place of “{label}”"
    return f"What the model would write after “{label}”"


def carried_sentence(moved: list[float], temperature: float) -> str:
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


def heads_sentence(trace: Trace, variances: list[float], title: str) -> str:
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
