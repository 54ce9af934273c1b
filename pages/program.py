"""Program a transformer: attention heads and feed-forward networks whose weights are written from a program."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.lesson import Lesson
from attnviz.web.program import parts, state, text

shell.ensure()
lesson = Lesson("program", state.Settings(), typed=("code", "letters", "phrase"))
inputs = shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"])  # for the link: not used here


@shell.fragment
def program() -> None:
    """The program, what it says, and what its heads do."""
    lesson.question("Can attention run a program?")
    sentence = st.container()
    lesson.in_view()
    left, right = st.columns([2, 3], gap="large")
    with left:
        parts.program(lesson)
        parts.phrase(lesson)
    state.check_lengths(lesson)
    lesson.write_link(inputs)  # first: what is wrong below ends the page
    shown = state.outcome(lesson)
    with sentence:
        lesson.sentence(text.summary(shown))
    with right:
        parts.said(shown)
        parts.head(lesson, shown)
        parts.in_explore(shown)
    shows = parts.prediction(lesson, shown)
    with lesson.room("off", 144, {719: 264}):
        if shows:
            parts.breaking(lesson, shown)
        else:
            lesson.veil("off")
    parts.weights(lesson, shown)
    parts.tries(lesson)
    lesson.write_link(inputs)


@shell.fragment
def behind() -> None:
    """The formula and the code."""
    lesson.settings()
    parts.behind(lesson)
    lesson.write_link(inputs)


program()
behind()
