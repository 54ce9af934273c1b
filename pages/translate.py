"""Translate: a source, an answer, and which words of the one each word of the other looks at."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.lesson import Lesson
from attnviz.web.translate import parts, state

shell.ensure()
lesson = Lesson("translate", state.Settings(), typed=("source", "translator"), unnamed=state.UNNAMED)
inputs = shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"])  # for the link: not used here


@shell.fragment
def aligned() -> None:
    """Model and source, the answer, and the attention between them."""
    state.adopt_view(lesson)
    lesson.question("Where does the model look as it answers?")
    above = st.container()
    parts.controls(lesson)
    with above:
        answer = state.answer(lesson)
        parts.sentence(lesson, answer)
    parts.stack(lesson, answer)
    shown = parts.prediction(lesson, answer)
    parts.attention(lesson, answer, shown)
    parts.steps(lesson, answer)
    parts.beams(lesson, answer)
    parts.tries(lesson, answer)
    lesson.write_link(inputs)


@shell.fragment
def behind() -> None:
    """The formula and the code."""
    lesson.settings()
    parts.behind(lesson)
    lesson.write_link(inputs)


aligned()
behind()
