"""The errors of the variants of attention, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnviz.figures.palette import Palette
from attnviz.figures.theme import apart, assembled
from attnviz.formatting import duration, memory_size

if TYPE_CHECKING:
    import plotly.graph_objects as go

LEAST = 1e-9  # nothing that is drawn on a logarithmic axis may be nought
Note = dict[str, Any]  # an annotation


@dataclass(frozen=True)
class Line:
    """A measured line: one variant's cost at each length."""

    name: str
    n_tokens: tuple[int, ...]
    cost: tuple[float, ...]


def error_dots(errors: Sequence[tuple[str, Sequence[float]]], head: int, even: float, palette: Palette) -> go.Figure:
    """Each variant's relative error in every head of a layer, the chosen one in ink; a line where even weights stand.

    errors: (variant, one error per head), 1 = 100 % of full attention's output. The axis is logarithmic, from 1 %.
    """
    least = 0.01
    traces = []
    for name, values in reversed(errors):
        order = sorted(range(len(values)), key=lambda i: i == head)  # the chosen one last, on top
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [100 * max(values[i], least) for i in order],
                "y": [name] * len(values),
                "customdata": [[i, 100 * values[i]] for i in order],
                "marker": {
                    "size": [14 if i == head else 9 for i in order],
                    "color": [palette.ink if i == head else palette.positive for i in order],
                    "opacity": [1 if i == head else 0.35 for i in order],
                },
                "hovertemplate": "head %{customdata[0]}: error %{customdata[1]:.1f}\u202f%<extra>%{y}</extra>",
            }
        )
    ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
    layout: dict[str, Any] = {
        "xaxis": {
            "type": "log",
            "title": {"text": "error, % of the output’s norm (log)"},
            "tickvals": ticks,
            "ticktext": [f"{'≤ ' if tick == 1 else ''}{tick}\u202f%" for tick in ticks],
            "showgrid": True,
            "gridcolor": palette.line,
        },
        "yaxis": {"showgrid": False},
        "margin": {"t": 26},
    }
    if even > least:
        x = 100 * even
        layout["shapes"] = [
            {
                "type": "line",
                "x0": x,
                "x1": x,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "line": {"color": palette.ink2, "width": 1, "dash": "dot"},
            }
        ]
        layout["annotations"] = [
            {
                "x": math.log10(x),
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "text": "looking evenly",
                "showarrow": False,
                "font": {"size": 13, "color": palette.ink2},
            }
        ]
    return assembled(traces, layout, palette, height=56 + 34 * len(errors))


def cost_lines(lines: Sequence[Line], unit: str, palette: Palette) -> go.Figure:
    """Cost against length, both logarithmic, with the lines of growth by n and by n² through two last points.

    unit: "seconds" or "bytes". The first line is full attention's, in ink, and carries n²; the last one carries n.
    """
    lines = [line for line in lines if line.n_tokens]
    write = duration if unit == "seconds" else memory_size
    colours = [palette.ink, *palette.categories]
    lengths = sorted({n for line in lines for n in line.n_tokens}, reverse=True) or [1]
    costs = [one for line in lines for one in line.cost] or [1.0]
    low, high = math.log10(max(min(costs), LEAST)) - 0.15, math.log10(max(*costs, LEAST)) + 0.25
    traces: list[dict[str, Any]] = []
    notes: list[Note] = []
    for power, line in ((2, lines[0]), (1, lines[-1])) if lines else ():
        trace, note = _guide(line, power, lengths[-1], lengths[0], low, palette)
        traces.append(trace)
        notes.append(note)
    for line, colour in zip(lines, colours, strict=False):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": line.n_tokens,
                "y": line.cost,
                "name": line.name,
                "marker": {"size": 7},
                "line": {"color": colour, "width": 2.25},
                "customdata": [write(one) for one in line.cost],
                "hovertemplate": "%{fullData.name}<br>%{x:,} tokens: %{customdata}<extra></extra>",
            }
        )
    ends = [
        (math.log10(max(line.cost[-1], LEAST)), line.name, colour) for line, colour in zip(lines, colours, strict=False)
    ]
    for y, name, colour in apart(ends, 0.058 * (high - low)):
        notes.append(_note(math.log10(lengths[0]), y, name, colour) | {"xanchor": "left", "xshift": 10})
    across = lengths[:: 1 if len(lengths) < 5 else 2]  # all would touch on a phone
    up = [10.0**i for i in range(-9, 4)] if unit == "seconds" else [2.0**i for i in range(2, 60, 4)]
    layout = {
        "xaxis": {
            "type": "log",
            "title": {"text": "tokens n"},
            "tickvals": across,
            "tickangle": 0,
            "ticktext": [f"{n:,}" for n in across],
        },
        "yaxis": {
            "type": "log",
            "range": [low, high],
            "tickvals": up,
            "ticktext": [write(tick) for tick in up],
            "title": {"text": "time of one head" if unit == "seconds" else "memory of one head"},
        },
        "margin": {"r": 78},
        "annotations": notes,
    }
    return assembled(traces, layout, palette, height=360)


