"""One layer as matrices whose every number can be traced to the numbers that made it.

    x → attention → out → x + out → norm → feed-forward network → + → norm → what the next layer gets

`layer_provenance` takes the matrices from a run, `Provenance.terms` says for one cell which cells of which matrices
made it. What the trace does not hold (means, variances, the hidden numbers of the feed-forward network, queries and
keys before RoPE turns them) is computed here as the model computes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from attnviz.analysis.provenance.attention import array, attention_matrices, given, linear
from attnviz.analysis.provenance.terms import Activation, Given, Matrix, Mean, Norm, Provenance, Sum, Variance
from attnviz.errors import InvalidParameterError
from attnviz.nn.layers import ACTIVATIONS, LayerTrace, TransformerDecoderLayer
from attnviz.nn.positions import Scheme, described

if TYPE_CHECKING:
    from attnviz.nn.trace import Trace
    from attnviz.nn.transformer import Transformer


def layer_provenance(model: Transformer, trace: Trace, layer: int, *, batch: int = 0) -> Provenance:
    """One layer, for one text of a trace that this model made.

    Padding is left out: no real token looks at it. In a decoder that reads an encoder's output, what attention to that
    output adds is given, not traced. Errors: InvalidParameterError for a layer or text that the trace does not have,
    and for models that are not made of our layers.
    """
    if not 0 <= layer < len(trace.layers):
        raise InvalidParameterError(f"layer {layer} of {len(trace.layers)} (counted from 0)")
    if not 0 <= batch < len(trace.encodings):
        raise InvalidParameterError(f"batch={batch}, but the trace holds {len(trace.encodings)} texts (from 0)")
    decodes, stack = _stack(model, trace)
    block, run = cast(Any, stack["layers"])[layer], trace.layers[layer]
    at_input, in_layer = map(described, schemes(trace, layer, "decoder" if decodes else "encoder"))
    encoding, n = trace.encodings[batch], trace.lengths[batch]
    with torch.inference_mode():
        x = run.resid_pre[batch, :n]
        start = _embedded(model, encoding.ids[:n], at_input, x) if layer == 0 else [given("x", "x", x, "layer")]
        matrices = start + block_matrices(block, run, start[-1], batch=batch, length=n, scheme=in_layer)
        if layer == len(trace.layers) - 1 and isinstance(norm := stack["norm"], nn.LayerNorm):
            matrices += normed("final", "ŷ", trace.final[batch, :n], matrices[-1], norm)
    return Provenance(
        {matrix.name: matrix for matrix in matrices},
        encoding.labels[:n],
        layer,
        len(trace.layers),
        trace.config.n_heads,
        run.attention.mask.causal,
        encoding.special[:n],
        encoding.continues[:n],
        trace.title,
    )


def _stack(model: Transformer, trace: Trace) -> tuple[bool, nn.ModuleDict]:
    """Whether the trace is a decoder's, and the layers that made it."""
    if not hasattr(model, "decoder"):
        raise InvalidParameterError(f"{trace.title or 'this model'} is not made of our layers")
    decodes = model.decoder is not None and (trace.source is not None or model.encoder is None)
    stack = model.decoder if decodes else model.encoder
    assert stack is not None
    return decodes, stack


def schemes(trace: Trace, layer: int, place: str) -> tuple[str, str]:
    """The kind of positions at the input, and that in a layer's attention: what an intervention does to them."""
    own, change = trace.config.positions, trace.intervention
    if change is None or change.positions is None:
        return own, own
    at_input = change.positions if change.where in ("all", place) else own
    return at_input, at_input if change.at(layer, place) is not None else own


# ---- into the first layer ----------------------------------------------------------------------------


def _embedded(model: Transformer, ids: Sequence[int], scheme: Scheme, x: Tensor) -> list[Matrix]:
    """x and what it is the sum (and norm) of: rows of the token, position and segment tables."""
    embed, n, c = model.embed, len(ids), model.config.d_model
    if model.config.channels:
        return [given("x", "x", x, "patches")]
    tokens = cast(nn.Embedding, embed["tokens"]).weight
    size, numbers = len(tokens), tuple(int(i) for i in ids)
    parts = [Matrix("E", "E", array(tokens[list(ids)]), ("query", "model"), Given("token", numbers, size))]
    if scheme.learned:
        table = cast(nn.Embedding, embed["positions"]).weight
        rows = Given("position", tuple(range(n)), len(table))
        parts.append(Matrix("P", "P", array(table[:n]), ("query", "model"), rows))
    elif scheme.table is not None:
        parts.append(given("P", "P", scheme.table(n, c), "formula"))
    if model.config.n_types:
        table = cast(nn.Embedding, embed["types"]).weight
        parts.append(Matrix("S", "S", array(table[:1]), ("one", "model"), Given("segment", (0,), len(table))))
    total = Sum(tuple(part.name for part in parts))
    if not model.config.embed_norm:
        return [*parts, Matrix("x", "x", array(x), ("query", "model"), total)]
    summed = sum(torch.from_numpy(part.values) for part in parts)
    assert isinstance(summed, Tensor)
    parts.append(Matrix("e", "e", array(summed), ("query", "model"), total))
    return [*parts, *normed("x", "x", x, parts[-1], cast(nn.LayerNorm, embed["norm"]))]


