"""One query's attention row, softmaxed at several temperatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from attnviz.analysis import measures, scaling
from attnviz.nn.trace import Trace
from attnviz.web.temperatures import TEMPERATURES

SHARPER = 0.5  # the temperature that the reader is asked about


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
    def is_sharpened(self) -> bool:
        """Whether the row is shown sharper than the model has it, as the reader is asked to imagine it."""
        return self.temperature < 1

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
