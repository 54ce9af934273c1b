"""The residual stream: what each layer adds to it, what LayerNorm does to it, and what depth does to gradients.

    post-norm   x ← LayerNorm(x + Sublayer(x))      Vaswani et al. 2017, section 3.1
    pre-norm    x ← x + Sublayer(LayerNorm(x))      Xiong et al. 2020, section 3.1

Traces in, float64 arrays out; T tokens, C model width, F feed-forward width, L layers. Lengths are Euclidean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.nn.checks import check_sizes
from attnviz.nn.layers import ACTIVATIONS, LayerTrace, TransformerEncoderLayer
from attnviz.nn.stacks import TransformerEncoder
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Block:
    """What one layer did to every token of a text, stage by stage, in the order of the computation.

    A layer of attention only has no feed-forward network: all of that is None, and `after` is `middle`.
    """

    norm_first: bool  # pre-norm
    before: Array  # (T, C) the stream into the layer
    attention_in: Array  # (T, C) what attention reads: `before`, after its norm if pre-norm
    attention: Array  # (T, C) what attention adds
    attention_sum: Array  # (T, C) before + attention
    middle: Array  # (T, C) the same, after its norm if post-norm
    feed_in: Array | None  # (T, C) what the feed-forward network reads: `middle`, after its norm if pre-norm
    hidden_in: Array | None  # (T, F) its hidden units before the activation
    hidden: Array | None  # (T, F) and after it
    feed_forward: Array | None  # (T, C) what the feed-forward network adds
    feed_sum: Array | None  # (T, C) middle + feed_forward
    after: Array  # (T, C) the same, after its norm if post-norm

    def lengths(self, token: int) -> dict[str, float]:
        """The norm of one token's vector at each stage that there is, by the names above; without the hidden units."""
        names = [field.name for field in fields(self) if field.name not in ("norm_first", "hidden_in", "hidden")]
        stages = {name: getattr(self, name) for name in names}
        return {name: float(np.linalg.norm(rows[token])) for name, rows in stages.items() if rows is not None}


def block(model: Transformer, trace: Trace, layer: int, *, norm_first: bool | None = None) -> Block:
    """One layer's run on the trace's first text, stage by stage.

    Arguments
        layer: counted from 0.
        norm_first: where the norms stand: None, as in the model. The other way runs the same layer, with the same
            weights and the same `before`, with its norms moved.

    Errors: InvalidParameterError for a layer that is not there, an encoder-decoder, a model without norms, or an
    arrangement that the trace's intervention was not run in.
    """
    block_layer, run = _layer(model, trace, layer)
    _check_norms(model)
    first = block_layer.norm_first if norm_first is None else norm_first
    with torch.inference_mode():
        x = run.resid_pre
        attention_in = block_layer.norm1(x) if first else x
        attention = (
            run.attention.out if first == block_layer.norm_first else _attend(block_layer, attention_in, trace, run)
        )
        assert attention is not None
        attention_sum = x + attention
        middle = attention_sum if first else block_layer.norm1(attention_sum)
        fed = _fed(block_layer, middle, first)
        stages = (x, attention_in, attention, attention_sum, middle, *(fed or (*(None,) * 5, middle)))
    rows: list[Any] = [None if stage is None else _array(stage[0, : trace.lengths[0]]) for stage in stages]
    return Block(first, *rows)


def _fed(layer: TransformerEncoderLayer, middle: Tensor, first: bool) -> tuple[Tensor, ...] | None:
    """The feed-forward network's stages, from what it reads to what leaves the layer; None where there is none."""
    if layer.attention_only:
        return None
    feed_in = layer.norm2(middle) if first else middle
    hidden_in = layer.linear1(feed_in)
    hidden = layer.activation(hidden_in)
    feed_forward = layer.linear2(hidden)
    feed_sum = middle + feed_forward
    return feed_in, hidden_in, hidden, feed_forward, feed_sum, feed_sum if first else layer.norm2(feed_sum)


