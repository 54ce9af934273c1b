"""One layer as a river: the residual stream, what leaves it and what comes back, each as wide as its vector's norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from attnviz.figures.encoder import branch_colours, note, tint
from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled
from attnviz.formatting import number

if TYPE_CHECKING:
    import plotly.graph_objects as go

TRUNK, BRANCH, BOX = 42.0, 81.0, 17.0  # centres of the stream and of the branches, half a box: % of the width
WIDEST = 26.0  # % of the width: the largest norm
HEIGHT = 5.0  # px for each unit of y


class _Plan(NamedTuple):
    """Where things stand, in % of the width (x) and downward in units of `HEIGHT` (y)."""

    stream: tuple[tuple[str, str, float, float, float], ...]  # stage, its word, from, to, height of the word
    branches: tuple[tuple[str, str, float, float, float], ...]  # stage, its name, leaves, height of its box, joins
    norms: tuple[tuple[float, float, str], ...]  # x, y of a LayerNorm; the stage whose norm stands under it


_POST = _Plan(
    (
        ("before", "in", 0, 26, 15),
        ("attention_sum", "sum", 26, 40, 35),
        ("middle", "normed", 40, 71, 48),
        ("feed_sum", "sum", 71, 85, 80),
        ("after", "out", 85, 100, 93),
    ),
    (("attention", "Attention", 2, 11, 26), ("feed_forward", "Feed-forward", 47, 56, 71)),
    ((TRUNK, 40, ""), (TRUNK, 85, "")),
)
_PRE = _Plan(
    (("before", "in", 0, 34, 19), ("middle", "sum", 34, 79, 58), ("after", "out", 79, 100, 91)),
    (("attention", "Attention", 2, 19, 34), ("feed_forward", "Feed-forward", 47, 64, 79)),
    ((BRANCH, 9, "attention_in"), (BRANCH, 54, "feed_in")),
)
_POST_ALONE = _Plan(  # of attention only
    (("before", "in", 0, 26, 15), ("attention_sum", "sum", 26, 40, 35), ("after", "out", 40, 56, 49)),
    _POST.branches[:1],
    _POST.norms[:1],
)
_PRE_ALONE = _Plan((("before", "in", 0, 34, 19), ("after", "out", 34, 56, 46)), _PRE.branches[:1], _PRE.norms[:1])


def block_diagram(lengths: Mapping[str, float], norm_first: bool, widest: float, palette: Palette) -> go.Figure:
    """One token's way through one layer, top to bottom; every band is as wide as its vector's norm.

    `lengths`: norms by stage, as of `attnviz.analysis.residual.Block.lengths`, without those of the feed-forward
    network for a layer of attention only; a norm of `widest` takes the full width, so that two diagrams compare.
    """
    post, pre = (_POST, _PRE) if "feed_forward" in lengths else (_POST_ALONE, _PRE_ALONE)
    plan = pre if norm_first else post
    bottom = plan.stream[-1][3]
    unit = WIDEST / widest if widest > 0 else 0.0
    shapes = [_trunk([(unit * lengths[name] / 2, start, end) for name, _, start, end, _ in plan.stream], palette)]
    notes = []
    for name, title, leaves, box, joins in plan.branches:
        colour = branch_colours(palette)[name]
        shapes += _branch(leaves, box, joins, unit * lengths[name] / 2, colour, palette)
        notes.append(note(BRANCH, box, title, palette.ink, 14))
        notes.append(note(99, box + 12, f"adds {number(lengths[name])}", colour, 14, "right"))
    for x, y, under in plan.norms:
        shapes.append(_box(x, y, palette.ink2, palette))
        notes.append(note(x, y, "LayerNorm", palette.ink, 13))
        if under:
            notes.append(note(x + 2, y + 5, number(lengths[under]), palette.ink2, 13, "left"))
    for name, word, _, _, y in plan.stream:
        notes.append(note(24, y, f"<b>{number(lengths[name])}</b><br>{word}", palette.ink, 14, "right"))
    layout = {
        "shapes": shapes,
        "annotations": notes,
        "margin": {"l": 0, "r": 0, "t": 8, "b": 0},
        "xaxis": {"range": [0, 100], "visible": False},
        "yaxis": {"range": [bottom + 3, -1], "visible": False},
    }
    return assembled(
        [_plus([joins for *_, joins in plan.branches], palette)], layout, palette, height=round(HEIGHT * (bottom + 4))
    )


def _trunk(segments: Sequence[tuple[float, float, float]], palette: Palette) -> dict[str, Any]:
    """The stream as one closed outline: (half width, from, to) per segment, with smooth steps between them."""
    knots = [(half, y) for half, start, end in segments for y in (start + 1.5, end - 1.5)]
    knots[0], knots[-1] = (knots[0][0], segments[0][1]), (knots[-1][0], segments[-1][2])
    path = ""
    for side, way in ((1, knots), (-1, knots[::-1])):
        path += f"{'L' if path else 'M'} {TRUNK + side * way[0][0]},{way[0][1]} "
        for a, b in pairwise(way):
            path += _curve(TRUNK + side * a[0], a[1], TRUNK + side * b[0], b[1]) + " "
    return {
        "type": "path",
        "path": f"{path}Z",
        "fillcolor": tint(palette.query, 0.22),
        "layer": "below",
        "line": {"color": palette.query, "width": 1.5},
    }


def _branch(
    leaves: float, box: float, joins: float, half: float, colour: str, palette: Palette
) -> list[dict[str, Any]]:
    """A thin line out of the stream, the branch's box, and a ribbon as wide as what it adds, back into the stream."""
    way = f"M {TRUNK},{leaves} C {BRANCH - 12},{leaves} {BRANCH},{leaves} {BRANCH},{leaves + 5} V {box}"
    bottom = box + 3
    there = _curve(BRANCH - half, bottom, TRUNK - half, joins)
    back = _curve(TRUNK + half, joins, BRANCH + half, bottom)
    ribbon = f"M {BRANCH - half},{bottom} {there} L {TRUNK + half},{joins} {back} Z"
    below: dict[str, Any] = {"type": "path", "layer": "below"}
    return [
        {**below, "path": way, "line": {"color": palette.ink2, "width": 1.5}},
        {**below, "path": ribbon, "fillcolor": tint(colour, 0.4), "line": {"color": colour, "width": 1}},
        _box(BRANCH, box, colour, palette),
    ]


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = (y0 + y1) / 2
    return f"C {x0},{middle} {x1},{middle} {x1},{y1}"


def _box(x: float, y: float, line: str, palette: Palette) -> dict[str, Any]:
    return {
        "type": "rect",
        "x0": x - BOX,
        "x1": x + BOX,
        "y0": y - 3.2,
        "y1": y + 3.2,
        "layer": "below",
        "fillcolor": palette.paper,
        "line": {"color": line, "width": 1.5},
    }


def _plus(ys: Sequence[float], palette: Palette) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [TRUNK] * len(ys),
        "y": list(ys),
        "mode": "markers+text",
        "text": ["+"] * len(ys),
        "hoverinfo": "skip",
        "textfont": {"size": 18, "color": palette.ink},
        "marker": {"size": 24, "color": palette.paper, "opacity": 1, "line": {"color": palette.ink, "width": 1.5}},
    }
