"""Runs of texts of one length, each under a mask of its own, in one pass: the weights are read once for all of them.

A short text's run is mostly the reading of the weights: five of 20 tokens in one pass take half of the time of five
passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnviz.models.model import Model
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention, changed_mask
from attnviz.nn.layers import LayerTrace
from attnviz.nn.masks import Mask
from attnviz.nn.trace import Trace


@dataclass(frozen=True)
class Run:
    """What to run: as many ids as the other runs have."""

    encoding: Encoding  # what names the ids
    ids: tuple[int, ...]
    change: Intervention | None = None  # of the mask alone, in all layers and heads
    real: int | None = None  # tokens that may be seen, the rest is padding; None: all


def can_run(model: Model) -> bool:
    """Whether it is one of ours, with one stack, that reads a text."""
    return model.reads == "text" and model.transformer.stops_early


def in_one_pass(model: Model, runs: Sequence[Run]) -> list[Trace]:
    """The trace of each run, as by a pass of its own. Errors: as `Model.run`."""
    transformer, n_tokens = model.transformer, len(runs[0].ids)
    masks = [_mask(run, transformer.config.kind) for run in runs]
    dense = [mask.keep(n_tokens, n_tokens) for mask in masks]
    free = torch.ones(1, 1, n_tokens, n_tokens, dtype=torch.bool)
    keep = torch.cat([free if one is None else one.broadcast_to(free.shape) for one in dense])
    lengths = [n_tokens if run.real is None else run.real for run in runs]
    ids = model.brought(torch.tensor([run.ids for run in runs]))
    with torch.inference_mode():
        batch = transformer.under(model.brought(keep), ids, lengths)
        return [
            replace(
                batch,
                layers=tuple(_row_of_layer(layer, row, masks[row]) for layer in batch.layers),
                final=_row(batch.final, row),
                logits=None if batch.logits is None else _row(batch.logits, row),
                lengths=(lengths[row],),
                encodings=(run.encoding,),
                intervention=run.change,
                title=model.info.title,
            )
            for row, run in enumerate(runs)
        ]


def _mask(run: Run, kind: str) -> Mask:
    own = Mask(causal=kind == "decoder", lengths=None if run.real is None else (run.real,))
    return own if run.change is None else changed_mask(own, run.change)


def _row(x: Tensor, row: int) -> Tensor:
    """One row by itself: a view would hold the memory of all."""
    return x[row : row + 1].clone()


def _row_of_layer(layer: LayerTrace, row: int, mask: Mask) -> LayerTrace:
    return replace(
        layer,
        resid_pre=_row(layer.resid_pre, row),
        attention=_row_of_attention(layer.attention, row, mask),
        resid_mid=None if layer.resid_mid is None else _row(layer.resid_mid, row),
        resid_post=_row(layer.resid_post, row),
        feed_forward=None if layer.feed_forward is None else _row(layer.feed_forward, row),
    )


def _row_of_attention(attention: AttentionTrace, row: int, mask: Mask) -> AttentionTrace:
    q, k, v, z = (_row(x, row) for x in (attention.q, attention.k, attention.v, attention.z))
    out = None if attention.out is None else _row(attention.out, row)
    return replace(attention, q=q, k=k, v=v, z=z, out=out, mask=mask)
