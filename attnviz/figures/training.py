"""How a training goes: curves over its steps, one panel above the other, and the attention of every head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.figures.palette import Palette
from attnviz.figures.theme import apart, assembled, colour_scale, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

GAP = 0.22  # between two panels, in their heights: room for the lower one's title
ROW, FOOT = 170, 60  # px
LINE_PX, LETTER_PX = 16, 7  # between two names at the right end; of a letter of theirs
MOST_NAMED = 4  # as many as there are colours
TILES, TILE, ABOVE = 470, 118, 54  # px: the width that heads share, the largest of them, and the names above


@dataclass(frozen=True)
class Curve:
    """One line: a value at each of some steps."""

    name: str  # written at its right end, and on hover; "" for none
    steps: Sequence[int]
    values: Sequence[float]
    faint: bool = False  # drawn behind the others, without its name


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis."""

    title: str  # what is measured, with its unit: "loss, nats"
    curves: Sequence[Curve]
    top: float | None = None  # the axis reaches from 0 to it; None: as far as the values do
    share: bool = False  # values of 0 to 1, written in %


def training_curves(
    panels: Sequence[Panel], palette: Palette, *, last: int, marked: int | None = None, height: int | None = None
) -> go.Figure:
    """Loss, metrics or the learning rate over the steps of a training, one panel per axis, steps below the last.

    last: the training's steps, so that the curves of one that runs grow into the figure; marked: the step looked at,
    a line through each panel with a dot on every curve that is not faint.
    """
    height = height or ROW * len(panels) + FOOT
    spans = [_span(panel) for panel in panels]
    bands = _bands(len(panels))
    pixels = (height - FOOT) * (bands[0][1] - bands[0][0])
    traces: list[dict[str, Any]] = []
    notes = [_heading(panel, top, palette) for panel, (_, top) in zip(panels, bands, strict=True)]
    for row, panel in enumerate(panels):
        traces += _lines(panel, row, palette)
        traces += [] if marked is None else _dots(panel, row, marked, palette)
        notes += _names(panel, row, spans[row], palette, pixels)
    layout: dict[str, Any] = {
        "xaxis": {
            "range": [0, last],
            "title": {"text": "steps"},
            "anchor": _axis("y", len(panels) - 1),
            "tickformat": ",d",
        },
        "margin": {"t": 30, "r": _right(panels)},
        "annotations": notes,
        "hovermode": "closest",
        "shapes": []
        if marked is None
        else [
            {
                "type": "line",
                "x0": marked,
                "x1": marked,
                "y0": bottom,
                "y1": top,
                "yref": "paper",
                "layer": "below",
                "line": {"color": palette.ink, "width": 1},
            }
            for bottom, top in bands
        ],
    }
    for row, panel in enumerate(panels):
        layout[_axis("yaxis", row)] = {
            "domain": [*bands[row]],
            "range": spans[row],
            "nticks": 4,
            "tickformat": ".0%" if panel.share else "",
        }
    return assembled(traces, layout, palette, height=height)


def _right(panels: Sequence[Panel]) -> int:
    """Room for the curves' names, px."""
    names = [curve.name for panel in panels for curve in _named(panel)]
    return max(96, 16 + LETTER_PX * max(map(len, names))) if names else 8


def _bands(n: int) -> list[tuple[float, float]]:
    """Bottom and top of each panel in the figure's height, the first one on top."""
    each = 1 / (n + GAP * (n - 1))
    return [(max(0.0, 1 - each * (row + 1 + GAP * row)), 1 - each * row * (1 + GAP)) for row in range(n)]


def _heading(panel: Panel, top: float, palette: Palette) -> dict[str, Any]:
    return {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": top,
        "yref": "paper",
        "yanchor": "bottom",
        "text": plain(panel.title),
        "showarrow": False,
        "font": {"size": 14, "color": palette.ink2},
    }


def _axis(name: str, row: int) -> str:
    """plotly's name for the axis of a row: y, y2, …"""
    return name if row == 0 else f"{name}{row + 1}"


def _named(panel: Panel) -> list[Curve]:
    return [curve for curve in panel.curves if not curve.faint and curve.name and len(curve.steps)][:MOST_NAMED]


