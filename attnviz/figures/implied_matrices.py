"""The weights that each variant of attention comes to, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, colour_scale, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLUMNS = 3  # matrices in a row
Note = dict[str, Any]  # an annotation


def implied_matrices(
    matrices: Sequence[tuple[str, str, np.ndarray]], labels: Sequence[str], palette: Palette
) -> go.Figure:
    """The weights (T, T) that each variant comes to, one small heatmap each, with a title and a second line.

    Colour is √weight from 0 to 100 %, the same in all; a row is a token that looks. All are tiles of one heatmap,
    which a browser draws in a fraction of the time of six.
    """
    n, rows = len(labels), -(-len(matrices) // COLUMNS)
    beside, above = max(1, round(0.1 * n)), max(1, math.ceil(0.36 * n))  # between tiles, in cells
    table = np.full((rows * (n + above) - above, COLUMNS * (n + beside) - beside), np.nan, dtype=np.float32)
    tiles: list[Note] = []
    notes: list[Note] = []
    for place, (title, second, weights) in enumerate(matrices):
        top, left = place // COLUMNS * (n + above), place % COLUMNS * (n + beside)
        table[top : top + n, left : left + n] = weights
        tiles.append(
            {
                "type": "rect",
                "layer": "below",
                "fillcolor": palette.line,
                "line": {"width": 0},
                "x0": left - 0.5,
                "x1": left + n - 0.5,
                "y0": top - 0.5,
                "y1": top + n - 0.5,
            }
        )
        notes.append(
            {
                "x": left - 0.5,
                "y": top - 0.5,
                "xanchor": "left",
                "yanchor": "bottom",
                "align": "left",
                "xshift": -2,
                "text": f"<b>{plain(title)}</b><br>{plain(second)}",
                "showarrow": False,
                "font": {"size": 14, "color": palette.ink1},
            }
        )
    gap = 1 if n <= 32 else 0
    trace = {
        "type": "heatmap",
        "z": np.sqrt(table),
        "customdata": 100 * table,
        "coloraxis": "coloraxis",
        "xgap": gap,
        "ygap": gap,
        "x": _axis_names(labels, COLUMNS, beside),
        "y": _axis_names(labels, rows, above),
        "hoverongaps": False,
        "hovertemplate": "%{y} looks at %{x}: %{customdata:.1f}\u202f%<extra></extra>",
    }
    axis = {"type": "category", "showticklabels": False, "showgrid": False, "constrain": "domain"}
    layout = {
        "xaxis": {**axis, "constraintoward": "left"},
        "shapes": tiles,
        "annotations": notes,
        "yaxis": {**axis, "autorange": "reversed", "constraintoward": "top", "scaleanchor": "x", "scaleratio": 1},
        "margin": {"t": 92},
        "coloraxis": _key(palette),
        "meta": {"aspect": table.shape[0] / table.shape[1]},
    }
    return assembled([trace], layout, palette, height=96 + 240 * rows)


def _axis_names(labels: Sequence[str], tiles: int, gap: int) -> list[str]:
    """A name for every row or column: position and token, and what nobody sees to tell the tiles' names apart."""
    names: list[str] = []
    for tile in range(tiles):
        names += ["\u2060" * (tile * gap + i + 1) for i in range(gap)] if tile else []
        names += [f"{i} {plain(label)}" + "\u200b" * tile for i, label in enumerate(labels)]
    return names


def _key(palette: Palette) -> dict[str, Any]:
    """The colours' key: √weight, with the weights written at it."""
    shares = (0, 1, 5, 10, 25, 50, 100)
    bar = {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "xpad": 8,
        "yref": "container",
        "y": 1,
        "yanchor": "top",
        "ypad": 12,
        "thickness": 10,
        "len": 280,
        "lenmode": "pixels",
        "outlinewidth": 0,
        "tickfont": {"size": 12, "color": palette.ink2},
        "tickvals": [math.sqrt(share / 100) for share in shares],
        "ticktext": [*(f"{share}" for share in shares[:-1]), "100\u202f%"],
    }
    return {"cmin": 0, "cmax": 1, "colorscale": colour_scale(palette.sequential), "colorbar": bar}
