"""The transformer's mathematics in plain NumPy: short, slow and literal, to be read beside the papers.

Nothing here is fast, fused or clever, and everything is float64. The tests hold the torch code to it. Weights
are plain arrays under the names of the torch modules' state_dict, so that

    weights = {name: array.numpy() for name, array in attnviz.TransformerEncoderLayer(…).state_dict().items()}

goes straight into `encoder_layer`. T queries, S keys, D head width, C model width; "…" is any number of
leading dimensions, such as batch and heads. Masks say what may be seen: `keep`, True = may attend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attnviz.errors import InvalidParameterError, ShapeError

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Weights = Mapping[str, ArrayLike]


def softmax(scores: ArrayLike, temperature: float = 1.0) -> Array:
    """softmax(s)_j = exp(s_j / τ) / Σ_m exp(s_m / τ), over the last axis. Same shape as the scores.

    The row's largest score is subtracted first, which changes nothing but the overflow. A score of −∞ gets
    weight 0, and a row of nothing but −∞ gets 0 everywhere: there is nothing to attend to.
    Errors: InvalidParameterError unless temperature τ > 0.
    Source: Goodfellow et al. 2016, "Deep Learning", section 4.1; with τ, Hinton et al. 2015, equation 1.
    """
    if not temperature > 0:
        raise InvalidParameterError(f"temperature={temperature} has to be positive")
    s = _real(scores)
    top = s.max(axis=-1, keepdims=True)
    top = np.where(np.isneginf(top), 0.0, top)
    with np.errstate(over="ignore"):  # −∞ is where a difference too large for τ belongs
        powers = np.exp((s - top) / temperature)
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0.0, 1.0, total)


def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    keep: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    scale: float | None = None,
    temperature: float = 1.0,
) -> tuple[Array, Array]:
    """Attention(Q, K, V) = softmax(QKᵀ / √d_k) V, as (z, weights).

    Arguments
        q, k, v: (…, T, D), (…, S, D), (…, S, Dv).
        keep: bool, broadcastable to (…, T, S), True = may attend.
        bias: added to the scores, broadcastable likewise.
        scale: factor on q·k in the place of 1/√d_k.
        temperature: τ > 0, divides the scores.

    Returns z (…, T, Dv) and weights (…, T, S). A query that may attend to nothing gets weights 0 and z = 0.
    Errors: ShapeError, InvalidParameterError.
    Source: Vaswani et al. 2017, section 3.2.1, equation 1.
    """
    q, k, v = _real(q), _real(k), _real(v)
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(f"q {q.shape}, k {k.shape} and v {v.shape} are not (…, T, D), (…, S, D), (…, S, Dv)")
    if scale is None:
        scale = 1.0 / math.sqrt(q.shape[-1])
    scores = q @ k.swapaxes(-1, -2) * scale  # (…, T, S)
    if bias is not None:
        scores = scores + _real(bias)
    if keep is not None:
        scores = np.where(np.asarray(keep, dtype=bool), scores, -np.inf)
    weights = softmax(scores, temperature)
    return weights @ v, weights


def split_heads(x: ArrayLike, n_heads: int) -> Array:
    """Cuts the C numbers of each token into H heads of D = C / H: (…, T, C) → (…, H, T, D).

    Errors: ShapeError if H does not divide C. Source: Vaswani et al. 2017, section 3.2.2.
    """
    x = _real(x)
    *rest, tokens, width = x.shape
    if n_heads < 1 or width % n_heads:
        raise ShapeError(f"{width} numbers per token do not split into {n_heads} heads")
    return x.reshape(*rest, tokens, n_heads, width // n_heads).swapaxes(-2, -3)


def merge_heads(z: ArrayLike) -> Array:
    """Concat(head_1, …, head_H): (…, H, T, D) → (…, T, C), the inverse of `split_heads`.

    Source: Vaswani et al. 2017, section 3.2.2.
    """
    z = _real(z).swapaxes(-2, -3)  # (…, T, H, D)
    return z.reshape(*z.shape[:-2], z.shape[-2] * z.shape[-1])


def linear(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """y = x Wᵀ + b: (…, in) → (…, out), with W (out, in) as torch.nn.Linear stores it. b may be None."""
    x, weight = _real(x), _real(weight)
    if x.shape[-1] != weight.shape[-1]:
        raise ShapeError(f"a weight {weight.shape} takes {weight.shape[-1]} numbers per token, not {x.shape[-1]}")
    y = x @ weight.T
    return y if bias is None else y + _real(bias)


def multi_head_attention(
    query: ArrayLike,
    weights: Weights,
    n_heads: int,
    *,
    key: ArrayLike | None = None,
    value: ArrayLike | None = None,
    keep: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    temperature: float = 1.0,
    turn: Callable[[Array], Array] | None = None,
) -> tuple[Array, Array]:
    """MultiHead(Q, K, V) = Concat(head_1, …, head_H) W_O, head_h = Attention(Q W_Q, K W_K, V W_V).

    Arguments
        query, key, value: (…, T, C), (…, S, C), (…, S, C); key defaults to query, value to key.
        weights: in_proj_weight (3C, C), that is W_Q, W_K and W_V one above the other, out_proj.weight (C, C);
            in_proj_bias (3C,) and out_proj.bias (C,) may be missing.
        keep, bias: broadcastable to (…, H, T, S); temperature as for `attention`.
        turn: turns queries and keys by their position, (…, T, D), as `rotary` does.

    Returns the output (…, T, C) and the weights of every head (…, H, T, S).
    Errors: ShapeError, InvalidParameterError. Source: Vaswani et al. 2017, section 3.2.2.
    """
    key = query if key is None else key
    value = key if value is None else value
    biases = np.split(_real(weights["in_proj_bias"]), 3) if "in_proj_bias" in weights else [None] * 3
    w_q, w_k, w_v = np.split(_real(weights["in_proj_weight"]), 3)
    q = split_heads(linear(query, w_q, biases[0]), n_heads)  # (…, H, T, D)
    k = split_heads(linear(key, w_k, biases[1]), n_heads)  # (…, H, S, D)
    v = split_heads(linear(value, w_v, biases[2]), n_heads)  # (…, H, S, D)
    if turn is not None:
        q, k = turn(q), turn(k)
    z, shares = attention(q, k, v, keep=keep, bias=bias, temperature=temperature)
    return linear(merge_heads(z), weights["out_proj.weight"], weights.get("out_proj.bias")), shares


def layer_norm(
    x: ArrayLike, weight: ArrayLike | None = None, bias: ArrayLike | None = None, eps: float = 1e-5
) -> Array:
    """LayerNorm(x) = (x − μ) / √(σ² + ε) · γ + β, with μ and σ² over the C numbers of each token: (…, C).

    σ² divides by C. weight is γ (C,), 1 by default; bias is β (C,), 0 by default.
    Source: Ba et al. 2016, "Layer Normalization", section 3, equation 4.
    """
    x = _real(x)
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    y = (x - mean) / np.sqrt(variance + eps)
    if weight is not None:
        y = y * _real(weight)
    return y if bias is None else y + _real(bias)


def relu(x: ArrayLike) -> Array:
    """ReLU(x) = max(0, x). Source: Vaswani et al. 2017, equation 2 (inside the feed-forward network)."""
    return np.maximum(_real(x), 0.0)


def gelu(x: ArrayLike) -> Array:
    """GELU(x) = x Φ(x) = x · ½ (1 + erf(x / √2)). Source: Hendrycks & Gimpel 2016, section 2."""
    x = _real(x)
    erf = np.array([math.erf(number / math.sqrt(2.0)) for number in x.flat]).reshape(x.shape)
    return x * 0.5 * (1.0 + erf)


def gelu_tanh(x: ArrayLike) -> Array:
    """GELU(x) ≈ ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), GPT-2's. Source: Hendrycks & Gimpel 2016, section 2."""
    x = _real(x)
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS: dict[str, Callable[[ArrayLike], Array]] = {"relu": relu, "gelu": gelu, "gelu_tanh": gelu_tanh}


