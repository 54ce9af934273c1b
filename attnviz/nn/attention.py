"""Scaled dot-product attention: one pure function, and the record of what it computed.

    Attention(Q, K, V) = softmax(QKᵀ / √d_k) V              Vaswani et al. 2017, equation 1

A call returns one frozen `AttentionTrace`. It keeps q, k, v and z, whose size grows with the text; scores and
weights, whose size grows with its square, are derived exactly when somebody looks at them. So the forward
pass itself can run torch's fused kernel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.errors import InvalidParameterError
from attnviz.nn.checks import (
    check_broadcast,
    check_finite,
    check_floats,
    check_lengths,
    check_probability,
    check_qkv,
    check_temperature,
    check_vector,
)
from attnviz.nn.masks import Mask
from attnviz.nn.positions import alibi_bias

NEARLY_HARD = 1e-3  # below this temperature the fused kernel's scores / τ lose too many digits
UNFUSED = 512  # tokens: up to here the backward pass of the fused kernel in bfloat16 takes 1.4 to 3 times as long


@dataclass(frozen=True, eq=False)
class AttentionTrace:
    """Everything one attention computed, or what it needs to be derived exactly.

    B batch, H heads, T queries, S keys, D head width, C model width. S counts the extra keys of
    `add_bias_kv` and `add_zero_attn`, which stand last.

    Fields
        q, k, v: (B, H, T, D), (B, H, S, D) twice; q and k as they meet, turned if positions turn them.
        z: (B, H, T, D), weights @ v, times head_scale.
        out: (B, T, C), z's heads side by side, times W_O, plus its bias.
        mask: which query may see which key, as a description.
        bias, alibi: what is added to the scores, (B, H, T, S) or less, and slopes (H,) of the distance.
        scale, temperature: the factor on q·k, and τ.
        head_scale: a factor per head on z, (H,).
        softcap, sinks: the bound that scores are bent to, and a score per head (H,) that takes its part of each row.
        kv_heads: how many keys and values there are, where several heads share them.

    Worked out when asked for: scores, weights, keep, groups.
    """

    q: Tensor  # (B, H, T, D), rotated if the positions are rotary
    k: Tensor  # (B, H, S, D), likewise
    v: Tensor  # (B, H, S, D)
    z: Tensor  # (B, H, T, D) weights @ v, times head_scale
    out: Tensor | None = None  # (B, T, C) z's heads side by side, times W_O, plus its bias
    mask: Mask = field(default_factory=Mask)
    bias: Tensor | None = None  # added to the scores, broadcastable to (B, H, T, S)
    alibi: Tensor | None = None  # (H,) slopes, where the bias has ALiBi's formula
    scale: float = 1.0  # the factor on q·k
    temperature: float = 1.0
    head_scale: Tensor | None = None  # (H,)
    softcap: float | None = None  # c: scores become c · tanh(scores / c), before anything is added to them
    sinks: Tensor | None = None  # (H,) the score of a place beyond the keys that takes its part of each row
    kv_heads: int | None = None  # of grouped-query attention: so many keys and values, repeated here for each head

    def __repr__(self) -> str:
        (batch, heads, queries, _), keys = self.q.shape, self.k.shape[2]
        return f"AttentionTrace({batch} × {heads} heads, {queries} queries × {keys} keys)"

    @property
    def groups(self) -> tuple[int, ...] | None:
        """(H,): which keys and values a head shares with others, counted from 0; None where each has its own.

        Source: Ainslie et al. 2023, "GQA", section 2.2.
        """
        heads = self.q.shape[1]
        return None if self.kv_heads is None else tuple(h * self.kv_heads // heads for h in range(heads))

    @property
    def keep(self) -> Tensor | None:
        """Bool, broadcastable to (B, H, T, S), True = may attend; None if every query may see every key."""
        (_, heads, queries, _), keys = self.q.shape, self.k.shape[2]
        return self.mask.keep(queries, keys, heads, self.q.device)

    @property
    def scores(self) -> Tensor:
        """(B, H, T, S): q·k · scale, capped, + bias; −∞ where the mask forbids. Before the temperature."""
        scores = self.q @ self.k.mT * self.scale
        if self.softcap is not None:
            scores = self.softcap * torch.tanh(scores / self.softcap)
        bias = total_bias(self.bias, self.alibi, self.q.shape[2], self.k.shape[2], self.mask.start)
        if bias is not None:
            scores = scores + bias.to(scores.dtype)
        keep = self.keep
        return scores if keep is None else scores.masked_fill(~keep, -math.inf)

    @property
    def weights(self) -> Tensor:
        """(B, H, T, S): softmax(scores / temperature), before dropout; rows with no key allowed are 0.

        With sinks a row sums to less than 1: the rest is the sink's. Source: Xiao et al. 2023, section 3.3.
        """
        scores = self.scores
        if scores.shape[-1] == 0:
            return scores
        if self.sinks is not None:
            sink = self.sinks.to(scores.dtype)[None, :, None, None].expand(*scores.shape[:-1], 1)
            scores = torch.cat([scores, sink], dim=-1)
            top = scores.detach().amax(dim=-1, keepdim=True)
            return ((scores - top) / self.temperature).softmax(dim=-1)[..., :-1]
        top = scores.detach().amax(dim=-1, keepdim=True)
        starved = top == -math.inf  # softmax over nothing would be NaN, forward and backward
        scores = (scores - top.masked_fill(starved, 0.0)) / self.temperature  # top first: no overflow at τ → 0
        return scores.masked_fill(starved, 0.0).softmax(dim=-1).masked_fill(starved, 0.0)

    def with_results(self, z: Tensor, out: Tensor | None) -> AttentionTrace:
        """The same record with what came out: as `dataclasses.replace`, which takes five times as long."""
        record = object.__new__(AttentionTrace)
        vars(record).update(vars(self), z=z, out=out)
        return record


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    keep: Tensor | Mask | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
    temperature: float = 1.0,
    alibi: Tensor | None = None,
    head_scale: Tensor | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    sinks: Tensor | None = None,
) -> AttentionTrace:
    """softmax((q kᵀ · scale + bias) / temperature) v, for all heads at once.

    Arguments
        q, k, v: (B, H, T, D), (B, H, S, D), (B, H, S, Dv); floating point, one dtype.
        keep: bool, broadcastable to (B, H, T, S), True = may attend; or a `Mask`.
        bias: added to the scores, broadcastable to (B, H, T, S).
        scale: factor on q·k; None for 1/√D.
        temperature: τ > 0. Against the temperature of sampling, this one acts inside every attention row.
        alibi: slopes (H,) of a linear bias on the distance.
        head_scale: factor per head (H,) on z.
        dropout: probability of dropping a weight (training only).
        softcap: c > 0; q·k · scale becomes c · tanh(q·k · scale / c). Gemma Team 2024, section 2.
        sinks: (H,) the score of a place beyond the keys, which takes its part of every row.

    A query that may attend to nothing, or where there are no keys at all, gets weights 0 and z = 0.
    Errors: ShapeError, DTypeError, InvalidParameterError, each with the numbers.
    Source: Vaswani et al. 2017, section 3.2.1.
    """
    check_qkv(q, k, v)
    check_probability("dropout", dropout)
    if bias is not None:
        check_floats(bias=bias)
        bias = torch.atleast_2d(bias)
    mask = keep if isinstance(keep, Mask) else Mask(dense=keep)
    check_vector("alibi", alibi, q.shape[1])
    check_vector("head_scale", head_scale, q.shape[1])
    check_vector("sinks", sinks, q.shape[1])
    if softcap is not None and check_finite("softcap", softcap) <= 0:
        raise InvalidParameterError(f"softcap={softcap} is not positive")
    plain = k[:, :, : -mask.extra] if mask.extra else k  # the keys that the mask is about
    check_lengths(mask.lengths, q.shape[0], plain.shape[2])
    check_broadcast("keep", mask.dense, q, plain)
    check_broadcast("bias", bias, q, k)
    trace = AttentionTrace(
        q,
        k,
        v,
        z=q,
        mask=mask,
        bias=bias,
        alibi=alibi,
        head_scale=head_scale,
        scale=1.0 / math.sqrt(q.shape[-1]) if scale is None else check_finite("scale", scale),
        temperature=check_temperature(temperature),
        softcap=softcap,
        sinks=sinks,
    )
    return trace.with_results(attended(trace, dropout), None)


def attended(trace: AttentionTrace, dropout: float, weights: Tensor | None = None) -> Tensor:
    """z of a record that has none yet, (B, H, T, Dv): weights @ v, times head_scale.

    From `weights` where they are at hand (this way has derivatives of every order), else by the fused kernel.
    """
    z = _fused(trace, dropout) if weights is None else F.dropout(weights, dropout) @ trace.v
    return z if trace.head_scale is None else z * trace.head_scale.to(z.dtype)[None, :, None, None]


def _fused(trace: AttentionTrace, dropout: float) -> Tensor:
    """softmax(scores / τ) v by torch's fused kernel, (B, H, T, Dv); rows with no key allowed come out 0."""
    if trace.temperature < NEARLY_HARD or trace.softcap is not None or trace.sinks is not None:
        return F.dropout(trace.weights, dropout) @ trace.v
    if _learns_in_halves(trace):
        return _unfused(trace, dropout)
    only_causal = trace.scale > 0 and trace.mask.only_causal and trace.bias is None and trace.alibi is None
    attn_mask = None if only_causal else trace.keep
    bias = total_bias(trace.bias, trace.alibi, trace.q.shape[2], trace.k.shape[2], trace.mask.start)
    if bias is not None:
        bias = bias.to(trace.q.dtype) / trace.temperature
        attn_mask = bias if attn_mask is None else bias.masked_fill(~attn_mask, -math.inf)
    return F.scaled_dot_product_attention(
        trace.q,
        trace.k,
        trace.v,
        attn_mask=attn_mask,
        dropout_p=dropout,
        is_causal=only_causal,
        scale=trace.scale / trace.temperature,
    )


