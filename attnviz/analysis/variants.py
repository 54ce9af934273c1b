"""Ways to attend that cost less than full attention, on the same q, k and v.

    full      every token looks at every token                                      Vaswani et al. 2017
    fused     the same numbers by torch's fused kernel, which keeps no matrix       Dao et al. 2022
    local     … at the tokens at most `size` away                                   Beltagy et al. 2020
    strided   … at those and at every `stride`-th token                             Child et al. 2019
    linear    a kernel φ(q)·φ(k) in the place of exp(q·k / √d)                      Katharopoulos et al. 2020
    grouped   heads share `groups` keys and values; one group is multi-query        Ainslie et al. 2023, Shazeer 2019

`output` computes each the way that makes it cheap; `matrix` writes out the T × T weights that it comes to.
Tensors are one text's: H heads, T tokens, D head width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.analysis.linear_attention import feature_map, linear, linear_causal, nonzero
from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.nn import mask_patterns
from attnviz.nn.checks import check_floats, check_sizes
from attnviz.nn.positions import alibi_bias

KINDS = ("full", "fused", "local", "strided", "linear", "grouped")
BLOCK = 32  # queries that are computed together, at least: fewer would leave the processor waiting


@dataclass(frozen=True)
class Variant:
    """One way to attend. Errors: InvalidParameterError for an unknown kind or a size that does not fit it."""

    kind: str = "full"
    size: int = 0  # local, strided: how far a token sees to each side
    stride: int = 1  # strided: every how manyth token it sees beyond that
    groups: int = 1  # grouped: heads of keys and values, dividing the heads of queries

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidParameterError(f"kind={self.kind!r} is not one of {', '.join(KINDS)}")
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 0:
            raise InvalidParameterError(f"size={self.size!r} is not a whole number from 0")
        check_sizes(stride=self.stride, groups=self.groups)


@dataclass(frozen=True, eq=False)
class Compared:
    """A variant beside full attention on the same q, k and v."""

    variant: Variant
    z: Tensor  # (H, T, Dv) the heads' outputs
    weights: Tensor  # (H, T, T) the matrix that the variant comes to: z = weights @ v, with the variant's own v
    error: Tensor  # (H,) ‖z − z_full‖ / ‖z_full‖ of each head


def compare(
    variants: Sequence[Variant],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None = None,
    causal: bool = False,
    alibi: Tensor | None = None,
) -> tuple[Compared, ...]:
    """Every variant's output, its matrix, and how far the output is from full attention's.

    Arguments as for `output`. The error is relative, over all tokens of a head; 0 where both are 0.
    """
    options: dict[str, Any] = {"scale": scale, "causal": causal, "alibi": alibi}
    whole = output(Variant("full"), q, k, v, **options)
    results = []
    for variant in variants:
        z, weights = output(variant, q, k, v, **options), matrix(variant, q, k, **options)
        results.append(Compared(variant, z, weights, relative_error(z, whole)))
    return tuple(results)


@dataclass(frozen=True, eq=False)
class Survey:
    """One layer's heads under full attention and under each way to save."""

    by_kind: dict[str, Compared]  # by "full", "local", "strided", "linear", "multi", "grouped"
    pairs: dict[str, float]  # the share of full attention's pairs that each computes
    even: Tensor  # (H,) the error of looking evenly at every token, which knows nothing of q and k
    same: frozenset[str]  # those that compute here what full attention does: there is nothing that they save