def feed_forward(x: ArrayLike, weights: Weights, activation: str = "relu") -> Array:
    """FFN(x) = σ(x W₁ + b₁) W₂ + b₂, for each token by itself: (…, T, C) → (…, T, C).

    weights: linear1.weight (F, C), linear2.weight (C, F); linear1.bias (F,) and linear2.bias (C,) may be
    missing. activation σ is "relu", "gelu" or "gelu_tanh".
    Errors: InvalidParameterError, ShapeError. Source: Vaswani et al. 2017, section 3.3, equation 2.
    """
    if activation not in ACTIVATIONS:
        raise InvalidParameterError(f"activation={activation!r} is not one of {', '.join(ACTIVATIONS)}")
    hidden = ACTIVATIONS[activation](linear(x, weights["linear1.weight"], weights.get("linear1.bias")))  # (…, T, F)
    return linear(hidden, weights["linear2.weight"], weights.get("linear2.bias"))


def encoder_layer(
    x: ArrayLike,
    weights: Weights,
    n_heads: int,
    *,
    norm_first: bool = False,
    activation: str = "relu",
    eps: float = 1e-5,
    keep: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    temperature: float = 1.0,
    turn: Callable[[Array], Array] | None = None,
) -> Array:
    """One layer on x (…, T, C); the sublayers are attention and feed-forward.

        post-norm   x ← LayerNorm(x + Sublayer(x))      Vaswani et al. 2017, section 3.1
        pre-norm    x ← x + Sublayer(LayerNorm(x))      Xiong et al. 2020, section 3.1

    weights: those of `multi_head_attention` under "self_attn.", those of `feed_forward`, and norm1 and norm2
    (weight, bias). Further arguments as for `multi_head_attention` and `layer_norm`.
    """
    attended_by, norms = under("self_attn", weights), (under("norm1", weights), under("norm2", weights))

    def attend(y: ArrayLike) -> Array:
        return multi_head_attention(y, attended_by, n_heads, keep=keep, bias=bias, temperature=temperature, turn=turn)[
            0
        ]

    def norm(i: int, y: ArrayLike) -> Array:
        return layer_norm(y, norms[i].get("weight"), norms[i].get("bias"), eps)

    x = _real(x)
    if norm_first:
        x = x + attend(norm(0, x))
        return x + feed_forward(norm(1, x), weights, activation)
    x = norm(0, x + attend(x))
    return norm(1, x + feed_forward(x, weights, activation))


