"""An intervention as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.formatting import counted

if TYPE_CHECKING:
    from attnviz.nn.intervention import Intervention


def intervention_text(intervention: Intervention) -> str:
    """What an intervention changes: "temperature 2; causal mask"; empty if nothing."""
    parts: list[str] = []
    if intervention.temperature != 1.0:
        parts.append(f"temperature {intervention.temperature:g}")
    if not intervention.scaled:
        parts.append("scores not divided by √d")
    if intervention.mask == "causal":
        parts.append("causal mask")
    elif intervention.mask == "none":
        parts.append("no mask")
    elif intervention.mask is not None:
        parts.append(f"mask: a window of {intervention.mask[1]}")
    if intervention.blocked:
        parts.append(f"{counted(len(intervention.blocked), 'cell')} blocked")
    for layer, head, factor in intervention.head_scale:
        where = f"head {head}" if layer is None else f"layer {layer}, head {head}"
        parts.append(f"{where} off" if factor == 0 else f"{where} × {factor:g}")
    if intervention.positions is not None:
        parts.append(f"positions: {intervention.positions}")
    if parts and intervention.layers is not None:
        parts.append("only in " + _layers_text(intervention.layers))
    if parts and intervention.where != "all":
        parts.append(f"only in the {intervention.where}{'-attention' * (intervention.where == 'cross')}")
    return "; ".join(parts)


def _layers_text(layers: Sequence[int]) -> str:
    numbers = ", ".join(map(str, layers))
    return f"layer {numbers}" if len(layers) == 1 else f"layers {numbers}" if layers else "no layer"
