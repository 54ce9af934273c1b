"""What a change inside one layer does to all that follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.figures.theme import Palette, end_labels, plain, styled

if TYPE_CHECKING:
    import plotly.graph_objects as go


def downstream_lines(
    moved: Sequence[Sequence[float]], labels: Sequence[str], token: int | None, palette: Palette
) -> go.Figure:
    """How far each token's vector has moved from the unchanged run, layer by layer.

    `moved` is (L, T): ‖x′ − x‖ / ‖x‖ after each layer. The chosen token is drawn in its query colour, the
    mean of all tokens in ink; every token is there, faintly.
    """
    import plotly.graph_objects as go

    layers = list(range(len(moved)))
    figure = go.Figure()

    def add(values: list[float], name: str, colour: str, width: float, opacity: float) -> None:
        figure.add_scatter(
            x=layers, y=values, mode="lines", opacity=opacity, name=name, line={"color": colour, "width": width},
            hovertemplate="%{fullData.name}<br>layer %{x}: %{y:.1f}\u202f%<extra></extra>",
        )  # fmt: skip

    for i, label in enumerate(labels):
        add([100 * row[i] for row in moved], plain(label), palette.ink2, 1, 0.25)
    mean = [100 * sum(row) / len(row) for row in moved]
    ends = [(mean[-1], "mean", palette.ink)]
    add(mean, "mean of all tokens", palette.ink, 2.25, 1)
    if token is not None:
        own = [100 * row[token] for row in moved]
        add(own, plain(labels[token]), palette.query, 3, 1)
        ends.append((own[-1], plain(labels[token]), palette.query))
    styled(figure, palette, height=220)
    end_labels(figure, layers[-1], ends, 100 * max(max(row) for row in moved))
    figure.update_xaxes(title_text="layer", dtick=1)
    figure.update_yaxes(title_text="moved, of its length", ticksuffix="\u202f%", rangemode="tozero")
    return figure
