"""Softmax under a temperature: one row, its curves, the tokens that follow, and what is carried downstream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attnviz.figures.axes import SHARE_TICKS, decades, decimal, token_axis, token_names
from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, end_notes

if TYPE_CHECKING:
    import plotly.graph_objects as go

TAU_TICKS = (0.05, 0.2, 1, 5, 20)


def weight_bars(
    labels: Sequence[str], before: Sequence[float], after: Sequence[float], texts: Sequence[str], palette: Palette
) -> go.Figure:
    """One attention row before (pale) and after (blue) a change, a bar per token: weights from 0 to 1.

    `texts` are written at the end of the bars.
    """
    rows, names = list(range(len(labels))), token_names(labels)
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "x": [100 * value for value in values],
            "y": rows,
            "orientation": "h",
            "name": name,
            "width": width,
            "marker": {"color": colour},
            "customdata": names,
            "hovertemplate": "%{customdata}, %{fullData.name}: %{x:.1f}\u202f%<extra></extra>",
        }
        for name, values, colour, width in (
            ("τ = 1", before, palette.sequential[2], 0.86),
            ("now", after, palette.positive, 0.5),
        )
    ]
    traces.append(
        {
            "type": "scatter",
            "x": [100 * max(pair) for pair in zip(before, after, strict=True)],
            "y": rows,
            "mode": "text",
            "text": [f"\u2002{text}" for text in texts],
            "textposition": "middle right",
            "hoverinfo": "skip",
            "cliponaxis": False,
            "textfont": {"size": 13, "color": palette.ink1},
        }
    )
    layout = {
        "barmode": "overlay",
        "margin": {"t": 12},
        "yaxis": token_axis(names, palette) | {"showgrid": False},
        "xaxis": {
            "range": [0, 145],  # with room for “68 % → 32 %” after the longest bar
            "tickvals": [0, 50, 100],
            "ticktext": ["0", "50\u202f%", "100\u202f%"],
            "title": {"text": "of its attention"},
            "showgrid": True,
            "gridcolor": palette.line,
        },
    }
    return assembled(traces, layout, palette, height=54 + 24 * len(rows))


def temperature_curves(
    temperatures: Sequence[float],
    tokens: Sequence[float],
    tops: Sequence[float],
    now: tuple[float, float, float],
    ends: tuple[tuple[float, float], tuple[float, float]],
    palette: Palette,
) -> go.Figure:
    """A row's effective number of tokens, and its largest weight (0 to 1), against the temperature on a log axis.

    Arguments
        now: (τ, tokens, top weight), drawn in ink.
        ends: (tokens, top weight) for τ → 0 and for τ → ∞.
    """
    traces: list[dict[str, Any]] = []
    for values, point, axes, unit in (
        (list(tokens), now[1], {}, ":.2f} tokens"),
        ([100 * top for top in tops], 100 * now[2], {"xaxis": "x", "yaxis": "y2"}, ":.1f}\u202f%"),
    ):
        traces += [
            {
                "type": "scatter",
                "x": list(temperatures),
                "y": values,
                "mode": "lines",
                "line": {"color": palette.positive, "width": 2.25},
                "hovertemplate": "τ = %{x}: %{y" + unit + "<extra></extra>",
                **axes,
            },
            {
                "type": "scatter",
                "x": [now[0]],
                "y": [point],
                "mode": "markers",
                "hoverinfo": "skip",
                "marker": {"color": palette.ink, "size": 11, "line": {"color": palette.paper, "width": 2}},
                **axes,
            },
        ]
    (one, top), (many, even) = ends
    shapes, notes = _limits((("y", one, many, ""), ("y2", 100 * top, 100 * even, "\u202f%")), palette)
    shapes += [
        {
            "type": "line",
            "x0": tau,
            "x1": tau,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "layer": "below",
            "line": {"color": colour, "width": 1, "dash": dash},
        }
        for tau, colour, dash in ((1.0, palette.ink2, "dot"), (now[0], palette.ink, "solid"))
    ]
    layout = {
        "shapes": shapes,
        "annotations": notes,
        "margin": {"t": 14, "r": 92},
        "xaxis": {
            "type": "log",
            "tickvals": TAU_TICKS,
            "ticktext": [f"{tau:g}" for tau in TAU_TICKS],
            "title": {"text": "temperature τ"},
            "range": [-1.36, 1.36],
            "anchor": "y2",
        },
        "yaxis": {
            "domain": [0.55, 1],
            "range": [0, 1.12 * many],
            "nticks": 5,
            "title": {"text": "effective tokens"},
        },
        "yaxis2": {
            "domain": [0, 0.45],
            "range": [-9, 112],
            "anchor": "x",
            "title": {"text": "largest weight"},
            **SHARE_TICKS,
        },
    }
    return assembled(traces, layout, palette, height=400)


def _limits(
    axes: Sequence[tuple[str, float, float, str]], palette: Palette
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Dotted lines, and their names, where each axis (name, value for τ → 0, for τ → ∞, unit) ends."""
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for axis, cold, hot, unit in axes:
        for value, name in ((cold, "τ → 0"), (hot, "τ → ∞")) if cold != hot else ((cold, "every τ"),):
            shapes.append(
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "yref": axis,
                    "y0": value,
                    "y1": value,
                    "line": {"color": palette.ink2, "width": 1, "dash": "dot"},
                }
            )
            notes.append(
                {
                    "xref": "paper",
                    "x": 1,
                    "xanchor": "left",
                    "xshift": 6,
                    "yref": axis,
                    "y": value,
                    "showarrow": False,
                    "text": f"{name}: {value:.3g}{unit}",
                    "font": {"size": 13, "color": palette.ink2},
                }
            )
    return shapes, notes


