"""How a training goes: curves over its steps, one panel above the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnviz.figures.cost import apart
from attnviz.figures.theme import Palette, assembled, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

GAP = 0.13  # between two panels, in their heights: room for the lower one's title
ROW, FOOT = 170, 60  # px
LINE_PX = 16  # between two names at the right end
MOST_NAMED = 4  # as many as there are colours


@dataclass(frozen=True)
class Curve:
    """One line: a value at each of some steps."""

    name: str  # written at its right end, and on hover; "" for none
    steps: Sequence[int]
    values: Sequence[float]
    faint: bool = False  # drawn behind the others, without its name


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis."""

    title: str  # what is measured, with its unit: "loss, nats"
    curves: Sequence[Curve]
    top: float | None = None  # the axis reaches from 0 to it; None: as far as the values do
    share: bool = False  # values of 0 to 1, written in %


def training_curves(
    panels: Sequence[Panel], palette: Palette, *, last: int, marked: int | None = None, height: int | None = None
) -> go.Figure:
    """Loss, metrics or the learning rate over the steps of a training, one panel per axis, steps below the last.

    last: the training's steps, so that the curves of one that runs grow into the figure; marked: the step looked at,
    a line through all panels with a dot on every curve that is not faint.
    """
    each = 1 / (len(panels) + GAP * (len(panels) - 1))
    height = height or ROW * len(panels) + FOOT
    traces: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "xaxis": {
            "range": [0, last], "title": {"text": "steps"}, "anchor": _axis("y", len(panels) - 1), "tickformat": ",d",
        },
        "margin": {"t": 30, "r": 8 if not any(_named(panel) for panel in panels) else 96}, "annotations": notes,
        "hovermode": "closest",
    }  # fmt: skip
    for row, panel in enumerate(panels):
        bottom = 1 - each * (row + 1 + GAP * row)
        span = _span(panel)
        layout[_axis("yaxis", row)] = {
            "domain": [max(0.0, bottom), bottom + each], "range": span, "nticks": 4, "showgrid": True,
            "gridcolor": palette.line, "tickformat": ".0%" if panel.share else "",
        }  # fmt: skip
        notes.append({
            "x": 0, "xref": "paper", "xanchor": "left", "y": bottom + each, "yref": "paper", "yanchor": "bottom",
            "text": plain(panel.title), "showarrow": False, "font": {"size": 14, "color": palette.ink2},
        })  # fmt: skip
        lines = _lines(panel, row, palette)
        traces += lines
        notes += _names(panel, row, span, palette, (height - FOOT) * each)
        if marked is not None:
            traces += _dots(panel, row, marked, palette)
    if marked is not None:
        layout["shapes"] = [{
            "type": "line", "x0": marked, "x1": marked, "y0": 0, "y1": 1, "yref": "paper", "layer": "below",
            "line": {"color": palette.ink, "width": 1},
        }]  # fmt: skip
    return assembled(traces, layout, palette, height=height)


def _axis(name: str, row: int) -> str:
    """plotly's name for the axis of a row: y, y2, …"""
    return name if row == 0 else f"{name}{row + 1}"


def _named(panel: Panel) -> list[Curve]:
    return [curve for curve in panel.curves if not curve.faint and curve.name and len(curve.steps)][:MOST_NAMED]


def _colours(panel: Panel, palette: Palette) -> list[str]:
    """Of the panel's curves: grey where faint, ink where one stands alone, else the categories."""
    strong = [i for i, curve in enumerate(panel.curves) if not curve.faint]
    own = [palette.positive] if len(strong) == 1 else [*palette.categories]
    chosen = dict(zip(strong, own * (len(strong) // len(own) + 1), strict=False))
    return [chosen.get(i, palette.ink2) for i in range(len(panel.curves))]


def _span(panel: Panel) -> list[float]:
    """From 0 to a little above the highest value, or to the panel's own top."""
    values = [value for curve in panel.curves for value in curve.values]
    low = min([0.0, *values])
    top = panel.top if panel.top is not None else max([0.0, *values])
    return [low, 1.06 * top if top > 0 else 1.0]


def _lines(panel: Panel, row: int, palette: Palette) -> list[dict[str, Any]]:
    """Faint curves first, so that the others lie on top."""
    written = "%{y:.1%}" if panel.share else "%{y:.4g}"
    colours = _colours(panel, palette)
    order = sorted(range(len(panel.curves)), key=lambda i: not panel.curves[i].faint)
    return [
        {
            "type": "scatter", "mode": "lines", "x": panel.curves[i].steps, "y": panel.curves[i].values,
            "yaxis": _axis("y", row), "name": plain(panel.curves[i].name),
            "opacity": 0.35 if panel.curves[i].faint else 1,
            "line": {"color": colours[i], "width": 1.25 if panel.curves[i].faint else 2.25},
            "hovertemplate": f"step %{{x:,}}: {written}<extra>{plain(panel.curves[i].name)}</extra>",
        }
        for i in order
    ]  # fmt: skip


def _dots(panel: Panel, row: int, marked: int, palette: Palette) -> list[dict[str, Any]]:
    """Where the curves stand at the marked step, or at the last one before it."""
    found = []
    for curve, colour in zip(panel.curves, _colours(panel, palette), strict=True):
        at = max((i for i, step in enumerate(curve.steps) if step <= marked), default=None)
        if curve.faint or at is None:
            continue
        found.append({
            "type": "scatter", "mode": "markers", "x": [curve.steps[at]], "y": [curve.values[at]],
            "yaxis": _axis("y", row), "hoverinfo": "skip",
            "marker": {"size": 9, "color": colour, "line": {"color": palette.paper, "width": 2}},
        })  # fmt: skip
    return found


def _names(panel: Panel, row: int, span: list[float], palette: Palette, pixels: float) -> list[dict[str, Any]]:
    """The curves' names at the figure's right edge, level with their ends, none on top of another."""
    colours = dict(zip(map(id, panel.curves), _colours(panel, palette), strict=True))
    ends = [(float(curve.values[-1]), plain(curve.name), colours[id(curve)]) for curve in _named(panel)]
    least = LINE_PX / pixels * (span[1] - span[0])
    return [
        {
            "x": 1, "xref": "paper", "xanchor": "left", "xshift": 8, "y": y, "yref": _axis("y", row), "text": text,
            "showarrow": False, "font": {"size": 14, "color": colour},
        }
        for y, text, colour in apart(ends, least)
    ]  # fmt: skip
