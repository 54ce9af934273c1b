"""Two heads side by side: where one gives more than the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from attnviz.figures.axes import token_names
from attnviz.figures.palette import Palette
from attnviz.figures.what_if import effect_map
from attnviz.formatting import points

if TYPE_CHECKING:
    import plotly.graph_objects as go

FULL = 0.1  # a difference of ten points has the darkest colour, unless a larger one is there
ROW, AROUND = 18, 130  # px
MOST_NAMED = 21  # columns whose names stand beside each other on a phone: of more, every second, third …


def difference_map(
    a: np.ndarray, b: np.ndarray, labels: Sequence[str], palette: Palette, *, chosen: tuple[int, int] | None = None
) -> go.Figure:
    """Differences of two heads' weights (N, N), queries by keys: blue where b gives more, red where it gives less.

    `labels`: the N tokens that both have. `chosen`: the cell with a ring.
    """
    difference = b - a
    tenths = np.round(b, 3) - np.round(a, 3)  # of a percent, as beside both weights: `formatting.shares`
    written = [[f"{points(float(one))} points" for one in row] for row in tenths]
    names = token_names(labels)
    figure = effect_map(
        difference, written, palette, rows=names, columns=labels, across="key", full=FULL, chosen=chosen
    )
    figure.data[1].text = [""] * difference.size  # "+12 points" is too wide for a cell
    figure.layout.height = AROUND + ROW * len(names)
    step = -(-len(names) // MOST_NAMED)
    figure.layout.xaxis.tickvals, figure.layout.xaxis.ticktext = list(range(0, len(names), step)), names[::step]
    figure.layout.xaxis.tickangle = -90 if len(names) > 4 else 0
    return figure