def token_dots(
    labels: Sequence[str],
    plain_run: Sequence[float],
    inside: Sequence[float] | None,
    outside: Sequence[float] | None,
    palette: Palette,
    series: tuple[str, str, str] = ("τ = 1", "τ in attention", "τ on the output"),
) -> go.Figure:
    """The probability of each next token at τ = 1, with τ in attention and with τ on the output, on a log axis.

    None for what is as at τ = 1; `series` are the names of the three.
    """
    names = token_names(labels)
    traces = [
        {
            "type": "scatter",
            "x": [100 * value for value in values],
            "y": list(range(len(labels))),
            "mode": "markers",
            "name": name,
            "marker": marker,
            "customdata": names,
            "hovertemplate": "%{customdata}, %{fullData.name}: %{x:.3g}\u202f%<extra></extra>",
        }
        for name, values, marker in zip(
            series,
            (plain_run, inside, outside),
            (
                {"color": palette.ink2, "symbol": "line-ns-open", "size": 17, "line": {"width": 2}},
                {"color": palette.positive, "size": 11},
                {"color": palette.query, "symbol": "diamond", "size": 11},
            ),
            strict=True,
        )
        if values is not None
    ]
    every = [100 * value for value in (*plain_run, *(inside or ()), *(outside or ())) if value > 0]
    ticks = decades(min(every), max(every))
    layout = {
        "showlegend": True,
        "margin": {"t": 34},
        "yaxis": token_axis(names, palette),
        "legend": {
            "orientation": "h",
            "y": 1,
            "yanchor": "bottom",
            "x": 0,
            "font": {"size": 14, "color": palette.ink1},
        },
        "xaxis": {
            "type": "log",
            "title": {"text": "probability of the token"},
            "tickvals": ticks,
            "range": [math.log10(min(every)) - 0.15, math.log10(max(every)) + 0.15],
            "ticktext": [f"{decimal(tick)}\u202f%" for tick in ticks],
            "showgrid": True,
            "gridcolor": palette.line,
        },
    }
    return assembled(traces, layout, palette, height=84 + 26 * len(labels))


def carried_lines(moved: Sequence[float], palette: Palette) -> go.Figure:
    """How much the vectors have changed after each layer, 0 to 1 of their norm, beside sampling, which changes none."""
    layers = list(range(len(moved)))
    lines = (
        ([100 * value for value in moved], "τ in attention", palette.positive, "solid"),
        ([0.0] * len(moved), "τ on the output", palette.query, "dot"),
    )
    traces = [
        {
            "type": "scatter",
            "x": layers,
            "y": values,
            "mode": "lines+markers",
            "name": name,
            "line": {"color": colour, "width": 2.25, "dash": dash},
            "hovertemplate": "%{fullData.name}<br>layer %{x}: %{y:.1f}\u202f%<extra></extra>",
        }
        for values, name, colour, dash in lines
    ]
    top = max(1.0, 100 * max(moved))
    ends = [(values[-1], name, colour) for values, name, colour, _ in lines]
    layout = {
        "annotations": end_notes(layers[-1], ends, top),
        "margin": {"r": 110},
        "xaxis": {"title": {"text": "layer"}, "dtick": 1, "range": [-0.3, len(moved) - 0.7]},
        "yaxis": {
            "title": {"text": "change, % of the norm"},
            "ticksuffix": "\u202f%",
            "range": [-0.08 * top, 1.08 * top],
        },
    }
    return assembled(traces, layout, palette, height=260)
