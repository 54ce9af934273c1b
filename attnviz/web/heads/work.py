"""The page "Heads": the file to keep, written in slices between which Cancel is heard."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial

import streamlit as st

from attnviz.analysis import investigation
from attnviz.analysis.cards_file import Stored
from attnviz.analysis.comparison import Sides
from attnviz.web import cache
from attnviz.web.compare import state as compare
from attnviz.web.compare.shown import Side
from attnviz.web.heads.state import Shown, judged, on_text
from attnviz.web.jobs.work import Work

PARTS = (*investigation.PARTS, "the file")


@dataclass(frozen=True)
class Asked:
    """What the file is of."""

    model: str
    text: str
    on_text: bool  # whether the heads are judged on that text, and not on many
    layer: int
    head: int
    beside: tuple[Side, Side] | None  # A and B as on the page Compare


def asked(shown: Shown) -> tuple[Asked, int]:
    """What the page shows, for the file, and how many tokens of the text beside it are left out."""
    a, b, left_out = beside(shown) or (None, None, 0)
    laid = None if a is None or b is None else (a, b)
    inputs = shown.inputs
    return Asked(inputs.model, inputs.text, len(shown.texts) == 1, shown.layer, shown.head, laid), left_out


def beside(shown: Shown) -> tuple[Side, Side, int] | None:
    """A and B as on the page Compare, of the chosen head, and how many tokens of B's text are left out; None without B.

    B is what the reader chose there, as far as this model has it, or else the other text of a pair which the text
    begins.
    """
    inputs = shown.inputs
    chosen: compare.Settings = st.session_state.get(compare.KEPT, compare.Settings())
    chosen = compare.fitted(replace(chosen, layer=shown.layer, head=shown.head), inputs)
    if (chosen.kind == "text" and not chosen.other.strip()) or (chosen.kind == "model" and not chosen.model_b):
        return None
    a, b, left_out = compare.sides(chosen, inputs)
    return None if a == b else (a, b, left_out)


def _writing(asked: Asked) -> Generator[int, None, bytes]:
    """In steps, each the number in `PARTS` of what is looked at."""
    from attnviz.browser import investigation_report  # not for the first look, which keeps nothing

    model, trace = cache.model(asked.model), cache.trace(asked.model, asked.text)
    here = Stored(on_text(asked.model, asked.text), (asked.text,), False, "") if asked.on_text else None
    found = yield from investigation.investigating(
        model,
        trace,
        stored=here or judged(asked.model),
        chosen=[(asked.layer, asked.head)],
        beside=None if asked.beside is None else partial(_sides, *asked.beside),
    )
    yield PARTS.index("the file")
    return investigation_report.html(found).encode()


def _sides(a: Side, b: Side) -> Sides:
    own = (b.model, b.layer, b.head) != (a.model, a.layer, a.head)
    return Sides(compare.run(a), compare.run(b), (b.layer, b.head) if own else None)


FILE: Work[Asked, bytes] = Work("heads:keep", _writing)
