"""The curves of the page "Replay": losses and every head's scores over the steps, as panels and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from attnviz.figures import Curve, Panel
from attnviz.web.replay.state import ROLES, Replay


def panels(replay: Replay) -> list[Panel]:
    """Loss, and the score of every head, over the steps."""
    firsts, agains = ([getattr(one, name) for one in replay.scores] for name in ("first", "again"))
    loss = [Curve("first time", replay.steps, firsts), Curve("second time", replay.steps, agains)]
    return [
        Panel("loss, nats per word", loss),
        Panel("attention on what came next last time", _head_curves(replay, "induction"), top=1, share=True),
        Panel("attention on the word before", _head_curves(replay, "previous"), top=1, share=True),
    ]


def _head_curves(replay: Replay, role: str) -> list[Curve]:
    """A curve per head, all faint but the one of the role."""
    tables: list[Tensor] = [getattr(one, role) for one in replay.scores]
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


def columns(replay: Replay) -> dict[str, Sequence[float]]:
    """The curves' numbers as a table."""
    table: dict[str, Sequence[float]] = {"step": replay.steps}
    table["loss_first"], table["loss_again"] = (
        [getattr(one, name) for one in replay.scores] for name in ("first", "again")
    )
    for role in ROLES:
        for curve in _head_curves(replay, role):
            table[f"{role}: {curve.name}"] = curve.values
    return table
