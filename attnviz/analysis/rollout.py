"""Attention rollout: how much of each input token reaches each position, by attention alone.

    Ã = (mean over heads of A + I) / row sums        half attention, half the residual stream
    R_l = Ã_l · Ã_{l−1} · … · Ã_0

Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.nn.trace import Trace


def rollout(trace: Trace) -> Tensor:
    """Rollout after each layer of a run, (L, B, T, T), float32: [l, b, i, j] is what position i has of input j.

    Every row sums to 1; a query that may attend to nothing keeps what it had. Values, the output projection and the
    feed-forward network have no say in it: it is a picture of where attention could carry things, not of what it did.
    Errors: InvalidParameterError for a decoder that also reads an encoder, and for steps after remembered keys.
    """
    if trace.source is not None:
        raise InvalidParameterError("rollout follows one stack of layers; this run also reads an encoder's output")
    if trace.n_so_far != trace.final.shape[1]:
        raise InvalidParameterError(
            f"rollout needs the whole run: here are {trace.final.shape[1]} of {trace.n_so_far} tokens"
        )
    return rolled_out(trace.attentions)


def rolled_out(attentions: Sequence[Tensor]) -> Tensor:
    """Weights of each layer from the first on, (B, H, T, T), to their rollout: (L, B, T, T)."""
    products: list[Tensor] = []
    for weights in attentions:
        mixed = with_residual(weights.float())
        products.append(mixed @ products[-1] if products else mixed)
    return torch.stack(products)


def with_residual(weights: Tensor) -> Tensor:
    """Heads averaged and the residual stream as an equal share: (B, H, T, T) → (B, T, T) of rows that sum to 1."""
    mixed = weights.mean(dim=1) + torch.eye(weights.shape[-1], device=weights.device)
    return mixed / mixed.sum(dim=-1, keepdim=True)
