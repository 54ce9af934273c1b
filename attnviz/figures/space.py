"""Points with names on a plane, or as one looks at them in three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnviz.figures.axes import token_names
from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 560  # px
SIZE, NEAREST, FARTHEST = 11, 16, 7  # px
PLOT = (270, 440)  # px between the axes on a phone
LETTER, LINE, OFF = 7, 14, 14  # px: a letter's width, a name's height, and how far from its point it stands
SIDES = {  # right and above, by how much of a step
    "top center": (0, 1),
    "bottom center": (0, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "top left": (-1, 1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
}
Box = tuple[float, float, float, float]  # left, bottom, right, top


@dataclass(frozen=True)
class Dot:
    """One point."""

    x: float
    y: float
    name: str
    about: str  # for who points at it
    kind: int | None = 0  # a category's number; None for none
    amount: float | None = None  # 0 … 1, instead of a category
    tells: int = -1  # what a click on it tells
    is_key: bool = False  # drawn as a diamond
    is_named: bool = True
    near: float | None = None  # 0 … 1 of how near it is to who looks; None on a plane
    is_lit: bool = False  # outlined in ink: the chosen one and its neighbours


def dots(points: Sequence[Dot], chosen: int, axes: tuple[str, str], palette: Palette) -> go.Figure:
    """The points in equal units both ways; a click tells what a point `tells`.

    Arguments
        chosen: the number of the point that is asked about.
        axes: their titles.
    """
    order = sorted(range(len(points)), key=lambda i: (i == chosen, points[i].near or 0.0))  # what is near covers
    shown = [points[i] for i in order]
    names = token_names([one.name for one in shown])
    lit = [one.is_lit or i == chosen for i, one in zip(order, shown, strict=True)]
    sides = _sides(shown, names)
    marks = {
        "type": "scatter",
        "mode": "markers+text",
        "x": [one.x for one in shown],
        "y": [one.y for one in shown],
        "text": [name if side else "" for name, side in zip(names, sides, strict=True)],
        "textposition": [side or "top center" for side in sides],
        "textfont": {
            "size": [15 if i == chosen else 13 for i in order],
            "color": [palette.ink if one else palette.ink2 for one in lit],
        },
        "customdata": [[one.tells, plain(one.about)] for one in shown],
        "hovertemplate": "%{customdata[1]}<extra></extra>",
        "cliponaxis": False,
        "marker": {
            "opacity": 1,
            "symbol": ["diamond" if one.is_key else "circle" for one in shown],
            "size": [_size(one) for one in shown],
            "color": [_fill(one, palette) for one in shown],
            "line": {
                "width": [2.5 if i == chosen else 1.5 if one else 1 for i, one in zip(order, lit, strict=True)],
                "color": [palette.ink if one else palette.edge for one in lit],
            },
        },
    }
    axis: dict[str, Any] = {"showgrid": False, "zeroline": False, "nticks": 5}
    layout = {
        "margin": {"t": 28, "r": 28},
        "xaxis": {**axis, "title": {"text": axes[0]}},
        "yaxis": {**axis, "title": {"text": axes[1]}, "scaleanchor": "x", "scaleratio": 1},
    }
    return assembled([marks], layout, palette, height=HEIGHT)


def _sides(shown: Sequence[Dot], names: Sequence[str]) -> list[str]:
    """Where each name stands beside its point, so that it covers no other name or point on a phone.

    First to choose are the chosen point, the last, then its neighbours and what is near. "" for a name that would
    cover another one wherever it stood, and for a point without a name.
    """
    across, up = ([getattr(one, axis) for one in shown] for axis in ("x", "y"))
    spans = [max(values) - min(values) or 1.0 for values in (across, up)]
    scale = min(PLOT[0] / spans[0], PLOT[1] / spans[1])  # px for a unit of either axis
    places = [(one.x * scale, one.y * scale) for one in shown]
    points = [(x - SIZE / 2, y - SIZE / 2, x + SIZE / 2, y + SIZE / 2) for x, y in places]
    written: list[Box] = []
    sides = [""] * len(shown)
    for i in sorted(range(len(shown)), key=lambda i: (i < len(shown) - 1, not shown[i].is_lit, -i)):
        if not shown[i].is_named:
            continue
        (x, y), half = places[i], LETTER * len(names[i]) / 2
        free = {}
        for side, (right, above) in SIDES.items():
            middle, height = x + right * (half + OFF / 2), y + above * OFF
            box = (middle - half, height - LINE / 2, middle + half, height + LINE / 2)
            if not any(_overlaps(box, other) for other in written):
                free[side] = box
        if free:
            sides[i] = min(free, key=lambda side: sum(_overlaps(free[side], point) for point in points))
            written.append(free[sides[i]])
    return sides


def _overlaps(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _size(one: Dot) -> float:
    return SIZE if one.near is None else FARTHEST + (NEAREST - FARTHEST) * one.near


def _fill(one: Dot, palette: Palette) -> str:
    if one.amount is None:
        return palette.paper if one.kind is None else palette.categories[one.kind % len(palette.categories)]
    steps = palette.sequential
    return steps[min(len(steps) - 1, int(one.amount * len(steps)))]
