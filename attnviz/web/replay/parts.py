"""What is drawn on the page "Replay", in the order of the page."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from attnviz import figures
from attnviz.analysis import measures
from attnviz.browser.view_state import ViewState
from attnviz.training import snapshots
from attnviz.training.tasks import sequences
from attnviz.web import shell
from attnviz.web.components import attention_view
from attnviz.web.components.dial import dial
from attnviz.web.lesson import Lesson, Try
from attnviz.web.replay import curves as over_steps
from attnviz.web.replay import state, text
from attnviz.web.replay.state import Moment, Settings

FORMULA = (
    r"\begin{aligned}&\text{on what came next last time}=\frac1P\sum_{i=P+1}^{2P}A_{i,\,i-P+1}\\"
    r"&\text{on the word before}=\frac1{2P-1}\sum_{i=2}^{2P}A_{i,\,i-1}\end{aligned}"
)
SOURCE = (
    "Olsson et al. 2022, “In-context learning and induction heads”: A is a head’s attention on P random words said "
    "twice. The curves are means over 16 such sequences of 31 words; the matrices show 8 words."
)


def answer(lesson: Lesson[Settings], now: Moment) -> None:
    """The question, and what the two heads do at the checkpoint."""
    trace = now.trace
    lesson.question("When does the induction head form?")
    head, token = now.replay.induction, now.settings.token
    at_token = text.at_token(trace, head, token, state.N_WORDS)
    lesson.sentence(f"{text.sentence(now.replay, now.at, now.without)} {at_token}".strip())


def prediction(lesson: Lesson[Settings], now: Moment) -> None:
    """What becomes of the induction head without the other one?"""
    last = state.without(len(now.replay.steps) - 1)
    lesson.predict("guess", *text.prediction(now.replay, last))


def steps(lesson: Lesson[Settings], now: Moment) -> None:
    """The dial over the training."""
    dial(
        "Steps of training",
        now.replay.steps,
        key=lesson.key("step"),
        format_func="{:,}".format,
        marks=text.marks(now.replay),
        play=True,
    )


def pictures(lesson: Lesson[Settings], now: Moment) -> None:
    """The curves, and beside them the two heads."""
    left, middle, right = st.columns([5, 4, 4], gap="medium")
    with left:
        curves(lesson, now)
    with middle:
        matrix(now, "previous")
        st.toggle("Switch this head off", key=lesson.key("off"))
    with right:
        matrix(now, "induction")


def curves(lesson: Lesson[Settings], now: Moment) -> None:
    """Loss and scores over the training, the checkpoint marked."""
    replay = now.replay
    panels, step = over_steps.panels(replay), replay.steps[now.at]
    figure = figures.training_curves(panels, shell.palette(), last=replay.steps[-1], marked=step)
    title, data = text.title(replay), pd.DataFrame(over_steps.columns(replay))
    alt = f"{title}. {text.sentence(replay, now.at, None)}"
    lesson.picture(figure, title=title, alt=alt, data=data, file="replay")


def matrix(now: Moment, role: str) -> None:
    """The attention of the head of a role on the words."""
    settings, (layer, head) = now.settings, now.replay.head(role)
    st.session_state[state.PASSED] = settings.token
    attention_view.attention_view(
        state.messages(now.at, settings.seed, settings.off)[role],
        ViewState(layer=layer, head=head, queries=state.queries(settings.token)),
        key=f"replay-{role}",
        compact=True,
        title=text.matrix_title(layer, head, role, settings.off),
    )


def from_the_start(lesson: Lesson[Settings], now: Moment) -> None:
    """Why one head looks back without having learned it."""
    lesson.sentence(text.from_the_start(now.replay), part="start")


def tries(lesson: Lesson[Settings], now: Moment) -> None:
    """Checkpoints and words worth a look."""
    replay = now.replay
    lesson.tries(
        Try("Before the first step", {"step": 0, "off": False}),
        Try("Just before it forms", {"step": replay.steps[max(0, replay.forming - 2)], "off": False}),
        Try("At the end, without layer {}, head {}".format(*replay.previous), {"step": replay.steps[-1], "off": True}),
        Try("Other words", {"seed": (now.settings.seed + 1) % state.SEEDS}),
    )


def behind(lesson: Lesson[Settings]) -> None:
    """What the scores are, and the code."""
    lesson.behind(
        FORMULA,
        SOURCE,
        sequences.repeated,
        sequences.said_twice,
        sequences.scores,
        measures.offset_weights,
        snapshots.moments,
        snapshots.Snapshots.model,
    )