def _layer(model: Transformer, trace: Trace, layer: int) -> tuple[TransformerEncoderLayer, LayerTrace]:
    if trace.source is not None or model.config.kind == "encoder-decoder":
        raise InvalidParameterError("the blocks of an encoder-decoder model have three sublayers; this shows two")
    if not 0 <= layer < len(trace.layers):
        raise InvalidParameterError(f"layer {layer} of {len(trace.layers)} (counted from 0)")
    stack = cast(nn.ModuleDict, model.decoder if model.encoder is None else model.encoder)
    encoder_layer = cast(nn.ModuleList, stack["layers"])[layer]
    return cast(TransformerEncoderLayer, encoder_layer), trace.layers[layer]


def _check_norms(model: Transformer) -> None:
    if not model.config.norms:
        raise InvalidParameterError("this model has no LayerNorms, which stand between these stages")


def _attend(layer: TransformerEncoderLayer, x: Tensor, trace: Trace, run: LayerTrace) -> Tensor:
    """Attention on another input, under the mask and the positions of the run: (B, T, C)."""
    if trace.intervention is not None:
        raise InvalidParameterError("a run with an intervention can only be shown as it was run")
    options = trace.config.scheme.in_attention(trace.config.n_heads, trace.config.head_dim, x)
    out = layer.self_attn.trace_batch_first(x, mask=run.attention.mask, **options).out
    assert out is not None
    return out


# ---- one LayerNorm -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Normed:
    """What LayerNorm does to one token: (x − μ) / √(σ² + ε), then · γ + β."""

    before: Array  # (C,)
    standard: Array  # (C,) mean 0, standard deviation 1
    after: Array  # (C,) times γ plus β
    gain: Array  # (C,) γ
    shift: Array  # (C,) β, zeros where there is none


def normed(model: Transformer, trace: Trace, layer: int, token: int, *, second: bool = False) -> Normed:
    """A layer's first LayerNorm (attention's) or its second (the feed-forward network's) on one token.

    Errors: as `block`, and for a second norm of a layer that has one. Source: Ba et al. 2016, section 3, equation 4.
    """
    block_layer, run = _layer(model, trace, layer)
    _check_norms(model)
    if second and block_layer.attention_only:
        raise InvalidParameterError("a layer of attention only has no second LayerNorm")
    stream, added = (run.resid_mid, run.feed_forward) if second else (run.resid_pre, run.attention.out)
    norm = block_layer.norm2 if second else block_layer.norm1
    assert stream is not None and added is not None
    with torch.inference_mode():
        row = (stream if block_layer.norm_first else stream + added)[0, token]
        standard = F.layer_norm(row, norm.normalized_shape, eps=norm.eps)
        after = norm(row)
    shift = torch.zeros_like(norm.weight) if norm.bias is None else norm.bias
    return Normed(*map(_array, (row, standard, after, norm.weight, shift)))


def activations(low: float, high: float, n: int = 241) -> dict[str, tuple[Array, Array]]:
    """ReLU and GELU as curves, (inputs, outputs) of n points each, over at least −4 … 3; 0 is one of the inputs.

    Source: Hendrycks & Gimpel 2016, section 2.
    """
    x = np.union1d(np.linspace(min(low, -4.0), max(high, 3.0), n - 1), [0.0])
    inputs = torch.from_numpy(x)
    return {name: (x, _array(ACTIVATIONS[key](inputs))) for key, name in (("relu", "ReLU"), ("gelu", "GELU"))}


# ---- all layers ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Branches:
    """The norms of each layer's additions, and of the stream that they are added to: (L, T) each."""

    attention: Array
    feed_forward: Array | None  # None for layers of attention only
    before_attention: Array
    before_feed_forward: Array

    @property
    def attention_share(self) -> Array:
        """(L, T): the norm of attention's addition as a share of the stream's there; 0 where the stream is 0."""
        return _ratio(self.attention, self.before_attention)

    @property
    def feed_forward_share(self) -> Array | None:
        """(L, T): the same of the feed-forward network's; None where there is none."""
        return None if self.feed_forward is None else _ratio(self.feed_forward, self.before_feed_forward)


