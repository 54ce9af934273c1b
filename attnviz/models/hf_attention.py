"""Our attention in another library's model: `attend` in the form that transformers calls, with a record of the run.

The present run is found in a context variable: each thread has its own, and nothing is kept on the shared model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn.attention import AttentionTrace, attend
from attnviz.nn.intervention import Intervention, changed_mask
from attnviz.nn.masks import Mask

# What transformers hands to an attention beside queries, keys, values and mask, and what changes nothing here.
IGNORED = {"dropout", "sliding_window", "position_ids", "cache_position", "position_embeddings"}
IGNORED |= {"cache", "past_key_values"}
IGNORED |= {"logits_to_keep"}  # of the whole model, passed on to every part
IGNORED |= {"output_hidden_states", "output_attentions"}
FORBIDS = -9e3  # what is added to a score and is lower leaves a weight of 0: -10,000, or a dtype's lowest number


@dataclass(frozen=True)
class Seat:
    """Where an attention stands in its model."""

    place: str  # "encoder", "decoder" or "cross"
    layer: int  # of those that attend, counted from 0


@dataclass
class Run:
    """One run of one model: what is asked of its attention, and what that attention computed.

    An attention is known by a number: its module's id, or 0 where a model is watched and no module is told apart.
    """

    seats: Mapping[int, Sequence[Seat]] | None  # of each attention, in the order of its calls; None: not known yet
    lengths: Mapping[str, Sequence[int]] = field(default_factory=dict)  # real keys of each text, by place
    intervention: Intervention | None = None
    records: list[AttentionTrace] = field(default_factory=list)  # in the order of the calls
    taken: list[Seat | None] = field(default_factory=list)  # of each record; None: of no place that is shown
    callers: list[int] = field(default_factory=list)  # the attention of each record
    blocks: list[tuple[nn.Module, int] | None] = field(default_factory=list)  # the layer around each, and its number
    around: list[tuple[nn.Module, int]] = field(default_factory=list)  # the layers that are running now
    last: dict[int, Tensor] = field(default_factory=dict)  # the id of a layer → what came out of it
    kept: dict[tuple[int, int | str | None], list[Tensor]] = field(default_factory=dict)  # see hf_stream
    masks: dict[int, tuple[Tensor, Mask, Tensor | None]] = field(default_factory=dict)
    start: int = 0  # of the decoder's tokens, where those before are remembered
    exchanged: Mapping[Seat, Tensor] = field(default_factory=dict)  # what heads put out instead: see hf_exchange
    streams: Mapping[tuple[int, int], Tensor] = field(default_factory=dict)  # a layer's id and call → its stream
    entered: dict[int, int] = field(default_factory=dict)  # a layer's id → calls so far, where streams are exchanged

    def mask(self, given: Tensor | None, q: Tensor, k: Tensor, seat: Seat | None) -> tuple[Mask, Tensor | None]:
        """A mask as it is given, and what it adds to the scores; worked out once for all layers that share it."""
        if given is None:
            return Mask(), None
        if id(given) not in self.masks:  # the tensor is kept too: its id stays its own
            lengths = self.lengths.get(seat.place) if seat else None
            start = self.start if seat and seat.place != "encoder" else 0
            self.masks[id(given)] = (given, *_described(given, q, k, lengths, start))
        return self.masks[id(given)][1:]

    def seat(self, caller: int) -> Seat | None:
        """Where an attention stands that is called now; None for one of a part that is not shown.

        Errors: ModelError if it is called more often than when the model was loaded.
        """
        if self.seats is None or caller not in self.seats:
            return None
        calls = self.callers.count(caller)
        if calls >= len(self.seats[caller]):
            raise ModelError("This model attends more often on this text than when it was loaded.")
        return self.seats[caller][calls]

    def change(self, seat: Seat | None) -> Intervention | None:
        """What the attention in a seat is to do differently."""
        return None if self.intervention is None or seat is None else self.intervention.at(seat.layer, seat.place)

    def record(self, trace: AttentionTrace, seat: Seat | None, caller: int) -> None:
        self.records.append(trace)
        self.taken.append(seat)
        self.callers.append(caller)
        self.blocks.append(self.around[0] if self.around else None)

    def of(self, place: str) -> list[AttentionTrace]:
        """The records of one place, in the order of their calls, which is that of the layers."""
        return [record for record, seat in zip(self.records, self.taken, strict=True) if seat and seat.place == place]


RUN: ContextVar[Run] = ContextVar("attnviz_run")


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in the place of its own attention: (B, H, T, D) → (B, T, H, D).

    Keys and values of grouped queries are repeated, so that each head has its own. `s_aux` are sinks. Errors:
    ModelError.
    """
    odd = [name for name, given in more.items() if not (given is None or isinstance(given, bool) or name in IGNORED)]
    if odd:
        raise ModelError(f"its attention takes {odd[0]!r}, which is not computed here")
    run, caller = RUN.get(), id(module)
    seat = run.seat(caller)
    shared = query.shape[1] // key.shape[1]
    k, v = (x.repeat_interleave(shared, dim=1) if shared > 1 else x for x in (key, value))
    mask, bias = run.mask(attention_mask, query, k, seat)
    if position_bias is not None:
        bias = position_bias if bias is None else bias + position_bias
    options = {"keep": mask, "bias": bias, "scale": query.shape[-1] ** -0.5 if scaling is None else scaling}
    options |= {"softcap": softcap, "sinks": s_aux}
    change = run.change(seat)
    trace = attend(query, k, v, **(options if change is None else changed(options, change, query)))
    if seat is not None and (other := run.exchanged.get(seat)) is not None:
        trace = replace(trace, z=other[..., : trace.z.shape[-1]])
    run.record(replace(trace, kv_heads=key.shape[1]) if shared > 1 else trace, seat, caller)
    return trace.z.transpose(1, 2).contiguous(), None