def survey(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    size: int,
    groups: int,
    scale: float | None = None,
    causal: bool = False,
    alibi: Tensor | None = None,
) -> Survey:
    """Compares the ways to save on one layer's q, k, v (H, T, D); arguments as for `Variant` and `output`.

    strided also sees every √T-th token, rounded: the stride that Child et al. 2019, section 4.2, recommend.
    """
    heads, n = q.shape[:2]
    options: dict[str, Any] = {"scale": scale, "causal": causal, "alibi": alibi}
    variants = {
        "full": Variant("full"),
        "local": Variant("local", size=size),
        "strided": Variant("strided", size=size, stride=max(1, round(math.sqrt(n)))),
        "linear": Variant("linear"),
        "multi": Variant("grouped", groups=1),
        "grouped": Variant("grouped", groups=groups),
    }
    by_kind = dict(zip(variants, compare(list(variants.values()), q, k, v, **options), strict=True))
    counts = {name: int(pattern(variant, n, causal).sum()) for name, variant in variants.items()}
    pairs = {name: count / counts["full"] for name, count in counts.items()}
    even = output(variants["full"], q, k, v, scale=0.0, causal=causal)
    same = {kind for kind in ("local", "strided") if counts[kind] == counts["full"]}
    same |= {kind for kind in ("multi", "grouped") if variants[kind].groups == heads}
    return Survey(by_kind, pairs, relative_error(even, by_kind["full"].z), frozenset(same))


def relative_error(z: Tensor, expected: Tensor) -> Tensor:
    """‖z − expected‖ / ‖expected‖ over each head's tokens and numbers: (H, T, D) twice → (H,)."""
    wrong, size = (z - expected).flatten(1).norm(dim=1), expected.flatten(1).norm(dim=1)
    return torch.where(wrong == 0, 0.0, wrong / size)


def output(
    variant: Variant,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None = None,
    causal: bool = False,
    alibi: Tensor | None = None,
) -> Tensor:
    """The heads' outputs (H, T, Dv), computed in the variant's own way.

    Arguments
        q, k, v: (H, T, D), (H, T, D), (H, T, Dv); floating point, one dtype.
        scale: factor on q·k; None for 1/√D. Linear attention has none.
        causal: a token sees itself and the past only.
        alibi: slopes (H,) of ALiBi's bias on the scores; linear attention, which has no scores, takes none.

    Errors: ShapeError, DTypeError, InvalidParameterError.
    """
    _check(variant, q, k, v)
    scale = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    match variant.kind:
        case "fused":
            return _fused(q, k, v, scale=scale, causal=causal, alibi=alibi)
        case "local":
            return local(q, k, v, variant.size, scale=scale, causal=causal, alibi=alibi)
        case "strided":
            return strided(q, k, v, variant.size, variant.stride, scale=scale, causal=causal, alibi=alibi)
        case "linear":
            return linear_causal(q, k, v) if causal else linear(q, k, v)
        case "grouped":
            return grouped(q, k, v, variant.groups, scale=scale, causal=causal, alibi=alibi)
    return full(q, k, v, scale=scale, causal=causal, alibi=alibi)


def matrix(
    variant: Variant,
    q: Tensor,
    k: Tensor,
    *,
    scale: float | None = None,
    causal: bool = False,
    alibi: Tensor | None = None,
) -> Tensor:
    """The weights (H, T, T) that a variant comes to; rows add up to 1. Arguments and errors as for `output`."""
    _check(variant, q, k, k)
    if variant.kind == "linear":
        products = feature_map(q) @ feature_map(k).mT
        products = products.tril() if causal else products
        return products / nonzero(products.sum(dim=-1, keepdim=True))
    if variant.kind == "grouped":
        k = shared(k, variant.groups)
    scale = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    keep = pattern(variant, q.shape[1], causal).to(q.device)
    scores = _biased(q @ k.mT * scale, alibi)
    return scores.masked_fill(~keep, -math.inf).softmax(dim=-1)


def pattern(variant: Variant, n_tokens: int, causal: bool = False) -> Tensor:
    """Bool (T, T): the pairs that the variant computes, True = may attend. Its share of True is its share of work."""
    if variant.kind == "local":
        keep = mask_patterns.window(n_tokens, variant.size)
    elif variant.kind == "strided":
        keep = mask_patterns.strided(n_tokens, variant.size, variant.stride)
    else:
        keep = torch.ones(n_tokens, n_tokens, dtype=torch.bool)
    return keep & mask_patterns.causal(n_tokens) if causal else keep


