"""Why attention divides by √d_k, and what a temperature does: measures of the softmax and of what goes into it.

    q·k = Σ q_i k_i, a sum of d_k products           each of mean 0 and variance 1: together of variance d_k
    ∂p_i / ∂s_j = p_i (δ_ij − p_j)                   softmax's gradient, 0 where one weight has everything

Temperature in attention and temperature in sampling are one function, softmax(x / τ), on different numbers:
inside every attention row of every layer, or once on the logits that the finished run has given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.checks import check_index, check_probability, check_sizes, check_temperature

WIDTHS = tuple(2**i for i in range(11))  # of a head: 1, 2, 4 … 1,024


# ---- softmax under a temperature ---------------------------------------------------------------------


def tempered(scores: Tensor, temperatures: Sequence[float]) -> Tensor:
    """softmax(scores / τ) for every τ: (…, S) → (N, …, S), in float64. A score of −∞ gets weight 0.

    A row of nothing but −∞ gets 0 everywhere. Errors: InvalidParameterError unless every τ > 0.
    Source: Hinton et al. 2015, equation 1.
    """
    taus = torch.tensor([check_temperature(tau) for tau in temperatures], dtype=torch.float64)
    scores = scores.detach().double()
    top = scores.amax(dim=-1, keepdim=True)
    starved = top == -math.inf
    below = (scores - top.masked_fill(starved, 0.0)) / taus.view(-1, *[1] * scores.dim())  # ≤ 0: no overflow
    return below.masked_fill(starved, 0.0).softmax(dim=-1).masked_fill(starved, 0.0)


def limits(scores: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(scores / τ) for τ → 0 and τ → ∞, (…, S) each, in float64.

    τ → 0: everything to the largest score, in equal parts where several are largest. τ → ∞: the same to every
    score above −∞. A row of nothing but −∞ gets 0 everywhere.
    """
    allowed = scores > -math.inf
    largest = (scores == scores.amax(dim=-1, keepdim=True)) & allowed
    return _even(largest), _even(allowed)


def _even(kept: Tensor) -> Tensor:
    """One over their number for the chosen ones of each row, (…, S)."""
    return kept.double() / kept.sum(dim=-1, keepdim=True).clamp(min=1)


def softmax_jacobian(weights: Tensor) -> Tensor:
    """diag(p) − ppᵀ, the gradient of p = softmax(s) with respect to the scores s: (…, S) → (…, S, S)."""
    return torch.diag_embed(weights) - weights[..., :, None] * weights[..., None, :]


def gradient_size(weights: Tensor) -> Tensor:
    """Frobenius norm of diag(p) − ppᵀ, (…, S) → (…): 0 where one weight has everything, at most ½, for two halves."""
    return torch.linalg.matrix_norm(softmax_jacobian(weights))


# ---- the variance of q·k -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Variance:
    """The variance of q·k, measured on pairs of random vectors, with a confidence interval."""

    width: int  # d_k; the theory's variance is d_k as well
    variance: float
    low: float
    high: float

    @property
    def scaled(self) -> tuple[float, float, float]:
        """Variance, low and high of q·k / √d_k; the theory's variance is 1."""
        return self.variance / self.width, self.low / self.width, self.high / self.width


def dot_products(width: int, pairs: int, seed: int) -> Tensor:
    """q·k of independent pairs of vectors of `width` numbers from N(0, 1): (pairs,), float32.

    A seed and a width always give the same vectors, whatever else is drawn.
    """
    check_sizes(width=width, pairs=pairs)
    q, k = torch.randn(2, pairs, width, generator=_generator(seed, width))
    return (q * k).sum(dim=-1)


def measure_variance(
    widths: Sequence[int] = WIDTHS, *, pairs: int = 1_000, seed: int = 0, confidence: float = 0.99
) -> tuple[Variance, ...]:
    """The variance of q·k at each width, over random pairs; see `variance_interval` for its interval."""
    measured = []
    for width in widths:
        variance = float(dot_products(width, pairs, seed).double().var())
        measured.append(Variance(width, variance, *variance_interval(variance, pairs, width, confidence)))
    return tuple(measured)


