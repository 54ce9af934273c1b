"""The parts that wrote a number, the largest first: each head among them may be chosen, and opens in Explore."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from attnviz.analysis import cards_text
from attnviz.analysis.attribution import Part
from attnviz.web import shell
from attnviz.web.components import bridge
from attnviz.web.components.table import Cell, table

Row = tuple[str, Sequence[Cell]]


def part_table(
    title: str, terms: Sequence[tuple[Part, float]], of: str, *, n: int, key: str, more: Sequence[Row] = ()
) -> Part | None:
    """Draws the table, and gives the chosen head: the largest until the reader chose; None where no head is named.

    Arguments
        terms: what each part wrote.
        of: what the terms add up to.
        n: parts that are named; the others stand together in one row.
        more: further rows below.
    """
    largest = sorted(terms, key=lambda one: -abs(one[1]))
    named, others = largest[:n], largest[n:]
    heads = {_key(part): part for part, _ in named if part.kind == "head"}
    asked = bridge.reported_fields(key, "chosen").get("key")
    chosen = asked if isinstance(asked, str) and asked in heads else next(iter(heads), None)
    rows: list[Row] = [(_key(part), ((str(part),), (cards_text.signed(term),))) for part, term in named]
    if others:
        together = cards_text.signed(sum(term for _, term in others))
        rows.append(("", ((f"{len(others)} others together",), (together,))))
    table(title, ((title, ""), (f"of the {of}", "number")), [*rows, *more], key=key, chosen=chosen)
    return None if chosen is None else heads[chosen]


def open_head(head: Part, model: str, text: str, query: int, *, note: str = "") -> None:
    """The way to a head in Explore, with what the token `query` looks at there locked."""
    place = {"model": model, "layer": str(head.layer), "head": str(head.head), "q": str(query)}
    whole = {"text": text} if shell.fits_link(text) else {}
    st.page_link("pages/explore.py", label=f"Open {head} in Explore{note}", query_params=place | whole)


def _key(part: Part) -> str:
    return f"{part.layer}.{part.head}" if part.kind == "head" else ""
