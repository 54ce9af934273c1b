"""What happens to one word, number by number?"""

import streamlit as st

from attnviz.web import pacing, shell
from attnviz.web.lesson import Lesson
from attnviz.web.step_by_step import parts, state, text

shell.ensure()
state.read_link()
lesson = Lesson("step_by_step", state.Settings(), follows=("layer", "head"))


@shell.fragment
def page() -> None:
    """The lesson; its controls rerun only this, and the view only itself where nothing else follows it."""
    settings = lesson.settings()
    lesson.question("What happens to one word, number by number?")
    summary = st.container()
    controls = st.container(horizontal=True, vertical_alignment="bottom", key="walk-controls")
    with controls:
        parts.source_control(lesson)
    shown = state.run(lesson, settings)
    with controls:
        parts.other_controls(lesson, shown)
    with summary:
        lesson.sentence(text.in_short(shown.provenance, shown.head, shown.row, shown.traced))
    parts.view(lesson, shown)
    pacing.breathe("step_by_step", shown.beside)
    parts.tries(lesson)
    parts.formula()
    parts.hidden_word(lesson, shown)
    parts.two_programs(lesson, shown)


page()
