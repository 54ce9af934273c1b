"""One layer's attention as matrices whose every number can be traced to the numbers that made it.

    x → Q, K, V → Q_h K_hᵀ → · 1/√d_k → + mask → softmax → · V_h → heads side by side → · W_O → out

`layer_provenance` takes the matrices from a run (nothing is computed again that the trace holds), `terms` says for one
cell which cells of which matrices made it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from attnviz.analysis.provenance.terms import (
    Array,
    Concat,
    Given,
    Matrix,
    Norm,
    Product,
    Provenance,
    Scale,
    Softmax,
    Sum,
)
from attnviz.errors import InvalidParameterError
from attnviz.nn import positions
from attnviz.nn.attention import AttentionTrace, total_bias
from attnviz.nn.multihead import MultiheadAttention

if TYPE_CHECKING:
    from attnviz.nn.trace import Trace
    from attnviz.nn.transformer import Transformer


def layer_provenance(model: Transformer, trace: Trace, layer: int, *, batch: int = 0) -> Provenance:
    """The self-attention of one layer, for one text of a trace that this model made.

    Padding is left out: no real token looks at it. Errors: InvalidParameterError for a layer or text that the
    trace does not have, and for rotary positions or scaled heads, which have no matrix here.
    """
    if not 0 <= layer < len(trace.layers):
        raise InvalidParameterError(f"layer {layer} of {len(trace.layers)} (counted from 0)")
    if not 0 <= batch < len(trace.encodings):
        raise InvalidParameterError(f"batch={batch}, but the trace holds {len(trace.encodings)} texts (from 0)")
    scheme = (trace.intervention and trace.intervention.positions) or trace.config.positions
    run, n = trace.layers[layer], trace.lengths[batch]
    if scheme == "rope" or run.attention.head_scale is not None:
        raise InvalidParameterError("rotary positions and scaled heads cannot be walked through step by step")
    encoding = trace.encodings[batch]
    stack = model.encoder if model.decoder is None else model.decoder
    assert stack is not None
    block = cast(Any, stack["layers"])[layer]
    with torch.inference_mode():
        x = run.resid_pre[batch, :n]
        start = _embedded(model, encoding.ids[:n], scheme, x) if layer == 0 else [_given("x", "x", x, "layer")]
        source = "x"
        if trace.config.norm_first:
            start += _normed("n", "x̂", block.norm1(x), "x", block.norm1, "1")
            source = "n"
        attention = attention_matrices(block.self_attn, run.attention, source, batch=batch, length=n)
    return Provenance(
        {matrix.name: matrix for matrix in (*start, *attention)},
        encoding.labels[:n],
        layer,
        len(trace.layers),
        trace.config.n_heads,
        run.attention.mask.causal,
        encoding.special[:n],
        encoding.continues[:n],
        trace.title,
    )


def _embedded(model: Transformer, ids: Sequence[int], scheme: str, x: Tensor) -> list[Matrix]:
    """x and what it is the sum (and norm) of: rows of the token, position and segment tables."""
    embed, n, c = model.embed, len(ids), model.config.d_model
    tokens = cast(nn.Embedding, embed["tokens"]).weight
    size, numbers = len(tokens), tuple(int(i) for i in ids)
    parts = [Matrix("E", "E", _array(tokens[list(ids)]), ("query", "model"), Given("token", numbers, size))]
    if scheme == "learned":
        table = cast(nn.Embedding, embed["positions"]).weight
        given = Given("position", tuple(range(n)), len(table))
        parts.append(Matrix("P", "P", _array(table[:n]), ("query", "model"), given))
    elif scheme == "sinusoidal":
        parts.append(_given("P", "P", positions.sinusoidal(n, c), "formula"))
    if model.config.n_types:
        table = cast(nn.Embedding, embed["types"]).weight
        parts.append(Matrix("S", "S", _array(table[:1]), ("one", "model"), Given("segment", (0,), len(table))))
    total = Sum(tuple(part.name for part in parts))
    if not model.config.embed_norm:
        return [*parts, Matrix("x", "x", _array(x), ("query", "model"), total)]
    summed = sum(torch.from_numpy(part.values) for part in parts)
    assert isinstance(summed, Tensor)
    parts.append(Matrix("e", "e", _array(summed), ("query", "model"), total))
    return [*parts, *_normed("x", "x", x, "e", cast(nn.LayerNorm, embed["norm"]), "e")]


def _normed(name: str, symbol: str, x: Tensor, of: str, norm: nn.LayerNorm, mark: str) -> list[Matrix]:
    gamma = _given(f"γ_{mark}", "γ", norm.weight[None], "gamma", ("one", "model"))
    matrices, bias = [gamma], ""
    if norm.bias is not None:
        bias = f"β_{mark}"
        matrices.append(_given(bias, "β", norm.bias[None], "beta", ("one", "model")))
    rule = Norm(of, gamma.name, bias, norm.eps)
    return [*matrices, Matrix(name, symbol, _array(x), ("query", "model"), rule)]


def _given(name: str, symbol: str, x: Tensor, note: str, axes: tuple[str, str] = ("query", "model")) -> Matrix:
    return Matrix(name, symbol, _array(x), axes, Given(note))


def attention_matrices(
    mha: MultiheadAttention, trace: AttentionTrace, source: str, *, batch: int = 0, length: int | None = None
) -> list[Matrix]:
    """Everything from W_Q to out; `source` names the matrix that goes in. Only the first `length` tokens."""
    n = trace.q.shape[2] if length is None else length
    matrices = _projected(mha, trace, source, batch, n)
    for head in range(mha.num_heads):
        matrices += _head(trace, head, batch, n, mha.head_dim)
    z = trace.z[batch, :, :n].transpose(0, 1).flatten(1)  # (T, C)
    rule = Concat(tuple(f"z.{head}" for head in range(mha.num_heads)), mha.head_dim)
    matrices.append(Matrix("concat", "concat", _array(z), ("query", "inner"), rule))
    matrices.append(_given("W_O", "W_O", mha.out_proj.weight.T, "weight", ("inner", "out")))
    bias = ""
    if mha.out_proj.bias is not None:
        bias = "b_O"
        matrices.append(_given(bias, bias, mha.out_proj.bias[None], "bias", ("one", "out")))
    assert trace.out is not None
    out = Product("concat", "W_O", 0, mha.embed_dim, bias=bias)
    return [*matrices, Matrix("out", "out", _array(trace.out[batch, :n]), ("query", "out"), out)]


def _projected(mha: MultiheadAttention, trace: AttentionTrace, source: str, batch: int, n: int) -> list[Matrix]:
    """W, b and the product, for Q, K and V: heads side by side, head h in columns hD … (h+1)D − 1."""
    matrices: list[Matrix] = []
    weights = mha.in_proj_weight.chunk(3)
    biases = (None,) * 3 if mha.in_proj_bias is None else mha.in_proj_bias.chunk(3)
    made = (trace.q, trace.k, trace.v)
    for letter, weight, bias, x in zip("QKV", weights, biases, made, strict=True):
        matrices.append(_given(f"W_{letter}", f"W_{letter}", weight.T, "weight", ("model", "inner")))
        if bias is not None:
            matrices.append(_given(f"b_{letter}", f"b_{letter}", bias[None], "bias", ("one", "inner")))
        rule = Product(source, f"W_{letter}", 0, mha.embed_dim, bias="" if bias is None else f"b_{letter}")
        values = _array(x[batch, :, :n].transpose(0, 1).flatten(1))  # (T, C)
        matrices.append(Matrix(letter, letter, values, ("query" if letter == "Q" else "key", "inner"), rule))
    return matrices


def _head(trace: AttentionTrace, head: int, batch: int, n: int, width: int) -> list[Matrix]:
    """From the scores of one head to its z."""
    first, last, grid = head * width, (head + 1) * width, ("query", "key")
    q, k = trace.q[batch, head, :n], trace.k[batch, head, :n]
    raw = q @ k.mT  # (T, T)
    scaled = raw * trace.scale
    mask = _added(trace, head, batch, n)
    weights = trace.weights[batch, head, :n, :n]
    z = _array(trace.z[batch, head, :n])
    product = Product("Q", "K", first, last, transposed=True)
    shares = Softmax(f"masked.{head}", trace.temperature)
    return [
        Matrix(f"scores.{head}", "QKᵀ", _array(raw), grid, product),
        Matrix(f"scaled.{head}", "scaled", _array(scaled), grid, Scale(f"scores.{head}", trace.scale)),
        Matrix(f"mask.{head}", "mask", _array(mask), grid, Given("mask")),
        Matrix(f"masked.{head}", "masked", _array(scaled + mask), grid, Sum((f"scaled.{head}", f"mask.{head}"))),
        Matrix(f"weights.{head}", "A", _array(weights), grid, shares),
        Matrix(
            f"z.{head}",
            f"z_{head}",
            z,
            ("query", "inner"),
            Product(f"weights.{head}", "V", 0, n),
            first,
            width * trace.q.shape[1],
        ),
    ]


def _added(trace: AttentionTrace, head: int, batch: int, n: int) -> Tensor:
    """What is added to the scaled scores: a bias where there is one, −∞ where the query may not look. (T, T)"""
    whole = trace.q.shape[0], trace.q.shape[1], trace.q.shape[2], trace.k.shape[2]
    bias = total_bias(trace.bias, trace.alibi, whole[2], whole[3])
    mask = trace.q.new_zeros(whole) if bias is None else bias.to(trace.q.dtype).expand(whole)
    keep = trace.keep
    return (mask if keep is None else mask.masked_fill(~keep, -math.inf))[batch, head, :n, :n]


def _array(x: Tensor) -> Array:
    return x.detach().contiguous().numpy()
