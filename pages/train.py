"""Watch attention form: a small transformer learns while its attention is on screen."""

from collections.abc import Callable

import streamlit as st

from attnviz import figures
from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError, ModelError, TrainingError
from attnviz.formatting import counted
from attnviz.nn.config import POSITIONS
from attnviz.training import loop, schedules
from attnviz.training.tasks import TASKS
from attnviz.web import cache, shell
from attnviz.web.components import attention_view
from attnviz.web.jobs import priority, training_runs
from attnviz.web.jobs.training_runs import Run
from attnviz.web.lesson import Lesson, Try, to_query
from attnviz.web.models import state as models
from attnviz.web.train import state as train
from attnviz.web.train import text as words

shell.ensure()
TICK = 0.8  # seconds between two looks at a training under way
state = st.session_state
linked, corpus = state.get("linked"), state.get("train.corpus")
lesson = Lesson("train", train.Settings())
if linked is not None and "corpus" in linked:  # it comes in the place of what was typed
    state.pop("train-corpus", None)
    state.pop("train:upload", None)
elif linked is not None and corpus is not None:  # a long text is in no link: going back does not lose it
    lesson.choose(corpus=corpus)


# ---- what the reader does --------------------------------------------------------------------------------


def take_preset() -> None:
    """Another task or size brings its own numbers."""
    chosen = lesson.chosen()
    lesson.choose(**train.suggested(chosen.task, chosen.size))
    state["train:refused"] = ""


def take_text() -> None:
    """What was typed."""
    state.pop("train:upload", None)
    lesson.choose(corpus=state["train-corpus"], vocab_size=train.vocabulary(len(state["train-corpus"].encode())))


def take_file() -> None:
    """What was uploaded, if it is text; what was there before stays if it is not."""
    given = state["train-file"]
    if given is None:  # taken away again: the field counts
        take_text()
        return
    try:
        text = train.decoded(given.name, given.getvalue())
        lesson.choose(vocab_size=train.vocabulary(given.size))
        state["train:upload"], state["train:refused"] = (given.name, text), ""
    except InvalidParameterError as error:
        state["train:refused"] = str(error)


def start() -> None:
    """Starts what is set, or says why not."""
    chosen = lesson.chosen()
    state.pop("train:used", None)
    attempt(lambda: training_runs.begin(train.config_of(chosen), text_of(chosen)))


def attempt(act: Callable[[], object]) -> None:
    """Does something with the run and draws the whole page again, for its clock; says why if it cannot be."""
    state["train:refused"] = ""
    try:
        act()
    except (InvalidParameterError, TrainingError, ModelError, OSError) as error:
        state["train:refused"] = str(error)
    state["whole_page"] = True


def use(run: Run) -> None:
    """The trained model becomes the session's own; if it reads a text, that of every page, on one that it can read."""
    trained = run.model()
    state["train:used"] = name = cache.keep(trained)
    if cache.reads(trained.transformer.config) != "text":
        return
    state["model"] = name
    if not training_runs.reads_text(run.config.task):
        state["text"] = trained.tokenizer.decode(list(run.probe[1].encodings[0].ids))


def text_of(chosen: train.Settings) -> str | None:
    """The text to train on; None for tasks that make their own examples."""
    if not training_runs.reads_text(chosen.task):
        return None
    return state["train:upload"][1] if "train:upload" in state else chosen.corpus


# ---- the page --------------------------------------------------------------------------------------------


def page(timed: bool) -> None:
    """All of it; while a training is under way, this fragment runs again by itself."""
    chosen, run = lesson.chosen(), training_runs.mine()
    if timed != (run is not None and run.active):
        st.rerun()  # the whole page, for that is where a fragment's clock is set
    priority.hurry(not timed or chosen != state.get("train:shown"))  # or its clock ran it, for nobody
    state["train:shown"] = chosen
    lesson.question("How does attention form?")
    lesson.sentence(words.sentence(run))
    busy = run is not None and (run.active or run.status == "paused")
    with st.container(key="train-choices"):  # hidden while a training is under way, not taken away: see page.css
        choices(chosen)
        buttons(chosen, run, busy)
        settings(chosen)
    if busy:
        under_way(run)
    say_refused()
    if run is not None and run.probe is not None:
        pictures(chosen, run)
    if not busy:
        suggestions()
    link(chosen)


