"""Attention without a softmax: a kernel φ(q)·φ(k) in the place of exp(q·k / √d), so that no T × T matrix is made.

Source: Katharopoulos et al. 2020, "Transformers are RNNs".
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def feature_map(x: Tensor) -> Tensor:
    """φ(x) = elu(x) + 1 > 0, number by number. Source: Katharopoulos et al. 2020, equation 7."""
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())  # elu(x) + 1 would round e^x to 0 at −17


def linear(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """φ(Q) (φ(K)ᵀ V), each row over φ(q) · Σ φ(k): n time and memory, as the bracket has no n in its shape.

    Source: Katharopoulos et al. 2020, "Transformers are RNNs", section 3.2, equations 5 and 6.
    """
    q, k = feature_map(q), feature_map(k)
    summary = k.mT @ v  # (H, D, Dv)
    total = q @ k.sum(dim=1)[..., None]  # (H, T, 1)
    return q @ summary / nonzero(total)


def linear_causal(q: Tensor, k: Tensor, v: Tensor, block: int = 64) -> Tensor:
    """`linear` where token i sees tokens 0…i only: the summary of all earlier blocks, and the own block in full.

    Source: Katharopoulos et al. 2020, section 3.3, equations 8 to 12, in blocks of tokens.
    """
    n = q.shape[1]
    v = torch.cat((v, v.new_ones(*v.shape[:2], 1)), dim=-1)  # the last column adds up the denominator
    pad = -n % block
    q, k = F.pad(feature_map(q), (0, 0, 0, pad)), F.pad(feature_map(k), (0, 0, 0, pad))
    q, k, v = (x.unflatten(1, (-1, block)) for x in (q, k, F.pad(v, (0, 0, 0, pad))))  # (H, N, B, D)
    summaries = k.mT @ v  # (H, N, D, Dv + 1)
    earlier = summaries.cumsum(dim=1) - summaries
    z = (q @ earlier + (q @ k.mT).tril() @ v).flatten(1, 2)[:, :n]
    return z[..., :-1] / nonzero(z[..., -1:])


def nonzero(total: Tensor) -> Tensor:
    """A denominator, with 1 in the place of 0: features that all underflow give weights 0, not NaN."""
    return total.masked_fill(total == 0, 1.0)
