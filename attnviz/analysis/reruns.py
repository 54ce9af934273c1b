"""A text's run once more from other token vectors: what erasures and gradients are taken of.

    token vectors ─▶ + segments, positions; norm ─▶ layers ─▶ final vectors

A token vector is a row of the embedding table, before positions are added; of an image, a projected patch. Nothing is
set on the model, which sessions share. Derivatives exist where `torch.inference_mode` is off.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from attnviz.analysis.attribution import check_split, encoder_layer
from attnviz.analysis.provenance.steps import schemes
from attnviz.errors import InvalidParameterError
from attnviz.models.model import Model
from attnviz.nn import positions
from attnviz.nn.layers import LayerTrace
from attnviz.nn.masks import Mask
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

Nothing = Literal["mask", "mean"]
MOST_TOKENS = 1024  # that run at once
Step = TypeVar("Step")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Rerun:
    """B versions of one text."""

    layers: tuple[LayerTrace, ...]  # () where nobody asked for them
    final: Tensor  # (B, n, C)


def finished(steps: Generator[Step, None, Result], each: Callable[[Step], object] = lambda step: None) -> Result:
    """What work in steps comes to; `each` is told every step."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        each(step)


def token_vectors(model: Transformer, trace: Trace, *, batch: int = 0) -> Tensor:
    """(n, C): the vectors of a text's tokens, or an image's patches, before anything is added to them.

    Errors: as `attribution.check_split`.
    """
    check_split(model, trace, 0, batch)
    n = trace.lengths[batch]
    with torch.no_grad():
        if not model.config.channels:
            table = cast(nn.Embedding, model.embed["tokens"]).weight
            return table[list(trace.encodings[batch].ids[:n])].detach()
        x = trace.layers[0].resid_pre[batch, :n]
        added = _positions(model, trace, x)
        return x.clone() if added is None else x - added


def nothing(model: Model, trace: Trace, how: Nothing | None = None, *, batch: int = 0) -> tuple[Nothing, Tensor]:
    """What stands for a token that is not there: its name and its vector (C,).

    Arguments
        how: "mask": the vector of the vocabulary's mask token; "mean": the mean of the embedding table, or of an
            image's own patches. By default an encoder's mask token, where it has one: a decoder is never trained on it.

    Errors: InvalidParameterError for a mask token that is not there, and as `attribution.check_split`.
    """
    network = model.transformer
    check_split(network, trace, 0, batch)
    if network.config.channels:
        if how == "mask":
            raise InvalidParameterError("an image has no mask token: how has to be 'mean'")
        special = torch.tensor(trace.encodings[batch].special[: trace.lengths[batch]])
        return "mean", token_vectors(network, trace, batch=batch)[~special].mean(dim=0)
    mask = model.tokenizer.mask_id
    if how not in (None, "mask", "mean"):
        raise InvalidParameterError(f"how={how!r} is neither 'mask' nor 'mean'")
    if how == "mask" and mask is None:
        raise InvalidParameterError(f"the vocabulary of {model.info.title} has no mask token: how has to be 'mean'")
    table = cast(nn.Embedding, network.embed["tokens"]).weight.detach()
    with torch.no_grad():
        if how == "mean" or mask is None or (how is None and network.config.kind != "encoder"):
            return "mean", table.mean(dim=0)
        return "mask", table[mask].clone()


def run(model: Transformer, trace: Trace, vectors: Tensor, *, batch: int = 0, records: bool = False) -> Rerun:
    """B versions of a text, from their token vectors (B, n, C); masks, positions and intervention are the run's.

    records: whether the layers' records are kept, which take many times the memory of the final vectors.

    Errors: as `attribution.check_split`, and InvalidParameterError for vectors of another shape.
    """
    check_split(model, trace, 0, batch)
    n, config = trace.lengths[batch], model.config
    if vectors.dim() != 3 or vectors.shape[1:] != (n, config.d_model):
        raise InvalidParameterError(f"vectors are (B, {n}, {config.d_model}) for this text, not {tuple(vectors.shape)}")
    x = vectors
    if config.n_types:
        kinds = (trace.encodings[batch].types or (0,) * n)[:n]
        x = x + cast(nn.Embedding, model.embed["types"]).weight[list(kinds)]
    added = _positions(model, trace, x)
    x = x if added is None else x + added
    x = model.embed["norm"](x) if config.embed_norm else x
    place = _place(model)
    options: dict[str, Any] = {"mask": Mask(causal=place == "decoder")}
    layers: list[LayerTrace] = []
    for number in range(config.n_layers):
        scheme = positions.described(schemes(trace, number, place)[1])
        options |= scheme.in_attention(config.n_heads, config.head_dim, x, 0)
        options["intervention"] = None if trace.intervention is None else trace.intervention.at(number, place)
        made = encoder_layer(model, number).trace(x, **options)
        x = made.resid_post
        if records:
            layers.append(made)
    norm: nn.Module = cast(Any, model.decoder if model.encoder is None else model.encoder)["norm"]
    return Rerun(tuple(layers), norm(x))


def _positions(model: Transformer, trace: Trace, x: Tensor) -> Tensor | None:
    own = cast(nn.Embedding, model.embed["positions"]) if "positions" in model.embed else None
    scheme = positions.described(schemes(trace, 0, _place(model))[0])
    return scheme.added(x.shape[-2], model.config.d_model, 0, own, x)


def _place(model: Transformer) -> str:
    return "decoder" if model.encoder is None else "encoder"
