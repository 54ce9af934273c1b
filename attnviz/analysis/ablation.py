"""What if a head were gone? Every head changed, one at a time, and what becomes of the model's output.

    zero      the head adds nothing
    mean      it adds, at every token, what it adds on average over the text: what it says of this token is gone
    uniform   it looks at all tokens that it may look at alike
    a number  what it adds, times that

A change of one head needs only what comes after it: all heads of a layer are one batch, which begins at that layer.
Source: Michel et al. 2019, "Are Sixteen Heads Really Better than One?"; Wang et al. 2023, "Interpretability in the
Wild", section 2 (mean ablation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.analysis.attribution import check_split, encoder_layer
from attnviz.analysis.provenance.steps import schemes
from attnviz.errors import InvalidParameterError
from attnviz.nn import positions
from attnviz.nn.masks import Mask
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
    n, run, block = trace.lengths[batch], trace.layers[layer], encoder_layer(model, layer)
    record = run.attention
    assert record.out is not None
    z = record.z[batch, :, :n]  # (H, T, D)
    match how:
        case "zero":
            new = torch.zeros_like(z)
        case "mean":
            new = z.mean(dim=1, keepdim=True).expand_as(z)
        case "uniform":
            new = _alike(trace, layer, batch)
        case _:
            new = z * float(how)
    weight = block.self_attn.out_proj.weight.unflatten(1, (z.shape[0], z.shape[2])).permute(1, 2, 0)  # (H, D, C)
    out = record.out[batch, :n] + (new - z) @ weight  # (H, T, C): each row has one head changed
    mid = run.resid_pre[batch, :n] + out
    mid = mid if block.norm_first else block.norm1(mid)
    if block.attention_only:
        x = mid
    elif block.norm_first:
        x = mid + block.feed_forward(block.norm2(mid))
    else:
        x = block.norm2(mid + block.feed_forward(mid))
    return rest_of_run(model, trace, layer + 1, x, batch=batch)


def _alike(trace: Trace, layer: int, batch: int) -> Tensor:
    """z of heads that look at all that they may look at alike, (H, T, D), times what their factor is."""
    record, n = trace.layers[layer].attention, trace.lengths[batch]
    may = torch.ones(1, 1, n, n, dtype=torch.bool) if record.keep is None else record.keep[..., :n, :n]
    may = may.expand(*record.q.shape[:2], n, n)[batch].to(record.v.dtype)
    z = may / may.sum(dim=-1, keepdim=True).clamp_min(1) @ record.v[batch, :, :n]
    return z if record.head_scale is None else z * record.head_scale[:, None, None]


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
    n, config = trace.lengths[batch], trace.config
    if x.dim() != 3 or x.shape[1:] != (n, config.d_model):
        raise InvalidParameterError(f"x is (B, {n}, {config.d_model}) for this text, not {tuple(x.shape)}")
    place = "decoder" if model.encoder is None else "encoder"
    options: dict[str, Any] = {"mask": Mask(causal=place == "decoder")}
    with torch.inference_mode():
        for number in range(layer, len(trace.layers)):
            scheme = positions.described(schemes(trace, number, place)[1])
            options |= scheme.in_attention(config.n_heads, config.head_dim, x, 0)
            options["intervention"] = None if trace.intervention is None else trace.intervention.at(number, place)
            x = encoder_layer(model, number).trace(x, **options).resid_post
        norm: nn.Module = cast(Any, model.decoder if model.encoder is None else model.encoder)["norm"]
        final = norm(x)
        return final, None if model.head is None else cast(Any, model.head)(final, (n,) * len(final))


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
