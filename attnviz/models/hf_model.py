"""A model that another library computes, run like ours.

model ─ its own layers ─▶ queries, keys, values, mask ─▶ attend() ─▶ its own layers ─▶ Trace
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models import hf_cache, hf_refusals
from attnviz.models.hf_attention import RUN, Run, Seat, as_wide
from attnviz.models.hf_config import HFConfig
from attnviz.models.hf_copy import check_pickled, without_hooks
from attnviz.models.hf_explored import explored
from attnviz.models.hf_faults import one_sentence
from attnviz.models.hf_heads import CLASSIFICATION, logits_of, second_logits_of
from attnviz.models.hf_probe import Given, probe, reads
from attnviz.models.hf_watch import Watch, check_watched
from attnviz.models.hf_windows import check_windows, widened
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.embeddings import check_ids, patch_names, real_lengths
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention
from attnviz.nn.layers import LayerTrace
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

LONGER = 32  # tokens that a model is tried on which stops at three


@dataclass(frozen=True, eq=False)
class PartTrace(Trace):
    """A run of a model of which only some layers attend: `layers` are those, `states` the stream before every layer."""

    states: tuple[Tensor, ...] = ()

    @property
    def hidden_states(self) -> tuple[Tensor, ...]:
        return self.states


class HFModel(Transformer):
    """A model of the transformers library that is run like a `Transformer`, with the same `Trace`.

    `resid_mid` and `attention.out` of a layer are there where its own modules show them; `config.lacks` says where not.
    Positions cannot be changed, and what `Transformer` is made of (embed, encoder, decoder, head) is not there. Where
    only some layers attend, they are the trace's layers, and `config.attends` says which.
    """

    config: HFConfig

    def __init__(self, inner: Any, side: int | None = None, *, watched: bool = False) -> None:
        """`inner`: a PreTrainedModel whose attention is `attention`; it belongs to this model from now on.

        `side`: of the images that it will be given, if not its config's.
        `watched`: its attention is its own (eager), and is looked at while it runs: see `hf_watch`.
        Errors: ModelError in one sentence if it cannot run here, or hides the attention of some layer.
        """
        nn.Module.__init__(self)
        self.inner = inner.eval().requires_grad_(False)
        watched = widened(inner) or watched
        self._takes = inspect.signature(inner.forward).parameters
        self.watched, self._side = watched, side
        check_windows(inner)
        hf_refusals.check_input(inner, reads(inner))
        source = probe(inner, side)
        try:
            found = explored(inner, self._call, source)
        except hf_refusals.Hidden as hidden:  # some of it stands in code of its own: all of it is watched
            self.watched = watched = True
            try:
                inner.set_attn_implementation("eager")
                found = explored(inner, self._call, source)
            except Exception:  # the library's, of a class with no other attention, or ours of one not understood
                raise hidden from None
        except ModelError:
            if reads(inner) != "text":
                raise
            source = probe(inner, n=LONGER)  # some cannot read three tokens
            found = explored(inner, self._call, source)
        if found is None and not watched:  # a class that asks nobody for its attention, whatever its config says
            self.watched = watched = True
            found = explored(inner, self._call, source)
        if found is None:
            raise hf_refusals.cannot_attend(inner)
        self.config, self.seats, self._layers, self._ends = found.config, found.seats, found.layers, found.ends
        self._around, self.blocks = found.around, found.blocks
        if self.config.head == CLASSIFICATION and getattr(inner.config, "pad_token_id", None) is None:
            inner.config.pad_token_id = -1  # without one, transformers takes no batch
        if watched:
            check_watched(self, source)

    def __getattr__(self, name: str) -> Any:
        if name in ("embed", "encoder", "decoder", "head"):
            raise InvalidParameterError(f"a model of the type {self.config.architecture} is not made of our layers")
        return super().__getattr__(name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it is made of; a copy is explored again. Errors: ModelError for what torch pickles not."""
        from attnviz.models import hf_loading  # which makes models of this class

        check_pickled(self.inner, self.config.architecture)
        return hf_loading.made_again, (without_hooks(self.inner), self._side, self.watched)

    def __deepcopy__(self, memo: dict[int, Any]) -> HFModel:
        return HFModel(copy.deepcopy(without_hooks(self.inner), memo), self._side, watched=self.watched)

    @property
    def n_segments(self) -> int:
        return self.config.segments if "token_type_ids" in self._takes else 0

    @property
    def reads_itself(self) -> bool:
        return self.config.reads_itself

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
        """As `Transformer.forward`; of an intervention's positions it says that it has none."""
        config = self.config
        if types is not None and "token_type_ids" not in self._takes:
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
        known = {"encoder": real, place: goal, "cross": real}
        run = Run(self.seats, {where: n for where, n in known.items() if n}, intervention)
        out = self.within(run, inputs, real, target, goal, types)
        names = ("encoder_hidden_states", "decoder_hidden_states") if target is not None else ("", "hidden_states")
        logits = logits_of(out)
        if config.head == CLASSIFICATION and isinstance(inputs, Tensor) and min(goal) < max(goal):
            logits = self._one_by_one(inputs, real, target, goal, types, intervention)
        source = None
        if target is not None:
            source = self._trace(run, "encoder", getattr(out, names[0]), real, None, None)
            last = getattr(out, "encoder_last_hidden_state", None)
            if config.reads != "text" and last is not None and not torch.equal(last, source.final):
                source = replace(source, config=replace(config, normed=False), final=last)
        trace = self._trace(run, place, getattr(out, names[1]), goal, source, logits)
        second = second_logits_of(out)
        return trace if second is None else replace(trace, second_logits=second)

    @property
    def takes(self) -> Sequence[str]:
        """What the other library's forward pass may be given, by name."""
        return tuple(self._takes)

    @cached_property
    def remembers(self) -> bool:
        """Whether `step` works here; else each token takes a run on all tokens before it."""
        return not self.watched and hf_cache.steps_as_it_runs(self)

    def step(self, ids: Tensor, past: Trace) -> Trace:
        """As `Transformer.step`: the new tokens, with the keys and values of `past`."""
        start, batch = past.n_so_far, ids.shape[0]
        run = Run(self.seats, {}, past.intervention, start=start)
        ones = torch.ones(batch, start + ids.shape[1], dtype=torch.long, device=ids.device)
        cache = hf_cache.name_in(self.takes)
        assert cache is not None  # else this model does not remember
        given: dict[str, Any] = {cache: hf_cache.remembered(past), "use_cache": True, "return_dict": True}
        given["output_hidden_states"] = True
        if past.source is None:
            given |= {"input_ids": ids, "attention_mask": ones}
        else:
            read = past.source
            given |= {"decoder_input_ids": ids, "encoder_outputs": (read.final,)}
            given["attention_mask"] = _ones(read.final[..., 0], read.lengths)
        with one_sentence(f"A model of the type {self.config.architecture}", "stops on this input", self.inner):
            out = self._under(run, given, batch)
        states = out.hidden_states if past.source is None else out.decoder_hidden_states
        return self._trace(run, "decoder", states, (ids.shape[1],) * batch, past.source, logits_of(out))

    def within(
        self,
        run: Run,
        inputs: Given,
        real: tuple[int, ...],
        target: Tensor | None,
        goal: tuple[int, ...],
        types: Tensor | None,
    ) -> Any:
        """The other library's forward pass in a run. Errors: ModelError in a sentence where it stops."""
        with one_sentence(f"A model of the type {self.config.architecture}", "stops on this input", self.inner):
            return self._call(run, inputs, real, target, goal, types)

    def _one_by_one(
        self,
        inputs: Tensor,
        real: tuple[int, ...],
        target: Tensor | None,
        goal: tuple[int, ...],
        types: Tensor | None,
        intervention: Intervention | None,
    ) -> Tensor:
        """A classifier's numbers for texts of several lengths: (B, n_classes).

        Some classes read them at the last place, which in a padded text is none of its tokens.
        """
        rows: list[Tensor] = []
        for i, (n, m) in enumerate(zip(real, goal, strict=True)):
            run = Run(self.seats, {}, intervention)
            kinds = None if types is None else types[i : i + 1, :n]
            asked = None if target is None else target[i : i + 1, :m]
            logits = logits_of(self.within(run, inputs[i : i + 1, :n], (n,), asked, (m,), kinds))
            assert logits is not None
            rows.append(logits)
        return torch.cat(rows)

    def _call(
        self,
        run: Run,
        inputs: Given,
        real: Sequence[int],
        target: Tensor | None,
        goal: Sequence[int],
        types: Tensor | None = None,
    ) -> Any:
        """The other library's forward pass, with its attention in this run."""
        given = self.given(inputs, real, target, goal, types)
        return self._under(run, given, len(inputs if isinstance(inputs, Tensor) else next(iter(inputs.values()))))

    def given(
        self,
        inputs: Given,
        real: Sequence[int],
        target: Tensor | None,
        goal: Sequence[int],
        types: Tensor | None = None,
    ) -> dict[str, Any]:
        """What the other library's forward pass is given."""
        given: dict[str, Any] = {"output_hidden_states": True, "return_dict": True, "use_cache": False}
        if not isinstance(inputs, Tensor):
            given |= inputs
        elif inputs.is_floating_point():
            given["pixel_values"] = inputs
        else:
            given |= {"input_ids": inputs, "attention_mask": _ones(inputs, real)}
        if target is not None:
            given |= {"decoder_input_ids": target, "decoder_attention_mask": _ones(target, goal)}
        if types is not None:
            given["token_type_ids"] = types
        anything = any(p.kind == p.VAR_KEYWORD for p in self._takes.values())
        return {name: x for name, x in given.items() if name in self._takes or (anything and name != "use_cache")}

    def _under(self, run: Run, given: dict[str, Any], batch: int) -> Any:
        token = RUN.set(run)
        try:
            if not self.watched:
                return self.inner(**given)
            with Watch(batch):
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
        after = [*states[1:-1], run.last.get(self._ends.get(place, 0), states[-1])]
        final = states[-1] if self.config.normed else run.last[id(self.inner.base_model)]
        own = self._attended(run, place, states)
        crossed = {} if source is None else self._attended(run, "cross", states)
        layers: list[LayerTrace] = []
        for i, (attention, mid) in own.items():
            crossing, after_crossing = crossed.get(i, (None, None))
            layers.append(LayerTrace(states[i], attention, mid, crossing, after_crossing, after[i]))
        real = real or (final.shape[1],) * len(final)  # of what is no text
        pictured = self.config.channels and (place == "encoder" or self.config.kind != "encoder-decoder")
        names = (patch_names(self.config),) * len(real) if pictured else ()
        parts = (self.config, tuple(layers), final, logits, real, names, source, run.intervention)
        return Trace(*parts) if len(layers) == len(states) - 1 else PartTrace(*parts, states=tuple(states))

    def _attended(
        self, run: Run, place: str, states: Sequence[Tensor]
    ) -> dict[int, tuple[AttentionTrace, Tensor | None]]:
        """By a layer's number: its attention with its output, and the stream after it."""
        found: dict[int, tuple[AttentionTrace, Tensor | None]] = {}
        for layer, (number, record) in enumerate(zip(self._layers.get(place, ()), run.of(place), strict=True)):
            around, like = self._around[Seat(place, layer)], states[number]
            out, mid = (None if point is None else point.of(run, like) for point in (around.out, around.mid))
            record = as_wide(record, self.config.width)
            found[number] = (record if out is None else record.with_results(record.z, out), mid)
        return found

    def _real(self, inputs: Given, lengths: Sequence[int] | None) -> tuple[int, ...]:
        """Real tokens of each text; () for what is no text. Errors: as `Embeddings.lengths`."""
        if not isinstance(inputs, Tensor):
            ids = inputs.get("input_ids")
            return () if ids is None else real_lengths("token ids", ids, check_ids(ids, self.config), lengths)
        if inputs.is_floating_point():
            return () if self.config.kind == "encoder-decoder" else (self.config.max_len,) * inputs.shape[0]
        return real_lengths("token ids", inputs, check_ids(inputs, self.config), lengths)


def after_start(encoding: Encoding, tokenizer: Tokenizer, start: int, longest: int) -> Encoding:
    """A text after a start token instead of before an end, at most `longest` tokens: what such a decoder reads."""
    stop = len(encoding) - (encoding.special[-1:] == (True,))
    name = tokenizer.token(start)
    first = Encoding("", (start,), (name,), (name,), ((0, 0),), (None,), (True,))
    parts = ("ids", "tokens", "labels", "offsets", "words", "special")
    joined = {part: (getattr(first, part) + getattr(encoding, part)[:stop])[:longest] for part in parts}
    return replace(encoding, **joined, cut=encoding.cut + max(0, 1 + stop - longest))


def _ones(ids: Tensor, real: Sequence[int]) -> Tensor:
    """1 at tokens, 0 at padding: (B, T)."""
    return (torch.arange(ids.shape[1], device=ids.device) < torch.tensor(real, device=ids.device)[:, None]).long()
