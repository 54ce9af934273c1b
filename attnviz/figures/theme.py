"""The house style of every figure: axes, labels, annotations, in the colours of `figures.palette`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnviz.errors import check_installed
from attnviz.figures.palette import Palette

if TYPE_CHECKING:
    import plotly.graph_objects as go


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
