"""Positional encodings, each a pure function under its formula, and one description of each that all of attnviz reads.

Absolute encodings (sinusoidal, learned) are added to the token embeddings. Rotary embeddings turn queries and
keys. ALiBi adds a bias to the scores. A new encoding is a function and a `Scheme` here; model, cache, export,
provenance, drawings, pages and sentences follow the description; `reference` has its twin.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.nn.checks import check_divisible


def none(n_positions: int, d_model: int) -> Tensor:
    """Zeros (T, C): the model sees a set of tokens, not a sequence."""
    return torch.zeros(n_positions, d_model)


def sinusoidal(n_positions: int, d_model: int, *, base: float = 10_000.0) -> Tensor:
    """PE[p, 2i] = sin(p / base^(2i/C)), PE[p, 2i+1] = cos(p / base^(2i/C)), as (T, C).

    Errors: InvalidParameterError if d_model is odd or a size is below 1.
    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.5.
    """
    if d_model < 2 or d_model % 2 or n_positions < 1:
        raise InvalidParameterError(
            f"sinusoidal positions need an even d_model and n_positions ≥ 1, not {d_model} and {n_positions}"
        )
    angles = _angles(n_positions, rates(d_model, base))  # (T, C/2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).float()  # (T, C)


def learned(table: Tensor, n_positions: int) -> Tensor:
    """The first T rows of a trained table (max_len, C): (T, C). Source: Devlin et al. 2019, section 3.

    Errors: ShapeError beyond the table: a learned encoding does not exist there.
    """
    check_learned(table.shape[0], n_positions)
    return table[:n_positions]


def check_learned(rows: int, n_positions: int) -> None:
    """Errors: ShapeError beyond a table of so many rows."""
    if n_positions > rows:
        raise ShapeError(f"{n_positions:,} positions asked of a learned table that has {rows:,}")


def rope(x: Tensor, *, base: float = 10_000.0, start: int = 0) -> Tensor:
    """Turns each pair (x[2i], x[2i+1]) at position p by the angle p / base^(2i/D). x and result: (…, T, D).

    The product of a turned query and a turned key depends on their distance only.
    Errors: InvalidParameterError if D is odd.
    Source: Su et al. 2021, "RoFormer", section 3.2.2 (interleaved pairs, as in the paper).
    """
    return turn(x, rates(x.shape[-1], base), start)


def turn(x: Tensor, by: Tensor, start: int = 0) -> Tensor:
    """Turns each pair (x[2i], x[2i+1]) at position p by the angle p · by[i]. x and result: (…, T, D); by: (D/2,).

    Errors: InvalidParameterError if D is odd.
    """
    if x.shape[-1] % 2:
        raise InvalidParameterError(f"rotary embeddings need an even head width, not {x.shape[-1]}")
    angles = _angles(x.shape[-2], by, start).to(x.device)  # (T, D/2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


def rates(width: int, base: float = 10_000.0) -> Tensor:
    """1 / base^(2i/width), by which pair i turns from one token to the next: (width/2,), in float64.

    At p = 10,000 an angle in float32 would be off by 1e-3 of a turn.
    """
    return base ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)


def alibi_slopes(n_heads: int, like: Tensor | None = None) -> Tensor:
    """m_h = 2^(−8(h+1)/H) for H a power of two; the paper's interpolation between two powers otherwise. (H,)

    On the device of `like`, and in its precision if that is above float32.
    Source: Press et al. 2022, "Train Short, Test Long", section 3 and its reference code.
    """
    if n_heads < 1:
        raise InvalidParameterError(f"n_heads={n_heads} is below 1")
    power = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    extra = [2 ** (-4 * (2 * h + 1) / power) for h in range(n_heads - power)]
    if like is None:
        return torch.tensor(slopes + extra)
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.tensor(slopes + extra, dtype=dtype, device=like.device)


def alibi_bias(slopes: Tensor, n_queries: int, n_keys: int, *, start: int = 0) -> Tensor:
    """−m_h · |i − j| as (H, T, S), added to the scores: the further away, the less attention.

    `start`: the position of the first query.
    Source: Press et al. 2022, section 3 (stated there for j ≤ i; |i − j| is its symmetric form for encoders).
    """
    return -slopes[:, None, None] * offsets(n_queries, n_keys, start, slopes.device).abs()


def alibi(n_heads: int, distance: Tensor) -> Tensor:
    """`alibi_bias` of distances i − j (T, S): (H, T, S)."""
    return -alibi_slopes(n_heads, distance)[:, None, None] * distance.abs()


def offsets(n_queries: int, n_keys: int, start: int = 0, device: torch.device | None = None) -> Tensor:
    """i − j of each query and key, (T, S); `start` is the position of the first query."""
    i = torch.arange(start, start + n_queries, device=device)[:, None]
    return i - torch.arange(n_keys, device=device)[None, :]


def _angles(n_positions: int, by: Tensor, start: int = 0) -> Tensor:
    """p · by[i] as (T, len(by)), in float64."""
    return torch.arange(start, start + n_positions, dtype=torch.float64)[:, None] * by


# ---- one description of each -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A positional encoding: what it does to a model, and how it is spoken of. Errors: InvalidParameterError.

    It acts in one place:
        "nowhere"  order is not told
        "input"    a row of `table`, or of a table that the model learns, is added to each token's embedding
        "turn"     queries and keys at position p have each pair of dimensions turned by p · rates
        "scores"   `bias` is added to the score of every query and key
    """

    key: str  # in `ModelConfig`, `Intervention`, links and on the command line
    acts: Literal["nowhere", "input", "turn", "scores"]
    table: Callable[[int, int], Tensor] | None = None  # (T, C) → (T, C), where a formula gives what is added
    learned: bool = False  # the model has a table of max_len rows
    rates: Callable[[int], Tensor] | None = None  # width → (width/2,): how fast the pairs of sines and cosines turn
    bias: Callable[[int, Tensor], Tensor] | None = None  # (H, i − j (T, S), floating point) → (H, T, S)
    slopes: Callable[[int, Tensor | None], Tensor] | None = None  # (H,), where the bias is −slope · |i − j|

    name: str  # alone: "RoPE"
    plural: str  # in a sentence, after "with": "sinusoidal positions"
    label: str  # in a list of settings: "sinusoidal"
    title: str  # over a picture of it
    paper: str  # where it was first described, as a sentence
    formula: tuple[str, ...] = ()  # rows of LaTeX, "left & right"

    def __post_init__(self) -> None:
        parts = {"nowhere": True, "input": self.table or self.learned, "turn": self.rates, "scores": self.bias}
        if not parts.get(self.acts):
            raise InvalidParameterError(f"the scheme {self.key!r} does not say what it does to {self.acts!r}")

    @property
    def relative(self) -> bool:
        """Whether only the distance of two tokens counts, not where they stand."""
        return self.acts in ("turn", "scores")

    def check(self, d_model: int, head_dim: int) -> None:
        """Errors: InvalidParameterError, with the numbers, unless pairs of sines and cosines fit the width."""
        if self.rates is not None and self.acts == "input":
            check_divisible("d_model", d_model, "sin and cos pairs of", 2)
        elif self.rates is not None:
            check_divisible("head width", head_dim, "rotary pairs of", 2)

    def fits(self, d_model: int, head_dim: int, own: str) -> bool:
        """Whether a model of these widths, made with the positions `own`, can run with it."""
        try:
            self.check(d_model, head_dim)
        except InvalidParameterError:
            return False
        return not self.learned or self.key == own

    def added(self, n: int, width: int, start: int, own: nn.Embedding | None, like: Tensor) -> Tensor | None:
        """What is added to the embeddings of positions start … start + n − 1, (n, C); None if nothing is.

        own: the model's table of max_len rows, for a scheme that learns one. Errors: InvalidParameterError without it.
        """
        if self.learned:
            if own is None:
                raise InvalidParameterError(f"this model has no {self.plural} to switch to")
            check_learned(own.num_embeddings, start + n)
            return cast(Tensor, own(torch.arange(start, start + n, device=like.device)))
        return None if self.table is None else self.table(start + n, width)[start:].to(like)

    def in_attention(self, n_heads: int, head_dim: int, x: Tensor, start: int = 0) -> dict[str, Any]:
        """What `MultiheadAttention.trace` is told for x (B, T, C), whose first token stands at `start`."""
        turns = self.rates(head_dim) if self.acts == "turn" and self.rates is not None else False
        slopes = None if self.slopes is None else self.slopes(n_heads, x)
        bias = None
        if self.bias is not None and slopes is None:
            distance = offsets(x.shape[1], start + x.shape[1], start, x.device)
            bias = self.bias(n_heads, distance.to(torch.promote_types(x.dtype, torch.float32)))[None]
        return {"rotary": turns, "alibi": slopes, "bias": bias}


