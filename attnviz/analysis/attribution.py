"""Why there? A score or a logit as the sum of what the parts of the model before it put into it.

    x = token + position + Σ heads + Σ feed-forward networks + biases          the residual stream, part by part
    score = q·k/√d = Σ_ab (W_Q x_a)·(W_K x_b)/√d                              of a cell: for each pair of parts
    logit = W_U norm(x) = Σ_a W_U norm(x_a)                                    direct logit attribution

A LayerNorm is taken as this run computed it: with its mean and deviation held as they were it is a linear map, and the
sums are exact. How a part changed those two is not counted. Source: Elhage et al. 2021, "A Mathematical Framework for
Transformer Circuits", sections "Virtual weights" and "Path expansion"; the logit lens: nostalgebraist 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from attnviz.analysis.provenance.steps import schemes
from attnviz.errors import InvalidParameterError
from attnviz.nn import positions
from attnviz.nn.layers import LayerTrace, TransformerEncoderLayer
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

Kind = Literal["token", "position", "segment", "head", "feed-forward", "bias"]


@dataclass(frozen=True)
class Part:
    """A part of the model that writes into the residual stream; `layer` and `head` count from 0."""

    kind: Kind
    layer: int | None = None  # of a head or a feed-forward network
    head: int | None = None

    def __str__(self) -> str:
        if self.kind == "head":
            return f"layer {self.layer}, head {self.head}"
        if self.kind == "feed-forward":
            return f"layer {self.layer}, feed-forward"
        return {"bias": "biases"}.get(self.kind, self.kind)


@dataclass(frozen=True, eq=False)
class Stream:
    """The residual stream of one text at one place, as a sum over parts, in float64."""

    parts: tuple[Part, ...]
    vectors: Tensor  # (P, T, C)

    @property
    def total(self) -> Tensor:
        """(T, C): the stream itself."""
        return self.vectors.sum(dim=0)


@dataclass(frozen=True, eq=False)
class ScoreParts:
    """One cell's score before mask and temperature, for each pair of a part of the query and a part of the key."""

    parts: tuple[Part, ...]
    terms: Tensor  # (P, P): parts of the query's vector in rows, of the key's in columns
    added: float  # what positions or a mask of numbers add to the score (ALiBi)

    @property
    def score(self) -> float:
        """The score: all terms together."""
        return float(self.terms.sum()) + self.added

    @property
    def by_query(self) -> Tensor:
        """(P,): what each part of the query's vector has to do with it."""
        return self.terms.sum(dim=1)

    @property
    def by_key(self) -> Tensor:
        """(P,): the same for the key's vector."""
        return self.terms.sum(dim=0)


@dataclass(frozen=True, eq=False)
class LogitParts:
    """One logit, or the difference of two, by the parts that wrote into the last vector."""

    parts: tuple[Part, ...]
    terms: Tensor  # (P,)

    @property
    def logit(self) -> float:
        """The logit, or the difference: all terms together."""
        return float(self.terms.sum())


def stream(model: Transformer, trace: Trace, layer: int, *, batch: int = 0) -> Stream:
    """What goes into a layer, by parts; `layer` = the number of layers: what comes out of the last one.

    Arguments
        trace: a run of this model on ids, whose `encodings` it has, or on images.
        batch: which text of it.

    Errors: InvalidParameterError for a layer or a text that is not there, for a model that reads two texts, and for one
    that is not made of our layers.
    """
    check_split(model, trace, layer, batch)
    found = _embedded(model, trace, batch)
    with torch.inference_mode():
        for number in range(layer):
            found = _through(encoder_layer(model, number), trace.layers[number], number, found, batch)
    return found


def score_parts(
    model: Transformer, trace: Trace, layer: int, head: int, query: int, key: int, *, batch: int = 0
) -> ScoreParts:
    """The score of one cell of one head; where no mask forbids it, that of `trace.layers[layer].attention.scores`.

    Errors: as `stream`, and InvalidParameterError for a head or a token that is not there.
    """
    found = stream(model, trace, min(layer, len(trace.layers) - 1), batch=batch)
    if layer >= len(trace.layers):
        raise InvalidParameterError(f"layer {layer} of {len(trace.layers)} (counted from 0)")
    record, n = trace.layers[layer].attention, found.vectors.shape[1]
    if not 0 <= head < record.q.shape[1]:
        raise InvalidParameterError(f"head {head} of {record.q.shape[1]} (counted from 0)")
    if not (0 <= query < n and 0 <= key < n):
        raise InvalidParameterError(f"query {query} or key {key} is none of the text's {n} tokens (counted from 0)")
    block = encoder_layer(model, layer)
    with torch.inference_mode():
        if block.norm_first:
            found = _normed(block.norm1, found)
        rows = slice(head * block.self_attn.head_dim, (head + 1) * block.self_attn.head_dim)
        q, k = (
            _projected(block.self_attn, side, rows, found, token) for side, token in (("q", query), ("k", key))
        )  # (P, D)
        place = "decoder" if model.encoder is None else "encoder"
        scheme = positions.described(schemes(trace, layer, place)[1])
        if scheme.rates is not None and scheme.acts == "turn":
            by = scheme.rates(q.shape[-1])
            q, k = (positions.turn(x[:, None], by, token)[:, 0] for x, token in ((q, query), (k, key)))
        terms = (q @ k.T) * record.scale
        cell = record.scores[batch, head, query, key]
        bias = 0.0
        if record.bias is not None or record.alibi is not None:
            plain = (record.q[batch, head, query] @ record.k[batch, head, key]) * record.scale
            bias = float(cell - plain) if bool(cell.isfinite()) else 0.0
    return ScoreParts(found.parts, terms, bias)


