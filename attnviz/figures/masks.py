"""What a mask, or a word that it hides, does to every token's output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, plain
from attnviz.formatting import percent, scientific, shortened

if TYPE_CHECKING:
    import plotly.graph_objects as go

LONGEST_LABEL = 12  # characters of a token under its bar
ROW = 132  # px of one row of bars


def token_bars(
    rows: Sequence[tuple[str, Sequence[float]]],
    labels: Sequence[str],
    palette: Palette,
    *,
    marked: int | None = None,
    zero: float = 0.0,
) -> go.Figure:
    """A bar per token, in one row or in several above each other on one scale.

    `rows`: a name and the T shares of it (0.5 is drawn as 50 %). `marked` is the token in question, drawn in its query
    colour. Shares up to `zero` have no bar but a 0: an output that did not change is a finding, not a gap.
    """
    names = [plain(f"{i} {shortened(label, LONGEST_LABEL)}") for i, label in enumerate(labels)]
    top = max(1.0, *(100 * share for _, shares in rows for share in shares))
    colours = [palette.query if i == marked else palette.positive for i in range(len(names))]
    several = len(rows) > 1
    layout: dict[str, Any] = {
        "annotations": [],
        "margin": {"t": 36 if several else 12},
        "xaxis": {
            "type": "category",
            "anchor": f"y{len(rows) if several else ''}",
            "title": {"text": "position and token"},
        },
    }
    traces: list[dict[str, Any]] = []
    for number, (name, shares) in enumerate(rows):
        axis, domain = str(number + 1) if number else "", _domain(number, len(rows))
        traces.append(
            {
                "type": "bar",
                "x": names,
                "y": [100 * share for share in shares],
                "name": plain(name),
                "yaxis": f"y{axis}",
                "marker": {"color": colours, "line": {"width": 0}},
                "text": ["0" if s <= zero else "" for s in shares],
                "textposition": "outside",
                "textfont": {"size": 13, "color": palette.ink2},
                "cliponaxis": False,
                "customdata": [scientific(share, 1) if 0 < share < 1e-5 else percent(share) for share in shares],
                "hovertemplate": "%{x}: %{customdata}<extra>%{fullData.name}</extra>",
            }
        )
        layout[f"yaxis{axis}"] = {
            "domain": domain,
            "range": [0, 1.15 * top],
            "ticksuffix": "\u202f%",
            "nticks": 4,
        }
        if several:
            layout["annotations"].append(
                {
                    "text": plain(name),
                    "x": 0,
                    "y": domain[1],
                    "xref": "paper",
                    "yref": "paper",
                    "xanchor": "left",
                    "yanchor": "bottom",
                    "showarrow": False,
                    "font": {"size": 14, "color": palette.ink},
                }
            )
    return assembled(traces, layout, palette, height=token_bars_height(len(rows)))


def token_bars_height(rows: int) -> int:
    """How high (px) a picture of so many rows of bars is."""
    return ROW * rows + 96


def _domain(number: int, rows: int) -> list[float]:
    """The part of the height that a row takes, the first on top."""
    gap = 0.16 if rows > 1 else 0.0
    height = (1 - gap * (rows - 1)) / rows
    start = (rows - 1 - number) * (height + gap)
    return [start, min(1.0, start + height)]