_ALL = (
    Scheme(
        key="none",
        acts="nowhere",
        name="None",
        plural="no positions",
        label="none",
        title="No positions: every position is given the same zeros",
        paper="No positions.",
    ),
    Scheme(
        key="sinusoidal",
        acts="input",
        table=sinusoidal,
        rates=rates,
        name="Sinusoidal",
        plural="sinusoidal positions",
        label="sinusoidal",
        title="Sinusoidal: fast waves in the first dimensions, slow ones in the last",
        paper="Sines and cosines as positions, without parameters: Vaswani et al. 2017, section 3.5.",
        formula=(
            r"PE_{p,2i}=\sin\!\big(p/10000^{2i/C}\big)",
            r"PE_{p,2i+1}=\cos\!\big(p/10000^{2i/C}\big)",
        ),
    ),
    Scheme(
        key="learned",
        acts="input",
        learned=True,
        name="Learned",
        plural="learned positions",
        label="learned",
        title="Learned: the model’s own table, a column for each position",
        paper="Learned positions: Gehring et al. 2017, section 3.1.",
        formula=(r"x_p = E_{\text{token}} + P_p",),
    ),
    Scheme(
        key="rope",
        acts="turn",
        rates=rates,
        name="RoPE",
        plural="RoPE",
        label="RoPE",
        title="RoPE: each pair of a head’s dimensions rotates at its own speed",
        paper="Rotary positions, without parameters: Su et al. 2021, section 3.2.2.",
        formula=(r"(R_{p}\,q)^\top (R_{s}\,k) = q^\top R_{s-p}\,k", r"R_p \text{ turns by } p/10000^{2i/d}"),
    ),
    Scheme(
        key="alibi",
        acts="scores",
        bias=alibi,
        slopes=alibi_slopes,
        name="ALiBi",
        plural="ALiBi",
        label="ALiBi",
        title="ALiBi: what is left of a weight at each distance; every head has its own rate",
        paper=(
            "ALiBi, without parameters: Press et al. 2022, section 3 (its slopes for H a power of two; between two "
            "powers its code takes every second slope of the next)."
        ),
        formula=(r"s_{ij} = q_i^\top k_j/\sqrt{d} - m_h\,|i-j|", r"m_h = 2^{-8(h+1)/H}"),
    ),
)
SCHEMES = tuple(scheme.key for scheme in _ALL)
_BY_KEY = {scheme.key: scheme for scheme in _ALL}


def described(key: str) -> Scheme:
    """The scheme of a name. Errors: InvalidParameterError for one that is not in `SCHEMES`."""
    if not isinstance(key, str) or key not in _BY_KEY:
        raise InvalidParameterError(f"positions={key!r} is not one of {', '.join(SCHEMES)}")
    return _BY_KEY[key]
