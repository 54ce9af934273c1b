"""Explore: every head of a trained model on the reader's own text."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.explore import parts, state

shell.ensure()
inputs = shell.inputs()


@shell.fragment
def explore() -> None:
    """The whole page: what the reader does in the view reruns only this."""
    state.open_lesson()
    shown = state.run(inputs)
    start = st.container(key="explore-start")  # read before the view, drawn after it
    parts.not_read(shown.run)
    parts.every_head(inputs, shown)
    parts.downstream(inputs, shown)
    parts.behind()
    with start:
        parts.start(shown)


explore()
