"""What one run computed, in one frozen object; and one trace made of several that follow each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.errors import InvalidParameterError
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.config import ModelConfig
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention
from attnviz.nn.layers import LayerTrace
from attnviz.nn.masks import Mask


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything one run computed on a batch of texts or images.

    In an encoder-decoder model the trace is the decoder's, and `source` the encoder's. B batch, T tokens, C width, V
    vocabulary.

    Fields
        config: the model's sizes and choices.
        layers: a `LayerTrace` each, the first layer's first: attention, and the residual stream around it.
        final: (B, T, C) after the last layer and the final norm.
        logits: (B, T, V) of a language model, (B, n_classes) of a classifier; None of a model without a head.
        lengths: real tokens of each text, the rest is padding: (B,).
        encodings: an `Encoding` per text, its tokens by name; () where the run was given bare ids.
        source: the encoder's trace, of an encoder-decoder model.
        intervention: what the run did differently; None for nothing.
        title: the model's name for people.
        second_logits: (B, 2) of a second head of pre-training, on a pair of texts; `config.second_head` says which.

    Worked out when asked for: tokens, attentions, cross_attentions, hidden_states, n_so_far, nbytes.
    """

    config: ModelConfig
    layers: tuple[LayerTrace, ...]
    final: Tensor  # (B, T, C) after the last layer and the final norm
    logits: Tensor | None = None  # (B, T, V) of a language model, (B, n_classes) of a classifier
    lengths: tuple[int, ...] = ()  # real tokens of each text, the rest is padding: (B,)
    encodings: tuple[Encoding, ...] = ()  # the texts as tokens, unless the run was given bare ids; an image's patches
    source: Trace | None = None
    intervention: Intervention | None = None
    title: str = ""  # the model's, for exports
    second_logits: Tensor | None = None  # (B, 2) of a second head of pre-training

    @property
    def tokens(self) -> list[Any]:
        """The vocabulary's strings of the one text, list[str]; of a batch a list of them per text, list[list[str]]."""
        texts = [list(encoding.tokens) for encoding in self.encodings]
        return texts[0] if len(texts) == 1 else texts

    @property
    def attentions(self) -> tuple[Tensor, ...]:
        """Self-attention weights per layer that has it, each (B, H, T, T), as Hugging Face returns them."""
        return tuple(layer.attention.weights for layer in self.layers if layer.attention is not None)

    @property
    def cross_attentions(self) -> tuple[Tensor, ...]:
        """Cross-attention weights per layer, each (B, H, T, S); empty without an encoder."""
        crossed = (layer.cross_attention for layer in self.layers)
        return tuple(attention.weights for attention in crossed if attention is not None)

    @property
    def hidden_states(self) -> tuple[Tensor, ...]:
        """The embeddings and each layer's output, (B, T, C) each, as Hugging Face returns them.

        The last one is after the final norm in models of text, and before it in most models of images.
        """
        last = self.final if self.config.ends_normed else self.layers[-1].resid_post
        return (*(layer.resid_pre for layer in self.layers), last)

    @property
    def n_so_far(self) -> int:
        """Tokens up to the last one of this run, those of earlier runs counted: `Transformer.step` continues there."""
        attention = self.layers[0].attention
        first = attention if attention is not None else self.layers[0].cross_attention
        assert first is not None
        return first.mask.start + first.q.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the trace holds: grows with the tokens, not with their square."""
        storages: dict[int, int] = {}
        _collect(self, storages)
        return sum(storages.values())

    def __repr__(self) -> str:
        return (
            f"Trace({self.title or self.config.kind}: {len(self.layers)} layers × {self.config.n_heads} "
            f"heads, {self.final.shape[0]} × {self.final.shape[1]} tokens)"
        )

    def _repr_html_(self) -> str:
        """The attention view in a notebook, without Streamlit."""
        import attnviz  # the wing that draws stands above this one, and builds on it: only notebooks need it

        return attnviz.browser.report.notebook(self)


def joined(runs: Sequence[Trace]) -> Trace:
    """One trace of all tokens, from a run and the steps after it: as if the model had run once on the whole.

    Errors: InvalidParameterError unless each begins where the one before ended.
    """
    ends = [run.n_so_far for run in runs]
    begins = [end - run.final.shape[1] for end, run in zip(ends, runs, strict=True)]
    if begins != [0, *ends[:-1]]:
        raise InvalidParameterError(f"runs that begin at {begins} and end at {ends} do not follow each other")
    if len(runs) == 1:
        return runs[0]
    layers = tuple(map(_joined_layer, zip(*(run.layers for run in runs), strict=True)))
    logits = [run.logits for run in runs if run.logits is not None]
    return replace(
        runs[0],
        layers=layers,
        final=torch.cat([run.final for run in runs], dim=1),
        encodings=(),
        logits=torch.cat(logits, dim=1) if logits else None,
        lengths=(ends[-1],) * len(runs[0].final),
    )


def _joined_layer(parts: tuple[LayerTrace, ...]) -> LayerTrace:
    def attention(runs: list[AttentionTrace]) -> AttentionTrace:
        q, z = (torch.cat([getattr(run, name) for run in runs], dim=2) for name in ("q", "z"))
        out, bias = stream([run.out for run in runs]), _joined_bias(runs)
        return replace(runs[-1], q=q, z=z, out=out, mask=runs[0].mask, bias=bias)

    def stream(parts: list[Tensor | None]) -> Tensor | None:
        given = [x for x in parts if x is not None]
        return torch.cat(given, dim=1) if given else None

    self_attentions = [part.attention for part in parts if part.attention is not None]
    cross_attentions = [part.cross_attention for part in parts if part.cross_attention is not None]
    return replace(
        parts[-1],
        resid_pre=torch.cat([part.resid_pre for part in parts], dim=1),
        attention=attention(self_attentions) if self_attentions else parts[-1].attention,
        resid_mid=stream([part.resid_mid for part in parts]),
        cross_attention=attention(cross_attentions) if cross_attentions else None,
        resid_cross=stream([part.resid_cross for part in parts]),
        resid_post=torch.cat([part.resid_post for part in parts], dim=1),
        feed_forward=stream([part.feed_forward for part in parts]),
    )


def _joined_bias(runs: Sequence[AttentionTrace]) -> Tensor | None:
    """What all runs, or none, add to the scores: (…, T, S), with 0 at the keys that a run did not have yet."""
    keys, rows = runs[-1].k.shape[2], []
    for run in runs:
        if run.bias is not None:
            bias = run.bias.expand(*run.bias.shape[:-2], run.q.shape[2], run.k.shape[2])
            rows.append(F.pad(bias, (0, keys - bias.shape[-1])))
    return torch.cat(rows, dim=-2) if rows else None


def _collect(value: object, storages: dict[int, int]) -> None:
    """The distinct storages behind all tensors of a trace, with their bytes."""
    if isinstance(value, Tensor):
        storage = value.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
    elif isinstance(value, tuple):
        for item in value:
            _collect(item, storages)
    elif isinstance(value, Trace | LayerTrace | AttentionTrace | Mask):
        for item in vars(value).values():
            _collect(item, storages)
