"""torch's masks, in which True forbids and a float is added to the scores, as our `Mask` and a bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from attnviz.errors import DTypeError, ShapeError
from attnviz.nn.masks import Mask


def merged(
    mask: Mask | None,
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    is_causal: bool,
    sizes: Sequence[int],
    dtype: torch.dtype,
) -> tuple[Mask, Tensor | None]:
    """torch's masks and ours as one `Mask`, and what torch's float masks add to the scores.

    `sizes` are B, H, T, S. Errors: ShapeError or DTypeError for a mask that does not fit.
    """
    batch, heads, queries, keys = sizes
    full, bias = mask or Mask(), None
    if is_causal and not full.causal:
        full = replace(full, causal=True)
    if attn_mask is None and key_padding_mask is None:
        return full, None
    if attn_mask is not None:
        keep, added = _split("attn_mask", attn_mask, ((queries, keys), (batch * heads, queries, keys)), dtype)
        if attn_mask.dim() == 3:
            keep, added = (None if m is None else m.unflatten(0, (batch, heads)) for m in (keep, added))
        full, bias = full if keep is None else replace(full, dense=_and(full.dense, keep)), added
    if key_padding_mask is not None:
        if key_padding_mask.dim() == 1:
            key_padding_mask = key_padding_mask[None]
        keep, added = _split("key_padding_mask", key_padding_mask, ((batch, keys),), dtype)
        keep, added = (None if m is None else m[:, None, None, :] for m in (keep, added))
        full = full if keep is None else replace(full, keys=_and(full.keys, keep))
        bias = added if bias is None else bias if added is None else bias + added
    return full, bias


def _split(
    name: str, mask: Tensor, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype
) -> tuple[Tensor | None, Tensor | None]:
    """torch's mask as (keep, bias): bool True forbids; float is added, and −∞ forbids.

    Without a look at the mask's values, which may be on another device, or not there at all in a graph.
    """
    if tuple(mask.shape) not in shapes:
        allowed = " or ".join(str(shape) for shape in shapes)
        raise ShapeError(f"{name} is {tuple(mask.shape)}; it has to be {allowed}")
    if mask.dtype == torch.bool:
        return ~mask, None
    if not mask.is_floating_point():
        raise DTypeError(f"{name} is {mask.dtype}; it has to be bool or floating point")
    forbidden = mask == -math.inf
    return ~forbidden, mask.masked_fill(forbidden, 0.0).to(dtype)


def _and(one: Tensor | None, other: Tensor) -> Tensor:
    return other if one is None else one & other
