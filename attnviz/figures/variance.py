"""Why attention divides by √d_k: variances of q·k against the width, and what they do to the softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attnviz.figures.axes import SHARE_TICKS, TINY, log_axis
from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled

if TYPE_CHECKING:
    import plotly.graph_objects as go

PRODUCT, SCALED = "q·k", "q·k / √dₖ"


def variance_lines(
    widths: Sequence[int],
    products: Sequence[tuple[float, float, float]],
    scaled: Sequence[tuple[float, float, float]],
    heads: tuple[int, Sequence[float], Sequence[str]],
    palette: Palette,
) -> go.Figure:
    """The variance of q·k and of q·k/√d_k against d_k, log–log, on the theory's lines d_k and 1.

    Arguments
        products, scaled: (measured, low, high) at each width.
        heads: a real model's d_k, the variance of every head's q·k, and their names.
    """
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "x": list(widths),
            "y": theory,
            "mode": "lines",
            "hoverinfo": "skip",
            "line": {"color": palette.ink2, "width": 1, "dash": "dot"},
        }
        for theory in ([float(width) for width in widths], [1.0] * len(widths))
    ]
    for measured, name, colour in ((products, PRODUCT, palette.positive), (scaled, SCALED, palette.query)):
        traces.append(
            {
                "type": "scatter",
                "x": list(widths),
                "y": [value for value, _, _ in measured],
                "mode": "markers",
                "name": name,
                "marker": {"color": colour, "size": 9},
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "color": colour,
                    "thickness": 1.5,
                    "width": 4,
                    "array": [high - value for value, _, high in measured],
                    "arrayminus": [value - low for value, low, _ in measured],
                },
                "hovertemplate": "d = %{x}: variance of %{fullData.name} %{y:.3g}<extra></extra>",
            }
        )
    ends = [(products[-1][0], PRODUCT, palette.positive), (scaled[-1][0], SCALED, palette.query)]
    every = [value for row in (*products, *scaled) for value in row]
    every += [variance for variance in heads[1] if variance > 0]
    layout = {
        "xaxis": _width_axis(widths),
        "yaxis": log_axis(min(every), max(every), "variance"),
        "annotations": _name_ends(widths[-1], ends, logarithmic=True),
        "margin": {"t": 14, "r": 84},
    }
    return assembled([*traces, *_heads(*heads, palette)], layout, palette, height=420)


def saturation_lines(
    widths: Sequence[int], without: Sequence[float], factor: Sequence[float], unit: str, palette: Palette
) -> go.Figure:
    """A measure of softmax rows against d_k, without and with the factor 1/√d_k.

    `unit` "%" is a share (0 to 1) on a linear axis; any other is the title of a logarithmic one.
    """
    share = unit == "%"
    traces = []
    ends = []
    for values, name, colour in ((without, PRODUCT, palette.positive), (factor, SCALED, palette.query)):
        shown = [100 * value if share else value for value in values]
        traces.append(
            {
                "type": "scatter",
                "x": list(widths),
                "y": shown,
                "mode": "lines+markers",
                "name": name,
                "line": {"color": colour, "width": 2.25},
                "hovertemplate": "d = %{x}, softmax of %{fullData.name}: %{y:.3g}"
                + "\u202f%" * share
                + "<extra></extra>",
            }
        )
        ends.append((shown[-1], name, colour))
    up = {"range": [0, 108], "title": {"text": "mean top weight"}, **SHARE_TICKS}
    layout = {
        "xaxis": _width_axis(widths),
        "margin": {"t": 14, "r": 84},
        "yaxis": up if share else log_axis(min(*without, *factor), max(*without, *factor), unit),
        "annotations": _name_ends(widths[-1], ends, logarithmic=not share),
    }
    return assembled(traces, layout, palette, height=300)


def _heads(width: int, variances: Sequence[float], names: Sequence[str], palette: Palette) -> list[dict[str, Any]]:
    """A real model's heads as rings at their width, the lowest and the highest with their names."""
    real = [(variance, name) for variance, name in zip(variances, names, strict=True) if variance > 0]
    if not real:
        return []
    lowest, highest = min(real), max(real)
    return [
        {
            "type": "scatter",
            "x": [width] * len(shown),
            "y": [variance for variance, _ in shown],
            "name": "heads",
            "mode": "markers+text" if side else "markers",
            **({"textposition": side} if side else {}),
            "text": [name for _, name in shown],
            "textfont": {"color": palette.ink, "size": 13},
            "marker": {"color": colour, "symbol": "circle-open", "size": 8},
            "hovertemplate": "%{text}: variance %{y:.3g}<extra></extra>",
        }
        for shown, colour, side in (
            ([one for one in real if lowest < one < highest], palette.ink2, None),
            ([lowest], palette.ink, "bottom center"),
            ([highest], palette.ink, "top center"),
        )
    ]


def _width_axis(widths: Sequence[int]) -> dict[str, Any]:
    shown = list(widths)[::2]
    return {
        "type": "log",
        "tickvals": shown,
        "ticktext": [f"{width:,}" for width in shown],
        "title": {"text": "dₖ, numbers per head"},
        "range": [math.log10(widths[0]) - 0.12, math.log10(widths[-1]) + 0.12],
    }


def _name_ends(x: float, ends: Sequence[tuple[float, str, str]], *, logarithmic: bool) -> list[dict[str, Any]]:
    """Names of two lines at their right ends; `logarithmic`: the y axis. The margin has to leave room for them."""
    return [
        {
            "x": math.log10(x),
            "y": math.log10(max(y, TINY)) if logarithmic else y,
            "text": text,
            "xanchor": "left",
            "xshift": 10,
            "showarrow": False,
            "font": {"color": colour, "size": 14},
        }
        for y, text, colour in ends
    ]
