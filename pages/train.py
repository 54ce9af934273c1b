"""Watch attention form: a small transformer learns while its attention is on screen."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.jobs import training_runs
from attnviz.web.train import parts, state

shell.ensure()
lesson = state.open_lesson()
inputs = shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"])  # for the link: not used here


def training(timed: bool) -> None:
    """All but the formula; while a training is under way, this fragment runs again by itself."""
    settings, run = lesson.settings(), training_runs.mine()
    if timed != (run is not None and run.active):
        st.rerun()  # the whole page, for that is where a fragment's clock is set
    state.note_reader(settings, timed)
    busy = run is not None and (run.active or run.status == "paused")
    parts.answer(lesson, run)
    with st.container(key="train-choices"):  # hidden while a training is under way, not taken away: see page.css
        parts.choices(lesson, settings)
        parts.buttons(lesson, settings, run, busy)
        parts.fields(lesson, settings)
    if run is not None and busy:
        parts.under_way(run)
    parts.refused()
    if run is not None and run.probe is not None:
        parts.pictures(lesson, settings, run)
    if not busy:
        parts.tries(lesson)
    lesson.write_link(inputs)


active = (run := training_runs.mine()) is not None and run.active
shell.fragment(training, run_every=state.TICK if active else None)(active)
shell.fragment(parts.behind)(lesson)