def _colours(panel: Panel, palette: Palette) -> list[str]:
    """Of the panel's curves: grey where faint, ink where one stands alone, else the categories."""
    strong = [i for i, curve in enumerate(panel.curves) if not curve.faint]
    strong_colours = [palette.positive] if len(strong) == 1 else [*palette.categories]
    colour_of = dict(zip(strong, strong_colours * (len(strong) // len(strong_colours) + 1), strict=False))
    return [colour_of.get(i, palette.ink2) for i in range(len(panel.curves))]


def _span(panel: Panel) -> list[float]:
    """From 0 to a little above the highest value, or to the panel's own top."""
    values = [value for curve in panel.curves for value in curve.values]
    low = min([0.0, *values])
    top = panel.top if panel.top is not None else max([0.0, *values])
    return [low, 1.06 * top if top > 0 else 1.0]


def _lines(panel: Panel, row: int, palette: Palette) -> list[dict[str, Any]]:
    """Faint curves first, so that the others lie on top."""
    written = "%{y:.1%}" if panel.share else "%{y:.4g}"
    colours = _colours(panel, palette)
    order = sorted(range(len(panel.curves)), key=lambda i: not panel.curves[i].faint)
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": panel.curves[i].steps,
            "y": panel.curves[i].values,
            "yaxis": _axis("y", row),
            "name": plain(panel.curves[i].name),
            "opacity": 0.35 if panel.curves[i].faint else 1,
            "line": {"color": colours[i], "width": 1.25 if panel.curves[i].faint else 2.25},
            "hovertemplate": f"step %{{x:,}}: {written}<extra>{plain(panel.curves[i].name)}</extra>",
        }
        for i in order
    ]


def _dots(panel: Panel, row: int, marked: int, palette: Palette) -> list[dict[str, Any]]:
    """Where the curves stand at the marked step, or at the last one before it."""
    found = []
    for curve, colour in zip(panel.curves, _colours(panel, palette), strict=True):
        at = max((i for i, step in enumerate(curve.steps) if step <= marked), default=None)
        if curve.faint or at is None:
            continue
        found.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [curve.steps[at]],
                "y": [curve.values[at]],
                "yaxis": _axis("y", row),
                "hoverinfo": "skip",
                "marker": {"size": 9, "color": colour, "line": {"color": palette.paper, "width": 2}},
            }
        )
    return found


def _names(panel: Panel, row: int, span: list[float], palette: Palette, pixels: float) -> list[dict[str, Any]]:
    """The curves' names at the figure's right edge, level with their ends, none on top of another."""
    colours = dict(zip(map(id, panel.curves), _colours(panel, palette), strict=True))
    ends = [(float(curve.values[-1]), plain(curve.name), colours[id(curve)]) for curve in _named(panel)]
    least = LINE_PX / pixels * (span[1] - span[0])
    return [
        {
            "x": 1,
            "xref": "paper",
            "xanchor": "left",
            "xshift": 8,
            "y": max(y, span[0] + i * least),
            "yref": _axis("y", row),
            "text": text,
            "showarrow": False,
            "font": {"size": 14, "color": colour},
        }
        for i, (y, text, colour) in enumerate(apart(ends, least))  # plotly leaves out what lies below the axis
    ]


def head_tiles(weights: np.ndarray, palette: Palette, *, marked: tuple[int, int] | None = None) -> go.Figure:
    """The attention of every head as a small heatmap: a row per layer, a column per head.

    weights: (L, H, T, S) from 0 to 1; colour is √weight, the same in all. marked: (layer, head) in an ink frame. All
    are tiles of one heatmap, which a browser draws in a fraction of the time of many.
    """
    n_layers, n_heads, n_queries, n_keys = weights.shape
    table, down, right = _tiled(weights)
    trace = {
        "type": "heatmap",
        "z": np.sqrt(table),
        "customdata": 100 * table,
        "zmin": 0,
        "zmax": 1,
        "colorscale": colour_scale(palette.sequential),
        "showscale": False,
        "hoverongaps": False,
        "hovertemplate": "%{customdata:.1f}\u202f%<extra></extra>",
    }
    axis = {"showgrid": False, "constrain": "domain"}
    layout = {
        "margin": {"t": ABOVE},
        "xaxis": {
            **axis,
            "side": "top",
            "constraintoward": "left",
            "title": {"text": "head"},
            "ticktext": list(range(n_heads)),
            "tickvals": [i * right + (n_keys - 1) / 2 for i in range(n_heads)],
        },
        "yaxis": {
            **axis,
            "autorange": "reversed",
            "constraintoward": "top",
            "scaleanchor": "x",
            "scaleratio": n_keys / n_queries,
            "title": {"text": "layer"},
            "ticktext": list(range(n_layers)),
            "tickvals": [i * down + (n_queries - 1) / 2 for i in range(n_layers)],
        },
        "shapes": [
            {
                "type": "rect",
                "x0": head * right - 0.5,
                "x1": head * right + n_keys - 0.5,
                "y0": layer * down - 0.5,
                "y1": layer * down + n_queries - 0.5,
                "line": {
                    "color": palette.ink if (layer, head) == marked else palette.line,
                    "width": 2.25 if (layer, head) == marked else 1,
                },
            }
            for layer in range(n_layers)
            for head in range(n_heads)
        ],
    }
    return assembled([trace], layout, palette, height=ABOVE + round(min(TILE, TILES / n_heads) * n_layers) + 8)


def _tiled(weights: np.ndarray) -> tuple[np.ndarray, int, int]:
    """(L, H, T, S) as one table with gaps of nothing, and how many rows and columns a tile takes with its gap."""
    n_layers, n_heads, n_queries, n_keys = weights.shape
    down, right = n_queries + max(1, round(0.08 * n_queries)), n_keys + max(1, round(0.08 * n_keys))
    table = np.full((n_layers, down, n_heads, right), np.nan, dtype=np.float32)
    table[:, :n_queries, :, :n_keys] = weights.transpose(0, 2, 1, 3)
    whole = table.reshape(n_layers * down, n_heads * right)
    return whole[: n_queries - down, : n_keys - right], down, right