def under_way(run: Run) -> None:
    """How far it is, and what can be done about it; what it was started with."""
    bar, ends = st.columns([3, 1], gap="medium", vertical_alignment="bottom")
    bar.progress(run.done / run.config.steps, words.progress(run))
    with ends.container(horizontal=True, key="train-under-way"):
        if run.active:
            st.button("Pause", on_click=run.pause)
            st.button("Stop", on_click=run.stop)
        else:
            st.button("Continue", on_click=attempt, args=(run.go_on,))
            st.button("Stop", on_click=attempt, args=(run.stop,))
    st.caption(shell.escaped(words.architecture(run.config)))


def choices(chosen: train.Settings) -> None:
    """The task, with its explanation, and its text if it needs one."""
    st.pills(
        "Task",
        list(TASKS),
        key=lesson.key("task"),
        format_func=lambda name: TASKS[name].title,
        required=True,
        on_change=take_preset,
    )
    st.caption(shell.escaped(TASKS[chosen.task].explains))
    if not training_runs.reads_text(chosen.task):
        return
    field, file = st.columns([2, 1], gap="medium")
    state.setdefault("train-corpus", chosen.corpus)
    field.text_area("Your text", key="train-corpus", height=150, max_chars=cache.MAX_CHARACTERS, on_change=take_text)
    file.file_uploader("or a file", "txt", max_upload_size=10, key="train-file", on_change=take_file)
    if "train:upload" in state:
        name, text = state["train:upload"]
        file.caption(shell.escaped(f"Trains on {name}, {len(text.encode()):,} bytes, not on the field."))


def buttons(chosen: train.Settings, run: Run | None, busy: bool) -> None:
    """Size and start; what can be done with the last training."""
    wrong = why_not(chosen)
    with st.container(horizontal=True, vertical_alignment="bottom", key="train-buttons"):
        st.segmented_control(
            "Size",
            list(words.SIZES),
            key=lesson.key("size"),
            format_func=words.SIZES.__getitem__,
            required=True,
            on_change=take_preset,
        )
        st.button("Start", on_click=start, disabled=bool(wrong) or busy)
        if run is not None and run.status == "stopped":
            st.button("Continue", on_click=attempt, args=(run.go_on,))
        if run is not None and run.status in ("stopped", "done"):
            after(run)
    if wrong:
        st.text(f"− {wrong}")


def say_refused() -> None:
    """Why the last thing that was asked for did not happen."""
    if state.get("train:refused"):
        st.text(f"− {state['train:refused']}")


def why_not(chosen: train.Settings) -> str:
    """Why the settings cannot be trained; "" if they can."""
    try:
        text = text_of(chosen)
        if text is not None and not text.strip():
            return "The text is empty: there is nothing to train on."
        training_runs.check(train.config_of(chosen), text)
    except InvalidParameterError as error:
        return str(error)
    return ""


def after(run: Run) -> None:
    """What can be done with a trained model."""
    st.download_button(
        "Download (.zip)",
        lambda: train.zipped(run),
        f"attnviz-{run.config.task}.zip",
        "application/zip",
        on_click="ignore",
    )
    reads, used = cache.reads(run.probe[1].config), state.get("train:used")
    place, label, parameter = models.PAGES[reads]
    if reads == "text" and used == state["model"]:
        st.page_link(place, label="Every page runs it now: open Explore")
    elif reads != "text" and used in cache.own_models():
        st.page_link(place, label=label, query_params={parameter: used})
    else:
        where = "in every page" if reads == "text" else "in this app"
        st.button(f"Use it {where}", on_click=attempt, args=(lambda: use(run),))