def logit_parts(
    model: Transformer, trace: Trace, position: int, token: int, *, versus: int | None = None, batch: int = 0
) -> LogitParts:
    """What each part adds to the logit of a token (or class), or to its lead over another one.

    Arguments
        position: of the token whose prediction it is; of a classifier, the one that it reads ([CLS]: 0).
        token, versus: ids of the vocabulary, or classes.

    Errors: as `stream`, and InvalidParameterError for a model without logits, or with a head that is not linear.
    """
    final = stream(model, trace, len(trace.layers), batch=batch)
    out = _readout(model, trace)
    if not 0 <= position < final.vectors.shape[1]:
        raise InvalidParameterError(f"position {position} of {final.vectors.shape[1]} (counted from 0)")
    for name, one in (("token", token), ("versus", versus)):
        if one is not None and not 0 <= one < out.out_features:
            raise InvalidParameterError(f"{name}={one} is outside 0…{out.out_features - 1}")
    with torch.inference_mode():
        final = _normed(_final_norm(model), final)
        direction, constant = out.weight[token].double(), _bias(out, token)
        if versus is not None:
            direction, constant = direction - out.weight[versus].double(), constant - _bias(out, versus)
        terms = final.vectors[:, position] @ direction
        terms[-1] += constant
    return LogitParts(final.parts, terms)


def logit_lens(model: Transformer, trace: Trace, position: int, *, batch: int = 0) -> Tensor:
    """(L + 1, V): the logits if the model stopped before each layer, and at its end, for one token of one text.

    The last norm and the head read the residual stream as it stands; a model is trained to be read at its end only.
    Errors: InvalidParameterError for a model without logits, one that reads two texts, and a token that is not there.
    """
    check_split(model, trace, 0, batch)
    if not 0 <= position < trace.lengths[batch]:
        raise InvalidParameterError(f"position {position} of {trace.lengths[batch]} (counted from 0)")
    if model.head is None or model.config.head == "distillation":
        raise InvalidParameterError("this model has no logits that one vector gives")
    states = [*(layer.resid_pre for layer in trace.layers), trace.layers[-1].resid_post]
    rows = torch.stack([state[batch, position] for state in states])[:, None]  # (L + 1, 1, C)
    with torch.inference_mode():
        normed = _final_norm(model)(rows)
        logits: Tensor = model.head(normed, (1,) * len(rows))
    return logits[:, 0] if logits.dim() == 3 else logits


# ---- the parts ----------------------------------------------------------------------------------------


def check_split(model: Transformer, trace: Trace, layer: int, batch: int) -> None:
    """Errors: InvalidParameterError unless a text of a trace can be followed from part to part up to a layer."""
    if not isinstance(model, Transformer) or not hasattr(model, "embed"):
        raise InvalidParameterError(f"{trace.title or 'this model'} is not made of our layers")
    if trace.source is not None or model.config.kind == "encoder-decoder":
        raise InvalidParameterError("a model that reads two texts is not split into parts")
    if not 0 <= layer <= len(trace.layers):
        raise InvalidParameterError(f"layer {layer} of {len(trace.layers)} (counted from 0)")
    if not 0 <= batch < len(trace.lengths):
        raise InvalidParameterError(f"batch={batch}, but the trace holds {len(trace.lengths)} texts (from 0)")
    if trace.n_so_far != trace.final.shape[1]:
        raise InvalidParameterError(
            f"here are {trace.final.shape[1]} of {trace.n_so_far} tokens: a whole run is needed"
        )
    if not model.config.channels and not trace.encodings:
        raise InvalidParameterError("the trace does not say which tokens it read: run the model on a text")


def encoder_layer(model: Transformer, layer: int) -> TransformerEncoderLayer:
    """A layer of a model that reads one text. Errors: InvalidParameterError if it is another library's."""
    found = cast(Any, model.decoder if model.encoder is None else model.encoder)["layers"][layer]
    if not isinstance(found, TransformerEncoderLayer):
        raise InvalidParameterError(f"layer {layer} is not made of our layers")
    return found


