"""Replay: a training step by step, and the moment at which an induction head forms."""

import streamlit as st

from attnviz.errors import ModelError
from attnviz.web import shell
from attnviz.web.lesson import Lesson
from attnviz.web.replay import parts, state

shell.ensure()
lesson = Lesson("replay", state.Settings())
inputs = shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"])  # for the link: not read here
try:
    replay = state.replay()
except ModelError as error:
    shell.refuse(str(error))


@shell.fragment
def moment() -> None:
    """What follows the dial over the training."""
    now = state.moment(lesson, replay)
    parts.answer(lesson, now)
    parts.course(lesson, now)
    with lesson.slide("replay"):
        parts.steps(lesson, now)
    parts.pictures(lesson, now)
    parts.tries(lesson, now)
    lesson.write_link(inputs)


@shell.fragment
def behind() -> None:
    """The formula and the code."""
    lesson.settings()
    parts.behind(lesson)
    lesson.write_link(inputs)


moment()
behind()
