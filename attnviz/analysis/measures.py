"""One number per head or row of a trace, and the strongest cells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.nn.checks import check_sizes
from attnviz.nn.trace import Trace


@dataclass(frozen=True)
class Link:
    """One cell of one head: the query token gives `weight` of its attention to the key token."""

    layer: int  # counted from 0, like head and positions
    head: int
    query: int
    key: int
    weight: float
    query_label: str
    key_label: str


def strongest_links(trace: Trace, n: int = 10, *, special: bool = False) -> list[Link]:
    """The n heaviest cells over all layers and heads, at most one per pair of tokens, of the first text.

    A token's attention to itself does not count, nor (unless `special`) attention to or from special tokens,
    where heads park what they have no use for (Clark et al. 2019, section 3.2).
    """
    check_sizes(n=n)
    if any(layer.attention is None for layer in trace.layers):
        raise InvalidParameterError("this decoder has no attention to itself: a recurrence stands in its place")
    encoding = trace.encodings[0]
    size = len(encoding)
    weights = torch.stack([layer.attention.weights[0, :, :size, :size] for layer in trace.layers])  # (L, H, T, T)
    allowed = ~torch.eye(size, dtype=torch.bool)
    if not special:
        plain = ~torch.tensor(encoding.special)
        allowed &= plain[:, None] & plain[None, :]
    best = torch.where(allowed, weights, 0.0).flatten(0, 1).max(dim=0)  # over heads: (T, T)
    heads = trace.config.n_heads
    values, cells = best.values.flatten().topk(min(n, size * size))
    links = []
    for value, cell in zip(values.tolist(), cells.tolist(), strict=True):
        query, key = divmod(cell, size)
        layer, head = divmod(int(best.indices[query, key]), heads)
        if value > 0:
            labels = encoding.labels
            links.append(Link(layer, head, query, key, value, labels[query], labels[key]))
    return links


def entropy(weights: Tensor) -> Tensor:
    """−Σ p log₂ p of each attention row, in bits: (…, T, S) → (…, T). 2 to its power is "how many tokens"."""
    return torch.special.entr(weights).sum(dim=-1) / torch.log(torch.tensor(2.0))


def relative_change(before: Trace, after: Trace) -> Tensor:
    """‖x′ − x‖ / ‖x‖ of the residual stream after each layer, per token: (L, B, T). 0 = nothing changed."""
    return torch.stack(
        [
            (b.resid_post - a.resid_post).norm(dim=-1) / a.resid_post.norm(dim=-1)
            for a, b in zip(before.layers, after.layers, strict=True)
        ]
    )


def offset_weights(trace: Trace, offset: int, *, first: int) -> Tensor:
    """Each head's mean weight on the token `offset` places before the query, over queries from `first` on: (L, H).

    `offset` 1 finds previous-token heads; on a sequence said twice with period P, P − 1 finds induction heads.
    Source: Olsson et al. 2022, "Head activation evaluators".
    """
    check_sizes(offset=offset)
    n = trace.final.shape[1]
    queries = torch.arange(max(first, offset), n)
    return torch.stack(
        [layer.attention.weights[:, :, queries, queries - offset].mean(dim=(0, 2)) for layer in trace.layers]
    )
