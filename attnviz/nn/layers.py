"""Encoder and decoder layers and their stacks, drop-ins for torch.nn's: same arguments, keys and outputs.

    post-norm   x = norm(x + sublayer(x))      Vaswani et al. 2017, section 3.1
    pre-norm    x = x + sublayer(norm(x))      Xiong et al. 2020

Each layer computes in `trace`, batch first, and `forward` is the same run without the record.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.checks import check_finite, check_probability, check_sizes, check_tensor
from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.multihead import MultiheadAttention

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Activation] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),  # GPT-2's
}


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What one layer computed. The residual stream before, between and after its sublayers: (B, T, C)."""

    resid_pre: Tensor  # (B, T, C) into the layer
    attention: AttentionTrace  # self-attention
    resid_mid: Tensor | None  # (B, T, C) after self-attention (and its norm, if post-norm); None: another library's
    cross_attention: AttentionTrace | None  # decoder of an encoder-decoder only
    resid_cross: Tensor | None  # (B, T, C) after cross-attention, likewise
    resid_post: Tensor  # (B, T, C) after the feed-forward network


class _Layer(nn.Module):
    """What encoder and decoder layers share: arguments, the feed-forward network, where the norms stand."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(d_model=d_model, nhead=nhead)
        check_sizes(0, dim_feedforward=dim_feedforward)
        check_probability("dropout", dropout)
        check_finite("layer_norm_eps", layer_norm_eps)
        self.batch_first, self.norm_first = batch_first, norm_first
        if isinstance(activation, str):
            if activation not in ACTIVATIONS:
                raise InvalidParameterError(f"activation={activation!r} is not one of {', '.join(ACTIVATIONS)}")
            activation = ACTIVATIONS[activation]
        if not callable(activation):
            raise InvalidParameterError(f"activation={activation!r} is neither a name nor a function")
        self.activation = activation
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        decoder = isinstance(self, TransformerDecoderLayer)

        def attention() -> MultiheadAttention:
            return MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **place)

        # created in torch's order: the same seed gives the same layer
        self.self_attn = attention()
        if decoder:
            self.multihead_attn = attention()
        self.attention_only = dim_feedforward == 0
        if not self.attention_only:
            self.linear1 = nn.Linear(d_model, dim_feedforward, bias=bias, **place)
            self.dropout = nn.Dropout(dropout)
            self.linear2 = nn.Linear(dim_feedforward, d_model, bias=bias, **place)
        for i in range(1, 2 + decoder + (not self.attention_only)):
            self.add_module(f"norm{i}", nn.LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **place))
            self.add_module(f"dropout{i}", nn.Dropout(dropout))

    def feed_forward(self, x: Tensor) -> Tensor:
        """W₂ σ(W₁ x + b₁) + b₂, per position: (B, T, C) → (B, T, C). Vaswani et al. 2017, equation 2."""
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a feed-forward network; a drop-in for torch.nn.TransformerEncoderLayer.

    Arguments as there: activation is "relu", "gelu", "gelu_tanh" or a callable; norm_first for pre-norm;
    dim_feedforward=0 for a layer of attention only (Elhage et al. 2021), which has no second norm; inputs are
    (T, B, C) unless batch_first, or unbatched (T, C).
    Errors: InvalidParameterError, ShapeError, DTypeError. Source: Vaswani et al. 2017, section 3.1.
    """

    norm1: nn.LayerNorm
    norm2: nn.LayerNorm
    dropout1: nn.Dropout
    dropout2: nn.Dropout

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Output in the input's shape. Masks in torch's polarity: bool True forbids, float is added."""
        masks = _masks(src_mask, src_key_padding_mask, is_causal)
        return _leave(self.trace(_enter(src, self), **masks).resid_post, src, self)

    def trace(self, x: Tensor, **attention: Any) -> LayerTrace:
        """The layer's run on x (B, T, C), recorded; `attention` as for `MultiheadAttention.trace`."""
        attended = self.self_attn.trace_batch_first(self.norm1(x) if self.norm_first else x, **attention)
        assert attended.out is not None
        mid = x + self.dropout1(attended.out)
        mid = mid if self.norm_first else self.norm1(mid)
        if self.attention_only:
            return LayerTrace(x, attended, mid, None, None, mid)
        if self.norm_first:
            post = mid + self.dropout2(self.feed_forward(self.norm2(mid)))
        else:
            post = self.norm2(mid + self.dropout2(self.feed_forward(mid)))
        return LayerTrace(x, attended, mid, None, None, post)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output, feed-forward; a drop-in for torch's decoder layer.

    Arguments, errors and source as for `TransformerEncoderLayer`.
    """

    norm1: nn.LayerNorm
    norm2: nn.LayerNorm
    norm3: nn.LayerNorm
    dropout1: nn.Dropout
    dropout2: nn.Dropout
    dropout3: nn.Dropout
    multihead_attn: MultiheadAttention

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Output in tgt's shape. Masks in torch's polarity: bool True forbids, float is added."""
        _check_pair(tgt, memory, self)
        own_masks = _masks(tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        cross = _masks(memory_mask, memory_key_padding_mask, memory_is_causal)
        run = self.trace(_enter(tgt, self), _enter(memory, self), own_masks, cross)
        return _leave(run.resid_post, tgt, self)

    def trace(
        self, x: Tensor, memory: Tensor, attention: dict[str, Any], cross_attention: dict[str, Any]
    ) -> LayerTrace:
        """The layer's run on x (B, T, C) and memory (B, S, C), recorded; options as for the encoder layer."""
        first = self.norm_first
        attended = self.self_attn.trace_batch_first(self.norm1(x) if first else x, **attention)
        assert attended.out is not None
        mid = x + self.dropout1(attended.out)
        mid = mid if first else self.norm1(mid)
        query = self.norm2(mid) if first else mid
        crossed = self.multihead_attn.trace_batch_first(query, memory, **cross_attention)
        assert crossed.out is not None
        cross = mid + self.dropout2(crossed.out)
        cross = cross if first else self.norm2(cross)
        if self.attention_only:
            return LayerTrace(x, attended, mid, crossed, cross, cross)
        post = cross + self.dropout3(self.feed_forward(self.norm3(cross) if first else cross))
        return LayerTrace(x, attended, mid, crossed, cross, post if first else self.norm3(post))


class TransformerEncoder(nn.Module):
    """A stack of copies of one encoder layer; a drop-in for torch.nn.TransformerEncoder.

    enable_nested_tensor and mask_check are accepted for torch's sake; they concern its fast path only.
    """

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: nn.Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(num_layers=num_layers)
        self.layers = nn.ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Output in the input's shape. is_causal None means: as the mask says."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(nn.Module):
    """A stack of copies of one decoder layer; a drop-in for torch.nn.TransformerDecoder."""

    def __init__(self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: nn.Module | None = None) -> None:
        super().__init__()
        check_sizes(num_layers=num_layers)
        self.layers = nn.ModuleList(copy.deepcopy(decoder_layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Output in tgt's shape. tgt_is_causal None means: as the mask says."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


def _masks(attn_mask: Tensor | None, key_padding_mask: Tensor | None, is_causal: bool) -> dict[str, Any]:
    return {"attn_mask": attn_mask, "key_padding_mask": key_padding_mask, "is_causal": is_causal}


def _check_pair(tgt: Tensor, memory: Tensor, layer: _Layer) -> None:
    """Errors: DTypeError or ShapeError, in the caller's layout, unless both are (un)batched alike."""
    check_tensor("tgt", tgt)
    check_tensor("memory", memory)
    batch = 0 if layer.batch_first else 1
    if tgt.dim() != memory.dim() or (tgt.dim() == 3 and tgt.shape[batch] != memory.shape[batch]):
        raise ShapeError(f"tgt {tuple(tgt.shape)} and memory {tuple(memory.shape)} do not match")


def _enter(x: Tensor, layer: _Layer) -> Tensor:
    """The caller's layout → (B, T, C)."""
    check_tensor("input", x)
    if x.dim() not in (2, 3):
        raise ShapeError(f"input is (B, T, C) or (T, C), not {tuple(x.shape)}")
    return x[None] if x.dim() == 2 else x if layer.batch_first else x.transpose(0, 1)


def _leave(x: Tensor, like: Tensor, layer: _Layer) -> Tensor:
    """(B, T, C) → the layout in which the caller gave `like`."""
    return x[0] if like.dim() == 2 else x if layer.batch_first else x.transpose(0, 1)
