"""A model that another library computes, run like ours.

    model ─ its own layers ─▶ queries, keys, values, mask ─▶ attend() ─▶ its own layers ─▶ Trace

What it is made of is found out by running it once on a few tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from attnviz.errors import InvalidParameterError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.hf_attention import RUN, Run
from attnviz.models.hf_explored import HFConfig, explored
from attnviz.models.hf_probe import Given, probe
from attnviz.nn.embeddings import check_ids, patch_names, real_lengths
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention
from attnviz.nn.layers import LayerTrace
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer


class HFModel(Transformer):
    """A model of the transformers library that is run like a `Transformer`, with the same `Trace`.

    Of a trace's layers, what happens between attention and output is the other library's: resid_mid and out are None.
    Positions cannot be changed, and what `Transformer` is made of (embed, encoder, decoder, head) is not there.
    """

    config: HFConfig

    def __init__(self, inner: Any, side: int | None = None) -> None:
        """`inner`: a PreTrainedModel whose attention is `attention`; it belongs to this model from now on.

        `side`: of the images that it will be given, if not its config's.
        Errors: ModelError in one sentence if it cannot run here, or hides the attention of some layer.
        """
        nn.Module.__init__(self)
        self.inner = inner.eval().requires_grad_(False)
        self._takes = inspect.signature(inner.forward).parameters
        found = explored(inner, self._call, probe(inner, side))
        self.config, self._places, self._ends = found.config, found.places, found.ends

    def __getattr__(self, name: str) -> Any:
        if name in ("embed", "encoder", "decoder", "head"):
            raise InvalidParameterError(f"a model of the type {self.config.architecture} is not made of our layers")
        return super().__getattr__(name)

    def goal(self, encoding: Encoding, tokenizer: Tokenizer) -> Encoding:
        """A target as the decoder reads it: the model's start token before it, and no end."""
        start = self.config.start_id
        return encoding if start is None else after_start(encoding, tokenizer, start, self.config.max_len)

    def forward(
        self,
        inputs: Given,
        target: Tensor | None = None,
        *,
        lengths: Sequence[int] | None = None,
        target_lengths: Sequence[int] | None = None,
        types: Tensor | None = None,
        intervention: Intervention | None = None,
    ) -> Trace:
        """As `Transformer.forward`; of `types` and an intervention's positions it says that it has none."""
        config = self.config
        if types is not None:
            raise InvalidParameterError(f"segments are not given to a model of the type {config.architecture}")
        if intervention is not None and intervention.positions is not None:
            raise InvalidParameterError(f"{config.architecture} has its own positions, which cannot be changed here")
        if intervention is not None and intervention.changes_nothing:
            intervention = None
        self._check_layers(intervention)
        if (target is not None) != (config.kind == "encoder-decoder"):
            needs = "needs" if target is None else "has no use for"
            raise InvalidParameterError(f"a model of kind {config.kind!r} {needs} a target")
        real = self._real(inputs, lengths)
        goal = real if target is None else self._real(target, target_lengths)
        place = "decoder" if config.kind != "encoder" else "encoder"
        run = Run(self._places, {"encoder": real, place: goal, "cross": real}, intervention)
        out = self._call(run, inputs, real, target, goal)
        names = ("encoder_hidden_states", "decoder_hidden_states") if target is not None else ("", "hidden_states")
        logits = getattr(out, "logits", None)
        source = None
        if target is not None:
            source = self._trace(run, "encoder", getattr(out, names[0]), real, None, None)
        return self._trace(run, place, getattr(out, names[1]), goal, source, logits)

    def _call(self, run: Run, inputs: Given, real: Sequence[int], target: Tensor | None, goal: Sequence[int]) -> Any:
        """The other library's forward pass, with its attention in this run."""
        given: dict[str, Any] = {"output_hidden_states": True, "return_dict": True, "use_cache": False}
        if not isinstance(inputs, Tensor):
            given |= inputs
        elif inputs.is_floating_point():
            given["pixel_values"] = inputs
        else:
            given |= {"input_ids": inputs, "attention_mask": _ones(inputs, real)}
        if target is not None:
            given |= {"decoder_input_ids": target, "decoder_attention_mask": _ones(target, goal)}
        anything = any(p.kind == p.VAR_KEYWORD for p in self._takes.values())
        given = {name: x for name, x in given.items() if name in self._takes or (anything and name != "use_cache")}
        token = RUN.set(run)
        try:
            return self.inner(**given)
        finally:
            RUN.reset(token)

    def _trace(
        self,
        run: Run,
        place: str,
        states: Sequence[Tensor],
        real: tuple[int, ...],
        source: Trace | None,
        logits: Tensor | None,
    ) -> Trace:
        """A stack's run: `states` are the embeddings and each layer's output, the last one after the final norm."""
        end = run.last.get(self._ends.get(place, 0), states[-1])
        final = states[-1] if self.config.normed else run.last[id(self.inner.base_model)]
        crossed = run.records["cross"] if source is not None else [None] * (len(states) - 1)
        layers = tuple(
            LayerTrace(pre, attention, None, cross, None, post)
            for pre, attention, cross, post in zip(
                states[:-1], run.records[place], crossed, [*states[1:-1], end], strict=True
            )
        )
        real = real or (final.shape[1],) * len(final)  # of what is no text
        names = (patch_names(self.config),) * len(real) if self.config.channels else ()
        return Trace(self.config, layers, final, logits, real, names, source, run.intervention)

    def _real(self, inputs: Given, lengths: Sequence[int] | None) -> tuple[int, ...]:
        """Real tokens of each text; () for what is no text. Errors: as `Embeddings.lengths`."""
        if not isinstance(inputs, Tensor):
            ids = inputs.get("input_ids")
            return () if ids is None else real_lengths("token ids", ids, check_ids(ids, self.config), lengths)
        if inputs.is_floating_point():
            return (self.config.max_len,) * inputs.shape[0]
        return real_lengths("token ids", inputs, check_ids(inputs, self.config), lengths)


def after_start(encoding: Encoding, tokenizer: Tokenizer, start: int, longest: int) -> Encoding:
    """A text after a start token instead of before an end, at most `longest` tokens: what such a decoder reads."""
    stop = len(encoding) - (encoding.special[-1:] == (True,))
    name = tokenizer.library.id_to_token(start) or str(start)
    first = Encoding("", (start,), (name,), (name,), ((0, 0),), (None,), (True,))
    parts = ("ids", "tokens", "labels", "offsets", "words", "special")
    joined = {part: (getattr(first, part) + getattr(encoding, part)[:stop])[:longest] for part in parts}
    return replace(encoding, **joined, cut=encoding.cut + max(0, 1 + stop - longest))


def _ones(ids: Tensor, real: Sequence[int]) -> Tensor:
    """1 at tokens, 0 at padding: (B, T)."""
    return (torch.arange(ids.shape[1], device=ids.device) < torch.tensor(real, device=ids.device)[:, None]).long()
