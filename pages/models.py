"""All models: which transformers there are, what they are made of, and how to bring another one."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.lesson import Lesson
from attnviz.web.models import parts, state

shell.ensure()
lesson = Lesson("models", state.Settings())
jobs = state.take_downloaded(lesson), state.take_uploaded(lesson)
active = any(job is not None and job.active for job in jobs)


@shell.fragment
def catalogue() -> None:
    """What answers a click in the table."""
    shown = state.shown(lesson)
    parts.catalogue(lesson, shown)
    parts.anatomies(lesson, shown)
    parts.tries(lesson)
    parts.behind(lesson, shown)
    lesson.write_link(shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"]))


catalogue()
shell.fragment(parts.bring, run_every=state.TICK if active else None)(lesson, active)
