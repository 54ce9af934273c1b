"""What an investigation to keep says of another text: how far each head looks elsewhere there, and one head's cells."""

from __future__ import annotations

from typing import Any

from attnviz.analysis import comparison
from attnviz.analysis.investigation import Investigation
from attnviz.browser import report
from attnviz.browser.report_tables import Cell, amount, table
from attnviz.formatting import counted, percent, shares

LONGEST = 200  # characters of the other text that stand in the sentence
NAMED = 8  # cells


def compared(found: Investigation) -> dict[str, Any] | None:
    """The section's sentence and its two tables; None where there is no other text."""
    known = found.compared
    if known is None:
        return None
    labels = [
        [report._plain(one) for one in report._labels(trace, "self", 0)[0]] for trace in (found.trace, known.other)
    ]
    (layer, head), moved = known.head, known.moved.tolist()
    columns = ("layer", *map(str, range(known.moved.shape[1])))
    rows = [
        (
            Cell(f"layer {y}"),
            *(Cell(percent(one), amount(one), f"layer {y}, head {x}") for x, one in enumerate(row)),
        )
        for y, row in enumerate(moved)
    ]
    lines = []
    for (y, x), cell in known.largest.items():
        about = ("", "", "", "") if cell is None else (cell.query[0], cell.key[0], cell.a, cell.b)
        lines.append((y, x, moved[y][x], *about))
    strongest = comparison.strongest(known.shown, NAMED)
    cells = []
    for one in strongest:
        in_a, in_b, by = shares(one.a, one.b)
        words = f"“{labels[0][one.query[0]]}” ({one.query[0]}) at “{labels[0][one.key[0]]}” ({one.key[0]})"
        cells.append((Cell(words), Cell(in_a), Cell(in_b), Cell(by)))
    digits = [
        (query[0], query[1], labels[0][query[0]], key[0], key[1], labels[0][key[0]], *both)
        for y, query in enumerate(known.shown.pairs)
        for x, key in enumerate(known.shown.pairs)
        for both in [(float(known.shown.a[y, x]), float(known.shown.b[y, x]))]
    ]
    text = report._plain(known.other.encodings[0].text)
    where = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    fields = ("layer", "head", "elsewhere", "query", "key", "text", "other")
    return {
        "other": where,
        "sentence": f"{counted(len(known.shown.pairs), 'token')} of {len(labels[0])} and {len(labels[1])} stand in "
        f"both texts. In layer {layer}, head {head} a token spends {percent(moved[layer][head])} of its attention "
        "elsewhere on the other text, on average.",
        "heads": table(
            "How far each head looks elsewhere", columns, rows, "comparison.csv", fields, lines, is_map=True
        ),
        "cells": table(
            f"Largest differences of layer {layer}, head {head}",
            ("looks", "here", "there", "points"),
            cells,
            f"comparison-{layer}-{head}.csv",
            ("query", "query_there", "looks", "key", "key_there", "at", "here", "there"),
            digits,
        )
        if cells
        else None,
    }
