"""The parts of the page "Generate", from top to bottom."""

from __future__ import annotations

from typing import Any

import streamlit as st
import torch

from attnviz import figures
from attnviz.analysis import scaling, sinks
from attnviz.browser.view_state import ViewState
from attnviz.generation import sampling
from attnviz.nn.transformer import Transformer
from attnviz.web import shell
from attnviz.web.components.attention_view import attention_view
from attnviz.web.components.chart import Table
from attnviz.web.components.dial import dial
from attnviz.web.components.generation_view import Candidate, Chip, writer
from attnviz.web.generate import state, text
from attnviz.web.generate.scene import Scene
from attnviz.web.generate.state import Opening, Settings
from attnviz.web.lesson import Lesson, Try
from attnviz.web.temperatures import MARKS, TEMPERATURES

N_CANDIDATES = 10
AT_ONCE = 20  # tokens
TWICE = "Mr Dursley met Mrs Potts in Paris. A year later, Mr D"  # Austen's induction head knows how it goes on
HOW = {"greedy": "the likeliest (greedy)", "sampled": "drawn at random (sampled)"}
SAID_TWICE: dict[str, Any] = {"said": (), "focus": -1, "layer": 2, "head": 1, "inside": 1.0, "how": state.HOW[0]}
FORMULA = (
    r"\begin{aligned}&P(\text{next})=\mathrm{softmax}\!\left(\frac{\text{logits}}{T}\right)"
    r"&&\text{on the output}\\"
    r"&A=\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}\,\tau}\right)"
    r"&&\text{in every row}\end{aligned}"
)
SOURCES = "Top k: Fan et al. 2018. Top p: Holtzman et al. 2020. Attention sinks: Xiao et al. 2024."


def sidebar(opening: Opening) -> None:
    """Under the sidebar's model, that this page uses another one, where it does."""
    if opening.instead:
        st.sidebar.caption(shell.escaped(opening.instead))


def question(lesson: Lesson[Settings], opening: Opening, settings: Settings, scene: Scene) -> None:
    """The page's question, its answer at the place that is asked for, and what is not as the reader might expect."""
    lesson.in_view()
    lesson.question("What comes next, and where does the model look?")
    lesson.sentence(text.next_sentence(scene, settings.layer, settings.head))
    notes = " ".join(filter(None, (opening.instead, opening.left_out)))
    if notes:
        st.caption(shell.escaped(notes))


