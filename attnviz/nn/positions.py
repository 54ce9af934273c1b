"""Positional encodings, each a pure function under its formula.

Absolute encodings (sinusoidal, learned) are added to the token embeddings. Rotary embeddings turn queries and
keys. ALiBi adds a bias to the scores.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError, ShapeError

SCHEMES = ("none", "sinusoidal", "learned", "rope", "alibi")


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
    angles = _angles(n_positions, d_model, base)  # (T, C/2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).float()  # (T, C)


def learned(table: Tensor, n_positions: int) -> Tensor:
    """The first T rows of a trained table (max_len, C): (T, C). Source: Devlin et al. 2019, section 3.

    Errors: ShapeError beyond the table: a learned encoding does not exist there.
    """
    if n_positions > table.shape[0]:
        raise ShapeError(f"{n_positions:,} positions asked of a learned table that has {table.shape[0]:,}")
    return table[:n_positions]


def rope(x: Tensor, *, base: float = 10_000.0, start: int = 0) -> Tensor:
    """Turns each pair (x[2i], x[2i+1]) at position p by the angle p / base^(2i/D). x and result: (…, T, D).

    The product of a turned query and a turned key depends on their distance only.
    Errors: InvalidParameterError if D is odd.
    Source: Su et al. 2021, "RoFormer", section 3.2.2 (interleaved pairs, as in the paper).
    """
    if x.shape[-1] % 2:
        raise InvalidParameterError(f"rotary embeddings need an even head width, not {x.shape[-1]}")
    angles = _angles(x.shape[-2], x.shape[-1], base, start).to(x.device)  # (T, D/2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


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
    i = torch.arange(start, start + n_queries, device=slopes.device)[:, None]
    j = torch.arange(n_keys, device=slopes.device)[None, :]
    return -slopes[:, None, None] * (i - j).abs()


def _angles(n_positions: int, width: int, base: float, start: int = 0) -> Tensor:
    """p / base^(2i/width) as (T, width/2), in float64: at p = 10,000 float32 is off by 1e-3 of a turn."""
    p = torch.arange(start, start + n_positions, dtype=torch.float64)[:, None]
    i = torch.arange(0, width, 2, dtype=torch.float64)[None, :]
    return p / base ** (i / width)
