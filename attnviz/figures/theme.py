"""The house style of every figure: axes, labels, annotations, in the colours of `figures.palette`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnviz.errors import check_installed
from attnviz.figures.palette import Palette
from attnviz.figures.plain import figure

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
    house = _house(palette, height)
    whole = {**house, "template": {}}
    for name, value in layout.items():
        base = house.get(name[:5] if name[:5] in ("xaxis", "yaxis") else name)
        whole[name] = _laid_over(base, value) if isinstance(base, dict) else value
    return figure({"data": list(traces), "layout": whole})


def _house(palette: Palette, height: int) -> dict[str, Any]:
    """The layout that all figures share."""
    axis = {
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
        "fixedrange": True,
        "automargin": True,
        "ticklabeloverflow": "allow",  # margins take in all labels; to look for others takes a third of the time
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
        "dragmode": False,  # with axes that stay where they are: a finger on a chart scrolls the page
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


def ink_on(fill: str) -> str:
    """Black or white: the one that contrasts more with a fill (WCAG 2.1)."""
    parts = [int(fill[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (light + 0.05) / 0.05 > 1.05 / (light + 0.05) else "#FFFFFF"


def end_notes(x: float, ends: Sequence[tuple[float, str, str]], top: float) -> list[dict[str, Any]]:
    """Names lines at their right end instead of in a legend: (y, text, colour) each; those that would touch part.

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
        for y, text, colour in apart(ends, 0.11 * top)
    ]


def apart(ends: Sequence[tuple[float, str, str]], least: float) -> list[tuple[float, str, str]]:
    """Labels (y, text, colour) moved as little as it takes to stand `least` apart, their order kept."""
    groups: list[list[tuple[float, str, str]]] = []
    for end in sorted(ends):
        groups.append([end])
        while (
            len(groups) > 1
            and _middle(groups[-1]) - _middle(groups[-2]) < least * (len(groups[-1]) + len(groups[-2])) / 2
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [
        (_middle(group) + (i - (len(group) - 1) / 2) * least, text, colour)
        for group in groups
        for i, (_, text, colour) in enumerate(group)
    ]


def _middle(group: Sequence[tuple[float, str, str]]) -> float:
    return sum(y for y, _, _ in group) / len(group)
