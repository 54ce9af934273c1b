"""What the heads of a program ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, colour_scale, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW, AROUND = 22, 64  # px of a row, and of what stands around the rows


def score_table(scores: np.ndarray, queries: Sequence[str], keys: Sequence[str], palette: Palette) -> go.Figure:
    """The score (queries, keys) that each value of a query gives to each value of a key, as a heatmap."""
    axis: dict[str, Any] = {"type": "category", "showgrid": False}
    trace = {
        "type": "heatmap",
        "z": np.asarray(scores, dtype=np.float64),
        "x": [f"{plain(key)}\u200b" for key in keys],
        "y": [f"{plain(query)}\u200b" for query in queries],
        "colorscale": colour_scale(palette.sequential),
        "zmin": 0,
        "zmax": max(1.0, float(np.max(scores, initial=0.0))),
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "query %{y}, key %{x}: score %{z:.0f}<extra></extra>",
    }
    layout = {
        "xaxis": {**axis, "title": {"text": "value of the key"}, "side": "bottom"},
        "yaxis": {**axis, "title": {"text": "value of the query"}, "autorange": "reversed"},
    }
    return assembled([trace], layout, palette, height=AROUND + ROW * max(6, len(queries)))