def candidates(lesson: Lesson[Settings], opening: Opening, settings: Settings, scene: Scene) -> None:
    """The text, and what may stand at the place that is asked for."""
    p = scene.probabilities()
    best = p.topk(min(N_CANDIDATES, int((p > 0).sum())))
    here = scene.run.encodings[0].ids[scene.focus] if scene.focus < scene.n_tokens else None
    offered = [
        Candidate(token, scene.label(token), value, token == here)
        for token, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    if here is not None and not any(candidate.here for candidate in offered):
        offered.append(Candidate(here, scene.label(here), float(p[here]), here=True))
    writer(
        chips(scene),
        offered,
        start=len(scene.prompt.start),
        focus=scene.focus,
        ended=scene.ended,
        heading=text.heading(scene),
        tints=scene.row(settings.layer, settings.head).tolist(),
        key="generate-text",
        on_write=lambda: state.take(lesson, opening, "generate-text"),
    )


def chips(scene: Scene) -> list[Chip]:
    """The tokens that stand, each that the model said with its probability."""
    encoding, start = scene.run.encodings[0], len(scene.prompt.start)
    assert scene.run.logits is not None
    probabilities = [0.0] * start
    if scene.continuation:
        p = scene.sampling.probabilities(scene.run.logits[0, start - 1 : scene.n_tokens - 1])
        probabilities += [float(row[token]) for row, token in zip(p, scene.continuation, strict=True)]
    return [
        Chip(label, special, continues, probability)
        for label, special, continues, probability in zip(
            encoding.labels, encoding.special, encoding.continues, probabilities, strict=True
        )
    ]


def buttons(lesson: Lesson[Settings], opening: Opening, scene: Scene) -> None:
    """One token more, many, one back, and how each is chosen."""
    with st.container(key="generate-buttons", horizontal=True):
        more: dict[str, Any] = {"on_click": state.extend, "disabled": scene.ended}
        st.button("Next token", key="generate-next", args=(lesson, opening, 1), **more)
        st.button(f"{AT_ONCE} more", key="generate-many", args=(lesson, opening, AT_ONCE), **more)
        back: dict[str, Any] = {"on_click": state.keep, "disabled": not scene.continuation}
        st.button("Take one back", key="generate-back", args=(lesson, scene.continuation[:-1]), **back)
        st.button("Start over", key="generate-over", args=(lesson, ()), **back)
    st.segmented_control("Each token is", state.HOW, key=lesson.key("how"), required=True, format_func=HOW.__getitem__)


def notes(scene: Scene) -> None:
    """Why nothing follows, what the tint means."""
    tint = "Blue shows where the amber token looks in this head. It does not explain the answer."
    st.caption(shell.escaped(" ".join(filter(None, (text.ended(scene), tint)))))


def head(lesson: Lesson[Settings], opening: Opening, settings: Settings, scene: Scene) -> None:
    """The chosen head on the whole text, with the token that says the one in focus."""
    change = None if settings.change.changes_nothing else settings.change
    attention_view(
        state.message(opening.model, opening.text, scene.continuation, change, settings.layer),
        ViewState(layer=settings.layer, head=settings.head, queries=(scene.focus - 1,)),
        key="generate-matrix",
        compact=True,
        height=420,
    )
    layer, head = st.columns(2)
    layer.selectbox("Layer", range(scene.run.config.n_layers), key=lesson.key("layer"))
    head.selectbox("Head", range(scene.run.config.n_heads), key=lesson.key("head"))


def temperatures(lesson: Lesson[Settings], settings: Settings, scene: Scene) -> None:
    """Inside every attention row, and on the output: beside each other on the same tokens."""
    lesson.in_view("temperatures")
    lesson.section("Which temperature changes what the model computes?")
    likeliest = scaling.next_tokens(scene.logits(scene.plain), scene.logits(scene.run), settings.outside)
    labels = tuple(scene.label(token) for token in likeliest.ids)
    sentence = text.temperatures(likeliest, labels, settings.inside, settings.outside)
    lesson.sentence(f"{text.TWO_TEMPERATURES} {sentence}", part="temperatures")
    left, right = st.columns([4, 7], gap="large")
    with left:
        for field, label in (
            ("inside", "Attention temperature τ, in every row"),
            ("outside", "Sampling temperature T, on the output"),
        ):
            dial(label, TEMPERATURES, key=lesson.key(field), format_func="{:g}".format, marks=MARKS)
        top_k, top_p = st.columns(2)
        top_k.selectbox("Top k", state.TOP_K, key=lesson.key("top_k"), format_func=lambda k: str(k) if k else "all")
        top_p.selectbox("Top p", state.TOP_P, key=lesson.key("top_p"), format_func="{:g}".format)
        st.caption("Top k and top p cut the list above, from which a token is drawn at random.")
    with right:
        three = (likeliest.plain, likeliest.inside, likeliest.outside)
        data = {"token": labels, **dict(zip(("plain", "attention", "output"), three, strict=True))}
        inside, outside = settings.inside, settings.outside
        figure = figures.token_dots(
            labels,
            likeliest.plain,
            None if inside == 1 else likeliest.inside,
            None if outside == 1 else likeliest.outside,
            shell.palette(),
            ("both at 1", f"τ = {inside:g} in attention", f"T = {outside:g} on the output"),
        )
        title = f"The likeliest tokens {text.where(scene)}"
        lesson.picture(figure, title=title, alt=sentence, data=data, file="temperatures")


def texts_to_try(lesson: Lesson[Settings]) -> None:
    """Texts whose next token is worth a look."""
    lesson.tries(
        Try("Said twice: a head finds what came next", SAID_TWICE, TWICE, state.FALLBACK),
        Try("A sentence to go on with", {"said": (), "focus": -1}, text="Emma was very fond of her father, and"),
        everywhere=True,
    )


def temperatures_to_try(lesson: Lesson[Settings]) -> None:
    """Temperatures far from 1, on the text as it stands."""
    lesson.tries(
        Try("Sampled at 1.4: unlikely tokens come up", {"how": "sampled", "outside": 1.4}),
        Try("Attention at 4: every head looks at more", {"inside": 4.0}),
        everywhere=True,
        first=2,
        keeps=("said", "focus", "seed"),
        place="temperatures",
    )


@shell.fragment
def first_token(lesson: Lesson[Settings], opening: Opening) -> None:
    """How much everybody looks at the first token, and what happens without; the formulas and the code."""
    scene = state.scene(opening.model, opening.text, lesson.settings())
    lesson.section("Does every token look at the first?")
    if scene.n_tokens < 3:
        st.text("Say a few tokens first: below three there is nothing to see.")
        return
    sink = state.sink(opening.model, opening.text, scene.continuation)
    lesson.sentence(text.sink_sentence(sink), part="sink")
    asked = text.sink_prediction(sink)
    revealed = asked is None or lesson.predict("sink", *asked)
    shares, losses = st.columns([4, 7], gap="large")
    with shares:
        sink_shares(lesson, sink)
    with losses, lesson.room("sink", 396, {719: 416}):
        if revealed:
            sink_losses(lesson, sink, scene.labels[2:])
        else:
            lesson.veil("sink")
    behind(lesson)
    lesson.write_link(opening.inputs)


def sink_shares(lesson: Lesson[Settings], sink: sinks.Sink) -> None:
    """Every head's share for the first token."""
    lesson.picture(
        figures.head_shares(sink.shares.numpy(), shell.palette()),
        title=text.shares_title(sink),
        alt=text.sink_sentence(sink),
        data=shares_table(sink.shares),
        file="sink",
    )


def shares_table(shares: torch.Tensor) -> Table:
    """Layer, head, share: a row per head."""
    n_layers, n_heads = shares.shape
    cells = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    return {"layer": [a for a, _ in cells], "head": [b for _, b in cells], "share": shares.flatten()}


def sink_losses(lesson: Lesson[Settings], sink: sinks.Sink, labels: tuple[str, ...]) -> None:
    """Every token's loss, with the first token and without."""
    before, after = sink.losses.tolist()
    names, palette = ("as it is", "first token forbidden"), shell.palette()
    lesson.picture(
        figures.paired_bars(labels, before, after, names, "nats", palette, first=2),
        title=text.loss_title(sink),
        alt=text.loss_title(sink),
        data={"token": labels, "loss": before, "loss_without_first": after},
        file="sink-loss",
    )


def behind(lesson: Lesson[Settings]) -> None:
    """The formulas and the code."""
    lesson.behind(
        FORMULA,
        SOURCES,
        sampling.Sampling.probabilities,
        sampling.tokens,
        Transformer.step,
        sinks.measure_sink,
    )
