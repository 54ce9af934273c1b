"""What is drawn on the page "Replay", in the order of the page."""

from __future__ import annotations

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

DIAL, CURVES, BELOW, SWITCH = 78, 556, 244, 156  # px; below the curves their data's link and a sentence
FORMULA = (
    r"\begin{aligned}&\text{on the word that followed last time}\\&\qquad=\frac1P\sum_{i=P+1}^{2P}A_{i,\,i-P+1}\\"
    r"&\text{on the previous word}\\&\qquad=\frac1{2P-1}\sum_{i=2}^{2P}A_{i,\,i-1}\end{aligned}"
)
SOURCE = (
    "Olsson et al. 2022, “In-context learning and induction heads”: A is a head’s attention on P random words, each "
    "twice. The curves are means over 16 such sequences of 31 words; the matrices show 8 words."
)


def answer(lesson: Lesson[Settings], now: Moment) -> None:
    """The question, and what the two heads do at the checkpoint."""
    trace = now.trace
    lesson.question("When does the induction head form?")
    head, token = now.replay.induction, now.settings.token
    at_token = text.at_token(trace, head, token, state.N_WORDS)
    lesson.sentence(f"{text.sentence(now.replay, now.at, now.without)} {at_token}".strip())


def course(lesson: Lesson[Settings], now: Moment) -> None:
    """How does the head form?"""
    lesson.predict("form", *text.course(now.replay))


def steps(lesson: Lesson[Settings], now: Moment) -> None:
    """The dial over the training. It comes with the guess: who turns it sees how the head forms."""
    with lesson.room("dial", DIAL, {719: 90}):
        if not lesson.revealed("form"):
            lesson.veil("dial")
            return
        dial(
            f"Training step (the nearest of {len(now.replay.steps)} checkpoints)",
            now.replay.steps,
            key=lesson.key("step"),
            format_func="{:,}".format,
            marks=text.marks(now.replay),
            play=True,
            to_scale=True,
        )


def pictures(lesson: Lesson[Settings], now: Moment) -> None:
    """The curves, and beside them the two heads, with what becomes of one without the other."""
    left, right = st.columns([5, 8], gap="medium")
    with left, lesson.room("form", CURVES + BELOW, {1319: CURVES + 300, 719: 918}):
        if lesson.revealed("form"):
            curves(lesson, now)
            lesson.sentence(first_time(now), part="first")
        else:
            lesson.veil("form")
    with right:
        previous, induction = st.columns(2, gap="medium")
        with previous:
            matrix(now, "previous")
        with induction:
            matrix(now, "induction")
        switched_off(lesson, now)


def switched_off(lesson: Lesson[Settings], now: Moment) -> None:
    """What becomes of the induction head without the other one?"""
    shows = lesson.predict("off", *text.prediction(now.replay, state.all_without()[-1]))
    with lesson.room("off", SWITCH, {719: 212}):
        if shows:
            layer, head = now.replay.previous
            st.toggle(f"Switch layer {layer}, head {head} off", key=lesson.key("off"))
            lesson.sentence(text.from_the_start(now.replay), part="start")
        else:
            lesson.veil("off")


def curves(lesson: Lesson[Settings], now: Moment) -> None:
    """Loss and scores over the training, the checkpoint marked; those of the model without a head, if one is off."""
    replay, without = now.replay, state.all_without() if now.settings.off else None
    panels, step = over_steps.panels(replay, without), replay.steps[now.at]
    figure = figures.training_curves(panels, shell.palette(), last=replay.steps[-1], marked=step, height=CURVES)
    title, data = text.title(replay, without), over_steps.columns(replay, without)
    alt = f"{title}. {text.sentence(replay, now.at, now.without)}"
    lesson.picture(figure, title=title, alt=alt, data=data, file="replay")


def first_time(now: Moment) -> str:
    """Why the loss rises on words that come for the first time."""
    firsts = [one.first for one in now.replay.scores]
    lowest = firsts.index(min(firsts))
    highest = max(range(lowest, len(firsts)), key=firsts.__getitem__)
    return text.first_time(now.replay, highest, *state.on_seen(highest), len(state.the_task().words))


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


def tries(lesson: Lesson[Settings], now: Moment) -> None:
    """Checkpoints and words worth a look."""
    replay, settings = now.replay, now.settings
    forms = replay.steps[max(0, replay.forming - 2)]
    off = "At the end, without layer {}, head {}".format(*replay.previous)
    with lesson.room("tries", 64, {767: 120, 719: 248}):  # the guesses bring more of them
        lesson.tries(
            Try("Before the first step", {"step": 0}),
            *([Try("Just before it forms", {"step": forms})] if lesson.revealed("form") else []),
            *([Try(off, {"step": replay.steps[-1], "off": True})] if lesson.revealed("off") else []),
            Try("Other words", {"seed": (settings.seed + 1) % state.SEEDS, "step": settings.step, "off": settings.off}),
            keeps=("seed", "token"),
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
