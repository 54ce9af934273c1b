"""Softmax under a temperature, and why attention divides by √d_k."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attnviz.figures.theme import Palette, assembled, end_notes, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

TAU_TICKS = (0.05, 0.2, 1, 5, 20)
PRODUCT, SCALED = "q·k", "q·k / √dₖ"
TINY = 1e-300  # stands for 0 on a logarithmic axis
_LONGEST = 14  # characters of a token beside its bar
_STILL: dict[str, Any] = {"fixedrange": True}  # nothing to zoom into, and a finger scrolls the page
_SHARES: dict[str, Any] = {"tickvals": [0, 50, 100], "ticktext": ["0\u202f%", "50\u202f%", "100\u202f%"]}


def weight_bars(
    labels: Sequence[str], before: Sequence[float], after: Sequence[float], texts: Sequence[str], palette: Palette
) -> go.Figure:
    """One attention row before (pale) and after (blue) a change, a bar per token: weights from 0 to 1.

    `texts` are written at the end of the bars.
    """
    rows, names = list(range(len(labels))), _names(labels)
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
        "yaxis": _token_axis(names, palette) | {"showgrid": False},
        "xaxis": {
            "range": [0, 115],
            "tickvals": [0, 50, 100],
            "ticktext": ["0", "50\u202f%", "100\u202f%"],
            "title": {"text": "of its attention"},
            "showgrid": True,
            "gridcolor": palette.line,
            **_STILL,
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
    """How many tokens a row spreads over, and its top weight (0 to 1), against the temperature on a log axis.

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
            **_STILL,
        },
        "yaxis": {
            "domain": [0.55, 1],
            "range": [0, 1.12 * many],
            "nticks": 5,
            "title": {"text": "spreads over, tokens"},
            **_STILL,
        },
        "yaxis2": {
            "domain": [0, 0.45],
            "range": [-9, 112],
            "anchor": "x",
            "title": {"text": "top weight"},
            **_SHARES,
            **_STILL,
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
    inside: Sequence[float],
    outside: Sequence[float],
    palette: Palette,
) -> go.Figure:
    """The probability of each next token at τ = 1, with τ in attention and with τ on the output, on a log axis."""
    names = _names(labels)
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
        for name, values, marker in (
            ("τ = 1", plain_run, {"color": palette.ink2, "symbol": "line-ns-open", "size": 17, "line": {"width": 2}}),
            ("τ in attention", inside, {"color": palette.positive, "size": 11}),
            ("τ on the output", outside, {"color": palette.query, "symbol": "diamond", "size": 11}),
        )
    ]
    every = [100 * value for value in (*plain_run, *inside, *outside) if value > 0]
    ticks = _decades(min(every), max(every))
    layout = {
        "showlegend": True,
        "margin": {"t": 34},
        "yaxis": _token_axis(names, palette),
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
            "ticktext": [f"{_decimal(tick)}\u202f%" for tick in ticks],
            "showgrid": True,
            "gridcolor": palette.line,
            **_STILL,
        },
    }
    return assembled(traces, layout, palette, height=84 + 26 * len(labels))


def carried_lines(moved: Sequence[float], palette: Palette) -> go.Figure:
    """How far the vectors have moved after each layer, 0 to 1 of their length, beside sampling, which moves none."""
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
        "xaxis": {"title": {"text": "layer"}, "dtick": 1, "range": [-0.3, len(moved) - 0.7], **_STILL},
        "yaxis": {
            "title": {"text": "moved, of its length"},
            "ticksuffix": "\u202f%",
            "range": [-0.08 * top, 1.08 * top],
            **_STILL,
        },
    }
    return assembled(traces, layout, palette, height=260)


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
        "yaxis": _log_axis(min(every), max(every), "variance"),
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
    up = {"range": [0, 108], "title": {"text": "mean top weight"}, **_SHARES, **_STILL}
    layout = {
        "xaxis": _width_axis(widths),
        "margin": {"t": 14, "r": 84},
        "yaxis": up if share else _log_axis(min(*without, *factor), max(*without, *factor), unit),
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
            "textposition": side,
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


def _names(labels: Sequence[str]) -> list[str]:
    return [plain(label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…") for label in labels]


def _token_axis(names: Sequence[str], palette: Palette) -> dict[str, Any]:
    """A row for every token, top to bottom."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "range": [len(names) - 0.4, -0.6],
        "ticklabelstandoff": 6,
        "tickfont": {"size": 14, "color": palette.ink1},
        **_STILL,
    }


def _width_axis(widths: Sequence[int]) -> dict[str, Any]:
    shown = list(widths)[::2]
    return {
        "type": "log",
        "tickvals": shown,
        "ticktext": [f"{width:,}" for width in shown],
        "title": {"text": "dₖ, numbers per head"},
        "range": [math.log10(widths[0]) - 0.12, math.log10(widths[-1]) + 0.12],
        **_STILL,
    }


def _log_axis(low: float, high: float, title: str) -> dict[str, Any]:
    """A logarithmic y axis around the values, with room for a label above and below them."""
    ticks = _decades(low, high)
    return {
        "type": "log",
        "range": [math.log10(max(low, TINY)) - 0.35, math.log10(max(high, TINY)) + 0.35],
        "title": {"text": title},
        "tickvals": ticks,
        "ticktext": [_decimal(tick) for tick in ticks],
        **_STILL,
    }


def _decades(low: float, high: float) -> list[float]:
    """At most six powers of ten from about `low` to `high`; 1, 2 and 5 times them where there are few."""
    first, last = math.floor(math.log10(max(low, TINY))), math.ceil(math.log10(max(high, TINY)))
    powers = list(range(first, last + 1))
    if len(powers) > 3:
        return [10.0**power for power in powers[:: math.ceil(len(powers) / 6)]]
    return [step * 10.0**power for power in powers for step in (1, 2, 5)]


def _decimal(value: float) -> str:
    """A tick as text: 1,000, 0.02, and 10⁻⁹ where zeros would have to be counted."""
    if value >= 1:
        return f"{value:,.0f}"
    power = math.floor(math.log10(value) + 1e-9)
    if power < -5:
        digit = round(value / 10.0**power)
        return f"{'' if digit == 1 else f'{digit}·'}10<sup>−{-power}</sup>"
    return f"{value:.{-power}f}"


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
