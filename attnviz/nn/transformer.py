"""The transformer: embeddings, layers, head; encoder-only, decoder-only, encoder-decoder and vision in one class.

    ids or pixels ─▶ embeddings ─▶ layers ─▶ norm ─▶ logits

`Transformer.forward` returns one frozen `Trace`. The model keeps nothing of a run, so that any number of
sessions can share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from attnviz.errors import InvalidParameterError
from attnviz.nn import positions
from attnviz.nn.config import ModelConfig
from attnviz.nn.embeddings import Embeddings, patch_names
from attnviz.nn.encoding import Encoding
from attnviz.nn.head import Head
from attnviz.nn.intervention import Intervention
from attnviz.nn.layers import ACTIVATIONS, LayerTrace, TransformerDecoderLayer, TransformerEncoderLayer, layer_trace
from attnviz.nn.masks import Mask
from attnviz.nn.multihead import MultiheadAttention
from attnviz.nn.recording import Options, Recording, recorded, recording_of
from attnviz.nn.trace import Trace

if TYPE_CHECKING:
    from attnviz.inputs.tokenizers import Tokenizer  # `inputs` stands above: only its name is needed here


class Stack(nn.ModuleDict):
    """The "layers" of an encoder or a decoder, and the "norm" after them."""

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """x (B, T, C) through the layers, with what the encoder made of the source, memory (B, S, C), if there is one.

        A record is the tuple of the layers' records. What it asks of them is in its option "layers".
        """
        recording = recording_of(self)
        layers = cast(nn.ModuleList, self["layers"])
        asked = [({}, {})] * len(layers) if recording is None else recording.options["layers"]
        runs: list[LayerTrace] = []
        for layer, (own, cross) in zip(layers, asked, strict=False):  # of the first ones, where only those run
            runs.append(layer_trace(layer, x, own, memory, cross))
            x = runs[-1].resid_post
        if recording is not None:
            recording.trace = tuple(runs)
        return cast(Tensor, self["norm"](x))


class Transformer(nn.Module):
    """A transformer of any `ModelConfig`; weights random until loaded.

    Errors: InvalidParameterError, ShapeError or DTypeError for input it cannot take, with the numbers.
    Source: Vaswani et al. 2017; the variants as named in `ModelConfig`.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        """`generator` draws the random weights, torch's global one by default (which threads share)."""
        super().__init__()
        self.config = config
        self.embed = Embeddings(config)
        self.encoder = self._stack(TransformerEncoderLayer) if config.kind != "decoder" else None
        self.decoder = None
        if config.kind != "encoder":
            # a decoder without an encoder is an encoder layer under a causal mask
            alone = config.kind == "decoder"
            self.decoder = self._stack(TransformerEncoderLayer if alone else TransformerDecoderLayer)
        self.head = None if config.head is None else Head(config)
        self.apply(partial(_initialise, generator=generator))
        if config.head == "lm" and config.tied:
            assert self.head is not None
            self.head["out"].weight = self.embed["tokens"].weight

    def _stack(self, layer: Callable[..., nn.Module]) -> Stack:
        config = self.config
        layers = nn.ModuleList(
            layer(
                config.d_model,
                config.n_heads,
                config.d_ff,
                config.dropout,
                ACTIVATIONS[config.activation],
                config.norm_eps,
                True,
                config.norm_first,
                config.bias,
            )
            for _ in range(config.n_layers)
        )
        if not config.norms:
            for one in layers:
                for name in [name for name, _ in one.named_children() if name.startswith("norm")]:
                    setattr(one, name, nn.Identity())
        norm = nn.LayerNorm(config.d_model, eps=config.norm_eps, bias=config.bias)
        return Stack({"layers": layers, "norm": norm if config.final_norm else nn.Identity()})

    @property
    def n_segments(self) -> int:
        """Kinds of segments that the texts of a pair may have; 0 where there are none."""
        return self.config.n_types

    @property
    def reads_itself(self) -> bool:
        """Whether a decoder reads the encoder's text again where no target is given."""
        return False

    def keep_attention_whole(self) -> None:
        """From now on dropout leaves the attention weights alone in training; all else is dropped as before."""
        for module in self.modules():
            if isinstance(module, MultiheadAttention):
                module.dropout = 0.0

    def forward(
        self,
        inputs: Tensor,
        target: Tensor | None = None,
        *,
        lengths: Sequence[int] | None = None,
        target_lengths: Sequence[int] | None = None,
        types: Tensor | None = None,
        intervention: Intervention | None = None,
    ) -> Trace:
        """Runs the model on token ids, or a vision model on pixels.

        Arguments
            inputs: int (B, T); of a vision model, float (B, channels, height, width).
            target: int (B, T') for the decoder of an encoder-decoder model.
            lengths, target_lengths: real tokens per text (the rest is padding), default all.
            types: int (B, T), BERT's segments; default 0.
            intervention: what to do differently in this run.
        """
        if intervention is not None and intervention.changes_nothing:
            intervention = None
        self._check_layers(intervention)
        if (target is not None) != (self.config.kind == "encoder-decoder"):
            needs = "needs" if target is None else "has no use for"
            raise InvalidParameterError(f"a model of kind {self.config.kind!r} {needs} a target")
        source = None
        if self.encoder is not None:
            source = self._run(self.encoder, "encoder", inputs, lengths, types, intervention)
        if self.decoder is None:
            assert source is not None
            return source
        if source is None:
            return self._run(self.decoder, "decoder", inputs, lengths, types, intervention)
        assert target is not None
        return self._run(self.decoder, "decoder", target, target_lengths, None, intervention, source)

    @property
    def stops_early(self) -> bool:
        """Whether it has `first_layers`: one stack, whose layers run here one after the other."""
        return type(self).forward is Transformer.forward and (self.encoder is None or self.decoder is None)

    def first_layers(self, inputs: Tensor, n_layers: int, intervention: Intervention | None = None) -> Trace:
        """Runs the first layers only, on token ids (B, T) or pixels: a trace as if the model had no more layers.

        Errors: as `forward`; InvalidParameterError for a model that cannot stop early, or has fewer layers.
        """
        if not self.stops_early or not 1 <= n_layers <= self.config.n_layers:
            raise InvalidParameterError(f"n_layers={n_layers} of {self.config.n_layers}, in a run that stops early")
        if intervention is not None and intervention.changes_nothing:
            intervention = None
        self._check_layers(intervention)
        stack, place = (self.decoder, "decoder") if self.encoder is None else (self.encoder, "encoder")
        return self._run(cast(Stack, stack), place, inputs, None, None, intervention, n_layers=n_layers)

    def under(self, keep: Tensor, ids: Tensor, lengths: Sequence[int] | None = None) -> Trace:
        """Runs a model with one stack under another mask than its own, in every layer; each text may have its own.

        Arguments
            keep: bool, broadcastable to (B, H, T, T), True = may attend; padding is hidden by it alone.
            ids: int (B, T). lengths: real tokens per text, for what reads the last one.
        """
        stack, place = (self.encoder, "encoder") if self.decoder is None else (self.decoder, "decoder")
        assert stack is not None
        return self._run(stack, place, ids, lengths, None, None, keep=keep)

    def goal(self, encoding: Encoding, tokenizer: Tokenizer) -> Encoding:
        """A target text as the decoder reads it: as it is, unless a model begins in a way of its own."""
        return encoding

    def step(self, ids: Tensor, past: Trace) -> Trace:
        """Runs the decoder on the tokens after those of `past`, whose keys and values serve again (a KV cache).

        Arguments
            ids: int (B, T), the new tokens.
            past: the trace of the tokens before, from `forward` or `step`, of texts of one length. Its intervention
                goes on, and its encoder's run serves again.

        Returns the trace of the new tokens; in its self-attention k and v are those of all tokens so far.
        Errors: as `forward`. `joined` makes one trace of several.
        """
        if self.decoder is None:
            raise InvalidParameterError(f"a model of kind {self.config.kind!r} decodes nothing, so it takes no step")
        return self._run(self.decoder, "decoder", ids, None, None, past.intervention, past.source, past)

    def _run(
        self,
        stack: Stack,
        place: str,
        inputs: Tensor,
        lengths: Sequence[int] | None,
        types: Tensor | None,
        intervention: Intervention | None,
        source: Trace | None = None,
        past: Trace | None = None,
        n_layers: int | None = None,
        keep: Tensor | None = None,
    ) -> Trace:
        """One stack on one batch."""
        start = 0 if past is None else past.n_so_far
        real = self.embed.lengths(inputs, lengths, start)
        scheme = self.config.positions
        if intervention is not None and intervention.positions and intervention.where in ("all", place):
            scheme = intervention.positions
        x = self.embed(inputs, types, scheme, start)  # (B, T, C)
        padded = real if min(real) < x.shape[1] else None
        own = Mask(causal=place == "decoder", lengths=padded, start=start)
        options: dict[str, Any] = {"mask": own if keep is None else Mask(dense=keep)}
        cross: dict[str, Any] = {}
        if source is not None:
            short = min(source.lengths) < source.final.shape[1]
            cross = {"mask": Mask(lengths=source.lengths if short else None, start=start)}
        asked: list[tuple[Options, Options]] = []  # of each layer, for its self- and its cross-attention
        told = ""  # the scheme that the options are for
        for i in range(n_layers or self.config.n_layers):
            change = None if intervention is None else intervention.at(i, place)
            layer_scheme = self._layer_scheme(scheme, change, intervention)
            if i == 0 or layer_scheme != told:  # one bias, which all layers share
                told, where = layer_scheme, positions.described(layer_scheme)
                options |= where.in_attention(self.config.n_heads, self.config.head_dim, x, start)
            options["intervention"] = change
            if past is not None:
                options["past"], cross["past"] = past.layers[i].attention, past.layers[i].cross_attention
            if source is not None:
                cross["intervention"] = None if intervention is None else intervention.at(i, "cross")
            asked.append((options.copy(), cross.copy()))
        recording = Recording(stack, Stack, {"layers": asked})
        final = recorded((recording,), stack, x, None if source is None else source.final)
        speaks = self.head is not None and (place == "decoder" or self.decoder is None)
        logits = cast(Head, self.head)(final, real) if speaks else None
        names = (patch_names(self.config),) * len(real) if self.config.channels else ()
        return Trace(self.config, recording.trace, final, logits, real, names, source, intervention)

    def _layer_scheme(self, scheme: str, change: Intervention | None, intervention: Intervention | None) -> str:
        """The scheme of a layer's own positions (rope, alibi): changed only where the intervention acts."""
        if intervention is None or intervention.positions is None or change is not None:
            return scheme
        return self.config.positions

    def _check_layers(self, intervention: Intervention | None) -> None:
        if intervention is None:
            return
        n, heads = self.config.n_layers, self.config.n_heads
        named = [*(intervention.layers or ()), *(cell[0] for cell in intervention.blocked)]
        named += [layer for layer, _, _ in intervention.head_scale]
        wrong = [layer for layer in named if layer is not None and layer >= n]
        if wrong:
            raise InvalidParameterError(f"the intervention names layer {wrong[0]} of {n} (counted from 0)")
        off = [head for _, head, _ in intervention.head_scale if head >= heads]
        if off:
            raise InvalidParameterError(f"the intervention names head {off[0]} of {heads} (counted from 0)")


def _initialise(module: nn.Module, generator: torch.Generator | None) -> None:
    """N(0, 0.02²) for embeddings and matrices, 0 for biases: GPT-2's (Radford et al. 2019) and BERT's."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02, generator=generator)
    if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
        nn.init.zeros_(module.bias)
    weight = getattr(module, "in_proj_weight", None)
    if weight is not None:
        nn.init.normal_(weight, std=0.02, generator=generator)
