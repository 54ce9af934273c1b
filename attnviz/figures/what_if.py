"""What became of an outcome when one thing was changed: maps of signed effects, and two ways to work them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.figures.axes import token_names
from attnviz.figures.palette import Palette
from attnviz.figures.theme import assembled, colour_scale, ink_on

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW, TALLEST, AROUND = 40, 560, 64  # px
MOST_WRITTEN, MOST_NAMED = 16, 10  # cells of a row whose numbers fit into them; of one with names above, on a phone too


def effect_map(
    effects: np.ndarray,
    written: Sequence[Sequence[str]],
    palette: Palette,
    *,
    rows: Sequence[str],
    columns: Sequence[str] = (),
    across: str = "head",
    full: float = 0.0,
    chosen: tuple[int, int] | None = None,
) -> go.Figure:
    """Signed effects (rows, columns): blue for more, red for less, by the root of their share of the largest.

    Arguments
        effects: NaN where nothing is known yet.
        written: each cell's effect as text, in the cell where there is room, and under the pointer.
        rows: their names. columns: likewise; numbers from 0 by default.
        across: what the columns are.
        full: an effect of this size has the darkest colour, unless a larger one is there.
        chosen: the cell with a ring.
    """
    n_rows, n_columns = effects.shape
    known = np.abs(effects[np.isfinite(effects)])
    largest = float(known.max(initial=full)) or 1.0
    place = np.sign(effects) * np.sqrt(np.abs(effects) / largest)
    names = token_names(columns) if columns else [str(n) for n in range(n_columns)]
    heat = {
        "type": "heatmap",
        "z": [[float(one) if np.isfinite(one) else None for one in row] for row in place],
        "zmin": -1,
        "zmax": 1,
        "colorscale": colour_scale(palette.diverging),
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "customdata": [
            [[row, name, cell] for name, cell in zip(names, line, strict=True)]
            for row, line in zip(rows, written, strict=True)
        ],
        "hovertemplate": f"%{{customdata[0]}}, {across} %{{customdata[1]}}: %{{customdata[2]}}<extra></extra>",
        "hoverongaps": False,
    }
    cells = [(y, x) for y in range(n_rows) for x in range(n_columns)]
    fits = n_columns <= (MOST_NAMED if columns else MOST_WRITTEN)
    text = {
        "type": "scatter",
        "mode": "text",
        "x": [x for _, x in cells],
        "y": [y for y, _ in cells],
        "text": [written[y][x] if fits and abs(place[y, x]) >= 0.1 else "" for y, x in cells],
        "textfont": {"size": 12, "color": [_ink(place[y, x], palette) for y, x in cells]},
        "hoverinfo": "skip",
    }
    tilted: dict[str, Any] = {} if not columns else {"tickangle": -45 if n_columns > 8 else 0}
    layout: dict[str, Any] = {
        "margin": {"t": 48},
        "meta": {"columns": n_columns},
        "plot_bgcolor": palette.sunken,
        "xaxis": {
            **tilted,
            "side": "top",
            "title": {"text": across},
            "range": [-0.5, n_columns - 0.5],
            "tickvals": list(range(n_columns)) if columns or fits else list(range(0, n_columns, 4)),
            "ticktext": names if columns or fits else names[::4],
        },
        "yaxis": {
            "showgrid": False,
            "range": [n_rows - 0.5, -0.5],
            "tickvals": list(range(n_rows)),
            "ticktext": list(rows),
            "ticklabelstandoff": 6,
        },
    }
    if chosen is not None:
        y, x = chosen
        ring = {"type": "rect", "x0": x - 0.48, "x1": x + 0.48, "y0": y - 0.46, "y1": y + 0.46}
        layout["shapes"] = [{**ring, "line": {"color": palette.ink, "width": 2.25}}]
    return assembled([heat, text], layout, palette, height=AROUND + min(ROW * n_rows, TALLEST) + 40 * bool(columns))


def agreement_dots(
    exact: np.ndarray, approximate: np.ndarray, rows: Sequence[str], chosen: tuple[int, int], palette: Palette
) -> go.Figure:
    """Every head by its exact effect (across) and what a gradient says (up), with the line where the two are equal."""
    places = [(y, x) for y in range(exact.shape[0]) for x in range(exact.shape[1]) if np.isfinite(exact[y, x])]
    both = [float(one[place]) for one in (exact, approximate) for place in places]
    low, high = min([0.0, *both]), max([0.0, *both])
    margin = 0.06 * ((high - low) or 1.0)
    ends = [low - margin, high + margin]
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": ends,
        "y": ends,
        "line": {"color": palette.edge, "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    }
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": [float(exact[place]) for place in places],
        "y": [float(approximate[place]) for place in places],
        "customdata": [[y, x, f"{rows[y]}, head {x}"] for y, x in places],
        "hovertemplate": "%{customdata[2]}: exact %{x:.3g}, by gradient %{y:.3g}<extra></extra>",
        "marker": {
            "size": 11,
            "color": palette.categories[0],
            "line": {
                "width": [2.5 if place == chosen else 0 for place in places],
                "color": palette.ink,
            },
        },
    }
    axis = {"range": ends, "nticks": 5}
    layout = {
        "xaxis": {**axis, "title": {"text": "exact effect"}},
        "yaxis": {**axis, "title": {"text": "by its gradient"}},
    }
    return assembled([line, dots], layout, palette, height=340)


def _ink(place: float, palette: Palette) -> str:
    """Of a number in a cell: what contrasts most with the nearest step of its colours."""
    steps = palette.diverging
    return ink_on(steps[round((place + 1) / 2 * (len(steps) - 1))]) if np.isfinite(place) else palette.ink
