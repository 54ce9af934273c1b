"""The watched picture first: a breath between what a control changes at once and what follows it below."""

from __future__ import annotations

import time

import streamlit as st

from attnviz.web import line

BREATH = 0.1  # seconds: a browser takes them to draw two figures
SLICE = 0.02


def breathe(name: str, shown: object) -> None:
    """Lets the browser draw what was sent, before more figures keep it busy; at once if `shown` is as it was.

    Arguments
        name: of the place in a page.
        shown: what the pictures above and below it show, comparable.

    A control that moves meanwhile ends this run, as at every other call: nobody waits for a breath.
    """
    key = f"{name}:shown"
    before = st.session_state.get(key)
    st.session_state[key] = shown
    if before is None or before == shown:
        return
    end = time.monotonic() + BREATH
    with line.aside():
        while time.monotonic() < end:
            time.sleep(SLICE)
            st.session_state.get(key)  # where Streamlit looks whether the reader has moved on
