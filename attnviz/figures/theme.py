"""The house style of every figure: colours of the light and the dark theme, axes, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnviz.errors import check_installed

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
    key: str  # edge of the seen word
    positive: str
    negative: str
    categories: tuple[str, ...]  # at most four in a figure, labelled directly
    sequential: tuple[str, ...]  # amounts, from nothing to all
    diverging: tuple[str, ...]  # signed changes, from less to more


LIGHT = Palette(
    "#FFFFFF",
    "#DFE3E9",
    "#12161D",
    "#2A313C",
    "#59616E",
    "#C77700",
    "#3070CA",
    "#3070CA",
    "#CC573C",
    ("#3070CA", "#C77700", "#0E5E4A", "#59616E"),
    (
        "#FFFFFF",
        "#E1EFFF",
        "#BBDAFE",
        "#8EC1FF",
        "#63A3F3",
        "#4487E1",
        "#3070CA",
        "#2259AC",
        "#1A4185",
        "#132B5A",
    ),
    (
        "#68231D",
        "#B1402C",
        "#E27455",
        "#FCB79E",
        "#FFECE5",
        "#FFFFFF",
        "#E1EFFF",
        "#8EC1FF",
        "#4487E1",
        "#2259AC",
        "#132B5A",
    ),
)
DARK = Palette(
    "#14171D",
    "#2C333E",
    "#F1F3F7",
    "#D6DBE3",
    "#A3ABB8",
    "#FFC35C",
    "#73BAFF",
    "#499BED",
    "#F29270",
    ("#499BED", "#FFC35C", "#A6E3D0", "#8A93A1"),
    (
        "#14171D",
        "#19253B",
        "#1D3964",
        "#205090",
        "#2668B6",
        "#3180D4",
        "#499BED",
        "#73BAFF",
        "#A8D5FE",
        "#D5EBFF",
    ),
    (
        "#FFDCCD",
        "#F29270",
        "#BC4F35",
        "#692921",
        "#231715",
        "#14171D",
        "#19253B",
        "#205090",
        "#3180D4",
        "#73BAFF",
        "#D5EBFF",
    ),
)


def assembled(
    traces: Sequence[dict[str, Any]], layout: Mapping[str, Any], palette: Palette, *, height: int
) -> go.Figure:
    """A figure in the house style: no boxes, horizontal hairlines, ink on paper. What `layout` names is laid over it,
    axis by axis.

    Plotly checks names and values in the tests, not here: that takes ten times as long as all the rest.
    """
    check_installed("A figure", "plotly")
    import plotly.graph_objects as go

    house = _house(palette, height)
    whole = {**house, "template": {}}
    for name, value in layout.items():
        base = house.get(name[:5] if name[:5] in ("xaxis", "yaxis") else name)
        whole[name] = _laid_over(base, value) if isinstance(base, dict) else value
    return go.Figure({"data": list(traces), "layout": whole}, _validate=False)


def _house(palette: Palette, height: int) -> dict[str, Any]:
    """The layout that all figures share."""
    axis = {
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "tickfont": {"size": 13, "color": palette.ink2},
        "title": {"font": {"size": 14, "color": palette.ink2}, "standoff": 8},
    }
    return {
        "font": {"family": '"Source Sans",system-ui,sans-serif', "size": 14, "color": palette.ink1},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "colorway": palette.categories,
        "bargap": 0.25,
        "showlegend": False,
        "hoverlabel": {
            "bgcolor": palette.ink,
            "bordercolor": "rgba(0,0,0,0)",
            "font": {"size": 15, "color": palette.paper},
        },
        "xaxis": axis,
        "yaxis": {**axis, "showgrid": True, "gridcolor": palette.line},
    }


def _laid_over(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `more` says, dict by dict."""
    merged = dict(base)
    for name, value in more.items():
        old = merged.get(name)
        merged[name] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def colour_scale(steps: Sequence[str]) -> list[list[float | str]]:
    """The steps as plotly's colour scale, evenly spaced over 0 to 1."""
    return [[i / (len(steps) - 1), step] for i, step in enumerate(steps)]


def plain(label: str) -> str:
    """A token as text: plotly reads a few HTML tags in names, ticks and annotations, and tokens come from strangers."""
    return label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def end_notes(x: float, ends: Sequence[tuple[float, str, str]], top: float) -> list[dict[str, Any]]:
    """Names lines at their right end instead of in a legend: (y, text, colour) each; two that would touch part.

    Annotations for `assembled`; the figure's right margin has to leave room for them.
    """
    return [
        {
            "x": x,
            "y": y,
            "text": text,
            "xanchor": "left",
            "xshift": 8,
            "showarrow": False,
            "font": {"color": colour, "size": 14},
        }
        for y, text, colour in _apart(list(ends), top)
    ]


def _apart(ends: list[tuple[float, str, str]], top: float) -> list[tuple[float, str, str]]:
    """Labels at the ends of lines, pushed apart where they would overlap (11 % of the height)."""
    if len(ends) == 2 and abs(ends[0][0] - ends[1][0]) < 0.11 * top:
        low, high = sorted(range(2), key=lambda i: ends[i][0])
        middle = (ends[0][0] + ends[1][0]) / 2
        ends[low] = (middle - 0.055 * top, *ends[low][1:])
        ends[high] = (middle + 0.055 * top, *ends[high][1:])
    return ends
