"""Space: tokens, queries with keys, and the embedding table as points, and what is near what."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.lesson import Lesson
from attnviz.web.space import parts, state, text

shell.ensure()
lesson = Lesson("space", state.Settings(), follows=("layer", "head"))


def space(timed: bool) -> None:
    """The points, and what is near the chosen one; `timed` says whether this fragment has a clock."""
    parts.take_click(lesson)
    lesson.question("What is near what?")
    sentence = st.container()
    lesson.in_view()
    inputs = lesson.inputs()
    asked = state.asked(lesson, inputs)
    parts.controls(lesson, asked)
    shown = state.shown(asked)
    with sentence:
        lesson.sentence(text.sentence(shown))
    left, right = st.columns([3, 2], gap="large")
    with left:
        parts.picture(lesson, shown)
    with right:
        parts.neighbours(shown)
    parts.tries(lesson)
    lesson.write_link(inputs)
    parts.run_on(timed)


@shell.fragment
def behind() -> None:
    """The formula and the code."""
    parts.behind(lesson)


clock = state.is_placing()
shell.fragment(space, run_every=parts.TICK if clock else None)(clock)
behind()
