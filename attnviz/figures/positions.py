"""Positions: how far shuffled words move, what an encoding looks like, similarity by offset, scores by distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, colour_scale, end_notes, plain
from attnviz.formatting import number

if TYPE_CHECKING:
    import plotly.graph_objects as go

SIDE = {"l": 64, "r": 92, "t": 16, "b": 44}  # px, the same for pictures that stand above one another
ROW = 0.62  # of its share of the height that a row fills; the rest holds its title


def moved_bars(
    rows: Mapping[str, ArrayLike], titles: Mapping[str, str], labels: Sequence[str], palette: Palette
) -> go.Figure:
    """A row of bars per scheme: how much each token's output changed, as a share of its norm.

    `rows` maps a scheme to (T,) shares; `titles` has what stands above its bars. All rows share one scale.
    """
    table = np.asarray(list(rows.values()), dtype=float)  # (schemes, T)
    top = max(1.0, float(table.max()))
    bases = np.arange(len(table), dtype=float)[::-1]
    places = list(range(len(labels)))
    names = [f"{i} {plain(label)}" for i, label in enumerate(labels)] * len(table)
    bars = {  # one trace for all rows: plotly draws it twice as fast as one each
        "type": "bar",
        "x": places * len(table),
        "y": (ROW / top * table).ravel(),
        "base": bases.repeat(len(labels)),
        "offset": -0.375,
        "width": 0.75,
        "marker": {"color": palette.positive},
        "customdata": [*zip(names, (100 * table).ravel().tolist(), strict=True)],
        "hovertemplate": "%{customdata[0]}: changed by %{customdata[1]:.3~g}\u202f% of its norm<extra></extra>",
    }
    ticks = dict.fromkeys(bases.tolist(), "0\u202f%") | dict.fromkeys((bases + ROW / top).tolist(), "100\u202f%")
    crowded = len(labels) > 24
    layout = _rows(titles, list(rows), ticks, palette)
    layout["xaxis"] = {
        "tickvals": places,
        "ticktext": [plain(label) for label in labels],
        "tickangle": -90 if crowded else -45,
        "tickfont": {"size": 11 if crowded else 13},
    }
    return assembled(
        [bars], layout | {"margin": {**SIDE, "r": 8, "b": 8}}, palette, height=moved_bars_height(len(rows))
    )


def moved_bars_height(rows: int) -> int:
    """How high (px) a picture of so many rows of bars is."""
    return 96 * rows + 90


def encoding_heatmap(
    values: ArrayLike,
    palette: Palette,
    *,
    rows: str,
    columns: str,
    halves: tuple[str, str] = ("even", "odd"),
    marked: Sequence[int] = (),
    share: bool = False,
) -> go.Figure:
    """A scheme's numbers (n, W): positions from left to right, dimensions from top to bottom.

    The even dimensions stand above, the odd ones below: side by side, sines and cosines would hide their waves.

    Arguments
        rows, columns: titles of the two axes.
        halves: what the even and the odd dimensions are.
        marked: dimensions to outline.
        share: the values are biases b ≤ 0 of a score, one row per head in its order; the colour is e^b, what is
            left of a weight, position √.
    """
    table = np.asarray(values, dtype=np.float32).T  # (W, n)
    width, n = table.shape
    order = list(range(width)) if share else [*range(0, width, 2), *range(1, width, 2)]
    heat = _heat(table[order], palette, share=share, where=f"{rows} %{{y}}, {columns} %{{x}}")
    heat["y"] = [str(i) for i in order]
    half = width // 2
    step = max(1, half // 3)
    ticks = list(range(width)) if share else [*range(0, half, step), *range(half, width, step)]
    layout = {
        "xaxis": {"title": {"text": columns}, "range": [-0.5, n - 0.5], "automargin": False},
        "yaxis": {
            "title": {"text": rows if share else f"{rows}: {halves[0]} above, {halves[1]} below"},
            "range": [width - 0.5, -0.5],
            "showgrid": False,
            "automargin": False,
            "type": "category",
            "tickvals": [str(order[i]) for i in ticks],
        },
        "shapes": [
            {
                "type": "rect",
                "x0": -0.5,
                "x1": n - 0.5,
                "y0": order.index(i) - 0.5,
                "y1": order.index(i) + 0.5,
                "line": {"color": palette.ink, "width": 2},
            }
            for i in marked
        ],
        "margin": SIDE,
    }
    return assembled([heat], layout, palette, height=436)


def wave_lines(lines: Mapping[str, ArrayLike], palette: Palette, *, x: str, y: str, first: int = 0) -> go.Figure:
    """Lines over the positions from `first` on, such as dimensions, named at their right end. Each line is (n,).

    Those that the four colours do not reach for begin the colours anew, dashed.
    """
    series = {name: np.asarray(line, dtype=float) for name, line in lines.items()}
    looks = product(("solid", "dash", "dot"), palette.categories)
    drawn_in = dict(zip(series, looks, strict=False))
    n = max(map(len, series.values()))
    traces = [
        {
            "type": "scatter",
            "x": np.arange(first, first + n, dtype=np.int32),
            "y": line,
            "mode": "lines",
            "name": name,
            "line": {"color": drawn_in[name][1], "dash": drawn_in[name][0], "width": 2},
            "hovertemplate": "%{fullData.name}<br>position %{x}: %{y:.3f}<extra></extra>",
        }
        for name, line in series.items()
    ]
    reach = float(np.ptp(np.concatenate(list(series.values())))) or 1.0
    ends = [(float(line[-1]), name, drawn_in[name][1]) for name, line in series.items()]
    layout = {
        "annotations": end_notes(first + n - 1, ends, reach),
        "xaxis": {"title": {"text": x}, "range": [-0.5, first + n - 0.5], "automargin": False},
        "yaxis": {"title": {"text": y}, "nticks": 5, "automargin": False},
        "margin": SIDE,
    }
    return assembled(traces, layout, palette, height=238)


def similarity_heatmap(matrix: ArrayLike, palette: Palette, *, share: bool = False) -> go.Figure:
    """Every position beside every other, (n, n): cosines from −1 to 1, or with `share` biases as e^b."""
    table = np.asarray(matrix, dtype=np.float32)
    heat = _heat(table, palette, share=share, where="positions %{y} and %{x}", limit=1.0)
    heat["colorbar"] |= {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.16, "yanchor": "top", "len": 0.6}
    square = {"title": {"text": "position"}, "constrain": "domain"}
    layout = {
        "xaxis": square | {"constraintoward": "left"},
        "yaxis": square
        | {
            "autorange": "reversed",
            "scaleanchor": "x",
            "showgrid": False,
            "constraintoward": "top",
        },
        "margin": {"t": 16},
    }
    return assembled([heat], layout, palette, height=460)


def offset_band(mean: ArrayLike, low: ArrayLike, high: ArrayLike, palette: Palette, *, y: str) -> go.Figure:
    """Similarity against the offset, (n,) each: the mean as a line, all pairs that lie so far apart as a band."""
    middle, bottom, top = (np.asarray(line, dtype=float) for line in (mean, low, high))
    offsets = np.arange(len(middle), dtype=np.int32)
    edge: dict[str, Any] = {"type": "scatter", "x": offsets, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    traces = [
        edge | {"y": top},
        edge | {"y": bottom, "fill": "tonexty", "fillcolor": palette.sequential[2]},
        {
            "type": "scatter",
            "x": offsets,
            "y": middle,
            "mode": "lines",
            "line": {"color": palette.positive, "width": 2.25},
            "customdata": np.stack((bottom, top), axis=-1),
            "hovertemplate": "%{x} apart: %{y:.4f}, from %{customdata[0]:.4f} to %{customdata[1]:.4f}<extra></extra>",
        },
    ]
    layout = {
        "xaxis": {"title": {"text": "offset in tokens"}, "range": [0, max(1, len(offsets) - 1)]},
        "yaxis": {"title": {"text": y}, "nticks": 6},
        "margin": {"t": 16},
    }
    return assembled(traces, layout, palette, height=400)


def distance_rows(
    curves: Mapping[str, ArrayLike], titles: Mapping[str, str], limit: int, palette: Palette
) -> go.Figure:
    """A row per scheme: a head's score against the distance, on a scale of its own; beyond `limit` shaded.

    A curve (n,) that ends early belongs to a scheme that refuses there.
    """
    series = {name: np.asarray(curve, dtype=float) for name, curve in curves.items()}
    longest = max(len(curve) for curve in series.values())
    layout = _rows(titles, list(series), {}, palette)
    traces: list[dict[str, Any]] = []
    ticks: dict[float, str] = {}
    for i, curve in enumerate(series.values()):
        base, low, high = float(len(series) - 1 - i), float(curve.min()), float(curve.max())
        unit = ROW / (high - low) if high > low else 0.0
        traces.append(
            {
                "type": "scatter",
                "x": np.arange(len(curve), dtype=np.int32),
                "y": (base + unit * (curve - low)).astype(np.float32),
                "mode": "lines",
                "line": {"color": palette.positive, "width": 1.5},
                "customdata": curve.astype(np.float32),
                "hovertemplate": "%{x} tokens apart: %{customdata:.2f}<extra></extra>",
            }
        )
        ticks |= {base + unit * (value - low): number(value, 1) for value in (low, high)}
        layout["shapes"].append(
            {
                "type": "rect",
                "x0": limit,
                "x1": longest,
                "y0": base,
                "y1": base + ROW,
                "fillcolor": palette.line,
                "opacity": 0.4,
                "line": {"width": 0},
                "layer": "below",
            }
        )
        if len(curve) < longest:
            layout["annotations"].append(
                {
                    "text": "no such position",
                    "x": (len(curve) + longest) / 2,
                    "y": base + ROW / 2,
                    "showarrow": False,
                    "font": {"size": 14, "color": palette.ink2},
                }
            )
    layout["yaxis"] |= {"tickvals": list(ticks), "ticktext": list(ticks.values())}
    marks = [0, *(limit * k for k in range(1, longest // limit + 1))]
    layout["xaxis"] = {
        "range": [0, longest],
        "title": {"text": "distance in tokens"},
        "tickvals": marks,
        "tickformat": ",",
    }
    return assembled(traces, layout | {"margin": {**SIDE, "r": 24}}, palette, height=124 * len(series) + 60)


def _rows(titles: Mapping[str, str], names: Sequence[str], ticks: Mapping[float, str], palette: Palette) -> Any:
    """A layout of rows one above the other in one plot, each under its title: five plots draw five times as slowly."""
    notes = [
        {
            "text": plain(titles[name]),
            "x": 0,
            "xref": "paper",
            "xshift": 8 - SIDE["l"],
            "xanchor": "left",
            "y": len(names) - 1 - i + ROW,
            "yshift": 15,
            "showarrow": False,
            "font": {"color": palette.ink1},
        }
        for i, name in enumerate(names)
    ]
    return {
        "annotations": notes,
        "shapes": [],
        "yaxis": {
            "range": [-0.04, len(names) - 1 + ROW + 0.3],
            "automargin": False,
            "tickvals": list(ticks),
            "ticktext": list(ticks.values()),
        },
    }


def _heat(table: np.ndarray, palette: Palette, *, share: bool, where: str, limit: float | None = None) -> Any:
    """A heatmap trace: signed values on the diverging scale, or biases as the share e^b of a weight that is left."""
    bar: dict[str, Any] = {
        "thickness": 10,
        "outlinewidth": 0,
        "tickfont": {"size": 12, "color": palette.ink2},
        "x": 1.01,
    }
    if share:
        parts = [0.0, 0.01, 0.1, 0.25, 0.5, 1.0]
        bar |= {"tickvals": np.sqrt(parts), "ticktext": [f"{100 * part:.0f}\u202f%" for part in parts]}
        return {
            "type": "heatmap",
            "z": np.exp(table / 2),
            "zmin": 0,
            "zmax": 1,
            "customdata": table,
            "colorbar": bar,
            "colorscale": colour_scale(palette.sequential),
            "hovertemplate": where + "<br>score %{customdata:.3f}<extra></extra>",
        }
    limit = limit or float(np.quantile(np.abs(table), 0.995)) or 1.0  # a few large values would pale all others
    return {
        "type": "heatmap",
        "z": table,
        "zmin": -limit,
        "zmax": limit,
        "colorbar": bar,
        "colorscale": colour_scale(palette.diverging),
        "hovertemplate": where + "<br>%{z:.3f}<extra></extra>",
    }
