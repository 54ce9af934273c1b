"""What a trace and the outputs of transformers hold in common, and whether it is equal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

IN_WINDOWS = ("longformer", "led")  # give out the weights inside each token's window alone
CLOSE = 2e-5  # of float32 numbers, in parts of the largest one (of 1 if that is smaller)


def attentions(trace: Any) -> dict[str, tuple[Tensor, ...]]:
    parts = {"attentions": trace.attentions, "cross_attentions": trace.cross_attentions}
    if trace.source is not None:
        parts["encoder_attentions"] = trace.source.attentions
    return parts


def hidden(trace: Any) -> dict[str, tuple[Tensor, ...]]:
    return {"hidden_states": trace.hidden_states} | (
        {} if trace.source is None else {"encoder_hidden_states": trace.source.hidden_states}
    )


def same_all(trace: Any, outputs: dict[str, Any], what: str) -> str:
    """ "" if all attentions (or hidden states) of both are equal."""
    for name, ours in (attentions if what == "attentions" else hidden)(trace).items():
        theirs = outputs.get(
            "decoder_" + name if trace.source is not None and not name.startswith(("enc", "cross")) else name
        )
        shown = [x for x in theirs or () if x is not None]
        if what == "attentions" and getattr(trace.config, "architecture", "") in IN_WINDOWS:
            shown = [_in_rows(x, own.shape) for x, own in zip(shown, ours, strict=False)]
        if len(ours) != len(shown):
            return f"{len(ours)} {name} against {len(shown)}"
        if worst := same_each(name, list(zip(ours, shown, strict=True))):
            scores = what == "attentions" and not same_each(
                name, [(a, b.softmax(-1)) for a, b in zip(ours, shown, strict=True)]
            )
            return worst + " (transformers gives out the scores; their softmax is equal)" * scores
    return ""


def _in_rows(windows: Tensor, shape: torch.Size) -> Tensor:
    """Weights of the keys around each token, (B, H, T, 2w + 1), as rows of all keys (B, H, T, T)."""
    queries, beside = windows.shape[-2], windows.shape[-1] // 2
    if windows.shape == shape:
        return windows
    rows = windows.new_zeros(*windows.shape[:-1], queries + 2 * beside)
    for i in range(queries):
        rows[..., i, i : i + 2 * beside + 1] = windows[..., i, :]
    return rows[..., beside : beside + queries]


def same_each(name: str, pairs: list[tuple[Tensor, Tensor]]) -> str:
    return next((worst for i, pair in enumerate(pairs) if (worst := same(f"{name}[{i}]", *pair))), "")


def same(name: str, ours: Tensor | None, theirs: Tensor) -> str:
    if ours is None:
        return f"{name} is not there"
    if ours.shape != theirs.shape:
        return f"{name} is {tuple(ours.shape)} against {tuple(theirs.shape)}"
    difference = float((ours - theirs).abs().max()) if ours.numel() else 0.0
    return "" if difference <= CLOSE * max(1.0, float(theirs.abs().max())) else f"{name} differs by {difference:.1g}"
