"""Measures of the same tokens beside each other: a row for every token, a column for every measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.figures.axes import token_axis, token_names
from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, colour_scale

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW, AROUND = 24, 36  # px
SLANTED = 40  # px at the right, where on a phone the last heading slants over the edge


def measure_columns(
    values: Mapping[str, Sequence[float]],
    written: Mapping[str, Sequence[str]],
    signed: Sequence[str],
    labels: Sequence[str],
    palette: Palette,
    *,
    room: int = 0,
) -> go.Figure:
    """Each column in the share of its own largest number, position √: from nothing to all, or from − to + if signed.

    Arguments
        values: a column's heading → a number for each token.
        written: the same as text, for who points at a cell.
        signed: the headings of the columns whose numbers have a sign.
        room: how many columns there is room for, at least those that there are.
    """
    names = [f"{i} {name}" for i, name in enumerate(token_names(labels))]
    headings = list(values)
    traces = []
    for scale, low in (("plain", 0.0), ("signed", -1.0)):
        columns = [i for i, heading in enumerate(headings) if (heading in signed) == (scale == "signed")]
        if columns:
            traces.append(
                {
                    "type": "heatmap",
                    "x": columns,
                    "y": list(range(len(labels))),
                    "z": np.stack([_shares(values[headings[i]]) for i in columns], axis=1),
                    "zmin": low,
                    "zmax": 1.0,
                    "colorscale": colour_scale(palette.sequential if scale == "plain" else palette.diverging),
                    "showscale": False,
                    "xgap": 3,
                    "ygap": 1,
                    "text": [
                        [f"{headings[i]}, {name}: {written[headings[i]][row]}" for i in columns]
                        for row, name in enumerate(names)
                    ],
                    "hovertemplate": "%{text}<extra></extra>",
                }
            )
    layout: dict[str, Any] = {
        "margin": {"t": AROUND, "r": SLANTED},
        "xaxis": {
            "side": "top",
            "tickvals": list(range(len(headings))),
            "ticktext": headings,
            "range": [-0.5, max(room, len(headings)) - 0.5],
            "autotickangles": [0, -45],
            "tickfont": {"size": 14, "color": palette.ink1},
        },
        "yaxis": {**token_axis(names, palette), "showgrid": False, "range": [len(labels) - 0.5, -0.5]},
    }
    return assembled(traces, layout, palette, height=AROUND + ROW * len(labels))


def _shares(column: Sequence[float]) -> np.ndarray:
    """±√ of each number's share of the largest."""
    numbers = np.asarray(column, dtype=np.float64)
    largest = float(np.abs(numbers).max(initial=0.0)) or 1.0
    shares: np.ndarray = np.sign(numbers) * np.sqrt(np.abs(numbers) / largest)
    return shares
