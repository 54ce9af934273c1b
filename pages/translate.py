"""Translate: a source, an answer, and which words of the one each word of the other looks at."""

import streamlit as st

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.generation import beam_search, sampling
from attnviz.nn import layers
from attnviz.web import shell
from attnviz.web.jobs import model_downloads
from attnviz.web.lesson import Lesson, Try
from attnviz.web.translate import state as translate
from attnviz.web.translate import text as says

shell.ensure()
lesson = Lesson("translate", translate.Settings())
inputs = shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"])  # for the link: not used here


@st.fragment
def aligned() -> None:
    """Model and source, the answer, and the attention between them."""
    translate.heed(lesson)
    chosen = lesson.chosen()
    lesson.question("Which words is each word made from?")
    place = st.container()
    controls()
    with place:
        try:
            model_downloads.arrive(
                chosen.translator, lambda: translate.first_model(lesson), "The page goes back to its first model"
            )
            found = translate.answer(chosen.translator, chosen.source, chosen.forced)
        except (InvalidParameterError, ModelError) as error:
            shell.refuse(str(error))
        chosen = translate.fitted(lesson, found)
        if st.session_state.pop("undrawn", False):  # the browser has forgotten the widgets below
            lesson.choose(stack=chosen.stack, beams=chosen.beams, guess=chosen.guess)
        lesson.sentence(says.sentence(found))
    if chosen.stack == "cross" and (order := says.order(found, chosen.layer, chosen.head)):
        lesson.predict("guess", order[0], translate.GUESSES, *order[1:])
    stacks = [name for name in translate.STACKS if name != "self" or found.has_self]
    st.segmented_control(
        "Attention",
        stacks,
        key=lesson.key("stack"),
        format_func=translate.STACKS.get,
        required=True,
        label_visibility="collapsed",
        on_change=translate.other_tokens,
        args=(lesson,),
    )
    translate.view(lesson, found, "")
    if note := says.note(found, chosen.translator, chosen.source):
        st.caption(shell.escaped(note))
    lesson.section("Step by step: what could be said instead?")
    translate.answer_view(lesson, found, says.heading(found, chosen.focus))
    if chosen.forced:
        st.button("Back to the model’s own answer", key="translate-own", on_click=translate.restart, args=(lesson,))
    lesson.section("Greedy, or the best of several beams")
    searched(found, lesson.chosen())
    lesson.tries(*tries(found))
    lesson.write_link(inputs)


def tries(found: translate.Answer) -> list[Try]:
    """Things to try; the translator where it is installed."""
    own = {"forced": (), "stack": "cross"}
    date = {**own, "translator": "dates", "source": "Friday, 11 September 1998", "layer": 0, "head": 0, "focus": 7}
    found_here = [
        Try("A month from its letters", date),
        Try("What ends the answer", {"stack": "cross", "focus": len(found.said)}),
        Try("How the source reads itself", {"stack": "encoder"}),
    ]
    name = "bergamot-en-pt"
    if name in translate.models():
        layer, head = translate.ALIGNING[name]
        source = translate.EXAMPLES[name][0]
        cat = {**own, "translator": name, "source": source, "layer": layer, "head": head, "focus": 2}
        found_here.insert(0, Try("A translator: “black cat” turns round", cat))
    return found_here


def controls() -> None:
    """The model and the source."""
    model, source, example = st.columns([3, 5, 3], gap="medium")
    titles = translate.models()
    now = lesson.chosen().translator
    model.selectbox(
        "Model",
        [*titles, *([] if now in titles else [now])],
        key=lesson.key("translator"),
        format_func=lambda name: titles.get(name, name),
        accept_new_options=True,
        on_change=translate.another,
        args=(lesson,),
        help="Or type hf:Helsinki-NLP/opus-mt-en-de, from the hub",
    )
    source.text_input(
        "Source",
        key=lesson.key("source"),
        max_chars=translate.LONGEST_TEXT,
        on_change=translate.restart,
        args=(lesson,),
    )
    texts = translate.EXAMPLES.get(now, translate.OTHER_EXAMPLES)
    example.selectbox(
        "Examples",
        texts,
        index=None,
        key="translate-example",
        placeholder="Pick an example",
        on_change=take_example,
    )


def take_example() -> None:
    """The example becomes the source."""
    if picked := st.session_state["translate-example"]:
        lesson.choose(source=picked)
        translate.restart(lesson)
        st.session_state["translate-example"] = None


def searched(found: translate.Answer, chosen: translate.Settings) -> None:
    """The best answers of a beam search beside the greedy one."""
    if chosen.forced:
        found = translate.answer(chosen.translator, chosen.source, ())
    several = translate.beams(chosen.translator, chosen.source, chosen.beams)
    lesson.sentence(says.beams_sentence(found, several, chosen.beams), part="beams")
    st.segmented_control("Beams", translate.BEAMS, key=lesson.key("beams"), required=True)
    alt = f"The best {len(several)} answers, each with its mean log p per token"
    st.table(says.beams_table(several).map(shell.escaped), border="horizontal", hide_index=True, alt=alt)


@st.fragment
def behind() -> None:
    """The formula and the code."""
    lesson.chosen()
    lesson.behind(
        r"\begin{aligned}A&=\mathrm{softmax}\!\left(\frac{(XW_Q)(MW_K)^\top}{\sqrt{d_k}}\right)\\"
        r"\mathrm{Cross}(X, M)&=A\,MW_V\end{aligned}",
        "Vaswani et al. 2017, section 3.2.3: X are the decoder’s vectors, M the encoder’s output. "
        "Beam search: Wu et al. 2016, section 7.",
        layers.TransformerDecoderLayer.trace,
        sampling.tokens,
        beam_search.beam,
    )
    lesson.write_link(inputs)


aligned()
behind()