def settings(chosen: train.Settings) -> None:
    """Everything that can be changed."""
    with st.expander("Change the model and the training", key="train-settings"):
        first, second, third = (st.columns(4, gap="medium") for _ in range(3))
        for place, field, label in (
            (first[0], "n_layers", "Layers"),
            (first[1], "n_heads", "Heads"),
            (first[2], "d_model", "Width (d_model)"),
            (second[1], "steps", "Steps"),
            (second[2], "batch", "Examples a step (batch)"),
            (second[3], "length", "Tokens an example (length)"),
            (third[0], "d_ff", "Feed-forward width (d_ff)"),
            (third[1], "seed", "Seed"),
        ):
            place.number_input(label, step=1, key=lesson.key(field))
        first[3].selectbox("Positions", POSITIONS, key=lesson.key("positions"), format_func=words.POSITIONS.__getitem__)
        second[0].number_input("Learning rate", step=1e-4, format="%.4g", key=lesson.key("learning_rate"))
        if training_runs.reads_text(chosen.task):
            third[2].number_input("Vocabulary, tokens", step=1, key=lesson.key("vocab_size"))


def pictures(chosen: train.Settings, run: Run) -> None:
    """Every head, one of them, and the curves."""
    number, trace = run.probe
    found = train.weights(trace)
    best, says = words.most_changed(train.moved(run.first, trace))
    n_layers, n_heads = found.shape[:2]
    shown = divmod(chosen.head, n_heads) if 0 <= chosen.head < n_layers * n_heads else best
    heads, curves = st.columns(2, gap="large")
    with heads:
        figure = figures.head_tiles(found, shell.palette(), marked=shown)
        title = f"Every head after {counted(number, 'step')}"
        lesson.picture(figure, title=title, alt=f"{title}. {says}.", data=lambda: train.head_table(found), file="heads")
        names = {-1: "the one that has changed most"}  # a name that stays: the choice is shown as it was made
        names |= {i: words.name_of(divmod(i, n_heads)) for i in range(n_layers * n_heads)}
        st.selectbox("Head", list(names), key=lesson.key("head"), format_func=names.__getitem__)
        kind = train.stack(trace)
        message = attention_message.pack(
            trace if kind == "cross" else attention_message.one_layer(trace, shown[0]), stack=kind
        )
        view, title = ViewState(layer=shown[0], head=shown[1]), words.name_of(shown).capitalize()
        attention_view.attention_view(message, view, key="train-view", compact=True, title=title)
    with curves:
        if run.steps:
            figure = figures.training_curves(train.panels(run), shell.palette(), last=run.config.steps)
            alt = words.sentence(run)
            lesson.picture(figure, title=words.title(run), alt=alt, data=lambda: train.table(run), file="training")


@st.fragment
def behind() -> None:
    """The formula and the code."""
    lesson.behind(
        r"\begin{aligned}&\mathcal{L}=-\frac{1}{N}\sum_{n}\log p_\theta(y_n)\\ "
        r"&\theta\leftarrow\theta-\eta\left(\frac{\hat m}{\sqrt{\hat v}+\epsilon}+\lambda\theta\right)\end{aligned}",
        "The loss is the mean cross-entropy over the N tokens asked for; AdamW: Loshchilov and Hutter 2019, algorithm "
        "2; the learning rate η warms up and falls as a cosine: Loshchilov and Hutter 2017, equation 5.",
        loop.Training._step,
        loop.batch_loss,
        loop.optimizer_for,
        schedules.cosine,
    )


def suggestions() -> None:
    """Trainings that teach something, one click away."""
    lesson.tries(
        *(
            Try(label, train.suggested(task, size) | {"task": task, "size": size} | changes)
            for label, task, size, changes in words.TRIES
        )
    )


def link(chosen: train.Settings) -> None:
    """The settings in the address; a long text stays out of it."""
    query = to_query(lesson.first, chosen)
    if len(query.get("corpus", "")) > shell.LONGEST_LINK:
        del query["corpus"]
    shell.write_link(shell.Inputs(state["model"] or "minilm", state["text"]), query)


active = (run := training_runs.mine()) is not None and run.active
st.fragment(page, run_every=TICK if active else None)(active)
behind()
