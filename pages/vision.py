"""Vision: draw a digit or bring a picture, and see what a vision transformer looks at, patch by patch."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.lesson import Lesson
from attnviz.web.vision import parts, state

shell.ensure()
lesson = Lesson("vision", state.Settings(), typed=("vit",))
inputs = shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"])  # for the link: not used here


@shell.fragment
def picture() -> None:
    """The picture, the answer, and where the model looks."""
    outcome = state.outcome(lesson)
    settings, seen = outcome.settings, outcome.seen
    lesson.question("What does a vision transformer look at?")
    lesson.in_view()
    left, right = st.columns([25, 78], gap="medium")
    with left:  # alone at its height: whatever the answer is, the drawing stays under the pen
        parts.source(lesson, outcome)
    with right:
        parts.answer(lesson, outcome)
        guess, view = st.container(), st.container()  # always: else the parts below would be made anew
        if seen is not None:
            with guess:
                shown = parts.prediction(lesson, seen)
            with view:
                parts.patches(lesson, settings, seen, shown)
        parts.controls(lesson)
    if seen is not None:
        parts.tries(lesson, settings, seen)
    lesson.write_link(inputs)


@shell.fragment
def behind() -> None:
    """The formula and the code."""
    lesson.settings()
    parts.behind(lesson)
    lesson.write_link(inputs)


picture()
behind()
