"""Softmax and temperature: one attention row from sharp to even, and why scores are divided by √d_k."""

import streamlit as st

from attnviz.web import cache, shell
from attnviz.web.lesson import Lesson
from attnviz.web.softmax import parts, state, text

shell.ensure()
lesson = Lesson("softmax", state.Settings())
inputs = lesson.inputs()


@st.fragment
def one_row() -> None:
    """A row of one head under τ, and the same τ on the output."""
    trace = cache.trace(inputs.model, inputs.text)
    settings = state.clamped(lesson, trace)
    row = state.row(settings, trace)
    lesson.question("What does temperature do to attention?")
    lesson.sentence(text.row_sentence(row))
    parts.prediction(lesson, row)
    controls, left, right = st.columns([236, 430, 430], gap="large")
    with controls:
        parts.controls(lesson, settings, trace, row)
    with left:
        parts.bars(lesson, row)
    with right:
        parts.curves(lesson, row)
    parts.tries(lesson)
    lesson.section("Is it the temperature of sampling?")
    parts.sampling(lesson, inputs, settings)
    lesson.write_link(inputs)


@st.fragment
def why() -> None:
    """The variance of q·k, and what softmax makes of it."""
    seed = lesson.settings().seed
    variances, saturations = state.random_vectors(seed)
    lesson.section("Why divide by √dₖ?")
    lesson.sentence(text.variance_sentence(variances, state.PAIRS), part="variance")
    parts.variance(lesson, inputs, seed, variances)
    parts.saturation(lesson, saturations)
    lesson.write_link(inputs)


one_row()
why()
parts.behind(lesson, inputs)
