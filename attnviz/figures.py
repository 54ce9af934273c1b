"""Every plotly figure and the theme they share: arrays in, go.Figure out.

A figure's title states its point in words above it, on the page; axes carry their units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Palette:
    """The colours of a theme; colour is data, ink is interaction."""

    paper: str
    line: str
    ink: str
    ink1: str
    ink2: str
    query: str  # edge of the looking word
    categories: tuple[str, ...]


LIGHT = Palette(
    "#FFFFFF", "#DFE3E9", "#12161D", "#2A313C", "#59616E", "#C77700",
    ("#3070CA", "#C77700", "#0E5E4A", "#59616E"),
)  # fmt: skip
DARK = Palette(
    "#14171D", "#2C333E", "#F1F3F7", "#D6DBE3", "#A3ABB8", "#FFC35C",
    ("#499BED", "#FFC35C", "#A6E3D0", "#8A93A1"),
)  # fmt: skip


def styled(figure: go.Figure, palette: Palette, *, height: int) -> go.Figure:
    """The figure in the house style: no boxes, horizontal hairlines, ink on paper."""
    axis = {
        "showgrid": False, "zeroline": False, "ticks": "", "automargin": True,
        "tickfont": {"size": 13, "color": palette.ink2},
        "title": {"font": {"size": 14, "color": palette.ink2}, "standoff": 8},
    }  # fmt: skip
    figure.update_layout(
        font={"family": '"Source Sans",system-ui,sans-serif', "size": 14, "color": palette.ink1},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8}, colorway=palette.categories, bargap=0.25, showlegend=False,
        hoverlabel={
            "bgcolor": palette.ink, "bordercolor": "rgba(0,0,0,0)",
            "font": {"size": 15, "color": palette.paper},
        },
    )  # fmt: skip
    figure.update_xaxes(**axis)
    figure.update_yaxes(**{**axis, "showgrid": True, "gridcolor": palette.line})
    return figure


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
        add([100 * row[i] for row in moved], _plain(label), palette.ink2, 1, 0.25)
    mean = [100 * sum(row) / len(row) for row in moved]
    ends = [(mean[-1], "mean", palette.ink)]
    add(mean, "mean of all tokens", palette.ink, 2.25, 1)
    if token is not None:
        own = [100 * row[token] for row in moved]
        add(own, _plain(labels[token]), palette.query, 3, 1)
        ends.append((own[-1], _plain(labels[token]), palette.query))
    styled(figure, palette, height=220)
    for y, text, colour in _apart(ends, 100 * max(max(row) for row in moved)):
        figure.add_annotation(
            x=layers[-1], y=y, text=text, xanchor="left", xshift=8, showarrow=False,
            font={"color": colour, "size": 14},
        )  # fmt: skip
    figure.update_layout(margin={"r": 110})
    figure.update_xaxes(title_text="layer", dtick=1)
    figure.update_yaxes(title_text="moved, of its length", ticksuffix="\u202f%", rangemode="tozero")
    return figure


def _plain(label: str) -> str:
    """A token as text: plotly reads a few HTML tags in names and annotations, and tokens come from strangers."""
    return label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _apart(ends: list[tuple[float, str, str]], top: float) -> list[tuple[float, str, str]]:
    """Labels at the ends of lines, pushed apart where they would overlap (11 % of the height)."""
    if len(ends) == 2 and abs(ends[0][0] - ends[1][0]) < 0.11 * top:
        low, high = sorted(range(2), key=lambda i: ends[i][0])
        middle = (ends[0][0] + ends[1][0]) / 2
        ends[low] = (middle - 0.055 * top, *ends[low][1:])
        ends[high] = (middle + 0.055 * top, *ends[high][1:])
    return ends
