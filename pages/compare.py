"""Compare: two heads side by side, of two texts, two layers, two runs or two models, and what differs."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.compare import parts, state
from attnviz.web.lesson import Lesson

shell.ensure()
lesson = Lesson("compare", state.Settings(), follows=("layer", "head"), typed=("other",))


@shell.fragment
def compare() -> None:
    """The two maps, and their difference."""
    lesson.question("What differs between A and B?")
    sentences = st.container()
    lesson.in_view()
    inputs = lesson.inputs()
    below = lesson.slide("compare")
    parts.tries(lesson)
    with below:
        parts.fields(lesson, inputs)
        lesson.write_link(inputs)
        shown = parts.shown(lesson, inputs)
        with sentences:
            parts.sentences(lesson, shown)
        parts.matrices(shown)
        left, right = st.columns(2, gap="large")
        with left:
            parts.difference(lesson, shown)
        with right:
            parts.changes(shown)
    lesson.write_link(inputs)


@shell.fragment
def behind() -> None:
    """The formula and the code."""
    parts.behind(lesson)


compare()
behind()
