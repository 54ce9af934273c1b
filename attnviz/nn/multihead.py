"""Multi-head attention: projections into heads, attention in each, heads put together again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.jit import is_scripting  # type: ignore[attr-defined]
from torch.nn import functional as F

from attnviz.nn import positions, scripted, torch_masks
from attnviz.nn.attention import AttentionTrace, attended
from attnviz.nn.checks import (
    check_broadcast,
    check_divisible,
    check_lengths,
    check_probability,
    check_projected,
    check_sizes,
    check_tensor,
    check_vector,
)
from attnviz.nn.intervention import Intervention, changed_mask, head_factors
from attnviz.nn.masks import Mask
from attnviz.nn.recording import TORCHS, Recording, attention_trace, recorded, recording_of


class MultiheadAttention(nn.Module):
    """MultiHead(Q, K, V) = Concat(head_1, …, head_H) W_O; a drop-in for torch.nn.MultiheadAttention.

    Same arguments, parameters, state_dict keys, initialisation and outputs (dropout aside: returned weights
    are those before dropout, and a row that may attend to nothing gives 0 where torch gives NaN).

    Arguments
        embed_dim: width C of query and output; num_heads divides it.
        kdim, vdim: widths of key and value; default C.
        add_bias_kv, add_zero_attn: one learned, one all-zero extra key and value at the end.
        batch_first: inputs are (B, T, C) instead of torch's default (T, B, C).

    Errors: InvalidParameterError with the offending numbers.
    Source: Vaswani et al. 2017, section 3.2.2.
    """

    if TYPE_CHECKING:  # TorchScript would read them, and knows no nn.Parameter
        in_proj_weight: nn.Parameter  # (3C, C), or None where kdim or vdim differ from C: then there are three
        q_proj_weight: nn.Parameter  # (C, C)
        k_proj_weight: nn.Parameter  # (C, kdim)
        v_proj_weight: nn.Parameter  # (C, vdim)
        in_proj_bias: nn.Parameter | None  # (3C,)
        bias_k: nn.Parameter | None  # (1, 1, C)
        bias_v: nn.Parameter | None

    # torch's encoder layer reads its attention's weights and calls no `forward` where this is True (its fast path)
    _qkv_same_embed_dim = False

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        extra = {name: size for name, size in (("kdim", kdim), ("vdim", vdim)) if size is not None}
        check_sizes(embed_dim=embed_dim, num_heads=num_heads, **extra)
        check_divisible("embed_dim", embed_dim, "num_heads", num_heads)
        check_probability("dropout", dropout)
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

        def optional(wanted: bool, *shape: int) -> nn.Parameter | None:
            return empty(*shape) if wanted else None

        same, c = self.kdim == self.vdim == embed_dim, embed_dim
        self.register_parameter("in_proj_weight", optional(same, 3 * c, c))
        self.register_parameter("q_proj_weight", optional(not same, c, c))
        self.register_parameter("k_proj_weight", optional(not same, c, self.kdim))
        self.register_parameter("v_proj_weight", optional(not same, c, self.vdim))
        self.register_parameter("in_proj_bias", optional(bias, 3 * c))
        self.out_proj = nn.Linear(c, c, bias=bias, device=device, dtype=dtype)
        self.register_parameter("bias_k", optional(add_bias_kv, 1, 1, c))
        self.register_parameter("bias_v", optional(add_bias_kv, 1, 1, c))
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """torch's initialisation in torch's order: the same seed gives the same layer."""
        if self._is_packed():
            nn.init.xavier_uniform_(self.in_proj_weight)
        else:
            for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
                nn.init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            nn.init.zeros_(self.in_proj_bias)
            nn.init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                nn.init.xavier_normal_(extra)

    def _is_packed(self) -> bool:
        """Whether one matrix holds W_Q, W_K and W_V one above the other."""
        return self.kdim == self.vdim == self.embed_dim

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """torch.nn.MultiheadAttention's call: (output, weights or None).

        query (B, T, C), (T, B, C) or (T, C); key defaults to query, value to key. Masks in torch's polarity:
        key_padding_mask (B, S) and attn_mask (T, S) or (B·H, T, S), bool with True = may not attend, or float
        that is added to the scores. is_causal forbids later keys, with or without an attn_mask.
        Weights: (B, T, S), averaged over the heads, or (B, H, T, S). With them, derivatives of every order exist;
        without them the fused kernel runs, which has first ones only.
        """
        if is_scripting():
            out, weights = self._scripted(query, key, value, key_padding_mask, attn_mask, is_causal)
            if need_weights and average_attn_weights:
                weights = weights.mean(dim=-3)
            return out, weights if need_weights else None
        else:  # and no code after it, which TorchScript would read
            masks = attn_mask, key_padding_mask, is_causal
            return self._called(query, key, value, masks, need_weights, average_attn_weights)

    def _called(
        self,
        query: Tensor,
        key: Tensor | None,
        value: Tensor | None,
        masks: tuple[Tensor | None, Tensor | None, bool],
        need_weights: bool,
        average: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """`forward`, and the record for the one who asked."""
        recording = recording_of(self)
        key = query if key is None else key
        value = key if value is None else value
        check_tensor("attn_mask", masks[0])
        check_tensor("key_padding_mask", masks[1])
        weight = self.in_proj_weight if self._is_packed() else self.q_proj_weight
        widths = self.embed_dim, self.kdim, self.vdim
        check_projected(query, key, value, widths, weight.dtype, self.batch_first)
        batched = query.dim() == 3
        if not batched:
            query, key, value = _each(lambda x: x[None], query, key, value)
        options = {} if recording is None else recording.options
        trace, out, weights = self._run(query, key, value, masks, need_weights, batched, **options)
        if weights is not None and average:
            weights = weights.mean(dim=1)
        if not batched:
            out, weights = out[0], None if weights is None else weights[0]
        if recording is not None:
            recording.trace, recording.returned = trace, out
        return out, weights

    def _scripted(
        self,
        query: Tensor,
        key: Tensor | None,
        value: Tensor | None,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        is_causal: bool,
    ) -> tuple[Tensor, Tensor]:
        """The output and the weights of all heads, in TorchScript."""
        key = query if key is None else key
        value = key if value is None else value
        packed = self.in_proj_weight
        if packed is None:
            in_proj = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight  # type: ignore[unreachable]
        else:
            q, k, v = packed.chunk(3)
            in_proj = q, k, v
        z, weights = scripted.attention(
            query,
            key,
            value,
            self.num_heads,
            in_proj,
            self.in_proj_bias,
            (self.bias_k, self.bias_v),
            self.add_zero_attn,
            attn_mask,
            key_padding_mask,
            is_causal,
            self.dropout if self.training else 0.0,
            not self.batch_first,
        )
        return self.out_proj(z), weights

    def trace(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        *,
        key_padding_mask: Tensor | None = None,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        mask: Mask | None = None,
        alibi: Tensor | None = None,
        bias: Tensor | None = None,
        rotary: bool | Tensor = False,
        intervention: Intervention | None = None,
    ) -> AttentionTrace:
        """The same attention as `forward`, with everything it computed. Tensors of the trace are batch first.

        Arguments beside forward's: `mask` in our polarity (as a description; combined with the others),
        `alibi` slopes (H,), `bias` (1, H, T, S) on the scores, `rotary` to turn q and k by their position (True: RoPE;
        else the rates of `positions.turn`), and an `intervention` of all but positions. The module is called: its
        hooks fire, and `out` is what they made of the output. Errors: ShapeError, DTypeError.
        """
        options = {"mask": mask, "alibi": alibi, "bias": bias, "rotary": rotary, "intervention": intervention}
        given = {"attn_mask": attn_mask, "key_padding_mask": key_padding_mask, "is_causal": is_causal}
        recording = Recording(self, MultiheadAttention, options)
        recording.out = recorded((recording,), self, query, key, value, need_weights=False, **given)[0]
        return attention_trace(recording)

    def trace_batch_first(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, **options: Any
    ) -> AttentionTrace:
        """`trace` on (B, T, C) inputs, whatever batch_first says.

        `past`, beside the options there: the same attention's run on the queries before. Its keys and values stand
        before the new ones in self-attention, and serve again as they are where `key` is another sequence (`again`).
        `mask.start` counts its queries.
        """
        if not self.batch_first:
            key = query if key is None else key
            query, key, value = _each(lambda x: x.transpose(0, 1), query, key, key if value is None else value)
        given = {name: options.pop(name) for name in TORCHS if name in options}
        options["again"] = key is not None and key is not query
        recording = Recording(self, MultiheadAttention, options)
        recording.out = recorded((recording,), self, query, key, value, need_weights=False, **given)[0]
        return attention_trace(recording)

    def _run(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        masks: tuple[Tensor | None, Tensor | None, bool],
        need_weights: bool,
        batched: bool,
        *,
        mask: Mask | None = None,
        alibi: Tensor | None = None,
        bias: Tensor | None = None,
        rotary: bool | Tensor = False,
        intervention: Intervention | None = None,
        past: AttentionTrace | None = None,
        again: bool = False,
    ) -> tuple[AttentionTrace, Tensor, Tensor | None]:
        """The record, the output in the inputs' layout (batched: as batch_first says), and the weights if needed."""
        sequence_first = batched and not self.batch_first
        if past is not None and again:
            (q,), k, v = self.heads(sequence_first, query), past.k, past.v
        else:
            q, k, v = self.heads(sequence_first, query, key, value)  # (B, H, T, D), (B, H, S, D) twice
            start = 0 if past is None else past.k.shape[2]
            if rotary is not False:
                by = positions.rates(self.head_dim) if rotary is True else rotary
                q, k = positions.turn(q, by, start), positions.turn(k, by, start)
            if past is not None:
                k, v = torch.cat((past.k, k), dim=2), torch.cat((past.v, v), dim=2)
        full, added = torch_masks.merged(mask, *masks, (*q.shape[:3], k.shape[2]), q.dtype)
        bias = added if bias is None else bias if added is None else bias + added
        scale, temperature, head_scale = 1.0 / math.sqrt(self.head_dim), 1.0, None
        if intervention is not None:
            full, temperature = changed_mask(full, intervention), intervention.temperature
            scale = scale if intervention.scaled else 1.0
            head_scale = head_factors(intervention, self.num_heads, q)
        check_lengths(full.lengths, q.shape[0], k.shape[2])
        check_broadcast("keep", full.dense, q, k)
        check_broadcast("bias", bias, q, k)
        check_vector("alibi", alibi, self.num_heads)
        k, v, full, bias = self._extra_keys(k, v, full, bias)
        trace = AttentionTrace(q, k, v, q, None, full, bias, alibi, scale, temperature, head_scale)  # z and out follow
        weights = trace.weights if need_weights else None
        z = attended(trace, self.dropout if self.training else 0.0, weights)
        sides = (z.permute(2, 0, 1, 3) if sequence_first else z.transpose(1, 2)).flatten(2)
        out = self.out_proj(sides)
        return trace.with_results(z, out.transpose(0, 1) if sequence_first else out), out, weights

    def heads(self, sequence_first: bool, *inputs: Tensor) -> Sequence[Tensor]:
        """x W + b for query, key and value, or for the first of them, cut into heads: (B, H, T or S, D) each."""

        def cut(x: Tensor) -> Tensor:
            x = x.unflatten(-1, (self.num_heads, self.head_dim))
            return x.permute(1, 2, 0, 3) if sequence_first else x.transpose(1, 2)

        packed = self._is_packed()
        if packed and len(inputs) == 3 and all(x is inputs[0] for x in inputs):
            x = F.linear(inputs[0], self.in_proj_weight, self.in_proj_bias)
            x = x.view(*x.shape[:-1], 3, self.num_heads, self.head_dim)  # as unflatten does, in less time
            return x.permute(2, 1, 3, 0, 4).unbind() if sequence_first else x.permute(2, 0, 3, 1, 4).unbind()
        if packed:
            weights: Sequence[Tensor] = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        bias = self.in_proj_bias
        biases: Sequence[Tensor | None] = (None,) * 3 if bias is None else bias.chunk(3)
        return [cut(F.linear(x, w, b)) for x, w, b in zip(inputs, weights, biases, strict=False)]

    def _extra_keys(
        self, k: Tensor, v: Tensor, mask: Mask, bias: Tensor | None
    ) -> tuple[Tensor, Tensor, Mask, Tensor | None]:
        """Appends the learned and the zero key. Every query may see them, whatever the mask."""
        extra = (self.bias_k is not None) + self.add_zero_attn
        if not extra:
            return k, v, mask, bias
        batch, heads, _, width = k.shape
        if self.bias_k is not None and self.bias_v is not None:
            learned_k = self.bias_k.to(k).view(1, heads, 1, width).expand(batch, -1, -1, -1)
            learned_v = self.bias_v.to(v).view(1, heads, 1, width).expand(batch, -1, -1, -1)
            k, v = torch.cat((k, learned_k), dim=2), torch.cat((v, learned_v), dim=2)
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        return k, v, replace(mask, extra=extra), None if bias is None else F.pad(bias, (0, extra))


def _each(fn: Callable[[Tensor], Tensor], *tensors: Tensor) -> list[Tensor]:
    """fn of each tensor; what was one tensor stays one, so that self-attention can still be recognised."""
    done = {id(x): x for x in tensors}
    done = {key: fn(x) for key, x in done.items()}
    return [done[id(x)] for x in tensors]
