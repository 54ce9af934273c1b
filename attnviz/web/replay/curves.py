"""The curves of the page "Replay": losses and every head's scores over the steps, as panels and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from attnviz.figures import Curve, Panel
from attnviz.training.tasks.sequences import Scores
from attnviz.web.replay.state import ROLES, Replay


def panels(replay: Replay, without: Sequence[Scores] | None = None) -> list[Panel]:
    """Loss, and the score of every head, over the steps; of the model as it was, or `without` a head.

    Without it, the curves of the model as it was stand faint behind the others.
    """
    shown = replay.scores if without is None else without
    losses = [Curve("first time", replay.steps, _losses(shown, "first"))]
    losses += [Curve("second time", replay.steps, _losses(shown, "again"))]
    induction = _head_curves(replay, "induction", shown)
    if without is not None:
        losses += [Curve("second time, the head on", replay.steps, _losses(replay.scores, "again"), faint=True)]
        layer, head = replay.induction
        as_it_was = [replay.scored("induction", at) for at in range(len(replay.steps))]
        induction += [Curve(f"layer {layer}, head {head}, the other on", replay.steps, as_it_was, faint=True)]
    return [
        Panel("loss, nats per word", losses),
        Panel("attention on the word that followed last time", induction, top=1, share=True),
        Panel("attention on the previous word", _head_curves(replay, "previous", shown), top=1, share=True),
    ]


def _losses(scores: Sequence[Scores], name: str) -> list[float]:
    return [getattr(one, name) for one in scores]


def _head_curves(replay: Replay, role: str, scores: Sequence[Scores]) -> list[Curve]:
    """A curve per head, all faint but the one of the role."""
    tables: list[Tensor] = [getattr(one, role) for one in scores]
    n_layers, n_heads = tables[0].shape
    return [
        Curve(
            f"layer {layer}, head {head}",
            replay.steps,
            [float(one[layer, head]) for one in tables],
            faint=(layer, head) != replay.head(role),
        )
        for layer in range(n_layers)
        for head in range(n_heads)
    ]


def columns(replay: Replay, without: Sequence[Scores] | None = None) -> dict[str, Sequence[float]]:
    """The curves' numbers as a table."""
    shown = replay.scores if without is None else without
    table: dict[str, Sequence[float]] = {"step": replay.steps}
    table |= {"loss_first": _losses(shown, "first"), "loss_again": _losses(shown, "again")}
    for role in ROLES:
        for curve in _head_curves(replay, role, shown):
            table[f"{role}: {curve.name}"] = curve.values
    return table
