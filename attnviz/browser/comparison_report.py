"""What an investigation to keep says of A and B: how far each head looks elsewhere in B, and one head's cells."""

from __future__ import annotations

from typing import Any

from attnviz.analysis import comparison
from attnviz.analysis.investigation import Compared, Investigation
from attnviz.browser import report
from attnviz.browser.intervention_text import intervention_text
from attnviz.browser.report_tables import Cell, amount, table
from attnviz.formatting import counted, cut_off, percent, shares
from attnviz.nn.trace import Trace

LONGEST = 200  # characters of the other text that stand in the sentence
NAMED = 8  # cells


def compared(found: Investigation) -> dict[str, Any] | None:
    """The section's sentences and its two tables; None where nothing is compared."""
    known = found.compared
    if known is None:
        return None
    runs = known.sides.a, known.sides.b
    labels = [[report._plain(one) for one in report._labels(trace, "self", 0)[0]] for trace in runs]
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
    cells = []
    for one in comparison.strongest(known.shown, NAMED):
        in_a, in_b, by = shares(one.a, one.b)
        words = f"“{labels[0][one.query[0]]}” ({one.query[0]}) at “{labels[0][one.key[0]]}” ({one.key[0]})"
        cells.append((Cell(words), Cell(in_a), Cell(in_b), Cell(by)))
    digits = [
        (query[0], query[1], labels[0][query[0]], key[0], key[1], labels[0][key[0]], *both)
        for y, query in enumerate(known.shown.pairs)
        for x, key in enumerate(known.shown.pairs)
        for both in [(float(known.shown.a[y, x]), float(known.shown.b[y, x]))]
    ]
    fields = ("layer", "head", "elsewhere", "query", "key", "text", "other")
    place = _place(known)
    than = "" if known.sides.head_b is None else f" than {place}"
    return {
        "other": _other_text(*runs),
        "sides": _sides(known, found.trace),
        "sentence": f"{counted(len(known.shown.pairs), 'token')} of {len(labels[0])} and {len(labels[1])} stand in "
        f"both. In layer {layer}, head {head} of A a token spends {percent(moved[layer][head])} of its attention "
        f"elsewhere{than} in B, on average.",
        "heads": table(
            f"How far each head looks elsewhere{than} in B", columns, rows, "comparison.csv", fields, lines, is_map=True
        ),
        "cells": table(
            f"Largest differences of layer {layer}, head {head}{f' from {place}' if than else ''}",
            ("looks", "A", "B", "points"),
            cells,
            f"comparison-{layer}-{head}.csv",
            ("query", "query_there", "looks", "key", "key_there", "at", "here", "there"),
            digits,
        )
        if cells
        else None,
    }


def _place(known: Compared) -> str:
    layer, head = known.sides.head_b or known.head
    return f"layer {layer}, head {head}"


def _sides(known: Compared, trace: Trace) -> str:
    """What A is, and what B has of its own."""
    a, b = known.sides.a, known.sides.b
    run_a, run_b = (_run(one) for one in (a, b))
    first = "A is the run above" if run_a == _run(trace) else f"A is the text above, {run_a}"
    text = "the same text" if _same_text(a, b) else "another text"
    model = "" if a.title == b.title else f" in {report._plain(b.title)}"
    cut = cut_off(*(one.encodings[0].cut for one in (a, b)))
    return f"{first}. B is {text}{model}{'' if run_a == run_b else f', {run_b}'}.{f' {cut}' if cut else ''}"


def _run(trace: Trace) -> str:
    change = "" if trace.intervention is None else intervention_text(trace.intervention)
    return f"changed: {change}" if change else "as trained"


def _same_text(a: Trace, b: Trace) -> bool:
    return bool(a.encodings[0].text == b.encodings[0].text)


def _other_text(a: Trace, b: Trace) -> str:
    """The beginning of B's text; "" where it is A's."""
    if _same_text(a, b):
        return ""
    encoding = b.encodings[0]
    text = report._plain(encoding.text)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
