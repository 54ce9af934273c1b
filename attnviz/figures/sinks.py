"""Pictures of attention sinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.figures.theme import Palette, assembled, colour_scale, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

CELL = 44  # px
LONGEST_LABEL = 12


def head_shares(shares: np.ndarray, palette: Palette) -> go.Figure:
    """A share (0 to 1) per head, as a table of layers × heads with the numbers in the cells; colour is √share."""
    n_layers, n_heads = shares.shape
    texts = [[f"{100 * value:.0f}" if n_heads <= 16 else "" for value in row] for row in shares]
    trace = {
        "type": "heatmap", "z": np.sqrt(shares).tolist(), "customdata": (100 * shares).tolist(), "zmin": 0, "zmax": 1,
        "text": texts, "texttemplate": "%{text}", "textfont": {"size": 14},
        "colorscale": colour_scale(palette.sequential),
        "showscale": False, "xgap": 1, "ygap": 1,
        "hovertemplate": "layer %{y}, head %{x}: %{customdata:.1f}\u202f%<extra></extra>",
    }  # fmt: skip
    axis = {"showgrid": False, "fixedrange": True, "dtick": 1}
    layout = {
        "margin": {"t": 48},
        "xaxis": {**axis, "side": "top", "title": {"text": "head"}},
        "yaxis": {**axis, "autorange": "reversed", "title": {"text": "layer"}},
    }
    return assembled([trace], layout, palette, height=64 + min(CELL, 360 // n_layers) * n_layers)


def paired_bars(
    labels: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    names: tuple[str, str],
    unit: str,
    palette: Palette,
    *,
    first: int = 0,
) -> go.Figure:
    """Two numbers per token, pale before and blue after a change, for the tokens from position `first` on."""
    ticks = [plain(f"{i} {label[:LONGEST_LABEL]}") for i, label in enumerate(labels, first)]
    traces: list[dict[str, Any]] = [
        {
            "type": "bar", "x": ticks, "y": list(values), "name": name, "marker": {"color": colour},
            "hovertemplate": f"%{{x}}: %{{y:.2f}} {unit}<extra>{name}</extra>",
        }
        for name, values, colour in zip(names, (before, after), (palette.sequential[3], palette.positive), strict=True)
    ]  # fmt: skip
    layout = {
        "barmode": "group", "showlegend": True, "margin": {"t": 34},
        "legend": {
            "orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "font": {"size": 14, "color": palette.ink1}
        },
        "xaxis": {"type": "category", "title": {"text": "position and token"}},
        "yaxis": {"title": {"text": unit}, "rangemode": "tozero", "nticks": 5},
    }  # fmt: skip
    return assembled(traces, layout, palette, height=320)
