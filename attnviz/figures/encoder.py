"""The encoder block: one LayerNorm, the activation, what the branches add, the tokens' drift, depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnviz.figures.axes import token_names
from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, end_notes, plain
from attnviz.formatting import number

if TYPE_CHECKING:
    import plotly.graph_objects as go

Array = NDArray[np.float64]


def branch_colours(palette: Palette) -> dict[str, str]:
    """Attention blue, feed-forward green, in every figure of the block."""
    return {"attention": palette.categories[0], "feed_forward": palette.categories[2]}


def norm_rows(rows: Sequence[tuple[str, Array]], palette: Palette) -> go.Figure:
    """The numbers of one vector at several stages, (name, (C,)) each: a histogram a row, on one axis.

    Under each row its mean (dot) and one standard deviation to either side (bar).
    """
    edges = _edges(np.concatenate([values for _, values in rows]), 72)
    counts = [np.histogram(values, edges)[0] for _, values in rows]
    tallest = max(int(count.max()) for count in counts)
    traces: list[dict[str, Any]] = []
    notes = []
    for i, ((name, values), count) in enumerate(zip(rows, counts, strict=True)):
        base, seen = float(len(rows) - 1 - i), count > 0
        mean, deviation = float(values.mean()), float(values.std())
        traces += [
            {
                "type": "bar",
                "x": _middles(edges)[seen],
                "y": 0.62 * count[seen] / tallest,
                "base": base,
                "customdata": count[seen],
                "width": edges[1] - edges[0],
                "name": name,
                "marker": {"color": palette.query, "line": {"width": 0}},
                "hovertemplate": "%{fullData.name}<br>%{customdata} numbers near %{x:.2f}<extra></extra>",
            },
            {
                "type": "scatter",
                "x": [mean - deviation, mean, mean + deviation],
                "y": [base - 0.07] * 3,
                "mode": "lines+markers",
                "hoverinfo": "skip",
                "line": {"color": palette.ink, "width": 2},
                "marker": {"size": [0, 9, 0], "color": palette.ink, "opacity": 1},
            },
        ]
        caption = f"<b>{plain(name)}</b><br>mean {number(mean)}, deviation {number(deviation)}"
        notes.append(note(0, base + 0.46, caption, palette.ink1, 14, "left") | {"xref": "paper"})
    layout = {
        "barmode": "overlay",
        "annotations": notes,
        "xaxis": {"title": {"text": "value of the vector’s numbers"}},
        "yaxis": {"visible": False, "range": [-0.2, len(rows) - 0.2]},
    }
    return assembled(traces, layout, palette, height=340)


def activation_curves(
    curves: Mapping[str, tuple[Array, Array]], trained_with: str, hidden_in: Array, palette: Palette
) -> go.Figure:
    """Activations as curves, (inputs, outputs) by name, over where one token's hidden units (F,) fall.

    The model's own curve is drawn in the feed-forward network's green. Units below 0 are grey: off under ReLU.
    """
    edges = _edges(hidden_in, 64, zero=True)
    x = _middles(edges)
    low, high = min(float(edges[0]), -3.0), max(float(edges[-1]), 3.0)
    top = min(high, 4.0)
    traces = [
        _activation_line(name, *curves[name], name == trained_with, palette)
        for name in sorted(curves, key=trained_with.__eq__)
    ]
    traces.append(
        {
            "type": "bar",
            "x": x,
            "y": np.histogram(hidden_in, edges)[0],
            "yaxis": "y2",
            "width": edges[1] - edges[0],
            "name": "hidden units",
            "hovertemplate": "%{y} units near %{x:.2f}<extra></extra>",
            "marker": {"color": [palette.query if at >= 0 else palette.ink2 for at in x], "line": {"width": 0}},
        }
    )
    zero = {
        "type": "line",
        "x0": 0,
        "x1": 0,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "layer": "below",
        "line": {"color": palette.ink2, "width": 1},
    }
    layout = {
        "shapes": [zero],
        "annotations": _curve_names(curves, trained_with, 0.4 * top, palette),
        "xaxis": {"title": {"text": "into the hidden unit"}, "range": [low, high], "anchor": "y2"},
        "yaxis": {"title": {"text": "out of it"}, "range": [-0.6, top], "dtick": 1, "domain": [0.48, 1]},
        "yaxis2": {"title": {"text": "units"}, "domain": [0, 0.4], "anchor": "x"},
    }
    return assembled(traces, layout, palette, height=340)


def _activation_line(name: str, x: Array, y: Array, trained_with: bool, palette: Palette) -> dict[str, Any]:
    colour = branch_colours(palette)["feed_forward"] if trained_with else palette.ink2
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "mode": "lines",
        "name": name,
        "line": {"color": colour, "width": 3 if trained_with else 2, "simplify": False},  # or the bend shows corners
        "hovertemplate": "%{fullData.name}(%{x:.2f}) = %{y:.2f}<extra></extra>",
    }


def _curve_names(
    curves: Mapping[str, tuple[Array, Array]], trained_with: str, at: float, palette: Palette
) -> list[dict[str, Any]]:
    """Names to the left and the right of the curves, where these reach `at`: no legend."""
    notes = []
    for name, anchor, shift in zip(sorted(curves, key="GELU".__eq__), ("right", "left"), (-6, 8), strict=True):
        x, y = curves[name]
        colour = branch_colours(palette)["feed_forward"] if name == trained_with else palette.ink2
        named = note(float(x[np.argmin(np.abs(y - at))]), at, name, colour, 15, anchor)
        notes.append(named | {"xshift": shift, "yshift": -1.5 * shift})
    return notes


def branch_bars(shares: Mapping[str, Array], token: int, label: str, palette: Palette) -> go.Figure:
    """What attention and feed-forward add, as shares of the stream, per layer.

    `shares` has "attention" and, unless there is no such network, "feed_forward", (L, T) each. Bars are means over
    tokens; the diamonds one token's.
    """
    colours, ends = branch_colours(palette), []
    layers = np.arange(len(shares["attention"]))
    bars: list[dict[str, Any]] = []
    diamonds: list[dict[str, Any]] = []
    for name, side in zip(shares, (-0.2, 0.2) if len(shares) > 1 else (0.0,), strict=True):
        word = name.replace("_", "-")
        mean = 100 * shares[name].mean(axis=1)
        bars.append(
            {
                "type": "bar",
                "x": layers + side,
                "y": mean,
                "width": 0.36,
                "marker": {"color": colours[name]},
                "name": f"{word}, mean of all tokens",
                "customdata": layers,
                "hovertemplate": "layer %{customdata}: %{y:.0f}\u202f%<extra>%{fullData.name}</extra>",
            }
        )
        diamonds.append(
            {
                "type": "scatter",
                "x": layers + side,
                "y": 100 * shares[name][:, token],
                "mode": "markers",
                "name": f"{word}, {plain(label)}",
                "customdata": layers,
                "marker": {
                    "size": 11,
                    "symbol": "diamond",
                    "color": palette.query,
                    "line": {"color": palette.paper, "width": 1.5},
                },
                "hovertemplate": "layer %{customdata}: %{y:.0f}\u202f%<extra>%{fullData.name}</extra>",
            }
        )
        ends.append((float(mean[-1]), word, colours[name]))
    last, top = len(layers) - 1, 100 * max(float(share.max()) for share in shares.values())
    layout = {
        "barmode": "overlay",
        "annotations": end_notes(last + 0.4, ends, top),
        "margin": {"r": 110},
        "xaxis": {"title": {"text": "layer"}, "dtick": 1 if last < 12 else 2, "range": [-0.5, last + 0.5]},
        "yaxis": {
            "title": {"text": "addition, % of the stream’s norm"},
            "ticksuffix": "\u202f%",
            "rangemode": "tozero",
        },
    }
    return assembled([*bars, *diamonds], layout, palette, height=300)


def _aside(start: Array, next_one: Array, end: Array, spans: Array) -> int:
    """How far above (px) the name of a path's start stands: away from the path, and not into the name of its end."""
    away = 13 if start[1] > next_one[1] else -13
    to_end = (end - start) / np.maximum(spans, 1e-9) * (270, 380)  # px, on a phone
    return -away if abs(to_end[1] - away) < 12 and abs(to_end[0]) < 80 else away


