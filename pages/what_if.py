"""What if? A head changed, or another text's activations in its place: what becomes of the answer."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.lesson import Lesson
from attnviz.web.what_if import fields, parts, state, sweep

shell.ensure()
lesson = Lesson("what_if", state.Settings(), follows=("layer", "head"), typed=("other", "answer"))


def what_if(timed: bool) -> None:
    """The experiment: `timed` says whether this fragment has a clock, which a long sweep needs."""
    lesson.tell_anew()
    lesson.question("What if a head did something else?")
    sentences = st.container()
    lesson.in_view()
    fields.pairs(lesson)  # also for a model that the page cannot run
    inputs = lesson.inputs(pairs=True)
    fields.begin(lesson, inputs)
    fields.fields(lesson, inputs)
    lesson.write_link(inputs)
    shown = parts.shown(lesson, inputs)
    with sentences:
        parts.summary(lesson, shown)
    parts.bar(shown)
    with lesson.slide("what-if"):
        parts.maps(lesson, shown)
    parts.chooser(lesson, shown)
    parts.one_head(lesson, shown)
    parts.agreement(lesson, shown)
    lesson.write_link(inputs)
    parts.run_on(timed)


@shell.fragment
def behind() -> None:
    """The formula and the code."""
    parts.behind(lesson)


clock = sweep.running()
shell.fragment(what_if, run_every=parts.TICK if clock else None)(clock)
behind()
