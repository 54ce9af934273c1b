"""Vectors as places: tokens, the queries and keys of a head, rows of the embedding table, in two or three dimensions.

    pca         the directions along which the points differ most: a straight shadow, with the share that it keeps
    tsne        keeps who is near whom; distances between groups mean nothing, and another seed gives another picture
    neighbours  Isomap: keeps the lengths of the ways along a graph of each point's nearest neighbours

Source: Pearson 1901; van der Maaten and Hinton 2008, "Visualizing Data using t-SNE"; Tenenbaum et al. 2000, "A Global
Geometric Framework for Nonlinear Dimensionality Reduction". The last two are scikit-learn's.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from attnviz.analysis import space_child
from attnviz.errors import InvalidParameterError, check_installed
from attnviz.models.model import Model
from attnviz.nn.checks import check_sizes
from attnviz.nn.trace import Trace

How = Literal["pca", "tsne", "neighbours"]
HOWS: tuple[How, ...] = ("pca", "tsne", "neighbours")
NAMES: dict[How, str] = {"pca": "PCA", "tsne": "t-SNE", "neighbours": "Isomap"}
LEAST = 5  # points that t-SNE and Isomap take


@dataclass(frozen=True, eq=False)
class Places:
    """Where the points are."""

    places: Tensor  # (N, dims) float64
    explained: tuple[float, ...]  # of PCA: the share of the variance along each axis; () of the others


def placed(points: Tensor, how: How = "pca", dims: int = 2, *, seed: int = 0) -> Places:
    """Points (N, D) in `dims` dimensions, 2 or 3. Only t-SNE draws random numbers, from `seed`.

    Errors: InvalidParameterError for a way or a number of dimensions that there is not, and for t-SNE or Isomap of
    fewer than `LEAST` points; ModelError where they need scikit-learn, which is not there.
    """
    if how not in HOWS:
        raise InvalidParameterError(f"how={how!r} is not one of {', '.join(HOWS)}")
    if dims not in (2, 3):
        raise InvalidParameterError(f"dims={dims} is neither 2 nor 3")
    if points.dim() != 2 or not len(points):
        raise InvalidParameterError(f"points are (N, D) with at least one, not {tuple(points.shape)}")
    x = points.detach().double()
    if how == "pca":
        return principal(x, dims)
    check_bent(len(x), how)
    found = space_child.tsne(x.numpy(), dims, seed) if how == "tsne" else space_child.isomap(x.numpy(), dims)
    return bent(found)


def check_bent(n: int, how: How) -> None:
    """Errors: as `placed`, for n points by t-SNE or Isomap."""
    if n < LEAST:
        raise InvalidParameterError(f"{n} points: {NAMES[how]} takes at least {LEAST}")
    check_installed("This way of placing points", "sklearn")


def bent(found: np.ndarray) -> Places:
    """What t-SNE or Isomap found, with its middle at 0."""
    places = torch.from_numpy(found).double()
    return Places(places - places.mean(dim=0), ())


def principal(x: Tensor, dims: int) -> Places:
    """PCA by the singular values of the centred points. Axes that do not exist are 0.

    A component points to where its largest weight is positive, as scikit-learn's does.
    """
    centred = x - x.mean(dim=0)
    u, s, v = torch.linalg.svd(centred, full_matrices=False)
    signs = v.gather(1, v.abs().argmax(dim=1, keepdim=True))[:, 0].sign()
    places = torch.zeros(len(x), dims, dtype=x.dtype)
    n = min(dims, len(s))
    places[:, :n] = (u * s * signs)[:, :n]
    variance = s.square()
    total = float(variance.sum())
    shares = (variance / total if total else torch.zeros_like(variance)).tolist()
    return Places(places, (*shares[:dims], *[0.0] * (dims - n)))


def turned(places: Tensor, degrees: float) -> tuple[Tensor, Tensor]:
    """Three dimensions as one looks at them: turned about the upright axis, (N, 2), and how near each is, (N,)."""
    angle = math.radians(degrees)
    x, y, z = places.unbind(dim=1)
    across = math.cos(angle) * x + math.sin(angle) * z
    return torch.stack([across, y], dim=1), math.cos(angle) * z - math.sin(angle) * x


def nearest(points: Tensor, which: int, n: int = 8) -> list[tuple[int, float]]:
    """The n points with the largest cosine to one of (N, D), itself left out: their numbers and cosines.

    Errors: InvalidParameterError for a point that is not there.
    """
    check_sizes(n=n)
    if not 0 <= which < len(points):
        raise InvalidParameterError(f"point {which} of {len(points)} (counted from 0)")
    x = points.detach().double()
    norms = x.norm(dim=1)
    cosines = (x @ x[which]) / (norms * norms[which]).clamp_min(torch.finfo(x.dtype).tiny)
    cosines[which] = -math.inf
    best = cosines.topk(min(n, len(x) - 1))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def stream(trace: Trace, layer: int, *, batch: int = 0) -> Tensor:
    """(n, C): the tokens' vectors as they go into a layer; `layer` = the number of layers: as they leave the last.

    Errors: InvalidParameterError for a layer that is not there.
    """
    states = [one.resid_pre for one in trace.layers] + [trace.layers[-1].resid_post]
    if not 0 <= layer < len(states):
        raise InvalidParameterError(f"layer {layer} of {len(states) - 1} (counted from 0; the last is the end)")
    return states[layer][batch, : trace.lengths[batch]]


def queries_and_keys(trace: Trace, layer: int, head: int, *, batch: int = 0) -> Tensor:
    """(2n, D): the queries of a head, then its keys, as they meet in the score.

    Errors: InvalidParameterError for a head that is not there.
    """
    if not 0 <= layer < len(trace.layers):
        raise InvalidParameterError(f"layer {layer} of {len(trace.layers)} (counted from 0)")
    record, n = trace.layers[layer].attention, trace.lengths[batch]
    if not 0 <= head < record.q.shape[1]:
        raise InvalidParameterError(f"head {head} of {record.q.shape[1]} (counted from 0)")
    return torch.cat([record.q[batch, head, :n], record.k[batch, head, :n]])


def embedding_table(model: Model) -> Tensor:
    """(V, C): the vector of every token of the vocabulary, before positions. Errors: InvalidParameterError."""
    embed = getattr(model.transformer, "embed", None)
    if embed is None or "tokens" not in embed:
        raise InvalidParameterError(f"the embedding table of {model.info.title} cannot be read here")
    return cast(nn.Embedding, embed["tokens"]).weight.detach()


def sampled(model: Model, n: int, *, seed: int = 0, besides: Collection[int] = ()) -> list[int]:
    """Up to n ids of the vocabulary, drawn from `seed`: no special ones, and none of `besides`."""
    check_sizes(n=n)
    left_out = {*model.tokenizer.special_ids.values(), *besides}
    size = min(len(embedding_table(model)), model.tokenizer.vocab_size)
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed)).tolist()
    return sorted([i for i in order if i not in left_out][:n])