# ---- through one layer ---------------------------------------------------------------------------------


def block_matrices(
    block: Any, run: LayerTrace, x: Matrix, *, batch: int = 0, length: int | None = None, scheme: Scheme | None = None
) -> list[Matrix]:
    """An encoder or decoder layer, from its first norm or W_Q to y, its output; `x` is what goes in.

    `scheme`: the positions in its attention.
    """
    n = x.values.shape[0] if length is None else length
    norms = not isinstance(block.norm1, nn.Identity)
    first = block.norm_first or not norms  # without norms a sum is just a sum
    crosses, whole = isinstance(block, TransformerDecoderLayer), not block.attention_only
    matrices: list[Matrix] = []
    if first and norms:
        matrices += normed("n", "x̂", block.norm1(torch.from_numpy(x.values)), x, block.norm1)
    source = matrices[-1] if matrices else x
    matrices += attention_matrices(block.self_attn, run.attention, source, batch=batch, length=n, scheme=scheme)
    assert run.resid_mid is not None
    mid = run.resid_mid[batch, :n]
    name, symbol = ("m", "m") if crosses or whole else ("y", "y")
    matrices += _added_and_normed(name, symbol, "r", mid, x, matrices[-1], None if first else block.norm1)
    if crosses:
        assert run.cross_attention is not None and run.cross_attention.out is not None and run.resid_cross is not None
        matrices.append(given("c", "c", run.cross_attention.out[batch, :n], "cross"))
        name, symbol = ("mc", "m_c") if whole else ("y", "y")
        cross = run.resid_cross[batch, :n]
        stream, norm = matrices[-2], None if first else block.norm2
        matrices += _added_and_normed(name, symbol, "rc", cross, stream, matrices[-1], norm)
    if not whole:
        return matrices
    stream, norm = matrices[-1], block.norm3 if crosses else block.norm2
    if first and norms:
        matrices += normed("n2", "m̂", norm(torch.from_numpy(stream.values)), stream, norm)
    matrices += _feed_forward(block, matrices[-1])
    post = run.resid_post[batch, :n]
    return matrices + _added_and_normed("y", "y", "s", post, stream, matrices[-1], None if first else norm)


def _added_and_normed(
    name: str, symbol: str, sum_name: str, x: Tensor, stream: Matrix, added: Matrix, norm: nn.LayerNorm | None
) -> list[Matrix]:
    """x = stream + added (pre-norm), or the norm of that sum (post-norm), which then has a name of its own."""
    total, axes = Sum((stream.name, added.name)), ("query", "model")
    if norm is None:
        return [Matrix(name, symbol, array(x), axes, total)]
    summed = Matrix(sum_name, sum_name[0], stream.values + added.values, axes, total)
    return [summed, *normed(name, symbol, x, summed, norm)]


def normed(name: str, symbol: str, x: Tensor, of: Matrix, norm: nn.LayerNorm) -> list[Matrix]:
    """Mean and variance of each row of a matrix, γ, β, and their LayerNorm x."""
    numbers = of.values.astype(np.float64)
    mean, variance = (f(numbers, axis=1, keepdims=True).astype(of.values.dtype) for f in (np.mean, np.var))
    column = ("query", "one")
    matrices = [
        Matrix(f"μ_{name}", "μ", mean, column, Mean(of.name)),
        Matrix(f"σ²_{name}", "σ²", variance, column, Variance(of.name, f"μ_{name}")),
        given(f"γ_{name}", "γ", norm.weight[None], "gamma", ("one", "model")),
    ]
    if norm.bias is not None:
        matrices.append(given(f"β_{name}", "β", norm.bias[None], "beta", ("one", "model")))
    bias = "" if norm.bias is None else f"β_{name}"
    rule = Norm(of.name, f"μ_{name}", f"σ²_{name}", f"γ_{name}", bias, norm.eps)
    return [*matrices, Matrix(name, symbol, array(x), ("query", "model"), rule)]


def _feed_forward(block: Any, source: Matrix) -> list[Matrix]:
    """W_1 and the hidden numbers h, the same after the activation, W_2 and the result f."""
    function = next((name for name, one in ACTIVATIONS.items() if one is block.activation), "")
    if not function:
        raise InvalidParameterError(f"an activation that is none of {', '.join(ACTIVATIONS)} cannot be traced")
    hidden = block.linear1(torch.from_numpy(source.values))  # (T, F)
    active = block.activation(hidden)
    return [
        *linear("h", hidden, source.name, "1", block.linear1, ("model", "unit")),
        Matrix("a", "a", array(active), ("query", "unit"), Activation("h", function)),
        *linear("f", block.linear2(active), "a", "2", block.linear2, ("unit", "model")),
    ]