def variance_interval(variance: float, pairs: int, width: int, confidence: float = 0.99) -> tuple[float, float]:
    """The chi-square interval of a measured variance of q·k.

    A sum of d_k products of normals has E[(q·k)⁴] = 3d_k² + 6d_k, an excess kurtosis of κ = 6/d_k, so that narrow
    heads scatter more than a normal variable would. The degrees of freedom are the ones that give the measured
    variance its true scatter σ⁴ (2/(n − 1) + κ/n): n − 1 for wide heads, about a quarter of that at d_k = 1.
    Errors: InvalidParameterError for fewer than two pairs. Source: Satterthwaite 1946.
    """
    check_sizes(pairs=pairs, width=width)
    check_probability("confidence", confidence)
    if pairs < 2:
        raise InvalidParameterError(f"pairs={pairs}: a variance needs two")
    freedom = 2 / (2 / (pairs - 1) + 6 / width / pairs)
    tail = (1 - confidence) / 2
    return variance * freedom / chi_square(1 - tail, freedom), variance * freedom / chi_square(tail, freedom)


def chi_square(probability: float, freedom: float) -> float:
    """The value that a chi-square variable stays below with this probability, to 0.1 % from 20 degrees of freedom on.

    Source: Wilson and Hilferty 1931.
    """
    part = 2 / (9 * freedom)
    return freedom * (1 - part + NormalDist().inv_cdf(probability) * math.sqrt(part)) ** 3


def product_variance(attention: AttentionTrace, batch: int = 0) -> Tensor:
    """The variance of a run's own q·k, before scale, bias and temperature, over all allowed pairs: (H,).

    NaN for a head with fewer than two allowed pairs.
    """
    products = (attention.q[batch] @ attention.k[batch].mT).double()  # (H, T, S)
    if attention.keep is None:
        return products.flatten(1).var(dim=1)
    keep = attention.keep.expand(attention.q.shape[0], *products.shape)[batch]
    return torch.stack([head[allowed].var() for head, allowed in zip(products, keep, strict=True)])


# ---- what the softmax makes of it --------------------------------------------------------------------


@dataclass(frozen=True)
class Saturation:
    """What softmax does to rows of random q·k at one width."""

    width: int  # d_k
    top: float  # mean weight of the heaviest key
    gradient: float  # median of `gradient_size`; half of the rows have less
    top_scaled: float  # the same two with the factor 1/√d_k
    gradient_scaled: float


def measure_saturation(
    widths: Sequence[int] = WIDTHS, *, keys: int = 16, queries: int = 64, seed: int = 0
) -> tuple[Saturation, ...]:
    """Softmax over q·k of random queries, each with its own random keys, with and without 1/√d_k, by width."""
    check_sizes(keys=keys, queries=queries)
    measured = []
    for width in widths:
        generator = _generator(seed, width)
        q = torch.randn(queries, 1, width, generator=generator)
        k = torch.randn(queries, keys, width, generator=generator)
        products = (q * k).sum(dim=-1).double()  # (queries, keys)
        plain, scaled = products.softmax(dim=-1), (products / math.sqrt(width)).softmax(dim=-1)
        measured.append(Saturation(width, *_saturation(plain), *_saturation(scaled)))
    return tuple(measured)


def _saturation(weights: Tensor) -> tuple[float, float]:
    return float(weights.amax(dim=-1).mean()), float(gradient_size(weights).median())


def _generator(seed: int, width: int) -> torch.Generator:
    check_sizes(width=width)
    return torch.Generator().manual_seed(check_index("seed", seed) * 4_096 + width)


# ---- the same τ at the output ------------------------------------------------------------------------


@dataclass(frozen=True)
class NextTokens:
    """What one τ does to a model's next token: inside attention, and on the output's softmax."""

    ids: tuple[int, ...]  # the first n at τ = 1, most probable first
    plain: tuple[float, ...]  # their probabilities at τ = 1,
    inside: tuple[float, ...]  # with τ in every attention row,
    outside: tuple[float, ...]  # and with τ on the logits
    first_inside: tuple[int, ...]  # the first n with τ in attention; on the logits they are `ids` for every τ


def next_tokens(logits: Tensor, changed: Tensor, temperature: float, n: int = 8) -> NextTokens:
    """Compares logits (V,) of a run at τ = 1 with those of a run with τ in attention.

    Sampling's τ divides the finished logits: it never changes their order, and nothing inside the model.
    """
    check_sizes(n=n)
    plain, outside = tempered(logits, (1.0, temperature))
    inside = tempered(changed, (1.0,))[0]
    n = min(n, logits.shape[-1])
    ids, first = logits.topk(n).indices, changed.topk(n).indices
    at_1, within, after = (tuple(row[ids].tolist()) for row in (plain, inside, outside))
    return NextTokens(tuple(ids.tolist()), at_1, within, after, tuple(first.tolist()))