def branches(model: Transformer, trace: Trace) -> Branches:
    """The norms of what attention and the feed-forward network add, in every layer. Errors: as `block`."""
    runs = [_layer(model, trace, layer)[1] for layer in range(len(trace.layers))]
    layers = [(run.attention.out, run.feed_forward, run.resid_pre, run.resid_mid) for run in runs]
    attention, feed_forward, before, middle = (_norms(rows, trace.lengths[0]) for rows in zip(*layers, strict=True))
    assert attention is not None and before is not None and middle is not None
    return Branches(attention, feed_forward, before, middle)


def _norms(rows: Sequence[Tensor | None], n_tokens: int) -> Array | None:
    """The norms of the first text's rows (L, T) of several (B, T, C); None where there are none."""
    given = [row[0, :n_tokens].double().norm(dim=-1) for row in rows if row is not None]
    return torch.stack(given).numpy() if given else None


def stream(trace: Trace) -> Array:
    """The first text's residual stream before the layers and after each of them: (L + 1, T, C)."""
    states = [layer.resid_pre for layer in trace.layers] + [trace.layers[-1].resid_post]
    return np.stack([_array(state[0, : trace.lengths[0]]) for state in states])


@dataclass(frozen=True, eq=False)
class Drift:
    """The stream seen along its few directions of largest variance, the same for all layers."""

    points: Array  # (L + 1, T, k)
    shares: Array  # (k,) of the whole variance, largest first
    directions: Array  # (k, C) of length 1, at right angles
    mean: Array  # (C,) of all layers and tokens, which the directions start from


def drift(states: Array, k: int = 2) -> Drift:
    """Principal components of all states (L + 1, T, C) together, so that layers can be compared in one picture.

    Each direction's largest entry is positive, or the picture could come out mirrored. Where there are fewer
    than k directions, the rest is 0. Errors: ShapeError. Source: Pearson 1901; Jolliffe 2002, chapter 3.
    """
    if states.ndim != 3 or 0 in states.shape:
        raise ShapeError(f"the states are (L + 1, T, C), not {states.shape}")
    check_sizes(k=k)
    # torch's products, on as many threads as it may have: NumPy's take every core, and wait there for more
    rows = torch.from_numpy(states.reshape(-1, states.shape[-1]))
    mean = rows.mean(dim=0)
    centred = rows - mean
    variances, directions = _principal(centred, k)
    total = float(centred.square().sum())
    shares = variances / total if total > 0 else np.zeros(k)
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.where(directions[np.arange(k), largest] < 0, -1.0, 1.0)[:, None]
    points = centred @ torch.from_numpy(directions).T
    return Drift(points.reshape(*states.shape[:2], k).numpy(), shares, directions, mean.numpy())


def _principal(rows: Tensor, k: int) -> tuple[Array, Array]:
    """The k largest principal variances (k,) of centred rows (N, C), and their directions (k, C).

    By the smaller of C × C and N × N: an eighth of the time of a singular value decomposition.
    """
    wide = rows.shape[0] < rows.shape[1]
    values, vectors = torch.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)  # smallest first
    found = [i for i in range(len(values) - 1, -1, -1)[:k] if values[i] > 1e-12 * values[-1] > 0]
    variances, directions = np.zeros(k), np.zeros((k, rows.shape[1]))
    variances[: len(found)] = values[found]
    axes = vectors[:, found].T
    directions[: len(found)] = axes @ rows / values[found].sqrt()[:, None] if wide else axes
    return variances, directions


