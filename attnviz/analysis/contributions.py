"""What a head brings from each key, with the size of what it brings: ‖α f(x)‖ instead of α alone.

    f(x_j) = (x_j W_V + b_V) W_O          of one head; of all heads of a layer, the norm of Σ_h α_h f_h(x_j)

Source: Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with Vector Norms", section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from attnviz.analysis.attribution import check_split, encoder_layer
from attnviz.errors import InvalidParameterError
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer


def norms(
    model: Transformer, trace: Trace, layer: int, rows: Sequence[int], *, head: int | None = None, batch: int = 0
) -> Tensor:
    """‖α f(x)‖ of each key, for some queries of one layer: (R, n), all heads together, or one.

    Errors: as `attribution.check_split`, and InvalidParameterError for a head or a row that is not there.
    """
    check_split(model, trace, layer, batch)
    if layer >= len(trace.layers):
        raise InvalidParameterError(f"layer {layer} of {len(trace.layers)} (counted from 0)")
    record, n = trace.layers[layer].attention, trace.lengths[batch]
    if head is not None and not 0 <= head < record.q.shape[1]:
        raise InvalidParameterError(f"head {head} of {record.q.shape[1]} (counted from 0)")
    if not all(0 <= row < n for row in rows):
        raise InvalidParameterError(f"rows {tuple(rows)} are not all among {n} tokens (counted from 0)")
    with torch.inference_mode():
        weights = record.weights[batch, :, list(rows), :n]  # (H, R, n)
        if record.head_scale is not None:
            weights = weights * record.head_scale[:, None, None]
        out = encoder_layer(model, layer).self_attn.out_proj.weight
        width = record.v.shape[-1]
        each = record.v[batch, :, :n] @ out.unflatten(1, (-1, width)).permute(1, 2, 0)  # (H, n, C)
        if head is not None:
            return weights[head] * each[head].norm(dim=-1)
        return torch.stack([torch.einsum("hk,hkc->kc", row, each).norm(dim=-1) for row in weights.unbind(1)])
