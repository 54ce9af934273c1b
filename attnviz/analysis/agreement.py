"""Whether two measures put the tokens of a text into the same order: rank correlations with their intervals.

    Spearman   Pearson's correlation of the ranks
    Kendall    τ_b: pairs of tokens in the same order, less those in the opposite one

Intervals are of Fisher's transform: tanh(atanh r ± z s), s² = (1 + r²/2) / (n − 3) for Spearman (Bonett and Wright
2000, "Sample Size Requirements for Estimating Pearson, Kendall and Spearman Correlations"), 0.437 / (n − 4) for Kendall
(Fieller, Hartley and Pearson 1957). They take tokens for independent, which those of one text are not quite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from torch import Tensor

from attnviz.errors import InvalidParameterError, ShapeError

LEAST = 4  # tokens: the order of fewer says nothing


@dataclass(frozen=True)
class Correlation:
    """A rank correlation, −1 … 1, and its 95 % interval; NaN where there is none.

    There is no correlation where one side is the same everywhere, and no interval for one of ±1 or too few tokens.
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def is_there(self) -> bool:
        """Whether there is an order to compare at all."""
        return not math.isnan(self.value)

    @property
    def says(self) -> int:
        """1 where the whole interval is above 0, −1 below it; 0 where neither can be told."""
        return int(self.low > 0) - int(self.high < 0)


def spearman(x: Tensor, y: Tensor, level: float = 0.95) -> Correlation:
    """Of two measures of the same tokens, (n,) each. Ties have the mean of their ranks.

    Errors: ShapeError for two lengths, InvalidParameterError for fewer than `LEAST` tokens.
    """
    n = _check(x, y)
    a, b = (ranks(one) - (n + 1) / 2 for one in (x, y))
    scale = float((a @ a) * (b @ b))
    value = float(a @ b) / math.sqrt(scale) if scale else math.nan
    return _with_interval(value, n, (1 + value**2 / 2) / (n - 3), level)


def kendall(x: Tensor, y: Tensor, level: float = 0.95) -> Correlation:
    """Likewise; τ_b, in which ties count for neither. Errors: as `spearman`."""
    n = _check(x, y)
    a, b = ((one.double()[:, None] - one.double()[None, :]).sign().flatten() for one in (x, y))
    scale = float((a @ a) * (b @ b))
    value = float(a @ b) / math.sqrt(scale) if scale else math.nan
    return _with_interval(value, n, 0.437 / (n - 4) if n > LEAST else math.nan, level)


def ranks(x: Tensor) -> Tensor:
    """(n,) float64: 1 for the smallest; equal values share the mean of their places."""
    less = (x[None, :] < x[:, None]).sum(dim=1)
    same = (x[None, :] == x[:, None]).sum(dim=1)
    return less.double() + (same.double() + 1) / 2


def _check(x: Tensor, y: Tensor) -> int:
    if x.dim() != 1 or x.shape != y.shape:
        raise ShapeError(f"two measures of the same tokens are two vectors, not {tuple(x.shape)} and {tuple(y.shape)}")
    if len(x) < LEAST:
        raise InvalidParameterError(f"{len(x)} tokens: no rank correlation of fewer than {LEAST} is meaningful")
    return len(x)


def _with_interval(value: float, n: int, variance: float, level: float) -> Correlation:
    if math.isnan(value) or math.isnan(variance) or abs(value) > 1 - 1e-12:
        return Correlation(max(-1.0, min(1.0, value)) if value == value else value, math.nan, math.nan, n)
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(variance)
    middle = math.atanh(value)
    return Correlation(value, math.tanh(middle - half), math.tanh(middle + half), n)