# ---- depth ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Untrained:
    """A stack of encoder layers with random weights, and something for it to get wrong."""

    encoder: TransformerEncoder
    x: Tensor  # (1, T, C) random tokens
    readout: Tensor  # (V, C) scores = output · readoutᵀ
    targets: Tensor  # (T,) the right one of V, drawn at random

    def loss(self, output: Tensor) -> Tensor:
        """Mean cross-entropy of the scores of the output (1, T, C) against the targets."""
        return F.cross_entropy(output[0] @ self.readout.T, self.targets)


def untrained(
    depth: int,
    norm_first: bool,
    seed: int,
    *,
    d_model: int = 64,
    n_heads: int = 4,
    n_tokens: int = 32,
    n_classes: int = 256,
    dtype: torch.dtype = torch.float32,
) -> Untrained:
    """`depth` encoder layers with Xavier's random weights, ReLU and F = 4 C; pre-norm ends in a LayerNorm.

    Seed and sizes decide everything: both arrangements get the same weights, tokens and targets.
    Errors: InvalidParameterError. Source: Xiong et al. 2020, section 3; Glorot & Bengio 2010, equation 16.
    """
    check_sizes(depth=depth)
    options: dict[str, Any] = {"device": "meta", "dtype": dtype}  # "meta": no time spent on weights drawn twice
    layer = TransformerEncoderLayer(
        d_model, n_heads, 4 * d_model, 0.0, F.relu, batch_first=True, norm_first=norm_first, **options
    )
    final = nn.LayerNorm(d_model, **options) if norm_first else None
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False):  # inside a caller's inference mode too, tensors that gradients can reach
        encoder = TransformerEncoder(layer, depth, final).eval()
        empty = {name: torch.empty(x.shape, dtype=x.dtype) for name, x in encoder.state_dict().items()}
        encoder.load_state_dict(empty, assign=True)  # to_empty() would import sympy: 0.5 s, 30 MB
        x = torch.randn(1, n_tokens, d_model, generator=generator, dtype=dtype)
        targets = torch.randint(n_classes, (n_tokens,), generator=generator)
        readout = nn.init.xavier_normal_(torch.empty(n_classes, d_model, dtype=dtype), generator=generator)
        for name, parameter in encoder.named_parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter, generator=generator)
            else:
                nn.init.constant_(parameter, float("norm" in name and name.endswith("weight")))
    return Untrained(encoder, x, readout, targets)


@dataclass(frozen=True, eq=False)
class Depth:
    """Sizes in an untrained stack of L layers."""

    stream: Array  # (L + 1,) mean length of the tokens' vectors, before the layers and after each
    gradients: Array  # (L,) length of the loss's gradient with respect to all of a layer's parameters
    stream_gradients: Array  # (L + 1,) and with respect to the stream, before the layers and after each
    loss: float


def depth_sizes(stack: Untrained) -> Depth:
    """One forward and one backward pass. Source: Xiong et al. 2020, section 3.3 and figure 3."""
    layers = stack.encoder.layers
    with torch.inference_mode(False), torch.enable_grad():
        states = [stack.x.clone().requires_grad_()]
        for layer in layers:
            states.append(layer(states[-1]))
        norm = stack.encoder.norm
        loss = stack.loss(states[-1] if norm is None else norm(states[-1]))
        wanted = [list(layer.parameters()) for layer in layers]
        derivatives = torch.autograd.grad(loss, [*states, *(one for layer in wanted for one in layer)])
    along, rest = derivatives[: len(states)], list(derivatives[len(states) :])
    gradients = [math.sqrt(sum(float(rest.pop(0).square().sum()) for _ in layer)) for layer in wanted]
    lengths = [float(state.detach().norm(dim=-1).mean()) for state in states]
    return Depth(
        np.array(lengths), np.array(gradients), np.array([float(g.norm()) for g in along]), float(loss.detach())
    )


def _array(x: Tensor) -> Array:
    return x.detach().double().numpy()


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