def encoder(
    x: ArrayLike, weights: Weights, n_heads: int, n_layers: int, *, eps: float = 1e-5, **options: Any
) -> list[Array]:
    """x through n_layers layers: x, then what each layer gives, each (…, T, C).

    weights: those of `encoder_layer` under "layers.0.", "layers.1." …; where there is a final norm (usual with
    pre-norm), under "norm.", the last entry is normed by it. Further arguments as for `encoder_layer`.
    Source: Vaswani et al. 2017, section 3.1.
    """
    states = [_real(x)]
    for i in range(n_layers):
        states.append(encoder_layer(states[-1], under(f"layers.{i}", weights), n_heads, eps=eps, **options))
    final = under("norm", weights)
    if final:
        states[-1] = layer_norm(states[-1], final["weight"], final.get("bias"), eps)
    return states


def sinusoidal(n_positions: int, d_model: int, base: float = 10_000.0) -> Array:
    """PE(p, 2i) = sin(p / base^(2i/C)), PE(p, 2i+1) = cos(p / base^(2i/C)): (T, C), to be added to the embeddings.

    Errors: InvalidParameterError if C is odd. Source: Vaswani et al. 2017, section 3.5.
    """
    angles = _angles(n_positions, d_model, base)  # (T, C/2)
    encoding = np.empty((n_positions, d_model))
    encoding[:, 0::2] = np.sin(angles)
    encoding[:, 1::2] = np.cos(angles)
    return encoding


