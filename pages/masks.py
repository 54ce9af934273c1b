"""Masks: who may look at whom, what that changes, and the test that nothing leaks."""

import streamlit as st

from attnviz.web import shell
from attnviz.web.masks import first_runs, parts, state, text

shell.ensure()
lesson, inputs = state.open_lesson()


@shell.fragment
def who_may_look() -> None:
    """The mask, one head before and after it, and what became of the outputs."""
    settings = state.adopt(lesson, inputs)
    effect, asked = state.effect(settings, inputs), state.prediction(inputs)
    lesson.question("Who may look at whom?")
    sentence = st.container()
    hides = not parts.prediction(lesson, asked) and state.answers(inputs, settings.mask)
    with sentence:
        parts.sentence(lesson, settings, effect, hides=hides)
    parts.controls(lesson, settings, effect)
    above = st.container()
    parts.outputs(lesson, settings, effect, hides=hides)  # sent before the matrices: the browser takes longer for them
    with above:
        parts.matrices(settings, inputs, effect)
        parts.starved_or_depth(lesson, settings, effect)
    parts.tries(lesson, settings, effect)
    lesson.write_link(inputs)


@shell.fragment
def does_it_leak() -> None:
    """One word exchanged: who notices, with the causal mask and without."""
    lesson.section("Can a later word leak into an earlier one?")
    exchange = state.exchange(lesson, inputs)
    shows = parts.leak_prediction(lesson, exchange)
    parts.exchange_controls(lesson, exchange)
    parts.leak(lesson, exchange, hides=not shows)
    lesson.write_link(inputs)


@shell.fragment
def what_is_padding() -> None:
    """A real batch of three texts, and what its [PAD] tokens do to the real ones."""
    lesson.section("Who may look at [PAD]?")
    padding = state.padding(lesson.settings(), inputs)
    lesson.sentence(text.padding(padding), part="padding")
    parts.batch(lesson, padding)
    with lesson.slide("padding"):
        parts.padded_head(padding)
    parts.against_alone(lesson, padding)
    lesson.write_link(inputs)


first_runs.prepare(lesson, inputs)
who_may_look()
does_it_leak()
what_is_padding()
parts.behind(lesson)
