"""The parts of the page "Translate", from top to bottom."""

from __future__ import annotations

import streamlit as st

from attnviz.generation import beam_search, sampling
from attnviz.nn.layers import TransformerDecoderLayer
from attnviz.web import shell
from attnviz.web.components.attention_view import attention_view
from attnviz.web.components.generation_view import Candidate, Chip, writer
from attnviz.web.components.table import table
from attnviz.web.lesson import Lesson, Try
from attnviz.web.translate import state, text
from attnviz.web.translate.answer import ALIGNING, Answer
from attnviz.web.translate.state import Settings

N_CANDIDATES = 6
HEIGHT = 922  # px of the picture with its controls and what is said under it
UP_TO = {1159: 1382, 779: 2340}  # the same, by the width of the window up to which it is so high
FORMULA = (
    r"\begin{aligned}A&=\mathrm{softmax}\!\left(\frac{(XW_Q)(MW_K)^\top}{\sqrt{d_k}}\right)\\"
    r"\mathrm{Cross}(X, M)&=A\,MW_V\end{aligned}"
)
SOURCES = (
    "One head, without biases: X are the decoder’s vectors, M the encoder’s output. Vaswani et al. 2017, sections "
    "3.2.1 and 3.2.3. Beam search, its scores divided by the length: Wu et al. 2016, section 7. Attention shows where "
    "a head looks, not by itself why the model answers as it does."
)


def sentence(lesson: Lesson[Settings], answer: Answer) -> None:
    """The source and what the model makes of it."""
    lesson.sentence(text.sentence(answer))


def controls(lesson: Lesson[Settings]) -> None:
    """The model and the source."""
    model, source, example = st.columns([3, 5, 3], gap="medium")
    titles = state.models()
    name = lesson.settings().translator
    model.selectbox(
        "Model",
        [*titles, *([] if name in titles else [name])],
        key=lesson.key("translator"),
        format_func=lambda name: titles.get(name, name),
        accept_new_options=True,
        on_change=state.other_model,
        args=(lesson,),
        help="Or type hf:Helsinki-NLP/opus-mt-en-de, from the hub",
    )
    source.text_input(
        "Source",
        key=lesson.key("source"),
        on_change=state.restart,
        args=(lesson,),
    )
    example.selectbox(
        "Examples",
        state.EXAMPLES.get(name, state.OTHER_EXAMPLES),
        index=None,
        key="translate-example",
        placeholder="Pick an example",
        on_change=state.take_example,
        args=(lesson,),
    )


def stack(lesson: Lesson[Settings], answer: Answer) -> None:
    """Which attention shows; above the question, which only one of them has."""
    lesson.in_view()
    st.segmented_control(
        "Attention",
        [name for name in text.STACKS if name != "self" or answer.has_self],
        key=lesson.key("stack"),
        format_func=text.STACKS.__getitem__,
        required=True,
        label_visibility="collapsed",
        on_change=state.other_tokens,
        args=(lesson,),
    )


def prediction(lesson: Lesson[Settings], answer: Answer) -> bool:
    """How does the head go through the source? Asked where that is clear; whether the picture may be drawn."""
    settings = lesson.settings()
    question = text.order(answer, settings.layer, settings.head) if settings.stack == "cross" else None
    if question is None:
        return True
    asks, truth, because = question
    return lesson.predict("order", asks, text.GUESSES, truth, because)


def attention(lesson: Lesson[Settings], answer: Answer, shown: bool) -> None:
    """All heads of the chosen stack; `state.adopt_view` takes what the reader picks in it."""
    settings = lesson.settings()
    with lesson.room("order", HEIGHT, UP_TO, for_view=True):
        if shown:
            _picture(settings, answer)
        else:
            lesson.veil("order")


def _picture(settings: Settings, answer: Answer) -> None:
    attention_view(
        state.message(settings.translator, settings.source, settings.forced, settings.stack),
        state.view_state(settings),
        key=f"{state.VIEW}-{settings.stack}",
        question="",
        live=False,
    )
    st.caption(shell.escaped(text.note(answer, settings.translator, settings.source, settings.stack)))


def steps(lesson: Lesson[Settings], answer: Answer) -> None:
    """The answer token by token, and what could be said in the place of one."""
    settings = lesson.settings()
    lesson.section("Token by token: what could it say instead?")
    start = answer.run.encodings[0].labels[: len(answer.prompt.start)]
    writer(
        [*(Chip(label, special=True) for label in start), *chips(answer)],
        candidates(answer, settings.focus),
        start=len(start),
        focus=settings.focus,
        tints=(),
        heading=text.heading(answer, settings.focus),
        ended=True,
        key=state.WRITER,
        on_write=lambda: state.take(lesson, answer),
    )
    if settings.forced:
        st.button("Back to the model’s own answer", key="translate-own", on_click=state.own_answer, args=(lesson,))


def chips(answer: Answer) -> list[Chip]:
    """The answer's tokens, each with its probability."""
    encoding = answer.tokenizer.encoding(answer.ids)
    return [
        Chip(label, special, continues, probability)
        for label, special, continues, probability in zip(
            encoding.labels, encoding.special, encoding.continues, answer.probabilities, strict=True
        )
    ]


def candidates(answer: Answer, focus: int) -> list[Candidate]:
    """The likeliest tokens at one place, and the one that stands there."""
    p, here = answer.distribution(focus), answer.ids[focus - 1]
    best = p.topk(N_CANDIDATES).indices.tolist()
    ids = best if here in best else [*best, here]
    return [Candidate(i, answer.tokenizer.encoding([i]).labels[0], float(p[i]), i == here) for i in ids]


def beams(lesson: Lesson[Settings], answer: Answer) -> None:
    """The best answers of a beam search beside the greedy one."""
    lesson.section("Does a search with several beams find a better answer?")
    settings = lesson.settings()
    greedy = state.answered(settings.translator, settings.source, ()) if settings.forced else answer
    best = state.beams(settings.translator, settings.source, settings.beams)
    lesson.sentence(text.beams_sentence(greedy, best, settings.beams), part="beams")
    st.segmented_control("Beams", state.BEAMS, key=lesson.key("beams"), required=True)
    alt = f"The best {len(best)} answers, each with its mean log p per token"
    columns = (("mean log p", ""), ("tokens", "number"), ("answer", ""))
    table(alt, columns, text.beams_rows(best), key="translate-beams")


def tries(lesson: Lesson[Settings], answer: Answer) -> None:
    """Things to try; the translator where it is installed."""
    first = {"translator": "dates", "layer": 0, "head": 2}
    offered = [
        Try("A month from its letters", first | {"source": "Friday, 11 September 1998", "focus": 7}),
        Try("What ends the answer", {"focus": len(answer.ids)}),
        Try("How the source reads itself", {"stack": "encoder"}),
    ]
    name = "bergamot-en-pt"
    if name in state.models():
        layer, head = ALIGNING[name]
        cat = {"translator": name, "source": state.EXAMPLES[name][0], "layer": layer, "head": head, "focus": 2}
        offered.insert(0, Try("A translator, on “the black cat”", cat))
    lesson.tries(*offered, keeps=("translator", "source", "layer", "head", "focus", "beams"))


def behind(lesson: Lesson[Settings]) -> None:
    """The formula and the code."""
    lesson.behind(FORMULA, SOURCES, TransformerDecoderLayer.trace, sampling.tokens, beam_search.beam)
