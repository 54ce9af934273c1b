"""Softmax and temperature: one attention row from sharp to even, and why scores are divided by √d_k."""

import streamlit as st

from attnviz.web import cache, shell
from attnviz.web.lesson import Lesson
from attnviz.web.softmax import parts, state, text

shell.ensure()
lesson = Lesson("softmax", state.Settings(), follows=("layer", "head"))
inputs = lesson.inputs()


@shell.fragment
def one_row() -> None:
    """A row of one head under τ, and the same τ on the output."""
    trace = cache.trace(inputs.model, inputs.text)
    settings = state.within(lesson, trace)
    row = state.row(settings, trace)
    lesson.question("What does temperature do to attention?")
    sentence = st.container()
    hides = not parts.prediction(lesson, row)
    with sentence:
        parts.sentence(lesson, row, hides=hides)
    controls, left, right = st.columns([236, 430, 430], gap="large")
    with controls:
        parts.controls(lesson, settings, trace, row)
    with left:
        parts.bars(lesson, row, hides=hides and row.is_sharpened)
    with right:
        parts.curves(lesson, row, hides=hides)
    parts.tries(lesson)
    lesson.section("Is this the temperature used in sampling?")
    parts.sampling(lesson, inputs, settings)
    lesson.write_link(inputs)


@shell.fragment
def why() -> None:
    """The variance of q·k, and what softmax makes of it."""
    seed = lesson.settings().seed
    variances, saturations = state.random_vectors(seed)
    lesson.section("Why divide by √dₖ?")
    lesson.sentence(text.variance_sentence(variances, state.PAIRS), part="variance")
    parts.variance(lesson, inputs, seed, variances)
    parts.saturation(lesson, seed, saturations)
    lesson.write_link(inputs)


one_row()
why()
parts.behind(lesson, inputs)
