"""What if a head were gone? Every head changed, one at a time, and what becomes of the model's output.

    zero      the head adds nothing
    mean      it adds, at every token, what it adds on average over the text: what it says of this token is gone
    uniform   it looks at all tokens that it may look at alike
    a number  what it adds, times that

A change of one head needs only what comes after it: all heads of a layer are one batch, which begins at that layer.
Here is what became of the whole output; `patching` measures one outcome, also of another text's activations.
Source: Michel et al. 2019, "Are Sixteen Heads Really Better than One?"; Wang et al. 2023, "Interpretability in the
Wild", section 2 (mean ablation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.analysis import patching, sites
from attnviz.analysis.attribution import check_split
from attnviz.analysis.sites import Ends
from attnviz.errors import InvalidParameterError
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

How: TypeAlias = Literal["zero", "mean", "uniform"] | float


@dataclass(frozen=True, eq=False)
class Changed:
    """One layer's heads, each changed in a run of its own: H runs of the text."""

    layer: int
    final: Tensor  # (H, T, C) the final vectors
    logits: Tensor | None  # (H, T, V) or (H, n_classes)


def each_head(model: Transformer, trace: Trace, how: How = "zero", *, batch: int = 0) -> Iterator[Changed]:
    """The run with each head changed, a layer at a time, the first layer first: so that one can show progress and stop.

    Arguments
        trace: a run of this model; its intervention stays.
        how: see the top of this module.
        batch: which text of it.

    Errors: InvalidParameterError for a `how` that there is not, a text that is not there, a model that reads two texts,
    and one that is not made of our layers.
    """
    if isinstance(how, str) and how not in ("zero", "mean", "uniform"):
        raise InvalidParameterError(f'how={how!r} is not "zero", "mean", "uniform" or a number')
    check_split(model, trace, 0, batch)
    for layer in range(len(trace.layers)):
        with torch.inference_mode():
            yield Changed(layer, *_layer_changed(model, trace, layer, how, batch))


def _layer_changed(model: Transformer, trace: Trace, layer: int, how: How, batch: int) -> tuple[Tensor, Tensor | None]:
    site = sites.sites(trace)[layer]
    new = patching.changed_z(trace, site, how, batch=batch)
    out = patching.versions(model, trace, site, new, batch=batch)
    return _read(model, sites.after_attention(model, trace, site, out, batch=batch))


def rest_of_run(
    model: Transformer, trace: Trace, layer: int, x: Tensor, *, batch: int = 0
) -> tuple[Tensor, Tensor | None]:
    """What the layers from one on make of a residual stream: the final vectors (B, T, C), and the logits if there are.

    Arguments
        trace: the run that x belongs to: masks, positions and intervention are as in it.
        x: (B, T, C), what goes into the layer: B versions of the text `batch` of that run.

    Errors: as `each_head`, and InvalidParameterError for x of another length.
    """
    check_split(model, trace, layer, batch)
    with torch.inference_mode():
        return _read(model, sites.after_layer(model, trace, sites.sites(trace)[0].place, layer, x, batch=batch))


def _read(model: Transformer, ends: Ends) -> tuple[Tensor, Tensor | None]:
    return ends.final, None if model.head is None else ends.logits()


# ---- what became of it -----------------------------------------------------------------------------------


def moved(before: Tensor, after: Tensor) -> Tensor:
    """How far each version's final vectors moved, the mean over tokens of ‖x′ − x‖ / ‖x‖: (T, C), (B, T, C) → (B,)."""
    return ((after - before).norm(dim=-1) / before.norm(dim=-1).clamp_min(1e-12)).mean(dim=-1)


def divergence(before: Tensor, after: Tensor) -> Tensor:
    """KL(p ‖ p′) of the predictions in nats: logits (V,), (B, V) → (B,)."""
    p, q = before.log_softmax(dim=-1), after.log_softmax(dim=-1)
    return F.kl_div(q, p.expand_as(q), log_target=True, reduction="none").sum(dim=-1)


def loss_change(before: Tensor, after: Tensor, ids: Tensor) -> Tensor:
    """By how many nats per token the loss on the text itself grew: logits (T, V), (B, T, V), ids (T,) → (B,).

    Of a model that predicts the next token. Errors: InvalidParameterError for a text of one token.
    """
    if len(ids) < 2:
        raise InvalidParameterError("a text of one token has no next token to predict")

    def loss(logits: Tensor) -> Tensor:
        goal = ids[1:].expand(len(logits), -1)
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), goal.flatten(), reduction="none").view(goal.shape).mean(1)

    return loss(after) - loss(before[None])