def _learns_in_halves(trace: AttentionTrace) -> bool:
    """Whether gradients in bfloat16 are wanted, on the CPU, of windows for which the fused kernel is the slower way."""
    halves = trace.q.dtype == torch.bfloat16 and torch.is_grad_enabled()
    return halves and trace.q.device.type == "cpu" and trace.mask.only_causal and trace.q.shape[2] <= UNFUSED


def _unfused(trace: AttentionTrace, dropout: float) -> Tensor:
    """What `_fused` gives, in single steps: every query of a causal mask has a key to attend to, so nothing is NaN."""
    shape = trace.q.shape[2], trace.k.shape[2]
    added = trace.q.new_full(shape, -math.inf).triu(1)
    bias = total_bias(trace.bias, trace.alibi, *shape)
    if bias is not None:
        added = added + bias.to(added.dtype)
    scores = (trace.q * trace.scale) @ trace.k.mT + added
    return F.dropout((scores / trace.temperature).softmax(-1).to(trace.v.dtype), dropout) @ trace.v


def total_bias(bias: Tensor | None, alibi: Tensor | None, n_queries: int, n_keys: int, start: int = 0) -> Tensor | None:
    """The given bias plus ALiBi's, broadcastable to (B, H, T, S); None if there is neither."""
    if alibi is None:
        return bias
    linear = alibi_bias(alibi, n_queries, n_keys, start=start)[None]
    return linear if bias is None else bias + linear