def full(q: Tensor, k: Tensor, v: Tensor, *, scale: float, causal: bool = False, alibi: Tensor | None = None) -> Tensor:
    """softmax(QKᵀ · scale) V, with the whole matrix in memory: n² time, n² memory.

    Source: Vaswani et al. 2017, equation 1.
    """
    scores = _biased((q * scale) @ k.mT, alibi)  # (H, T, T)
    if causal:
        scores.masked_fill_(~mask_patterns.causal(q.shape[1]).to(q.device), -math.inf)
    return scores.softmax(dim=-1) @ v


def local(
    q: Tensor, k: Tensor, v: Tensor, size: int, *, scale: float, causal: bool = False, alibi: Tensor | None = None
) -> Tensor:
    """Full attention over the keys at most `size` away, block by block: n · size time and memory.

    A block of queries sees a slab of keys, `size` longer at each end; no T × T matrix is made.
    Source: Beltagy et al. 2020, "Longformer", section 3.1.
    """
    scores, slabs = _band(q * scale, k, v, size, causal, alibi)  # (H, N, B, W), (H, N, W, Dv)
    return (scores.softmax(dim=-1) @ slabs).flatten(1, 2)[:, : q.shape[1]]


def strided(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    size: int,
    stride: int,
    *,
    scale: float,
    causal: bool = False,
    alibi: Tensor | None = None,
) -> Tensor:
    """The keys at most `size` away, and those a multiple of `stride` away: n · (size + n / stride) time and memory.

    With stride ≈ √n that is n √n. The tokens of equal position modulo stride attend among themselves, which
    is a small full attention for each remainder; the window comes as in `local`; a softmax joins the two.
    Source: Child et al. 2019, "Generating Long Sequences with Sparse Transformers", section 4.2.
    """
    n = q.shape[1]
    near, slabs = _band(q * scale, k, v, size, causal, alibi)
    near_z = (near.softmax(dim=-1) @ slabs).flatten(1, 2)[:, :n]  # (H, T, Dv)
    near_total = near.logsumexp(dim=-1).flatten(1)[:, :n]  # (H, T)
    rows = -(-n // stride)
    folded = [F.pad(x, (0, 0, 0, rows * stride - n)).unflatten(1, (rows, stride)).transpose(1, 2) for x in (q, k, v)]
    far = (folded[0] * scale) @ folded[1].mT  # (H, stride, R, R): R tokens share a remainder
    i = torch.arange(rows, device=q.device)
    steps = i[:, None] - i[None, :]  # strides between query and key
    if alibi is not None:
        far = far - alibi.view(-1, 1, 1, 1) * stride * steps.abs()
    allowed = (steps.abs() * stride > size) & ((steps > 0) | (not causal))  # what the window has is not counted twice
    place = i * stride + torch.arange(stride, device=q.device)[:, None]  # (stride, R) the tokens' positions
    far.masked_fill_(~(allowed & (place < n)[:, None, :]), -math.inf)
    far_total = far.logsumexp(dim=-1)  # (H, stride, R), −∞ where nothing is left
    far_z = (far - far_total.masked_fill(far_total == -math.inf, 0.0)[..., None]).exp() @ folded[2]
    far_total = far_total.transpose(1, 2).flatten(1)[:, :n]
    far_z = far_z.transpose(1, 2).flatten(1, 2)[:, :n]
    share = (near_total - far_total).sigmoid()[..., None]  # the window's part of the softmax
    return share * near_z + (1 - share) * far_z


def grouped(
    q: Tensor, k: Tensor, v: Tensor, groups: int, *, scale: float, causal: bool = False, alibi: Tensor | None = None
) -> Tensor:
    """Full attention whose heads share keys and values within each of `groups` groups: the cache is H / groups smaller.

    groups = 1 is multi-query attention (Shazeer 2019, section 3), groups = H is full attention.
    Source: Ainslie et al. 2023, "GQA", section 2.2.
    """
    return full(q, shared(k, groups), shared(v, groups), scale=scale, causal=causal, alibi=alibi)


def pooled(x: Tensor, groups: int) -> Tensor:
    """The mean of the keys (or values) of each group's heads: (H, T, D) → (groups, T, D).

    The paper converts a trained model by the mean of the heads' projection matrices, before a short further
    training. Projection is linear, so the mean of what they project is the same, up to rounding.
    Source: Ainslie et al. 2023, section 2.1.
    """
    return x.unflatten(0, (groups, -1)).mean(dim=1)


def shared(x: Tensor, groups: int) -> Tensor:
    """What each head then reads: its group's mean. (H, T, D) → (H, T, D), neighbours of a group alike."""
    return x if groups == x.shape[0] else pooled(x, groups).repeat_interleave(x.shape[0] // groups, dim=0)


def _fused(q: Tensor, k: Tensor, v: Tensor, *, scale: float, causal: bool, alibi: Tensor | None) -> Tensor:
    """torch's fused kernel on one text; with a bias it takes the mask as a part of that."""
    if alibi is None:
        return F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal, scale=scale)[0]
    n = q.shape[1]
    bias = alibi_bias(alibi, n, n).to(q.dtype)
    if causal:
        bias = bias.masked_fill(~mask_patterns.causal(n).to(q.device), -math.inf)
    return F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=bias[None], scale=scale)[0]