def changed(options: dict[str, Any], change: Intervention, q: Tensor) -> dict[str, Any]:
    """What `attend` is given, under an intervention that is narrowed to this layer."""
    own: Mask = options["keep"]
    mask = changed_mask(own, change)
    if isinstance(change.mask, tuple) and own.dense is not None and not own.causal:
        mask = replace(mask, dense=own.dense)  # causal in part, as a text with an image is: a window is cut out of it
    options = options | {"keep": mask, "temperature": change.temperature}
    if not change.scaled:
        if options["scale"] == 1:
            raise InvalidParameterError("this model's attention is given no factor 1/√d that could be left out")
        options["scale"] = 1.0
    if change.head_scale:
        factors = q.new_ones(q.shape[1])
        for _, head, factor in change.head_scale:
            factors[head] *= factor
        options["head_scale"] = factors
    return options


def as_wide(record: AttentionTrace, width: int) -> AttentionTrace:
    """A record with heads of this width, filled up with zeros, which change no product: Gemma 4 has two widths."""
    missing = width - record.q.shape[3]
    if not missing:
        return record
    q, k, v, z = (F.pad(x, (0, missing)) for x in (record.q, record.k, record.v, record.z))
    return replace(record, q=q, k=k, v=v, z=z)


def _described(
    given: Tensor, q: Tensor, k: Tensor, lengths: Sequence[int] | None, start: int
) -> tuple[Mask, Tensor | None]:
    """A mask as transformers makes it (bool, or added: its lowest number forbids) as (description, bias or None).

    One without a formula says what it has of one: causality and the real lengths, which stay under every other mask.
    """
    if given.dtype == torch.bool:
        keep, bias = given, None
    else:
        keep = given > FORBIDS
        bias = given.masked_fill(~keep, 0.0)
        bias = bias if bool(bias.any()) else None
    queries, keys = q.shape[2], k.shape[2]
    real = None if lengths is None or min(lengths) == keys else tuple(lengths)
    for form in _forms(keep, queries, keys, start):
        mask = replace(form, lengths=real)
        whole = mask.keep(queries, keys, device=q.device)
        if bool(keep.all() if whole is None else (whole == keep).all()):
            return mask, bias
    later = torch.ones(queries, keys, dtype=torch.bool, device=q.device).triu(1 + start)
    causal = queries + start == keys and not bool((keep & later).any())
    return Mask(causal=causal, lengths=real, dense=keep, start=start), bias


def _forms(keep: Tensor, queries: int, keys: int, start: int) -> Iterator[Mask]:
    """What a mask might be, padding aside: causal, full, or one of these within a window."""
    yield from (Mask(causal=True, start=start), Mask(start=start))
    i, j = keep.expand(*keep.shape[:-2], queries, keys).flatten(0, -3).any(dim=0).nonzero(as_tuple=True)
    reach = int((i + start - j).abs().max()) if len(i) else 0
    yield from (Mask(causal=True, window=reach, start=start), Mask(window=reach, start=start))
