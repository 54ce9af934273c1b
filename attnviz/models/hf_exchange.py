"""A model of another library run once more with one thing exchanged: what its heads put out, or a layer's stream.

Nothing is set on the model: what is exchanged is part of the run (see `hf_attention.Run`), in which the model's
attention and its layers find it. The whole model runs, for many versions of a text at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from attnviz.errors import InvalidParameterError
from attnviz.models.hf_attention import RUN, Run, Seat
from attnviz.models.hf_heads import logits_of
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.trace import Trace

if TYPE_CHECKING:
    from attnviz.models.hf_model import HFModel


@dataclass(frozen=True, eq=False)
class Exchanged:
    """What B versions of a text came to."""

    final: Tensor  # (B, T, C)
    logits: Tensor | None  # (B, T, V), or of a classifier (B, n_classes)
    records: Mapping[Seat, AttentionTrace]


def why_not(model: HFModel, trace: Trace | None = None) -> str:
    """Why nothing can be exchanged in a model, or in a run of it, as the end of a sentence; "" where it can."""
    if model.watched:
        return "computes its attention in code of its own, where what a head puts out cannot be exchanged"
    if model.config.reads != "text":
        return f"reads {model.config.reads}s, and its runs are repeated here on texts only"
    for one in () if trace is None else (trace, *filter(None, [trace.source])):
        if not one.encodings or any(encoding.types for encoding in one.encodings):
            return "was run on more than one text, or on bare ids, which is not repeated here"
    return ""


def exchanged(
    model: HFModel,
    trace: Trace,
    *,
    z: Mapping[Seat, Tensor] | None = None,
    streams: Mapping[Seat, Tensor] | None = None,
    batch: int = 0,
) -> Exchanged:
    """B versions of a text of a run.

    Arguments
        z: by attention, what its heads put out instead of what they compute, (B, H, T, D).
        streams: by attention, what goes into its layer instead of the stream, (B, T, C).

    Errors: InvalidParameterError in a sentence for a stream that does not enter its layer where it could be exchanged;
    gradients flow where torch keeps them.
    """
    given = [*(z or {}).values(), *(streams or {}).values()]
    versions = len(given[0]) if given else 1
    source = trace.source or trace
    place = "encoder" if trace.config.kind == "encoder" else "decoder"
    ids, n = _versions(source, versions, batch), (source.lengths[batch],) * versions
    target, m = (
        (None, n) if source is trace else (_versions(trace, versions, batch), (trace.lengths[batch],) * versions)
    )
    run = Run(model.seats, {"encoder": n, place: m, "cross": n}, trace.intervention, exchanged=z or {})
    run.streams = {model.blocks[seat]: x for seat, x in (streams or {}).items() if seat in model.blocks}
    if len(run.streams) < len(streams or {}):
        raise InvalidParameterError(
            f"a layer of {model.config.architecture} is no module whose stream can be exchanged"
        )
    out = model.within(run, ids, n, target, m, None)
    states = out.hidden_states if source is trace else out.decoder_hidden_states
    final = states[-1] if model.config.normed else run.last[id(model.inner.base_model)]
    records = {seat: record for seat, record in zip(run.taken, run.records, strict=True) if seat is not None}
    return Exchanged(final, logits_of(out), records)


def _versions(trace: Trace, versions: int, batch: int) -> Tensor:
    ids = torch.tensor(trace.encodings[batch].ids[: trace.lengths[batch]], device=trace.final.device)
    return ids.expand(versions, -1)


def exchange(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Before a layer: its stream is the one that the present run has for it, if it has one."""
    run = RUN.get(None)
    if run is None or not run.streams:
        return None
    call = run.entered.get(id(module), 0)
    run.entered[id(module)] = call + 1
    new = run.streams.get((id(module), call))
    if new is None:
        return None
    if args and isinstance(args[0], Tensor) and args[0].shape == new.shape:
        return (new, *args[1:]), kwargs
    if isinstance(old := kwargs.get("hidden_states"), Tensor) and old.shape == new.shape:
        return args, kwargs | {"hidden_states": new}
    raise InvalidParameterError(f"the stream does not enter a {type(module).__name__} where it could be exchanged")