def rotary(x: ArrayLike, base: float = 10_000.0) -> Array:
    """Turns the pair (x_2i, x_2i+1) at position p by the angle θ = p / base^(2i/D). x and result: (…, T, D).

        x_2i   ← x_2i cos θ − x_2i+1 sin θ
        x_2i+1 ← x_2i sin θ + x_2i+1 cos θ

    Errors: InvalidParameterError if D is odd. Source: Su et al. 2021, "RoFormer", section 3.2.2, equation 15.
    """
    x = _real(x)
    angles = _angles(x.shape[-2], x.shape[-1], base)  # (T, D/2)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = np.empty_like(x)
    turned[..., 0::2] = even * np.cos(angles) - odd * np.sin(angles)
    turned[..., 1::2] = even * np.sin(angles) + odd * np.cos(angles)
    return turned


def alibi_slopes(n_heads: int) -> Array:
    """m_h = 2^(−8(h+1)/H) for H a power of two, as (H,); h counts from 0.

    For other H: the slopes of the power of two below, then every second slope of the power above it.
    Errors: InvalidParameterError if H < 1.
    Source: Press et al. 2022, "Train Short, Test Long", section 3, and its reference code for other H.
    """
    if n_heads < 1:
        raise InvalidParameterError(f"n_heads={n_heads} is below 1")
    below = 2 ** int(math.log2(n_heads))
    slopes = [2.0 ** (-8.0 * (h + 1) / below) for h in range(below)]
    between = [2.0 ** (-8.0 * (h + 1) / (2 * below)) for h in range(0, 2 * below, 2)]
    return np.array(slopes + between[: n_heads - below])


def alibi(n_queries: int, n_keys: int, n_heads: int) -> Array:
    """bias_hij = −m_h |i − j|, as (H, T, S), to be added to the scores.

    Source: Press et al. 2022, section 3 (there for j ≤ i only; |i − j| is its symmetric form for encoders).
    """
    distance = np.abs(np.arange(n_queries)[:, None] - np.arange(n_keys)[None, :])
    return -alibi_slopes(n_heads)[:, None, None] * distance


# The twins of `positions.SCHEMES`, by where they act; a learned table is among the weights.
ADDED: dict[str, Callable[[int, int], Array]] = {"sinusoidal": sinusoidal}  # (T, C) → what the embeddings gain
TURNED: dict[str, Callable[[Array], Array]] = {"rope": rotary}  # what queries and keys become
BIASES: dict[str, Callable[[int, int, int], Array]] = {"alibi": alibi}  # (T, S, H) → what the scores gain


def causal(n_queries: int, n_keys: int | None = None) -> Bools:
    """keep_ij = (j ≤ i): each token sees itself and the past. (T, S). Source: Vaswani et al. 2017, section 3.2.3."""
    n_keys = n_queries if n_keys is None else n_keys
    return np.arange(n_keys)[None, :] <= np.arange(n_queries)[:, None]


def window(n_queries: int, size: int, n_keys: int | None = None) -> Bools:
    """keep_ij = (|i − j| ≤ size): each token sees its neighbours. (T, S). Source: Beltagy et al. 2020, section 3.1."""
    n_keys = n_queries if n_keys is None else n_keys
    return np.abs(np.arange(n_queries)[:, None] - np.arange(n_keys)[None, :]) <= size


def padding(lengths: Sequence[int], n_keys: int) -> Bools:
    """keep_bj = (j < lengths_b): no token of text b sees its padding. (B, 1, 1, S), for all heads and queries."""
    return (np.arange(n_keys)[None, :] < np.asarray(lengths)[:, None])[:, None, None, :]


def under(name: str, weights: Weights) -> dict[str, ArrayLike]:
    """The weights of a part: those whose names begin with "name.", without it."""
    return {key.removeprefix(f"{name}."): array for key, array in weights.items() if key.startswith(f"{name}.")}


def _angles(n_positions: int, width: int, base: float) -> Array:
    """p / base^(2i/width), as (T, width/2)."""
    if width < 2 or width % 2:
        raise InvalidParameterError(f"sine and cosine come in pairs: the width has to be even, not {width}")
    return np.arange(n_positions)[:, None] / base ** (np.arange(0, width, 2)[None, :] / width)


def _real(x: ArrayLike) -> Array:
    return np.asarray(x, dtype=np.float64)
