"""A table as a Streamlit component: its rows may be chosen like radio buttons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import streamlit as st

from attnviz.browser import bundle
from attnviz.web.components import bridge

Cell = Sequence[str]  # a text, and what stands small under it, if anything does

_mount = bridge.component(
    "attnviz_table",
    "widgets/table.js",
    '<div class="av-table"></div>',
    (bundle.FOLDER / "widgets/table.css").read_text("utf-8"),
)


def table(
    label: str,
    columns: Sequence[Sequence[str]],
    rows: Iterable[tuple[str, Sequence[Cell]]],
    *,
    key: str,
    chosen: str | None = None,
) -> None:
    """Draws the table; `choice` tells what the reader chose in it.

    Arguments
        label: of the table, for who cannot see it.
        columns: a heading each, and "number" where it stands at the right.
        rows: the key of each ("" for one that cannot be chosen), and its cells.
        chosen: the key of the row that is marked; None for a table to read.
    """
    data = {
        "label": label,
        "columns": columns,
        "rows": [{"key": name, "cells": cells} for name, cells in rows],
        "chosen": chosen,
        "number": bridge.reported_fields(key, "chosen").get("number", 0),
    }
    _mount(data=data, key=key, on_chosen_change=lambda: None)


def choice(key: str, offered: Iterable[str]) -> str | None:
    """What the reader chose in the table, in the run that hears of it; None if nothing new, or none of the offered."""
    report, seen = bridge.reported_fields(key, "chosen"), f"{key}:seen"
    if not report:  # a table that was just drawn, where the reader was on another page
        st.session_state.pop(seen, None)
    name, number = report.get("key"), report.get("number", 0)
    if not isinstance(name, str) or name not in offered or number == st.session_state.get(seen, 0):
        return None
    st.session_state[seen] = number
    return name
