"""What heads are for: a map of all of them, and any two measures of theirs against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, ink_on

if TYPE_CHECKING:
    import plotly.graph_objects as go

KINDS = ("place", "content", "signs", "rest")  # of roles, one category of the palette each
KIND_OF = {
    "previous": "place",
    "next": "place",
    "local": "place",
    "same": "place",
    "duplicate": "content",
    "induction": "content",
    "punctuation": "signs",
    "sink": "rest",
    "uniform": "rest",
}
SHORT = {"previous": "prev", "duplicate": "dup", "induction": "ind", "punctuation": "signs", "uniform": "even"}
ROW, TALLEST, AROUND = 40, 560, 64  # px
MOST_WRITTEN = 16  # heads of a layer whose roles fit into their cells
PERCENT = {"tickvals": [0, 0.25, 0.5, 0.75, 1], "ticktext": [f"{n}\u202f%" for n in (0, 25, 50, 75, 100)]}


def role_map(names: Sequence[Sequence[str]], chosen: tuple[int, int], palette: Palette) -> go.Figure:
    """Layers × heads, each in the colour of its kind of role and with its name; the palest where it has none."""
    n_layers, n_heads = len(names), max(map(len, names))
    kinds = [[1 + KINDS.index(KIND_OF[name]) if name else 0 for name in row] for row in names]
    fills = (palette.sunken, *palette.categories)
    steps = [[edge / 5, fill] for i, fill in enumerate(fills) for edge in (i, i + 1)]
    cells = [(layer, head, name) for layer, row in enumerate(names) for head, name in enumerate(row)]
    heat = {
        "type": "heatmap",
        "z": kinds,
        "zmin": 0,
        "zmax": 4,
        "colorscale": steps,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "customdata": [[name or "no role" for name in row] for row in names],
        "hovertemplate": "layer %{y}, head %{x}: %{customdata}<extra></extra>",
    }
    written = {
        "type": "scatter",
        "mode": "text",
        "x": [head for _, head, _ in cells],
        "y": [layer for layer, _, _ in cells],
        "text": [SHORT.get(name, name) if n_heads <= MOST_WRITTEN else "" for *_, name in cells],
        "textfont": {"size": 12, "color": [ink_on(fills[kinds[layer][head]]) for layer, head, _ in cells]},
        "hoverinfo": "skip",
    }
    layer, head = chosen
    ring = {"type": "rect", "x0": head - 0.48, "x1": head + 0.48, "y0": layer - 0.46, "y1": layer + 0.46}
    axis = {"showgrid": False, "zeroline": False, "dtick": 1 if n_heads <= MOST_WRITTEN else 4}
    layout = {
        "margin": {"t": 48},
        "meta": {"names": n_heads},
        "shapes": [{**ring, "line": {"color": palette.ink, "width": 2.25}}],
        "xaxis": {**axis, "side": "top", "title": {"text": "head"}, "range": [-0.5, n_heads - 0.5]},
        "yaxis": {**axis, "title": {"text": "layer"}, "range": [n_layers - 0.5, -0.5]},
    }
    return assembled([heat, written], layout, palette, height=AROUND + min(ROW * n_layers, TALLEST))


def head_scatter(
    across: np.ndarray,
    up: np.ndarray,
    names: Sequence[Sequence[str]],
    titles: tuple[str, str],
    chosen: tuple[int, int],
    palette: Palette,
) -> go.Figure:
    """All heads by two measures (layers, heads), 0 to 1, in the colour of their kind; one without them is left out."""
    colours = dict(zip(KINDS, palette.categories, strict=True))
    places = [(layer, head) for layer, row in enumerate(names) for head in range(len(row))]
    shown = [place for place in places if np.isfinite(across[place]) and np.isfinite(up[place])]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": [float(across[place]) for place in shown],
        "y": [float(up[place]) for place in shown],
        "customdata": [[layer, head, names[layer][head] or "no role"] for layer, head in shown],
        "hovertemplate": (
            f"layer %{{customdata[0]}}, head %{{customdata[1]}}: %{{customdata[2]}}<br>"
            f"{titles[0]} %{{x:.0%}}, {titles[1]} %{{y:.0%}}<extra></extra>"
        ),
        "marker": {
            "size": 11,
            "color": [
                colours[KIND_OF[name]] if (name := names[layer][head]) else palette.paper for layer, head in shown
            ],
            "line": {
                "width": [2.5 if place == chosen else 1 for place in shown],
                "color": [palette.ink if place == chosen else palette.edge for place in shown],
            },
        },
    }
    notes = [
        {
            "x": float(across[place]),
            "y": float(up[place]),
            "text": f"{place[0]}.{place[1]}",
            "showarrow": False,
            "yshift": 15,
            "font": {"size": 14, "color": palette.ink},
        }
        for place in shown
        if place == chosen
    ]
    axis: Mapping[str, Any] = {"range": [-0.04, 1.06], **PERCENT}
    layout = {
        "annotations": notes,
        "xaxis": {**axis, "title": {"text": titles[0]}},
        "yaxis": {**axis, "title": {"text": titles[1]}},
    }
    return assembled([dots], layout, palette, height=340)
