"""Pictures of attention sinks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, colour_scale, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

CELL = 44  # px
LONGEST_LABEL = 12


def head_shares(shares: np.ndarray, palette: Palette) -> go.Figure:
    """A share (0 to 1) per head, as a table of layers × heads with the numbers in the cells; colour is √share."""
    n_layers, n_heads = shares.shape
    rows, columns = (index.flatten().tolist() for index in np.indices(shares.shape))
    numbers = {
        "type": "scatter",
        "mode": "text",
        "x": columns,
        "y": rows,
        "hoverinfo": "skip",
        "text": [f"{100 * share:.0f}" if n_heads <= 16 else "" for share in shares.flatten()],
        "textfont": {"size": 14, "color": [_on(share, palette.sequential) for share in shares.flatten()]},
    }
    trace = {
        "type": "heatmap",
        "z": np.sqrt(shares).tolist(),
        "customdata": (100 * shares).tolist(),
        "zmin": 0,
        "zmax": 1,
        "colorscale": colour_scale(palette.sequential),
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "layer %{y}, head %{x}: %{customdata:.1f}\u202f%<extra></extra>",
    }
    axis = {"showgrid": False, "dtick": 1, "zeroline": False}
    layout = {
        "margin": {"t": 48},
        "xaxis": {**axis, "side": "top", "title": {"text": "head"}, "range": [-0.5, n_heads - 0.5]},
        "yaxis": {**axis, "title": {"text": "layer"}, "range": [n_layers - 0.5, -0.5]},
    }
    return assembled([trace, numbers], layout, palette, height=64 + min(CELL, 360 // n_layers) * n_layers)


def _on(share: float, steps: Sequence[str]) -> str:
    """Black or white: the one that contrasts more with the colour of a share."""
    place = math.sqrt(share) * (len(steps) - 1)
    low = min(int(place), len(steps) - 2)
    ends = [[int(step[i : i + 2], 16) / 255 for i in (1, 3, 5)] for step in steps[low : low + 2]]
    mixed = (a + (place - low) * (b - a) for a, b in zip(*ends, strict=True))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mixed)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # relative luminance, WCAG 2.2
    return "#000000" if (light + 0.05) ** 2 > 1.05 * 0.05 else "#FFFFFF"


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
            "type": "bar",
            "x": ticks,
            "y": list(values),
            "name": name,
            "marker": {"color": colour},
            "hovertemplate": f"%{{x}}: %{{y:.2f}} {unit}<extra>{name}</extra>",
        }
        for name, values, colour in zip(names, (before, after), (palette.sequential[3], palette.positive), strict=True)
    ]
    layout = {
        "barmode": "group",
        "showlegend": True,
        "margin": {"t": 34},
        "legend": {
            "orientation": "h",
            "y": 1,
            "yanchor": "bottom",
            "x": 0,
            "font": {"size": 14, "color": palette.ink1},
        },
        "xaxis": {"type": "category", "title": {"text": "position and token"}},
        "yaxis": {"title": {"text": unit}, "rangemode": "tozero", "nticks": 5},
    }
    return assembled(traces, layout, palette, height=320)
