"""Attention and cause: what a prediction owes to each word, by seven measures, and which of them agree."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.evidence import parts, readout, state, work
from attnviz.web.lesson import Lesson

shell.ensure()
lesson = Lesson("evidence", state.Settings(), typed=("typed",))


def evidence(timed: bool) -> None:
    """One prediction, and what each word has to do with it; `timed`: whether this part has a clock, for long work."""
    lesson.tell_anew()
    lesson.question("Which words does a prediction depend on?")
    sentence = st.container()
    lesson.in_view()
    inputs = lesson.inputs()
    shown = state.shown(lesson, inputs)
    parts.controls(lesson, shown)
    parts.bars(shown)
    hides = not parts.prediction(lesson, shown)
    with sentence:
        parts.sentence(lesson, shown, hides=hides)
    picture = lesson.slide("evidence")
    with lesson.room("matters", 452, {1319: 568, 1099: 786, 719: 932}):
        if hides:
            lesson.veil("matters")
        else:
            shown = parts.with_integrated(lesson, shown)
            parts.notes(shown)
            parts.agreements(lesson, shown)
            readout.readouts(lesson, shown)
    with picture:
        parts.picture(lesson, shown, hides=hides)
    parts.tries(lesson)
    lesson.write_link(inputs)
    work.run_on(timed)


@shell.fragment
def behind() -> None:
    """The formulas and the code."""
    parts.behind(lesson)


clock = work.running()
shell.fragment(evidence, run_every=parts.TICK if clock else None)(clock)
behind()
