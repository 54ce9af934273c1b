"""A table as a Streamlit component: its rows may be chosen like radio buttons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import streamlit as st

from attnviz.browser import bundle

Cell = Sequence[str]  # a text, and what stands small under it, if anything does

_mount = st.components.v2.component(
    "attnviz_table",
    html='<div class="av-table"></div>',
    css=(bundle.FOLDER / "widgets/table.css").read_text("utf-8"),
    js=bundle.javascript("widgets/table.js"),
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
        rows: the key of each, and its cells.
        chosen: the key of the row that is marked; None for a table to read.
    """
    data = {
        "label": label,
        "columns": columns,
        "rows": [{"key": name, "cells": cells} for name, cells in rows],
        "chosen": chosen,
        "number": _reported(key).get("number", 0),
    }
    _mount(data=data, key=key, on_chosen_change=lambda: None)


def choice(key: str, offered: Iterable[str]) -> str | None:
    """What the reader chose in the table, in the run that hears of it; None if nothing new, or none of the offered."""
    report, seen = _reported(key), f"{key}:seen"
    if not report:  # a table that was just drawn, where the reader was on another page
        st.session_state.pop(seen, None)
    if report.get("number", 0) == st.session_state.get(seen, 0) or report.get("key") not in offered:
        return None
    st.session_state[seen] = report.get("number", 0)
    return str(report["key"])


def _reported(key: str) -> dict[str, Any]:
    """What the table reports as chosen; a browser may send anything."""
    try:
        report = st.session_state[key]["chosen"]
    except (KeyError, TypeError):
        return {}
    sound = isinstance(report, dict) and isinstance(report.get("number"), int) and isinstance(report.get("key"), str)
    return report if sound else {}
