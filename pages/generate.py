"""Generate: a text that a model goes on with, token by token, and what each token was decided by."""

import pandas as pd
import streamlit as st

from attnviz import figures
from attnviz.analysis import scaling, sinks
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.generation import sampling as decoding
from attnviz.nn.transformer import Transformer
from attnviz.web import cache, shell
from attnviz.web.components.dial import dial
from attnviz.web.generate import state as generate
from attnviz.web.generate import text as says
from attnviz.web.lesson import Lesson, Try
from attnviz.web.softmax.text import TEMPERATURES

shell.ensure()
MARKS = {0.05: "sharp", 1.0: "1", 20.0: "even"}
lesson = Lesson("generate", generate.Settings())
inputs = lesson.inputs()
generate.reset_for(inputs, lesson)
try:
    name, instead = generate.decoder(inputs.model)
    given, left_out = generate.beginning(name, inputs.text)
    generate.scene(name, given, lesson.chosen())
except (InvalidParameterError, ModelError) as error:
    shell.refuse(str(error))


@st.fragment
def text() -> None:
    """The text, what may come next, and the attention that decides it."""
    chosen = on_the_model()
    now = generate.scene(name, given, chosen)
    lesson.question("What comes next, and which words decide it?")
    lesson.sentence(says.next_sentence(now, chosen.layer, chosen.head))
    writing, looking = st.columns([6, 5], gap="large")
    with writing:
        generate.text_view(lesson, now, chosen, name, given, says.heading(now))
        buttons(now)
        st.segmented_control("Each token is", generate.HOW, key=lesson.key("how"), required=True)
        notes = (instead, left_out, says.ended(now, generate.MOST_SAID), "Tint: attention of the amber token.")
        st.caption(shell.escaped(" ".join(filter(None, notes))))
    with looking:
        generate.matrix(now, chosen, name, given)
        layer, head = st.columns(2)
        layer.selectbox("Layer", range(now.run.config.n_layers), key=lesson.key("layer"))
        head.selectbox("Head", range(now.run.config.n_heads), key=lesson.key("head"))
    lesson.section("Two temperatures, never the same")
    two_temperatures(now, chosen)
    lesson.tries(
        Try("Said twice: a head finds what came next", generate.SAID_TWICE, generate.TWICE, generate.FALLBACK),
        Try("Sampled at 1.4: wilder", {"how": "sampled", "outside": 1.4, "inside": 1.0}),
        Try("Attention at 4: it loses the thread", {"inside": 4.0, "outside": 1.0, "how": "greedy"}),
        Try("A sentence to go on with", {"said": (), "focus": -1}, text="Emma was very fond of her father, and"),
        everywhere=True,
    )
    lesson.write_link(inputs)


def on_the_model() -> generate.Settings:
    """The settings, on a layer and a head that the model has."""
    chosen, config = lesson.chosen(), cache.model(name).transformer.config
    for field, count in (("layer", config.n_layers), ("head", config.n_heads)):
        if getattr(chosen, field) >= count:
            lesson.choose(**{field: count - 1})
    return lesson.chosen()


def buttons(now: generate.Scene) -> None:
    """Say one more, say many, take back."""
    with st.container(key="generate-buttons", horizontal=True):
        more = {"on_click": generate.say, "disabled": now.ended}
        st.button("Next token", key="generate-next", args=(lesson, name, given, 1), **more)
        many = (lesson, name, given, generate.AT_ONCE)
        st.button(f"{generate.AT_ONCE} more", key="generate-many", args=many, **more)
        back = {"on_click": generate.keep, "disabled": not now.said}
        st.button("Take one back", key="generate-back", args=(lesson, now.said[:-1]), **back)
        st.button("Start over", key="generate-over", args=(lesson, ()), **back)


def two_temperatures(now: generate.Scene, chosen: generate.Settings) -> None:
    """Inside every attention row, and on the output: beside each other on the same tokens."""
    found = scaling.next_tokens(now.logits(now.plain), now.logits(now.run), chosen.outside)
    labels = tuple(now.label(token) for token in found.ids)
    sentence = says.temperatures(found, labels, chosen.inside, chosen.outside)
    controls, picture = st.columns([4, 7], gap="large")
    with controls:
        dial(
            "Attention temperature τ (inside)",
            TEMPERATURES,
            key=lesson.key("inside"),
            format_func="{:g}".format,
            marks=MARKS,
        )
        dial(
            "Sampling temperature (output)",
            TEMPERATURES,
            key=lesson.key("outside"),
            format_func="{:g}".format,
            marks=MARKS,
        )
        top_k, top_p = st.columns(2)
        top_k.selectbox("Top k", generate.TOP_K, key=lesson.key("top_k"), format_func=lambda k: str(k) if k else "all")
        top_p.selectbox("Top p", generate.TOP_P, key=lesson.key("top_p"), format_func=lambda p: f"{p:g}")
        st.caption("Top k and top p cut the list above. Greedy says the likeliest; sampled draws from the list.")
    with picture:
        data = pd.DataFrame({"token": labels, "plain": found.plain, "attention": found.inside, "output": found.outside})
        figure = figures.token_dots(labels, found.plain, found.inside, found.outside, shell.palette())
        lesson.picture(figure, title=sentence, alt=sentence, data=data, file="temperatures")


@st.fragment
def first_token() -> None:
    """How much everybody looks at the first token, and what happens without."""
    chosen = lesson.chosen()
    now = generate.scene(name, given, chosen)
    lesson.section("Does every token look at the first?")
    if now.n_tokens < 3:
        st.text("Say a few tokens first: below three there is nothing to see.")
        return
    found = sink(name, given, now.said)
    lesson.sentence(says.sink_sentence(found), part="sink")
    question, truth, because = says.sink_prediction(found)
    lesson.predict("guess", question, generate.GUESSES, truth, because)
    shares, losses = st.columns([4, 7], gap="large")
    with shares:
        lesson.picture(
            figures.head_shares(found.shares.numpy(), shell.palette()),
            title=says.shares_title(found),
            alt=says.sink_sentence(found),
            data=says.shares_table(found.shares),
            file="sink",
        )
    with losses:
        labels = now.labels[2:]
        before, after = found.losses.tolist()
        lesson.picture(
            figures.paired_bars(
                labels, before, after, ("as it is", "first token forbidden"), "nats", shell.palette(), first=2
            ),
            title=says.loss_title(found),
            alt=says.loss_title(found),
            data=pd.DataFrame({"token": labels, "loss": before, "loss_without_first": after}),
            file="sink-loss",
        )
    lesson.behind(
        r"\begin{aligned}&P(\text{next})=\mathrm{softmax}\!\left(\frac{\text{logits}}{T}\right)"
        r"&&\text{on the output}\\"
        r"&A=\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}\,\tau}\right)"
        r"&&\text{in every row}\end{aligned}",
        "Top k: Fan et al. 2018. Top p: Holtzman et al. 2020. Attention sinks: Xiao et al. 2024.",
        decoding.Sampling.probabilities,
        decoding.tokens,
        Transformer.step,
        sinks.measure_sink,
    )
    lesson.write_link(inputs)


@st.cache_resource(max_entries=16, show_spinner=False)
def sink(name: str, text: str, said: tuple[int, ...]) -> sinks.Sink:
    """The first token's share and the run without it."""
    now = generate.scene(name, text, generate.Settings(said=said))
    return sinks.measure_sink(now.model, now.plain, now.plain.encodings[0].ids)


text()
first_token()
