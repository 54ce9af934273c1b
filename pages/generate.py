"""Generate: a text that a model goes on with, token by token, and where the model looks before each token."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.generate import parts, state
from attnviz.web.lesson import Lesson

shell.ensure()
lesson = Lesson("generate", state.Settings(), follows=("layer", "head"))
opening = state.opening(lesson)
parts.sidebar(opening)


@shell.fragment
def next_token() -> None:
    """The text, what may come next, and where the model looks."""
    settings = state.fitted(lesson, opening)
    scene = state.scene(opening.model, opening.text, settings)
    parts.question(lesson, opening, settings, scene)
    writing, looking = st.columns([6, 5], gap="large")
    with writing:
        parts.candidates(lesson, opening, settings, scene)
        parts.buttons(lesson, opening, scene)
        parts.notes(scene)
    with looking:
        parts.head(lesson, opening, settings, scene)
    parts.texts_to_try(lesson)
    parts.temperatures(lesson, settings, scene)
    parts.temperatures_to_try(lesson)
    lesson.write_link(opening.inputs)


next_token()
parts.first_token(lesson, opening)  # and the formulas and the code