def drift_paths(points: Array, shares: Array, labels: Sequence[str], token: int, palette: Palette) -> go.Figure:
    """Every token's path through the layers: points (L + 1, T, 2) in one plane, the chosen token in its query colour.

    `shares` (2,): of the whole variance, along each axis. Labels stand at the ends, as many as there is room for.
    """
    states = len(points)
    x, y = (np.pad(points[:, :, i].T, ((0, 0), (0, 1)), constant_values=np.nan).ravel() for i in (0, 1))
    steps = ["before the layers", *(f"after layer {state}" for state in range(states - 1))]
    text = [f"{plain(label)}<br>{step}" for label in labels for step in [*steps, ""]]
    start, next_one = points[0, token], points[min(1, states - 1), token]
    hover: dict[str, Any] = {"hovertemplate": "%{text}<extra></extra>", "type": "scatter"}
    traces: list[dict[str, Any]] = [
        {
            **hover,
            "x": x,
            "y": y,
            "text": text,
            "mode": "lines",
            "opacity": 0.45,
            "name": "all tokens",
            "line": {"color": palette.ink2, "width": 1},
        },
        {
            "type": "scatter",
            "x": points[-1, :, 0],
            "y": points[-1, :, 1],
            "mode": "markers",
            "hoverinfo": "skip",
            "marker": {"size": 6, "color": palette.ink2},
        },
        {
            **hover,
            "x": points[:, token, 0],
            "y": points[:, token, 1],
            "mode": "lines+markers",
            "name": plain(labels[token]),
            "text": text[token * (states + 1) :][:states],
            "line": {"color": palette.query, "width": 3},
            "marker": {"size": 8, "color": palette.query},
        },
    ]
    yshift = _aside(start, next_one, points[-1, token], np.ptp(points.reshape(-1, 2), axis=0))
    notes = [note(start[0], start[1], "embedding", palette.ink2, 12) | {"yshift": yshift}]
    for i in _roomy(points[-1], points.reshape(-1, 2), labels, token):
        size, colour = (15, palette.ink) if i == token else (13, palette.ink2)
        end_note = note(points[-1, i, 0], points[-1, i, 1], token_names([labels[i]])[0], colour, size, "left")
        notes.append(end_note | {"xshift": 7, "bgcolor": tint(palette.paper, 0.8), "borderpad": 0})
    names = [f"direction {i}: {100 * share:.0f}\u202f% of the variance" for i, share in enumerate(shares)]
    bare = {"showticklabels": False, "showgrid": False}
    layout = {
        "hovermode": "closest",
        "margin": {"r": 70},
        "annotations": notes,
        "xaxis": {"title": {"text": names[0]}, **bare},
        "yaxis": {"title": {"text": names[1]}, **bare},
    }
    return assembled(traces, layout, palette, height=460)


