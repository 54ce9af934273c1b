"""What is drawn on the page "Vision", in the order of the page."""

from __future__ import annotations

import streamlit as st

from attnviz.analysis import rollout
from attnviz.nn import attention
from attnviz.nn.embeddings import Embeddings
from attnviz.web import shell
from attnviz.web.components import drawing_pad, patch_view
from attnviz.web.components.dial import dial
from attnviz.web.jobs import model_downloads
from attnviz.web.lesson import Lesson, Try
from attnviz.web.temperatures import MARKS, TEMPERATURES
from attnviz.web.vision import state, text
from attnviz.web.vision.state import Outcome, Seen, Settings

HEIGHT = 644  # px of the patches with their sentence
SOURCES = {"draw": "Draw", "upload": "Upload"}
FORMULA = r"""\begin{aligned}
&z_0=[x_\mathrm{class};\,x_1E;\,x_2E;\,\dots;\,x_NE]+E_\mathrm{pos}\\
&\tilde A_l=\tfrac12\Big(\tfrac1H\sum_h A_{l,h}+I\Big),\qquad R_l=\tilde A_l\,\tilde A_{l-1}\cdots\tilde A_0
\end{aligned}"""
SOURCE = (
    "Patches: Dosovitskiy et al. 2021, equation 1. Rollout: Abnar and Zuidema 2020, section 3; it knows weights "
    "only, not what values, projections and feed-forward networks make of them. Attention shows where a model "
    "looks, not by itself why it answers: switch heads off to see what they do."
)


def source(lesson: Lesson[Settings], outcome: Outcome) -> None:
    """Where the picture comes from: a drawing or a file."""
    settings, seen = outcome.settings, outcome.seen
    st.segmented_control(
        "Picture",
        list(SOURCES),
        key=lesson.key("source"),
        format_func=SOURCES.__getitem__,
        required=True,
        label_visibility="collapsed",
    )
    if settings.source == "draw":
        drawing_pad.drawing_pad(key=lesson.key("drawing"), examples=state.held_out()[1])
        notes = [text.about_drawing(seen)] if seen else []
    else:
        take = state.take_upload("vision-file")
        st.file_uploader("A PNG or JPEG picture", key="vision-file", max_upload_size=20, on_change=take)
        st.toggle("Invert: dark becomes bright", key=lesson.key("invert"))
        notes = text.about_upload(state.upload(seen.preprocessor), seen, settings.invert) if seen else []
    for note in notes:
        st.caption(shell.escaped(note))


def answer(lesson: Lesson[Settings], outcome: Outcome) -> None:
    """What the model says; or how far it is on its way, or what is in the way."""
    seen = outcome.seen
    if outcome.coming is not None:
        back = "The page goes back to its first model"
        model_downloads.bar(outcome.coming, lambda: state.first_model(lesson), back)
    elif outcome.trouble:
        shell.notice(outcome.trouble)
    elif seen is None:
        lesson.sentence(outcome.missing)
    else:
        meant = state.meant(outcome.settings, seen.model)
        lesson.sentence(text.answer(seen, outcome.settings, meant))


def prediction(lesson: Lesson[Settings], seen: Seen) -> bool:
    """Does the class token look where the ink is? Whether the patches may be drawn."""
    question, options, truth, because = text.prediction(seen)
    return lesson.predict("ink", question, options, truth, because)


def patches(lesson: Lesson[Settings], settings: Settings, seen: Seen, shown: bool) -> None:
    """The picture, patch by patch, and the answer's bars."""
    with lesson.room("ink", HEIGHT, {719: 1208}):
        if shown:
            _patches(lesson, settings, seen)
        else:
            lesson.veil("ink")


def _patches(lesson: Lesson[Settings], settings: Settings, seen: Seen) -> None:
    look, config = settings.look, seen.trace.config
    patch_view.patches_view(
        seen.message,
        look,
        key=state.VIEW,
        alt=text.view(seen.row(look), look, config),
        answer=text.bars(seen),
        changed=text.what_changed(settings, config),
        on_change=lambda: state.adopt(lesson),
    )


def controls(lesson: Lesson[Settings]) -> None:
    """The temperature, and the model."""
    left, right = st.columns(2, gap="medium")
    with left:
        dial(
            "Temperature τ in attention",
            TEMPERATURES,
            key=lesson.key("temperature"),
            format_func="{:g}".format,
            marks=MARKS,
        )
    titles = state.titles()
    options = list(titles)
    if (name := st.session_state[lesson.key("vit")]) not in options and name:
        options.append(name)
    with right:
        st.selectbox(
            "Vision model",
            options,
            key=lesson.key("vit"),
            format_func=lambda name: titles.get(name, name),
            accept_new_options=True,
            help="Or type hf:org/name for a ViT or DeiT from the Hugging Face hub",
        )


def tries(lesson: Lesson[Settings], settings: Settings, seen: Seen) -> None:
    """Things to try with this model."""
    config, mistaken = seen.plain.config, state.mistaken(settings.vit)
    wrong = [Try("One that it gets wrong", {"source": "draw", "drawing": drawing}) for drawing in mistaken[:1]]
    lesson.tries(
        *wrong,
        Try("Rollout through all layers", {"layer": config.n_layers - 1, "head": patch_view.ROLLOUT}),
        Try("All heads of layer 0 off", {"off": state.whole_layer(config, 0)}),
        Try("Attention nearly even: τ = 20", {"temperature": 20.0}),
        Try("As trained", {}),
        keeps=("source", "drawing", "invert", "vit"),
    )


def behind(lesson: Lesson[Settings]) -> None:
    """The formula and the code."""
    lesson.behind(
        FORMULA,
        SOURCE,
        Embeddings._patches,
        attention.attend,
        rollout.rolled_out,
        rollout.with_residual,
    )
    st.caption("Layers, heads, rows and columns count from 0.")