def _embedded(model: Transformer, trace: Trace, batch: int) -> Stream:
    """What goes into the first layer: tokens (or patches), positions, segments; the biases, here of the norm, last."""
    n, x, config = trace.lengths[batch], trace.layers[0].resid_pre, model.config
    place = "decoder" if model.encoder is None else "encoder"
    scheme = positions.described(schemes(trace, 0, place)[0])
    parts, vectors = [Part("token")], [torch.zeros(n, config.d_model, dtype=torch.float64)]
    if scheme.learned:
        parts.append(Part("position"))
        vectors.append(cast(nn.Embedding, model.embed["positions"]).weight[:n].double())
    elif scheme.table is not None:
        parts.append(Part("position"))
        vectors.append(scheme.table(n, config.d_model).double())
    if config.n_types:
        parts.append(Part("segment"))
        vectors.append(cast(nn.Embedding, model.embed["types"]).weight[:1].double().expand(n, -1))
    if config.channels:
        vectors[0] = x[batch, :n].double() - torch.stack(vectors).sum(dim=0)
    else:
        vectors[0] = cast(nn.Embedding, model.embed["tokens"]).weight[list(trace.encodings[batch].ids[:n])].double()
    parts.append(Part("bias"))
    vectors.append(torch.zeros(n, config.d_model, dtype=torch.float64))
    found = Stream(tuple(parts), torch.stack(vectors).detach())
    return _normed(model.embed["norm"], found) if config.embed_norm else found


def _through(block: TransformerEncoderLayer, run: LayerTrace, layer: int, before: Stream, batch: int) -> Stream:
    """One layer on: what its heads and its feed-forward network add, and its norms."""
    n = before.vectors.shape[1]
    heads, bias = _heads(block, run, n, batch)
    new = tuple(Part("head", layer, head) for head in range(len(heads)))
    found = _added(before, new, heads, bias)
    if not block.norm_first:
        found = _normed(block.norm1, found)
    if block.attention_only:
        return found
    assert run.resid_mid is not None
    mid = run.resid_mid[batch : batch + 1, :n]
    fed = block.feed_forward(block.norm2(mid) if block.norm_first else mid)[0].double()
    found = _added(found, (Part("feed-forward", layer),), fed[None], torch.zeros_like(fed[0]))
    return found if block.norm_first else _normed(block.norm2, found)


def _heads(block: TransformerEncoderLayer, run: LayerTrace, n: int, batch: int) -> tuple[Tensor, Tensor]:
    """What each head adds, (H, T, C), and the output projection's bias (C,)."""
    out = block.self_attn.out_proj
    z = run.attention.z[batch, :, :n].double()  # (H, T, D)
    each = out.weight.double().unflatten(1, (z.shape[0], z.shape[2])).permute(1, 2, 0)  # (H, D, C)
    bias = torch.zeros(out.out_features, dtype=torch.float64) if out.bias is None else out.bias.double()
    return z @ each, bias


def _added(found: Stream, new: tuple[Part, ...], vectors: Tensor, bias: Tensor) -> Stream:
    """More parts, before the biases, to which `bias` (C,) is added."""
    *parts, biases = found.parts
    last = found.vectors[-1:] + bias
    return Stream((*parts, *new, biases), torch.cat([found.vectors[:-1], vectors, last]))


def _normed(norm: nn.Module, found: Stream) -> Stream:
    """The parts after a LayerNorm whose mean and deviation stay those of their sum; its shift goes to the biases."""
    if not isinstance(norm, nn.LayerNorm):
        return found
    total = found.total
    deviation = (total.var(dim=-1, correction=0, keepdim=True) + norm.eps).sqrt()
    vectors = (found.vectors - found.vectors.mean(dim=-1, keepdim=True)) / deviation * norm.weight.double()
    if norm.bias is not None:
        vectors[-1] += norm.bias.double()
    return Stream(found.parts, vectors)


def _projected(attention: Any, side: str, rows: slice, found: Stream, token: int) -> Tensor:
    """A head's query or key of one token by parts, before any turn: (P, D)."""
    which = "qk".index(side)
    weight = attention.in_proj_weight.chunk(3)[which][rows].double()
    x = found.vectors[:, token] @ weight.T
    if attention.in_proj_bias is not None:
        x[-1] += attention.in_proj_bias.chunk(3)[which][rows].double()
    return x


def _readout(model: Transformer, trace: Trace) -> nn.Linear:
    """The linear map from the final vectors to logits."""
    if model.head is None:
        raise InvalidParameterError(f"{trace.title or 'this model'} has no logits: nothing to split")
    if model.config.head_transform or model.config.head == "distillation":
        raise InvalidParameterError("this model's head is not one linear map of one vector, so its logits are no sum")
    return cast(nn.Linear, model.head["out"])


def _final_norm(model: Transformer) -> nn.Module:
    norm: nn.Module = cast(Any, model.decoder if model.encoder is None else model.encoder)["norm"]
    return norm


def _bias(out: nn.Linear, row: int) -> float:
    return 0.0 if out.bias is None else float(out.bias[row])
