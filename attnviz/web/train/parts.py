"""What is drawn on the page "Watch attention form", in the order of the page."""

from __future__ import annotations

import streamlit as st

from attnviz import figures
from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.formatting import counted
from attnviz.nn.config import POSITIONS
from attnviz.nn.trace import Trace
from attnviz.training import loop, schedules
from attnviz.training.tasks import TASKS
from attnviz.web import cache, line, shell
from attnviz.web.components import attention_view
from attnviz.web.jobs.training_limits import reads_text
from attnviz.web.jobs.training_runs import Run
from attnviz.web.lesson import Lesson, Try
from attnviz.web.models.state import PAGES
from attnviz.web.train import curves, heads, state, text
from attnviz.web.train.state import Settings

FORMULA = (
    r"\begin{aligned}&\mathcal{L}=-\frac{1}{N}\sum_{n}\log p_\theta(y_n)\\ "
    r"&\theta\leftarrow\theta-\eta\left(\frac{\hat m}{\sqrt{\hat v}+\epsilon}+\lambda\theta\right)\end{aligned}"
)
SOURCE = (
    "The loss is the mean cross-entropy over the N tokens asked for; AdamW: Loshchilov and Hutter 2019, algorithm "
    "2; the learning rate η warms up and falls as a cosine: Loshchilov and Hutter 2017, equation 5."
)
FIELDS = (  # row and column, setting, label
    (0, 0, "n_layers", "Layers"),
    (0, 1, "n_heads", "Heads"),
    (0, 2, "d_model", "Width (d_model)"),
    (1, 1, "steps", "Steps"),
    (1, 2, "batch", "Examples a step (batch)"),
    (1, 3, "length", "Tokens an example (length)"),
    (2, 0, "d_ff", "Feed-forward width (d_ff)"),
    (2, 1, "seed", "Seed"),
)


def answer(lesson: Lesson[Settings], run: Run | None) -> None:
    """The question, and what is going on now."""
    lesson.question("How does attention form?")
    lesson.sentence(text.sentence(run))


def choices(lesson: Lesson[Settings], settings: Settings) -> None:
    """The task, with its explanation, and its text if it needs one."""
    st.pills(
        "Task",
        list(TASKS),
        key=lesson.key("task"),
        format_func=lambda name: TASKS[name].title,
        required=True,
        on_change=state.take_preset,
        args=(lesson,),
    )
    st.caption(shell.escaped(TASKS[settings.task].explains))
    if reads_text(settings.task):
        corpus(lesson, settings)


def corpus(lesson: Lesson[Settings], settings: Settings) -> None:
    """The text to train on: a field, or a file."""
    field, file = st.columns([2, 1], gap="medium")
    st.session_state.setdefault(state.CORPUS, settings.corpus)
    field.text_area(
        "Your text",
        key=state.CORPUS,
        height=150,
        on_change=state.take_text,
        args=(lesson,),
    )
    file.file_uploader(
        "or a file", "txt", max_upload_size=10, key=state.FILE, on_change=state.take_file, args=(lesson,)
    )
    if settings.corpus != lesson.first.corpus and len(settings.corpus) > shell.LONGEST_LINK:
        field.caption(shell.NOT_IN_LINK)
    if state.UPLOAD in st.session_state:
        file.caption(shell.escaped(text.upload(*st.session_state[state.UPLOAD])))


def buttons(lesson: Lesson[Settings], settings: Settings, run: Run | None, busy: bool) -> None:
    """Size and start; what can be done with the last training."""
    wrong = state.why_not(settings)
    with st.container(horizontal=True, vertical_alignment="bottom", key="train-buttons"):
        st.segmented_control(
            "Size",
            list(text.SIZES),
            key=lesson.key("size"),
            format_func=text.SIZES.__getitem__,
            required=True,
            on_change=state.take_preset,
            args=(lesson,),
        )
        st.button("Start", on_click=state.start, args=(lesson,), disabled=bool(wrong) or busy)
        if run is not None and run.status == "stopped":
            st.button("Continue", on_click=state.attempt, args=(run.go_on,))
        if run is not None and run.status in ("stopped", "done") and run.probe is not None:
            after(run)
    if wrong:
        shell.notice(wrong)


def after(run: Run) -> None:
    """What can be done with a trained model."""
    assert run.probe is not None
    st.download_button(
        "Download (.zip)",
        line.in_line(lambda: state.zipped(run)),
        f"attnviz-{run.config.task}.zip",
        "application/zip",
        on_click="ignore",
    )
    if state.has_live_page(run):
        st.download_button(
            "A live page (.html)",
            line.in_line(lambda: state.live_page(run)),
            f"attnviz-live-{run.config.task}.html",
            "text/html",
            on_click="ignore",
            help="One file in which this model runs, without a server: open it from disk, type, and look",
        )
    else:
        st.caption(text.too_large_for_a_page(run.probe[1].config.n_parameters))
    reads, used = cache.reads(run.probe[1].config), st.session_state.get(state.USED)
    page, label, parameter = PAGES[reads]
    if reads == "text" and used == st.session_state["model"]:
        layer, head = state.best_head(run)
        at = {"layer": str(layer), "head": str(head)}
        st.page_link(
            page, label=f"Every page runs it now: open Explore on {text.name_of((layer, head))}", query_params=at
        )
    elif reads != "text" and used in cache.own_models():
        st.page_link(page, label=label, query_params={parameter: used})
    else:
        where = "on every page" if reads == "text" else "in this app"
        st.button(f"Use it {where}", on_click=state.attempt, args=(lambda: state.use(run),))


