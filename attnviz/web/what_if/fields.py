"""What the reader of the page "What if?" sets: the pair, the change, and what is measured."""

from __future__ import annotations

import streamlit as st

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.web import shell
from attnviz.web.components.chart import clicked
from attnviz.web.lesson import Lesson, Try
from attnviz.web.what_if import presets, state, text
from attnviz.web.what_if.state import Settings


def pairs(lesson: Lesson[Settings]) -> None:
    """Pairs of texts whose effect was measured."""
    with st.container(key="what-if-pairs"):
        lesson.tries(*(Try(one.label, one.settings, text=one.text, model=one.model) for one in presets.PRESETS))


def begin(lesson: Lesson[Settings], inputs: shell.Inputs) -> None:
    """Before the fields are drawn: the click on a map, and the other text of a text that begins a pair.

    Ends the page in a sentence for a model whose layers cannot be run one by one.
    """
    try:
        state.check_layers(inputs.model)
    except InvalidParameterError as error:
        shell.refuse(f"{str(error)[:1].upper()}{str(error)[1:]}. Pick another model, or try one of these pairs.")
    cell, dot = clicked("lesson-picture-what-if-heads"), clicked("lesson-picture-what-if-agreement")
    about = dot.get("about")
    place = [cell.get("y"), cell.get("x")] if cell else about[:2] if isinstance(about, list) else []
    if len(place) == 2 and all(type(one) is int and 0 <= one <= 512 for one in place):
        st.session_state["what-if:clicked"] = tuple(place)
    if not st.session_state.get(lesson.key("other")) and (other := presets.partner(inputs.model, inputs.text)):
        lesson.choose(other=other)


def fields(lesson: Lesson[Settings], inputs: shell.Inputs) -> None:
    """The other text, the change, and what is measured."""
    two = state.is_pair_model(inputs.model)
    columns = st.columns([3, 1] if two else 1)
    columns[0].text_input("The other text", key=lesson.key("other"), placeholder="Yours with one word exchanged")
    if two:
        columns[1].text_input("Answer so far", key=lesson.key("answer"))
        shell.tell_too_long(lesson.key("answer"), "The answer")
    shell.tell_too_long(lesson.key("other"), "The other text")
    for field, (n_read, n_left) in state.cut(inputs.model, lesson.settings())[1].items():
        st.caption(text.left_out(field, n_read, n_left))
    st.segmented_control(
        "Every head, one at a time", state.HOWS, key=lesson.key("how"), format_func=text.HOWS.__getitem__, required=True
    )
    st.caption(text.EXPLAINS[lesson.settings().how])
    left, right, _ = st.columns([1, 1, 1])
    if not two:
        labels = state.encoding(inputs.model, inputs.text).labels
        if lesson.settings().at >= len(labels):
            lesson.choose(at=-1)
        names = {-1: "every token"} | {position: f"{position} {one}" for position, one in enumerate(labels)}
        left.selectbox("Changed at", list(names), key=lesson.key("at"), format_func=names.__getitem__)
    if lesson.settings().how == "scale":
        (left if two else right).slider("Factor", 0.0, 2.0, step=0.1, key=lesson.key("factor"))
    offers = state.measures(inputs.model)
    if lesson.settings().measure not in offers:
        lesson.choose(measure=offers[0])
    st.segmented_control(
        "Measured by", offers, key=lesson.key("measure"), format_func=text.MEASURES.__getitem__, required=True
    )
    st.caption(text.MEANS[lesson.settings().measure])
    if lesson.settings().measure != "likeness":
        try:
            _predicted(lesson, inputs)
        except (InvalidParameterError, ModelError) as error:
            shell.refuse(str(error))


def _predicted(lesson: Lesson[Settings], inputs: shell.Inputs) -> None:
    """Where a token is predicted, and which."""
    settings, _ = state.cut(inputs.model, lesson.settings())
    source = state.predicted_text(inputs, settings)
    encoding = state.encoding(inputs.model, source)
    columns = st.columns(3)
    hides = state.hides(inputs.model)
    words = settings.measure in ("lead", "probability")
    if words or hides:
        if settings.position >= len(encoding):
            lesson.choose(position=-1)
        names = [f"{position} {one}" for position, one in enumerate(encoding.labels)]
        columns[0].selectbox(
            "Hidden word" if hides else "Predicted after",
            range(-1, len(names)),
            key=lesson.key("position"),
            format_func=lambda position: names[position] if position >= 0 else "the last word" if hides else "the end",
        )
    if not words:
        return
    position = state.place_of(inputs.model, source, settings.position)
    hidden = position if hides else -1
    answer = settings.answer if state.is_pair_model(inputs.model) else ""
    here = state.trace(inputs.model, inputs.text, answer, hidden)
    there = here
    if settings.other.strip() and state.same_length(inputs.model, inputs.text, settings.other):
        there = state.trace(inputs.model, settings.other, answer, hidden)
    offered = state.offered(inputs.model, here, there, position)
    shown = (("token", "Token"), ("versus", "Ahead of"))[: 2 if settings.measure == "lead" else 1]
    for column, (field, title) in zip(columns[1:], shown, strict=False):
        mine = getattr(settings, field)
        options = ["", *dict.fromkeys([*offered, *([mine] if mine else [])])]
        column.selectbox(
            title,
            options,
            key=lesson.key(field),
            format_func=lambda one: shell.escaped(one.strip()) if one else "the likeliest",
            accept_new_options=True,
        )
