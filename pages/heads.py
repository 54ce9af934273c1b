"""Heads: what each head of a model is for, how sure that is, and what would be lost without it."""

import streamlit as st

from attnviz.analysis import cards_text
from attnviz.web import shell
from attnviz.web.heads import answers, parts, state
from attnviz.web.lesson import Lesson

shell.ensure()
lesson = Lesson("heads", state.Settings(), follows=("layer", "head"))


@shell.fragment
def heads() -> None:
    """The map of all heads, and the card of one."""
    parts.take_click(lesson)
    lesson.question("What is each head for?")
    sentence = st.container()
    lesson.in_view()
    answers.of_no_roles(lesson)
    inputs = lesson.inputs()
    parts.judged_on(lesson, inputs)
    shown = state.shown(lesson, inputs)
    with sentence:
        lesson.sentence(cards_text.summary(shown.title, shown.cards.roles.names, shown.where))
    parts.overview(lesson, shown)
    answers.known(shown)
    parts.chooser(lesson, shown)
    parts.card(lesson, shown)
    parts.reads_from(lesson, shown)
    parts.keep(shown)
    parts.tries(lesson)
    lesson.write_link(inputs)


@shell.fragment
def behind() -> None:
    """The formula and the code."""
    parts.behind(lesson)


heads()
behind()