def fields(lesson: Lesson[Settings], settings: Settings) -> None:
    """Everything that can be changed."""
    with st.expander("Change the model and the training", key="train-settings"):
        grid = [st.columns(4, gap="medium") for _ in range(3)]
        for row, column, field, label in FIELDS:
            grid[row][column].number_input(label, step=1, key=lesson.key(field))
        grid[0][3].selectbox(
            "Positions", POSITIONS, key=lesson.key("positions"), format_func=text.POSITIONS.__getitem__
        )
        grid[1][0].number_input("Learning rate", step=1e-4, format="%.4g", key=lesson.key("learning_rate"))
        if reads_text(settings.task):
            grid[2][2].number_input("Vocabulary, tokens", step=1, key=lesson.key("vocab_size"))


def under_way(run: Run) -> None:
    """How far it is, and what can be done about it; what it was started with."""
    bar, ends = st.columns([3, 1], gap="medium", vertical_alignment="bottom")
    bar.progress(run.done / run.config.steps, text.progress(run))
    with ends.container(horizontal=True, key="train-under-way"):
        if run.status == "waiting":
            st.button("Leave the line", on_click=state.attempt, args=(run.stop,))
        elif run.active:
            st.button("Pause", on_click=run.pause)
            st.button("Stop", on_click=run.stop)
        else:
            st.button("Continue", on_click=state.attempt, args=(run.go_on,))
            st.button("Stop", on_click=state.attempt, args=(run.stop,))
    st.caption(shell.escaped(text.architecture(run.config)))


def refused() -> None:
    """Why the last thing that was asked for did not happen."""
    if st.session_state.get(state.REFUSED):
        shell.notice(st.session_state[state.REFUSED])


def pictures(lesson: Lesson[Settings], settings: Settings, run: Run) -> None:
    """Every head and one of them, and beside them the curves."""
    left, right = st.columns(2, gap="large")
    with left:
        attention(lesson, settings, run)
    with right:
        if run.steps:
            figure = figures.training_curves(curves.panels(run), shell.palette(), last=run.config.steps)
            alt = text.sentence(run)
            lesson.picture(figure, title=text.title(run), alt=alt, data=lambda: curves.table(run), file="training")


def attention(lesson: Lesson[Settings], settings: Settings, run: Run) -> None:
    """Every head on the probe, and one of them large: the one that was picked, or that has changed most."""
    assert run.probe is not None and run.first is not None
    number, trace = run.probe
    weights, moved = heads.weights(trace), heads.moved(run.first, trace)
    most_changed, worth = heads.most_changed(moved), run.heads if not run.active else None
    n_layers, n_heads = weights.shape[:2]
    shown = heads.looked_at(settings.head, worth, moved)
    figure = figures.head_tiles(weights, shell.palette(), marked=shown)
    title = f"Every head after {counted(number, 'step')}"
    alt = f"{title}. {text.most_changed(most_changed, float(moved[most_changed]))}."
    lesson.picture(figure, title=title, alt=alt, data=lambda: heads.table(weights), file="heads")
    names = {-1: "the one that has learned most"}  # a name that stays: the choice is shown as it was made
    names |= {i: text.name_of(divmod(i, n_heads)) for i in range(n_layers * n_heads)}
    st.selectbox("Head", list(names), key=lesson.key("head"), format_func=names.__getitem__)
    one_head(trace, shown)


def one_head(trace: Trace, head: tuple[int, int]) -> None:
    """The attention of one head on the probe."""
    stack, layer = heads.stack(trace), head[0]
    part = trace if stack == "cross" else attention_message.one_layer(trace, layer)
    message = attention_message.pack(part, stack=stack)
    view, title = ViewState(layer=layer, head=head[1]), text.name_of(head).capitalize()
    attention_view.attention_view(message, view, key="train-view", compact=True, title=title)


def tries(lesson: Lesson[Settings]) -> None:
    """Trainings that teach something, one click away."""
    lesson.tries(
        *(
            Try(label, state.suggested(task, size) | {"task": task, "size": size} | changes)
            for label, task, size, changes in text.TRIES
        ),
        keeps=("corpus", "vocab_size"),  # the reader's text stays in its field
    )


def behind(lesson: Lesson[Settings]) -> None:
    """The formula and the code."""
    lesson.behind(
        FORMULA,
        SOURCE,
        loop.Training._step,
        loop.batch_loss,
        loop.optimizer_for,
        schedules.cosine,
    )
