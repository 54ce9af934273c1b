"""Vision: draw a digit or bring a picture, and see what a vision transformer looks at, patch by patch."""

import streamlit as st

from attnviz.analysis import rollout
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn import attention
from attnviz.nn.embeddings import Embeddings
from attnviz.web import shell
from attnviz.web.components import drawing_pad, patch_view
from attnviz.web.components.dial import dial
from attnviz.web.jobs import model_downloads
from attnviz.web.lesson import Lesson, Try
from attnviz.web.softmax.text import TEMPERATURES
from attnviz.web.vision import state as vision
from attnviz.web.vision import text as vision_said

shell.ensure()
MARKS = {0.05: "sharp", 1.0: "1", 20.0: "even"}
SOURCES = {"draw": "Draw", "upload": "Upload"}
FORMULA = r"""\begin{aligned}
&z_0=[x_\mathrm{class};\,x_1E;\,x_2E;\,\dots;\,x_NE]+E_\mathrm{pos}\\
&\tilde A_l=\tfrac12\Big(\tfrac1H\sum_h A_{l,h}+I\Big),\qquad R_l=\tilde A_l\,\tilde A_{l-1}\cdots\tilde A_0
\end{aligned}"""

lesson = Lesson("vision", vision.Settings())
inputs = shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"])  # for the link: not used here


@st.fragment
def picture() -> None:
    """The picture, the answer, and where the model looks."""
    chosen, coming, seen, trouble = lesson.chosen(), None, None, ""
    try:
        coming = model_downloads.coming(chosen.vit)
        if coming is None:
            chosen = vision.clamp(lesson, vision.model(chosen.vit))
            seen = vision.look(chosen)
    except (InvalidParameterError, ModelError) as error:
        trouble = str(error) if isinstance(error, vision.Missing) else f"− {error}"
    lesson.question("What does a vision transformer look at?")
    left, right = st.columns([25, 78], gap="medium")
    with left:  # alone at its height: whatever the answer is, the drawing stays under the pen
        source(chosen, seen)
    with right:
        if coming is not None:
            model_downloads.bar(coming, lambda: vision.first_model(lesson), "The page goes back to its first model")
        else:
            lesson.sentence(trouble if seen is None else vision_said.answer(seen, chosen))
        guess, view = st.container(), st.container()  # always: else the parts below would be made anew
        if seen is not None:
            with guess:
                lesson.predict("guess", *vision_said.prediction(seen))
            with view:
                patch_view.patches_view(
                    seen.message,
                    chosen.look,
                    key=vision.VIEW,
                    alt=vision_said.view(seen.trace, chosen.look),
                    answer=vision_said.bars(seen),
                    changed=vision_said.what_changed(chosen, seen.trace.config),
                    on_change=lambda: vision.adopt(lesson),
                )
        controls()
    if seen is not None:
        lesson.tries(*tries(chosen, seen))
    lesson.write_link(inputs)


def tries(chosen: vision.Settings, seen: vision.Seen) -> list[Try]:
    """Things to try with this model."""
    config = seen.plain.config
    wrong = [Try("One that it gets wrong", {"source": "draw", "drawing": one}) for one in vision.mistaken(chosen.vit)]
    return [
        *wrong[:1],
        Try("Rollout through all layers", {"layer": config.n_layers - 1, "head": patch_view.ROLLOUT}),
        Try("The first layer switched off", {"off": vision.whole_layer(config, 0)}),
        Try("Every head as even as can be: τ = 20", {"temperature": 20.0}),
        Try("As trained", {"off": "", "temperature": 1.0}),
    ]


def source(chosen: vision.Settings, seen: vision.Seen | None) -> None:
    """Where the picture comes from: a drawing or a file."""
    st.segmented_control(
        "Picture",
        list(SOURCES),
        key=lesson.key("source"),
        format_func=SOURCES.get,
        required=True,
        label_visibility="collapsed",
    )
    if chosen.source == "draw":
        drawing_pad.drawing_pad(key=lesson.key("drawing"), examples=vision.held_out()[1])
        notes = [vision_said.about_drawing(seen)] if seen else []
    else:
        take = vision.take_upload("vision-file")
        st.file_uploader("A PNG or JPEG picture", key="vision-file", max_upload_size=20, on_change=take)
        st.toggle("Invert: dark becomes bright", key=lesson.key("invert"))
        notes = (
            vision_said.about_upload(vision.upload(vision.reader_of(seen.model)), seen, chosen.invert) if seen else []
        )
    for note in notes:
        st.caption(shell.escaped(note))


def controls() -> None:
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
    titles = vision.models()
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


@st.fragment
def behind() -> None:
    """The formula and the code."""
    lesson.chosen()
    lesson.behind(
        FORMULA,
        "Patches: Dosovitskiy et al. 2021, equation 1. Rollout: Abnar and Zuidema 2020, section 3; it knows weights "
        "only, not what values, projections and feed-forward networks make of them. Attention shows where a model "
        "looks, not by itself why it answers: switch heads off to see what they do.",
        Embeddings._patches,
        attention.attend,
        rollout.rolled_out,
        rollout.with_residual,
    )
    st.caption("Layers, heads, rows and columns count from 0.")
    lesson.write_link(inputs)


picture()
behind()
