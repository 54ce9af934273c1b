"""Where a page ends before its last line.

`st.stop` also drops what the browser has asked for while the page was drawn, so that a click would be lost.
"""

from __future__ import annotations

from typing import NoReturn

import streamlit as st
from streamlit.runtime.scriptrunner import StopException


def end_page() -> NoReturn:
    """Ends the page, or the part of it that runs alone; the next run tells the browser its widgets' values anew."""
    st.session_state["undrawn"] = True
    end_run()


def end_run() -> NoReturn:
    """Ends the run; what was clicked meanwhile runs next."""
    raise StopException


def mark_drawn() -> None:
    """The whole page has run: what it told the browser about its widgets arrives.

    What a run sends just before another begins is lost with it: then the next one tells it again.
    """
    st.session_state["drawn"] = True
