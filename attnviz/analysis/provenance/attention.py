"""Attention as matrices, from what goes in to what W_O makes of all heads.

x → Q, K, V (→ turned by RoPE) → Q_h K_hᵀ → · 1/√d_k (+ ALiBi) → + mask → softmax → · V_h → concat → · W_O → out
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.analysis.provenance.terms import (
    Array,
    Concat,
    Given,
    Matrix,
    Product,
    Rotation,
    Scale,
    Softmax,
    Sum,
)
from attnviz.nn.attention import AttentionTrace, total_bias
from attnviz.nn.multihead import MultiheadAttention
from attnviz.nn.positions import Scheme


def attention_matrices(
    mha: MultiheadAttention,
    trace: AttentionTrace,
    source: Matrix,
    *,
    batch: int = 0,
    length: int | None = None,
    scheme: Scheme | None = None,
) -> list[Matrix]:
    """Everything from W_Q to out; `source` is what goes in. Only the first `length` tokens.

    `scheme`: the positions that turned queries and keys, or changed the scores.
    """
    n = trace.q.shape[2] if length is None else length
    turned = scheme if scheme is not None and scheme.acts == "turn" else None
    matrices = _projected(mha, trace, source, batch, n, turned)
    by = "" if scheme is None or scheme.bias is None else scheme.name
    matrices += _heads(trace, batch, n, mha.head_dim, "QK" if turned is None else "QrKr", by)
    z = trace.z[batch, :, :n].transpose(0, 1).flatten(1)  # (T, C)
    rule = Concat(tuple(f"z.{head}" for head in range(mha.num_heads)), mha.head_dim)
    matrices.append(Matrix("concat", "concat", array(z), ("query", "inner"), rule))
    assert trace.out is not None
    return matrices + linear("out", trace.out[batch, :n], "concat", "O", mha.out_proj, ("inner", "model"))


def linear(name: str, x: Tensor, source: str, of: str, layer: nn.Linear, axes: tuple[str, str]) -> list[Matrix]:
    """W, b and x = source · W + b; `of` is what follows "W_" and "b_", `axes` what rows and columns of W count."""
    matrices = [given(f"W_{of}", f"W_{of}", layer.weight.T, "weight", axes)]
    bias = "" if layer.bias is None else f"b_{of}"
    if bias:
        matrices.append(given(bias, bias, layer.bias[None], "bias", ("one", axes[1])))
    rule = Product(source, f"W_{of}", 0, layer.in_features, bias=bias)
    return [*matrices, Matrix(name, name, array(x), ("query", axes[1]), rule)]


def given(name: str, symbol: str, x: Tensor, note: str, axes: tuple[str, str] = ("query", "model")) -> Matrix:
    """A matrix that is not computed here; `note` as in `Given`."""
    return Matrix(name, symbol, array(x), axes, Given(note))


def array(x: Tensor) -> Array:
    """The numbers of a tensor."""
    return x.detach().contiguous().numpy()


def _projected(
    mha: MultiheadAttention, trace: AttentionTrace, source: Matrix, batch: int, n: int, turned: Scheme | None
) -> list[Matrix]:
    """W, b and the product, for Q, K and V: heads side by side, head h in columns hD … (h+1)D − 1."""
    matrices: list[Matrix] = []
    weights = mha.in_proj_weight.chunk(3)
    biases = (None,) * 3 if mha.in_proj_bias is None else mha.in_proj_bias.chunk(3)
    made = (trace.q, trace.k, trace.v)
    for letter, weight, bias, x in zip("QKV", weights, biases, made, strict=True):
        matrices.append(given(f"W_{letter}", f"W_{letter}", weight.T, "weight", ("model", "inner")))
        if bias is not None:
            matrices.append(given(f"b_{letter}", f"b_{letter}", bias[None], "bias", ("one", "inner")))
        rule = Product(source.name, f"W_{letter}", 0, mha.embed_dim, bias="" if bias is None else f"b_{letter}")
        axes = ("query" if letter == "Q" else "key", "inner")
        values = array(x[batch, :, :n].transpose(0, 1).flatten(1))  # (T, C)
        if turned is not None and turned.rates is not None and letter != "V":  # the trace holds them turned
            plain = F.linear(torch.from_numpy(source.values), weight, bias)
            matrices.append(Matrix(letter, letter, array(plain), axes, rule))
            turning = Rotation(letter, mha.head_dim, tuple(turned.rates(mha.head_dim).tolist()), turned.name)
            matrices.append(Matrix(f"{letter}r", f"{letter}′", values, axes, turning))
        else:
            matrices.append(Matrix(letter, letter, values, axes, rule))
    return matrices


def _heads(trace: AttentionTrace, batch: int, n: int, width: int, qk: str, by: str) -> list[Matrix]:
    """From the scores of each head to its z; `qk`: what they are the products of, `by`: what their bias is called."""
    q, k = trace.q[batch, :, :n], trace.k[batch, :, :n]
    raw = q @ k.mT  # (H, T, T)
    scaled = raw * trace.scale
    bias, mask = _added(trace, batch, n)
    total = scaled + mask if bias is None else scaled + bias + mask
    weights, z = trace.weights[batch, :, :n, :n], trace.z[batch, :, :n]
    mixed = None if trace.head_scale is None else weights @ trace.v[batch, :, :n]
    matrices: list[Matrix] = []
    for h in range(len(q)):
        first, grid = h * width, ("query", "key")
        product = Product(qk[: len(qk) // 2], qk[len(qk) // 2 :], first, first + width, transposed=True)
        parts = [f"scaled.{h}"]
        matrices.append(Matrix(f"scores.{h}", "QKᵀ" if qk == "QK" else "Q′K′ᵀ", array(raw[h]), grid, product))
        matrices.append(Matrix(f"scaled.{h}", "scaled", array(scaled[h]), grid, Scale(f"scores.{h}", trace.scale)))
        if bias is not None:
            slope = 0.0 if trace.alibi is None else float(trace.alibi[h])
            parts.append(f"bias.{h}")
            matrices.append(Matrix(f"bias.{h}", "bias", array(bias[h]), grid, Given("alibi", slope=slope, by=by)))
        matrices.append(Matrix(f"mask.{h}", "mask", array(mask[h]), grid, Given("mask")))
        matrices.append(Matrix(f"masked.{h}", "masked", array(total[h]), grid, Sum((*parts, f"mask.{h}"))))
        shares = Softmax(f"masked.{h}", trace.temperature)
        matrices.append(Matrix(f"weights.{h}", "A", array(weights[h]), grid, shares))
        rule: Product | Scale = Product(f"weights.{h}", "V", 0, n)
        across = ("query", "inner"), first, width * len(q)
        if mixed is not None and trace.head_scale is not None:  # switched off, or weakened
            matrices.append(Matrix(f"AV.{h}", "AV", array(mixed[h]), across[0], rule, *across[1:]))
            rule = Scale(f"AV.{h}", float(trace.head_scale[h]))
        matrices.append(Matrix(f"z.{h}", f"z_{h}", array(z[h]), across[0], rule, *across[1:]))
    return matrices


def _added(trace: AttentionTrace, batch: int, n: int) -> tuple[Tensor | None, Tensor]:
    """What is added to the scaled scores: a bias, if there is one; 0, or −∞ where a query may not look. (H, T, T)"""
    whole = trace.q.shape[0], trace.q.shape[1], trace.q.shape[2], trace.k.shape[2]
    total = total_bias(trace.bias, trace.alibi, whole[2], whole[3], trace.mask.start)
    bias = None if total is None else total.to(trace.q.dtype).expand(whole)[batch, :, :n, :n]
    mask = trace.q.new_zeros(whole)
    keep = trace.keep
    return bias, (mask if keep is None else mask.masked_fill(~keep, -math.inf))[batch, :, :n, :n]
