"""Encoder and decoder layers, drop-ins for torch.nn's: same arguments, keys and outputs.

    post-norm   x = norm(x + sublayer(x))      Vaswani et al. 2017, section 3.1
    pre-norm    x = x + sublayer(norm(x))      Xiong et al. 2020

`trace` calls the layer and returns the record of the call: one run, in which every module is called as a module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.jit import is_scripting  # type: ignore[attr-defined]
from torch.nn import functional as F

from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.checks import check_finite, check_padded, check_probability, check_sizes
from attnviz.nn.dropout import Dropout
from attnviz.nn.multihead import MultiheadAttention
from attnviz.nn.recording import TORCHS, Options, Recording, attention_trace, keep_output, recorded, recording_of


def gelu_tanh(x: Tensor) -> Tensor:
    """GPT-2's GELU, 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))). Hendrycks and Gimpel 2016, section 2."""
    return F.gelu(x, approximate="tanh")


Activation = Callable[[Tensor], Tensor]
Masks = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]  # tgt's, memory's; padding of tgt, of memory
ACTIVATIONS: dict[str, Activation] = {"relu": F.relu, "gelu": F.gelu, "gelu_tanh": gelu_tanh}


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What one layer computed. The residual stream before, between and after its sublayers: (B, T, C).

    Fields
        resid_pre: into the layer.
        attention: its self-attention.
        resid_mid: after self-attention (and its norm, if post-norm); None where another library keeps it to itself.
        cross_attention, resid_cross: the same of a decoder's attention to its encoder; None without one.
        resid_post: after the feed-forward network.
        feed_forward: what that network added, before any norm; None without one, or where another library keeps it.
    """

    resid_pre: Tensor = field(repr=False)  # (B, T, C) into the layer
    attention: AttentionTrace  # self-attention
    resid_mid: Tensor | None = field(repr=False)  # (B, T, C) after self-attention and its norm, if post-norm
    cross_attention: AttentionTrace | None  # decoder of an encoder-decoder only
    resid_cross: Tensor | None = field(repr=False)  # (B, T, C) after cross-attention, likewise
    resid_post: Tensor = field(repr=False)  # (B, T, C) after the feed-forward network
    feed_forward: Tensor | None = field(default=None, repr=False)  # (B, T, C) what it added


class _Layer(nn.Module):
    """What encoder and decoder layers share: arguments, the feed-forward network, where the norms stand."""

    __constants__ = ("attention_only", "norm_first")  # so that TorchScript leaves out what is not there
    if TYPE_CHECKING:  # for TorchScript would read them
        dropout1: nn.Dropout

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
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        decoder = isinstance(self, TransformerDecoderLayer)

        attention = partial(MultiheadAttention, d_model, nhead, dropout, bias, batch_first=batch_first, **place)
        # created in torch's order: the same seed gives the same layer, and its parts stand in the same row
        self.self_attn = attention()
        if decoder:
            self.multihead_attn = attention()
        self.attention_only = dim_feedforward == 0
        if not self.attention_only:
            self.linear1 = nn.Linear(d_model, dim_feedforward, bias=bias, **place)
            self.dropout = Dropout(dropout)
            self.linear2 = nn.Linear(dim_feedforward, d_model, bias=bias, **place)
        sublayers = range(1, 2 + decoder + (not self.attention_only))
        parts = {f"norm{i}": nn.LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **place) for i in sublayers}
        for name, part in (parts | {f"dropout{i}": Dropout(dropout) for i in sublayers}).items():
            self.add_module(name, part)
        self.activation = activation  # a module may be one too

    def feed_forward(self, x: Tensor) -> Tensor:
        """W₂ σ(W₁ x + b₁) + b₂, per position: (B, T, C) → (B, T, C). Vaswani et al. 2017, equation 2."""
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _sa_block(
        self, x: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        """Self-attention and its dropout: torch's name for it, which subclasses override."""
        out = self.self_attn(
            x,
            x,
            x,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            need_weights=False,
        )[0]
        if not is_scripting():
            keep_output(self.self_attn, out)
        return self.dropout1(out)


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a feed-forward network; a drop-in for torch.nn.TransformerEncoderLayer.

    Arguments as there: activation is "relu", "gelu", "gelu_tanh" or a callable; norm_first for pre-norm;
    dim_feedforward=0 for a layer of attention only (Elhage et al. 2021), which has no second norm; inputs are
    (T, B, C) unless batch_first, or unbatched (T, C).
    Errors: InvalidParameterError, ShapeError, DTypeError. Source: Vaswani et al. 2017, section 3.1.
    """

    if TYPE_CHECKING:
        norm1: nn.LayerNorm
        norm2: nn.LayerNorm
        dropout2: nn.Dropout

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Output in the input's shape. Masks in torch's polarity: bool True forbids, float is added."""
        if is_scripting():
            return self._stream(src, src_mask, src_key_padding_mask, is_causal)[2]
        else:  # and no code after it, which TorchScript would read
            return self._called(src, src_mask, src_key_padding_mask, is_causal)

    def _called(
        self, src: Tensor, src_mask: Tensor | None, src_key_padding_mask: Tensor | None, is_causal: bool
    ) -> Tensor:
        """`forward`, and the record for the one who asked."""
        _check_input(src)
        recording = recording_of(self)
        if recording is None:
            return self._stream(src, src_mask, src_key_padding_mask, is_causal)[2]
        attention = Recording(self.self_attn, MultiheadAttention, recording.options)
        mid, fed, post = recorded((attention,), self._stream, src, src_mask, src_key_padding_mask, is_causal)
        before, mid, fed, after = _batch_first(self, src, mid, fed, post)
        recording.trace = LayerTrace(before, attention_trace(attention), mid, None, None, after, fed)
        recording.returned = post
        return post

    def _stream(
        self, src: Tensor, src_mask: Tensor | None, src_key_padding_mask: Tensor | None, is_causal: bool
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """The residual stream after self-attention, what the feed-forward network adds, and the stream after that."""
        query = self.norm1(src) if self.norm_first else src
        mid = src + self._sa_block(query, src_mask, src_key_padding_mask, is_causal=is_causal)
        mid = mid if self.norm_first else self.norm1(mid)
        if self.attention_only:
            return mid, None, mid
        else:
            fed = self._ff_block(self.norm2(mid) if self.norm_first else mid)
            return mid, fed, mid + fed if self.norm_first else self.norm2(mid + fed)

    def _ff_block(self, x: Tensor) -> Tensor:
        """The feed-forward network and its dropout: torch's name for it, which subclasses override."""
        return self.dropout2(self.feed_forward(x))

    def trace(self, x: Tensor, **attention: Any) -> LayerTrace:
        """The layer's run on x (B, T, C), recorded; `attention` as for `MultiheadAttention.trace`."""
        return layer_trace(self, x, attention)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output, feed-forward; a drop-in for torch's decoder layer.

    Arguments, errors and source as for `TransformerEncoderLayer`.
    """

    if TYPE_CHECKING:
        norm1: nn.LayerNorm
        norm2: nn.LayerNorm
        norm3: nn.LayerNorm
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
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        if is_scripting():
            return self._stream(tgt, memory, masks, tgt_is_causal, memory_is_causal)[3]
        else:  # and no code after it, which TorchScript would read
            return self._called(tgt, memory, masks, tgt_is_causal, memory_is_causal)

    def _called(self, tgt: Tensor, memory: Tensor, masks: Masks, tgt_is_causal: bool, memory_is_causal: bool) -> Tensor:
        """`forward`, and the record for the one who asked."""
        _check_pair(tgt, memory, self)
        recording = recording_of(self)
        if recording is None:
            return self._stream(tgt, memory, masks, tgt_is_causal, memory_is_causal)[3]
        attention = Recording(self.self_attn, MultiheadAttention, recording.options)
        crossing = Recording(self.multihead_attn, MultiheadAttention, recording.cross_options | {"again": True})
        mid, cross, fed, post = recorded(
            (attention, crossing), self._stream, tgt, memory, masks, tgt_is_causal, memory_is_causal
        )
        before, mid, cross, fed, after = _batch_first(self, tgt, mid, cross, fed, post)
        traces = attention_trace(attention), attention_trace(crossing)
        recording.trace = LayerTrace(before, traces[0], mid, traces[1], cross, after, fed)
        recording.returned = post
        return post

    def _stream(
        self, tgt: Tensor, memory: Tensor, masks: Masks, tgt_is_causal: bool, memory_is_causal: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """The residual stream after self- and cross-attention, what the feed-forward network adds, and after that."""
        own_mask, cross_mask, own_padding, cross_padding = masks
        query = self.norm1(tgt) if self.norm_first else tgt
        mid = tgt + self._sa_block(query, own_mask, own_padding, is_causal=tgt_is_causal)
        mid = mid if self.norm_first else self.norm1(mid)
        query = self.norm2(mid) if self.norm_first else mid
        cross = mid + self._mha_block(query, memory, cross_mask, cross_padding, is_causal=memory_is_causal)
        cross = cross if self.norm_first else self.norm2(cross)
        if self.attention_only:
            return mid, cross, None, cross
        else:
            fed = self._ff_block(self.norm3(cross) if self.norm_first else cross)
            return mid, cross, fed, cross + fed if self.norm_first else self.norm3(cross + fed)

    def _mha_block(
        self,
        x: Tensor,
        mem: Tensor,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        is_causal: bool = False,
    ) -> Tensor:
        """Attention to the encoder's output and its dropout: torch's name for it, which subclasses override."""
        out = self.multihead_attn(
            x,
            mem,
            mem,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            need_weights=False,
        )[0]
        if not is_scripting():
            keep_output(self.multihead_attn, out)
        return self.dropout2(out)

    def _ff_block(self, x: Tensor) -> Tensor:
        """The feed-forward network and its dropout: torch's name for it, which subclasses override."""
        return self.dropout3(self.feed_forward(x))

    def trace(
        self, x: Tensor, memory: Tensor, attention: Options | None = None, cross_attention: Options | None = None
    ) -> LayerTrace:
        """The layer's run on x (B, T, C) and memory (B, S, C), recorded; options as for `MultiheadAttention.trace`."""
        return layer_trace(self, x, attention or {}, memory, cross_attention)


def layer_trace(
    layer: nn.Module, x: Tensor, options: Options, memory: Tensor | None = None, cross_options: Options | None = None
) -> LayerTrace:
    """The record of a call of a layer on x (B, T, C), and on memory (B, S, C) if it decodes.

    Options as for `MultiheadAttention.trace`; the layer is also told, in torch's words, whether it is causal.
    Errors: ModelError if the layer or its attention is another library's, which leaves no record.
    """
    options, cross_options, kind = dict(options), dict(cross_options or {}), "src" if memory is None else "tgt"
    given = {_torchs_name(kind, name): options.pop(name) for name in TORCHS if name in options}
    given |= {_torchs_name("memory", name): cross_options.pop(name) for name in TORCHS if name in cross_options}
    if options.get("mask") is not None and options["mask"].causal:
        given[_torchs_name(kind, "is_causal")] = True
    recording = Recording(layer, _Layer, options, cross_options)
    inputs = [x] if memory is None else [x, memory]
    if not recording.batch_first:
        inputs = [tensor.transpose(0, 1) for tensor in inputs]
    out = recorded((recording,), layer, *inputs, **given)
    run: LayerTrace = recording.trace
    after = out if recording.batch_first else out.transpose(0, 1)
    return run if out is recording.returned else replace(run, resid_post=after)


def _torchs_name(kind: str, name: str) -> str:
    """What torch's layers call an argument of their attention."""
    if name == "is_causal" and kind == "src":
        return name
    return f"{kind}_{name.removeprefix('attn_')}"


def _check_input(x: Tensor) -> None:
    check_padded("input", x)
    if x.dim() not in (2, 3):
        raise ShapeError(f"input is (B, T, C) or (T, C), not {tuple(x.shape)}")


def _check_pair(tgt: Tensor, memory: Tensor, layer: _Layer) -> None:
    """Errors: DTypeError or ShapeError, in the caller's layout, unless both are (un)batched alike."""
    _check_input(tgt)
    _check_input(memory)
    texts = 0 if layer.batch_first else 1
    if tgt.dim() != memory.dim() or (tgt.dim() == 3 and tgt.shape[texts] != memory.shape[texts]):
        raise ShapeError(f"tgt {tuple(tgt.shape)} and memory {tuple(memory.shape)} do not match")


def _batch_first(layer: _Layer, *stream: Any) -> tuple[Any, ...]:
    """The layer's layout → (B, T, C); what is not there stays None."""
    if stream[0].dim() == 2:
        return tuple(x if x is None else x[None] for x in stream)
    return stream if layer.batch_first else tuple(x if x is None else x.transpose(0, 1) for x in stream)
