"""What `torch.jit.script` makes of `MultiheadAttention`: the same attention in the operations that TorchScript knows.

TorchScript has no dataclasses, so no record. Everything else, Python included, goes through `MultiheadAttention`.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    n_heads: int,
    in_proj: tuple[Tensor, Tensor, Tensor],
    in_proj_bias: Tensor | None,
    extra: tuple[Tensor | None, Tensor | None],
    add_zero_attn: bool,
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    is_causal: bool,
    dropout: float,
    sequence_first: bool,
) -> tuple[Tensor, Tensor]:
    """z with its heads side by side, in the inputs' layout, and the weights (B, H, T, S).

    Inputs (B, T, C), (T, B, C) if sequence_first, or (T, C); masks in torch's polarity.
    """
    batched = query.dim() == 3
    if not batched:
        query, key, value = query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0)
    elif sequence_first:
        query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
    bias_q: Tensor | None = None
    bias_k: Tensor | None = None
    bias_v: Tensor | None = None
    if in_proj_bias is not None:
        bias_q, bias_k, bias_v = in_proj_bias.chunk(3)
    q = F.linear(query, in_proj[0], bias_q).unflatten(-1, (n_heads, -1)).transpose(1, 2)
    k = F.linear(key, in_proj[1], bias_k).unflatten(-1, (n_heads, -1)).transpose(1, 2)
    v = F.linear(value, in_proj[2], bias_v).unflatten(-1, (n_heads, -1)).transpose(1, 2)
    added = _added(q, k, attn_mask, key_padding_mask, is_causal)
    batch = q.shape[0]
    extra_k, extra_v = extra
    if extra_k is not None and extra_v is not None:
        k = torch.cat([k, extra_k.to(k.dtype).view(1, n_heads, 1, -1).expand(batch, -1, -1, -1)], dim=2)
        v = torch.cat([v, extra_v.to(v.dtype).view(1, n_heads, 1, -1).expand(batch, -1, -1, -1)], dim=2)
        added = F.pad(added, [0, 1])
    if add_zero_attn:
        k, v, added = F.pad(k, [0, 0, 0, 1]), F.pad(v, [0, 0, 0, 1]), F.pad(added, [0, 1])
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]) + added
    starved = (scores == -math.inf).all(dim=-1, keepdim=True)  # a softmax over nothing would be NaN
    weights = scores.masked_fill(starved, 0.0).softmax(dim=-1).masked_fill(starved, 0.0)
    z = (F.dropout(weights, dropout) @ v).transpose(1, 2).flatten(2)
    if not batched:
        return z.squeeze(0), weights.squeeze(0)
    return z.transpose(0, 1) if sequence_first else z, weights


def _added(q: Tensor, k: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None, is_causal: bool) -> Tensor:
    """What the masks add to the scores, broadcastable to (B, H, T, S) but for S: −∞ forbids."""
    n_queries, n_keys = q.shape[2], k.shape[2]
    added = torch.zeros(1, 1, n_queries, n_keys, dtype=q.dtype, device=q.device)
    if is_causal:
        later = torch.ones(n_queries, n_keys, dtype=torch.bool, device=q.device).triu(1)
        added = added.masked_fill(later, -math.inf)
    if attn_mask is not None:
        one = _as_float(attn_mask, q)
        added = added + (one if one.dim() == 2 else one.unflatten(0, (q.shape[0], q.shape[1])))
    if key_padding_mask is not None:
        keys = _as_float(key_padding_mask, q)
        added = added + (keys if keys.dim() == 2 else keys.unsqueeze(0)).unsqueeze(1).unsqueeze(1)
    return added


def _as_float(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, -math.inf)