def _roomy(ends: Array, everything: Array, labels: Sequence[str], token: int) -> list[int]:
    """Which ends get a label: the chosen token first, then the longest words; none within 12 % × 5 % of another."""
    spread = np.ptp(everything, axis=0)
    room = np.where(spread > 0, spread, 1.0) * [0.12, 0.05]
    kept: list[int] = []
    for i in sorted(range(len(labels)), key=lambda i: (i != token, -len(labels[i]), i)):
        if labels[i] and all((np.abs(ends[i] - ends[j]) > room).any() for j in kept):
            kept.append(i)
    return kept


def depth_lines(
    post: Sequence[float] | Array, pre: Sequence[float] | Array, x_title: str, y_title: str, palette: Palette
) -> go.Figure:
    """Post-norm against pre-norm, layer by layer from 0."""
    pairs = (("post-norm", post, palette.diverging[1]), ("pre-norm", pre, palette.ink))
    traces = [
        {
            "type": "scatter",
            "x": np.arange(len(values)),
            "y": np.asarray(values),
            "mode": "lines+markers",
            "name": name,
            "line": {"color": colour, "width": 2.5},
            "marker": {"size": 7, "color": colour},
            "hovertemplate": "%{fullData.name}, %{x}: %{y:.2f}<extra></extra>",
        }
        for name, values, colour in pairs
    ]
    last, top = len(post) - 1, 1.1 * max(*post, *pre)
    ends = [(float(values[-1]), name, colour) for name, values, colour in pairs]
    layout = {
        "margin": {"r": 84},
        "annotations": end_notes(last, ends, top),
        "xaxis": {"title": {"text": x_title}, "dtick": 1, "range": [-0.5, last + 0.3]},
        "yaxis": {"title": {"text": y_title}, "range": [0, top]},
    }
    return assembled(traces, layout, palette, height=280)


# ---- small things --------------------------------------------------------------------------------


def tint(colour: str, share: float) -> str:
    """A #RRGGBB colour, that much of it."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def _edges(values: Array, n: int, *, zero: bool = False) -> Array:
    """Edges of about n bins over the values; with `zero`, 0 is one of them."""
    low, high = float(values.min()), float(values.max())
    step = (high - low) / n or 1.0
    start = np.floor(low / step) if zero else low / step
    return np.asarray(step * (start + np.arange(int(np.ceil(high / step - start)) + 2)), dtype=np.float64)


def _middles(edges: Array) -> Array:
    return 0.5 * (edges[:-1] + edges[1:])


def note(x: float, y: float, text: str, colour: str, size: int, anchor: str = "center") -> dict[str, Any]:
    """A text at (x, y) without an arrow."""
    return {
        "x": x,
        "y": y,
        "text": text,
        "xanchor": anchor,
        "yanchor": "middle",
        "align": anchor,
        "showarrow": False,
        "font": {"color": colour, "size": size},
    }
