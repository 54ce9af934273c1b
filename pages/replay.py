"""Replay: a training step by step, and the moment at which an induction head forms."""

import pandas as pd
import streamlit as st

from attnviz import figures
from attnviz.analysis import measures
from attnviz.errors import ModelError
from attnviz.training import snapshots
from attnviz.training.tasks import sequences
from attnviz.web import shell
from attnviz.web.components.dial import dial, nearest
from attnviz.web.lesson import Lesson, Try
from attnviz.web.replay import state as replay
from attnviz.web.replay import text as replay_said

shell.ensure()
lesson = Lesson("replay", replay.Settings())
inputs = shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"])  # for the link: not read here
try:
    run = replay.replay()
except ModelError as error:
    shell.refuse(str(error))


@st.fragment
def when() -> None:
    """The dial over the training, what the two heads do, and the loss."""
    chosen = replay.adopt(lesson)
    at = nearest(run.steps, chosen.step)
    found = replay.trace(at, chosen.seed, chosen.off)
    lesson.question("When does the induction head form?")
    here = replay_said.at_the_token(found, run.induction, chosen.token)
    lesson.sentence(f"{replay_said.said(run, at, chosen.off)} {here}".strip())
    lesson.predict("guess", *replay_said.prediction(run))
    dial(
        "Steps of training",
        run.steps,
        key=lesson.key("step"),
        format_func="{:,}".format,
        marks=replay_said.marks(run),
        play=True,
    )
    curves, previous, induction = st.columns([5, 4, 4], gap="medium")
    with curves:
        figure = figures.training_curves(replay.panels(run), shell.palette(), last=run.steps[-1], marked=run.steps[at])
        title, data = replay_said.title_of(run), pd.DataFrame(replay.columns(run))
        alt = f"{title}. {replay_said.said(run, at, off=False)}"
        lesson.picture(figure, title=title, alt=alt, data=data, file="replay")
    with previous:
        replay.matrix(run, "previous", at, chosen)
        st.toggle("Switch this head off", key=lesson.key("off"))
    with induction:
        replay.matrix(run, "induction", at, chosen)
    lesson.sentence(replay_said.from_the_start(run), part="start")
    lesson.tries(
        Try("Before the first step", {"step": 0, "off": False}),
        Try("Just before it forms", {"step": run.steps[max(0, run.forming - 2)], "off": False}),
        Try("At the end, without layer {}, head {}".format(*run.previous), {"step": run.steps[-1], "off": True}),
        Try("Other words", {"seed": (chosen.seed + 1) % replay.SEEDS}),
    )
    lesson.write_link(inputs)


@st.fragment
def behind() -> None:
    """What the scores are, and the code."""
    lesson.chosen()
    lesson.behind(
        r"\begin{aligned}&\text{on what came next last time}=\frac1P\sum_{i=P+1}^{2P}A_{i,\,i-P+1}\\"
        r"&\text{on the word before}=\frac1{2P-1}\sum_{i=2}^{2P}A_{i,\,i-1}\end{aligned}",
        "Olsson et al. 2022, “In-context learning and induction heads”: A is a head’s attention on P random words said "
        "twice. The curves are means over 16 such sequences of 31 words; the matrices show 8 words.",
        sequences.repeated,
        sequences.said_twice,
        sequences.scores,
        measures.offset_weights,
        snapshots.moments,
        snapshots.History.model,
    )
    lesson.write_link(inputs)


when()
behind()
