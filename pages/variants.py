"""What does attention cost, and what can it save?"""

import streamlit as st

from attnviz.web import shell
from attnviz.web.lesson import Lesson
from attnviz.web.variants import parts, state

shell.ensure()
lesson = Lesson("variants", state.Settings(), follows=("layer", "head"))
run = state.run(lesson)


@shell.fragment
def same_head() -> None:
    """The variants on one head's q, k and v."""
    survey = state.survey(lesson, run)
    parts.question(lesson, run, survey)
    left, right = st.columns([1, 3], gap="medium")
    with left:
        parts.controls(lesson, run, survey)
    with right:
        parts.matrices(lesson, run, survey)
    parts.heads_to_try(lesson)
    parts.errors(lesson, survey)
    lesson.write_link(run.inputs)


@shell.fragment
def behind() -> None:
    """The formulas and the code."""
    parts.behind(lesson)


same_head()
parts.measured(lesson, run)
parts.key_value_cache(lesson, run)
behind()
