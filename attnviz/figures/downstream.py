"""What a change inside one layer does to all that follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, end_notes, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go


def downstream_lines(
    moved: Sequence[Sequence[float]], labels: Sequence[str], token: int | None, palette: Palette
) -> go.Figure:
    """How far each token's vector has moved from the unchanged run, layer by layer.

    `moved` is (L, T): ‖x′ − x‖ / ‖x‖ after each layer. The chosen token is drawn in its query colour, the
    mean of all tokens in ink; every token is there, faintly.
    """
    layers = list(range(len(moved)))

    def line(values: list[float], name: str, colour: str, width: float, opacity: float) -> dict[str, Any]:
        return {
            "type": "scatter",
            "x": layers,
            "y": values,
            "mode": "lines",
            "opacity": opacity,
            "name": name,
            "line": {"color": colour, "width": width},
            "hovertemplate": "%{fullData.name}<br>layer %{x}: %{y:.1f}\u202f%<extra></extra>",
        }

    traces = [
        line([100 * row[i] for row in moved], plain(label), palette.ink2, 1, 0.25) for i, label in enumerate(labels)
    ]
    mean = [100 * sum(row) / len(row) for row in moved]
    ends = [(mean[-1], "mean", palette.ink)]
    traces.append(line(mean, "mean of all tokens", palette.ink, 2.25, 1))
    if token is not None:
        of_token = [100 * row[token] for row in moved]
        traces.append(line(of_token, plain(labels[token]), palette.query, 3, 1))
        ends.append((of_token[-1], plain(labels[token]), palette.query))
    top = 100 * max(max(row) for row in moved)
    layout = {
        "annotations": end_notes(layers[-1], ends, top),
        "margin": {"r": 110},
        "xaxis": {"title": {"text": "layer"}, "dtick": 1},
        "yaxis": {"title": {"text": "change, % of the vector’s norm"}, "ticksuffix": "\u202f%", "rangemode": "tozero"},
    }
    return assembled(traces, layout, palette, height=220)
