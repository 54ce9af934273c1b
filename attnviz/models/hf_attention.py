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

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn.attention import AttentionTrace, attend
from attnviz.nn.intervention import Intervention, changed_mask
from attnviz.nn.masks import Mask

# What transformers hands to an attention beside queries, keys, values and mask, and what changes nothing here.
IGNORED = {"dropout", "sliding_window", "position_ids", "cache_position", "past_key_values", "position_embeddings"}


@dataclass
class Run:
    """One run of one model: what is asked of its attention, and what that attention computed."""

    places: Mapping[int, str] | None  # the id of each attention module → "encoder", "decoder" or "cross"; None: unknown
    lengths: Mapping[str, Sequence[int]] = field(default_factory=dict)  # real keys of each text, by place
    intervention: Intervention | None = None
    records: dict[str, list[AttentionTrace]] = field(default_factory=dict)
    modules: list[nn.Module] = field(default_factory=list)  # in the order of their calls
    last: dict[int, Tensor] = field(default_factory=dict)  # the id of a layer → what came out of it
    masks: dict[int, tuple[Tensor, Mask, Tensor | None]] = field(default_factory=dict)

    def mask(self, given: Tensor | None, q: Tensor, k: Tensor, place: str) -> tuple[Mask, Tensor | None]:
        """transformers' mask, and what it adds to the scores; worked out once for all layers that share it."""
        if given is None:
            return Mask(), None
        if id(given) not in self.masks:  # the tensor is kept too: its id stays its own
            self.masks[id(given)] = (given, *_described(given, q, k, self.lengths.get(place)))
        return self.masks[id(given)][1:]


RUN: ContextVar[Run] = ContextVar("attnviz_run")


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in the place of its own attention: (B, H, T, D) → (B, T, H, D).

    Keys and values of grouped queries are repeated, so that each head has its own. Errors: ModelError.
    """
    odd = [name for name, given in more.items() if not (given is None or isinstance(given, bool) or name in IGNORED)]
    if odd:
        raise ModelError(f"its attention takes {odd[0]!r}, which is not computed here")
    run = RUN.get()
    place = "" if run.places is None else run.places[id(module)]
    shared = query.shape[1] // key.shape[1]
    k, v = (x.repeat_interleave(shared, dim=1) if shared > 1 else x for x in (key, value))
    mask, bias = run.mask(attention_mask, query, k, place)
    if position_bias is not None:
        bias = position_bias if bias is None else bias + position_bias
    records = run.records.setdefault(place, [])
    change = None if run.intervention is None else run.intervention.at(len(records), place)
    options = {"keep": mask, "bias": bias, "scale": query.shape[-1] ** -0.5 if scaling is None else scaling}
    trace = attend(query, k, v, **(options if change is None else _changed(options, change, query)))
    records.append(replace(trace, kv_heads=key.shape[1]) if shared > 1 else trace)
    run.modules.append(module)
    return trace.z.transpose(1, 2).contiguous(), None


def _changed(options: dict[str, Any], change: Intervention, q: Tensor) -> dict[str, Any]:
    """What `attend` is given, under an intervention that is narrowed to this layer."""
    options = options | {"keep": changed_mask(options["keep"], change), "temperature": change.temperature}
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


def _described(given: Tensor, q: Tensor, k: Tensor, lengths: Sequence[int] | None) -> tuple[Mask, Tensor | None]:
    """A mask as transformers makes it (bool, or added: its lowest number forbids) as (description, bias or None)."""
    if given.dtype == torch.bool:
        keep, bias = given, None
    else:
        keep = given > torch.finfo(given.dtype).min / 2
        bias = given.masked_fill(~keep, 0.0)
        bias = bias if bool(bias.any()) else None
    queries, keys = q.shape[2], k.shape[2]
    real = None if lengths is None or min(lengths) == keys else tuple(lengths)
    for form in _forms(keep, queries, keys):
        mask = replace(form, lengths=real)
        whole = mask.keep(queries, keys, device=q.device)
        if bool(keep.all() if whole is None else (whole == keep).all()):
            return mask, bias
    return Mask(dense=keep), bias


def _forms(keep: Tensor, queries: int, keys: int) -> Iterator[Mask]:
    """What a mask might be, padding aside: causal, full, or one of these within a window."""
    yield from (Mask(causal=True), Mask())
    i, j = keep.expand(*keep.shape[:-2], queries, keys).flatten(0, -3).any(dim=0).nonzero(as_tuple=True)
    reach = int((i - j).abs().max()) if len(i) else 0
    yield from (Mask(causal=True, window=reach), Mask(window=reach))
