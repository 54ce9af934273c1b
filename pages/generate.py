"""Generate: a text that a model goes on with, token by token, and what each token was decided by."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.generate import parts, state
from attnviz.web.lesson import Lesson

shell.ensure()
lesson = Lesson("generate", state.Settings())
opening = state.opening(lesson)


@st.fragment
def next_token() -> None:
    """The text, what may come next, and the attention that decides it."""
    settings = state.fitted(lesson, opening)
    scene = state.scene(opening.model, opening.text, settings)
    parts.question(lesson, settings, scene)
    writing, looking = st.columns([6, 5], gap="large")
    with writing:
        parts.candidates(lesson, opening, settings, scene)
        parts.buttons(lesson, opening, scene)
        parts.notes(opening, scene)
    with looking:
        parts.head(lesson, opening, settings, scene)
    parts.temperatures(lesson, settings, scene)
    parts.tries(lesson)
    lesson.write_link(opening.inputs)


next_token()
parts.first_token(lesson, opening)  # and the formulas and the code