def _biased(scores: Tensor, alibi: Tensor | None) -> Tensor:
    """Scores (H, T, T) with ALiBi's bias, where there is one."""
    return scores if alibi is None else scores + alibi_bias(alibi, *scores.shape[1:]).to(scores.dtype)


def _band(q: Tensor, k: Tensor, v: Tensor, size: int, causal: bool, alibi: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scores of N blocks of B queries with the W keys around each, −∞ outside the window, and those keys' values.

    (H, T, D) twice and (H, T, Dv) → (H, N, B, W), (H, N, W, Dv). q carries the scale already.
    """
    n, block, ahead = q.shape[1], max(BLOCK, size), 0 if causal else size
    blocks = -(-n // block)
    span, extra = size + block + ahead, blocks * block - n
    padded = (F.pad(x, (0, 0, size, extra + ahead)) for x in (k, v))
    slabs = [x.unfold(1, span, block).mT.contiguous() for x in padded]  # (H, N, W, D)
    q = F.pad(q, (0, 0, 0, extra)).unflatten(1, (blocks, block))  # (H, N, B, D)
    scores = q @ slabs[0].mT  # (H, N, B, W)
    offset = (
        torch.arange(span, device=q.device)[None, :] - size - torch.arange(block, device=q.device)[:, None]
    )  # j − i
    if alibi is not None:
        scores = scores - alibi.view(-1, 1, 1, 1) * offset.abs()
    within = (offset >= -size) & (offset <= ahead)  # (B, W)
    j = torch.arange(blocks, device=q.device)[:, None] * block + torch.arange(span, device=q.device) - size  # (N, W)
    real = ((j >= 0) & (j < n))[:, None, :] | (offset == 0)  # a query beyond the text sees itself, and is cut off
    return scores.masked_fill_(~(within & real), -math.inf), slabs[1]


def _check(variant: Variant, q: Tensor, k: Tensor, v: Tensor) -> None:
    check_floats(q=q, k=k, v=v)
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if not q.dim() == k.dim() == v.dim() == 3 or q.shape != k.shape or v.shape[:2] != k.shape[:2] or 0 in q.shape:
        raise ShapeError(f"q, k and v are (H, T, D), (H, T, D), (H, T, Dv) of one text, not {shapes}")
    if variant.kind == "grouped" and q.shape[0] % variant.groups:
        raise InvalidParameterError(f"{q.shape[0]} heads do not divide into groups={variant.groups}")