def _guide(line: Line, power: int, first: int, last: int, low: float, palette: Palette) -> tuple[dict[str, Any], Note]:
    """n^power through the line's last point, from where it enters the picture, dotted and named."""
    n, cost = line.n_tokens[-1], max(line.cost[-1], LEAST)
    begin = max(float(first), n * (10**low / cost) ** (1 / power))
    share = 0.55 if power == 2 else 0.3  # of the way up: two names that stand apart
    middle = (1 - share) * math.log10(begin) + share * math.log10(last)
    name = "n²" if power == 2 else "n"
    trace = {
        "type": "scatter",
        "mode": "lines",
        "x": [begin, last],
        "y": [cost * (x / n) ** power for x in (begin, last)],
        "line": {"color": palette.ink2, "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
        "name": name,
    }
    note = _note(middle, math.log10(cost) + power * (middle - math.log10(n)), name, palette.ink2)
    return trace, note | {"yshift": 12, "xshift": -8}


def cache_dots(rows: Sequence[tuple[str, int, int, bool]], palette: Palette) -> go.Figure:
    """The key-value cache of known models: what it takes, and what it would with a key head for every query head.

    rows: (model, bytes, bytes with H key heads, whether the model was made for so long a text), top to bottom.
    """
    rows = rows[::-1]
    strength = [1 if reaches else 0.4 for *_, reaches in rows]
    bars = {
        "type": "scatter",
        "mode": "lines",
        "hoverinfo": "skip",
        "line": {"color": palette.line, "width": 6},
        "x": [x for _, shared, many, _ in rows for x in (shared, many, None)],
        "y": [y for row in rows for y in (row[0],) * 3],
    }
    traces: list[dict[str, Any]] = [bars]
    notes: list[Note] = []
    for column, edge, fill, what in (
        (2, palette.ink2, palette.paper, "if no heads shared keys"),
        (1, palette.positive, palette.positive, "as published"),
    ):
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [row[column] for row in rows],
                "y": [row[0] for row in rows],
                "name": what,
                "customdata": [memory_size(float(row[column])) for row in rows],
                "marker": {"size": 13, "color": fill, "opacity": strength, "line": {"color": edge, "width": 2}},
                "hovertemplate": "%{y} %{fullData.name}: %{customdata}<extra></extra>",
            }
        )
    for name, shared, many, _ in rows:
        side = {"xanchor": "right", "xshift": -11}
        notes.append(_note(math.log10(shared), name, memory_size(shared), palette.ink1, 13) | side)
        if many > shared:
            side = {"xanchor": "left", "xshift": 11}
            notes.append(_note(math.log10(many), name, memory_size(many), palette.ink2, 13) | side)
    low, high = (math.log10(pick(value for row in rows for value in row[1:3])) for pick in (min, max))
    room = 0.45 * (high - low)  # for the labels at the ends, on a phone too
    ticks = [2.0**i for i in range(0, 60, 6)]  # 16 MiB, 1 GiB, 64 GiB …
    layout = {
        "xaxis": {
            "type": "log",
            "range": [low - room, high + room],
            "tickvals": ticks,
            "showgrid": True,
            "ticktext": [memory_size(tick) for tick in ticks],
            "gridcolor": palette.line,
            "title": {"text": "cache of one text"},
        },
        "yaxis": {"showgrid": False},
        "annotations": notes,
    }
    return assembled(traces, layout, palette, height=70 + 32 * len(rows))


def _note(x: float, y: float | str, text: str, colour: str, points: int = 14) -> Note:
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": {"color": colour, "size": points}}
