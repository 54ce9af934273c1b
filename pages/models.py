"""Models: which transformers there are, what they are made of, and how to bring another one."""

import streamlit as st

from attnviz.errors import ModelError
from attnviz.models import hf_download, zip_upload
from attnviz.models.anatomy import anatomy
from attnviz.nn.transformer import Transformer
from attnviz.web import cache, shell
from attnviz.web.jobs import model_downloads
from attnviz.web.lesson import Lesson, Try
from attnviz.web.models import state as models
from attnviz.web.models import text as words

shell.ensure()
TICK = 0.5  # seconds between two looks at a download
TABLE = "models-table"
state = st.session_state
lesson = Lesson("models", models.Settings())


# ---- what the reader does --------------------------------------------------------------------------------


def use(name: str) -> None:
    """The model becomes the one of every page that shows a text."""
    state["model"] = name
    state["whole_page"] = True


def begin() -> None:
    """Starts the download of what was typed, or says why not."""
    typed = (state["models-typed"] or "").strip().removeprefix("hf:")
    state["models:refused"] = ""
    try:
        model_downloads.begin(typed)
    except ModelError as error:
        state["models:refused"] = str(error)
    state["whole_page"] = True


def take_file() -> None:
    """An uploaded archive becomes a model of this session, and its bytes are forgotten; or says why not."""
    number = state.get("models:uploads", 0)
    given = state[f"models-file-{number}"]
    state["models:refused"] = ""
    if given is None:
        return
    if (before := model_downloads.mine()) is not None and not before.active:
        del state["download"]  # why it failed is old news
    state["models:uploads"] = number + 1  # another field: Streamlit forgets the file with the one that held it
    state["whole_page"] = True
    try:
        lesson.choose(shown=models.upload(given.name, given.getvalue()), beside="")
    except ModelError as error:
        state["models:refused"] = str(error)


def take_downloaded(found: model_downloads.Download) -> None:
    """What has come is loaded and shown; before any widget is drawn."""
    del state["download"]
    try:
        models.bring(found.name)
        lesson.choose(shown=found.name, beside="")
    except ModelError as error:
        state["models:refused"] = str(error)


# ---- the page --------------------------------------------------------------------------------------------


def everything() -> None:
    """The table, the chosen model taken apart, and another beside it."""
    infos, chosen = models.lines(), lesson.chosen()
    if (picked := models.choice(TABLE, infos)) is not None:
        lesson.choose(shown=picked)
        chosen = lesson.chosen()
    shown = chosen.shown if chosen.shown in infos else models.FIRST
    beside = infos.get(chosen.beside) if chosen.beside != shown else None
    taken, other, why = (
        None,
        None,
        f"{infos[shown].title} is not on this computer yet, and so nobody can take it apart.",
    )
    try:
        taken = models.take_apart(infos[shown])
        other = None if beside is None else models.take_apart(beside)
    except ModelError as error:
        why = f"− {error}"
    lesson.question("Which transformers are there?")
    lesson.sentence(words.overview(list(infos.values()), cache.loaded(), cache.MODELS_BYTES))
    models.table(list(infos.values()), shown, key=TABLE)
    lesson.section("What is it made of?")
    if taken is None:
        st.text(why)
        return
    lesson.sentence(words.about(taken.info, taken.config, taken.anatomy), part="parts")
    controls(infos, taken)
    models.diagram([taken] if other is None else [taken, other], key="models-anatomy")
    if other is not None:
        models.comparison(taken, other, key="models-differences")


def controls(infos: dict, taken: models.Taken) -> None:
    """Where the model can be used, and which one stands beside it."""
    name, reads = taken.info.name, cache.reads(taken.config)
    page, label, parameter = models.PAGES[reads]
    others = ["", *(other for other in infos if other != name)]
    left, right = st.columns([2, 3], gap="medium", vertical_alignment="bottom")
    if state[lesson.key("beside")] not in others:
        lesson.choose(beside="")
    left.selectbox(
        "Compare with",
        others,
        key=lesson.key("beside"),
        format_func=lambda other: infos[other].title if other else "no other model",
    )
    with right.container(horizontal=True, vertical_alignment="center", key="models-use"):
        if reads == "text" and state["model"] != name:
            st.button("Use it in every page", on_click=use, args=(name,))
        st.page_link(page, label=label, query_params={parameter: name})


@st.fragment
def catalogue_of_models() -> None:
    """What answers a click in the table."""
    everything()
    lesson.tries(
        Try("An encoder and a decoder", {"shown": "minilm", "beside": "austen"}),
        Try("The original transformer", {"shown": "scratch:base", "beside": ""}),
        Try("One that reads images", {"shown": "digits", "beside": "scratch:tiny"}),
    )
    lesson.write_link(shell.Inputs(state["model"] or "minilm", state["text"]))


def bring(timed: bool) -> None:
    """A model by its name on the hub, or as a file; while a download is under way, this runs again by itself."""
    if state.pop("whole_page", False):
        st.rerun()
    found = model_downloads.mine()
    if timed != (found is not None and found.active):
        st.rerun()  # the whole page, for that is where a fragment's clock is set and what has come is taken
    lesson.section("Bring another one")
    hub, file = st.columns(2, gap="large")
    with hub:
        most = models.LONGEST_NAME
        st.text_input("From the Hugging Face hub", key="models-typed", placeholder="org/name", max_chars=most)
        if found is not None and found.active:
            st.progress(min(1.0, found.done / max(1, found.total)), words.progress(found.done, found.total))
            st.button("Cancel", on_click=found.cancel)
        else:
            st.button("Load", on_click=begin)
        st.caption(words.limits(cache.MAX_MODEL_BYTES))
    with file:
        st.file_uploader(
            "From a folder, as .zip",
            "zip",
            max_upload_size=models.upload_mb(),
            on_change=take_file,
            key=f"models-file-{state.get('models:uploads', 0)}",
        )
        st.caption(words.FOLDER)
    if why := state.get("models:refused") or (words.ended(found.status, found.repo, found.error) if found else ""):
        st.text(f"− {why}")


@st.fragment
def behind() -> None:
    """The formula and the code."""
    lesson.behind(
        r"\begin{aligned}\text{attention}\quad&4C^2+4C\\\text{feed-forward}\quad&2CF+F+C\\"
        r"\text{embeddings}\quad&(V+T_{\max})\,C\\\text{LayerNorm}\quad&2C\end{aligned}",
        "Parameters of each part of a transformer of width C, feed-forward width F, V tokens known and a context of T: "
        "Vaswani et al. 2017, section 3.",
        anatomy,
        Transformer.__init__,
        zip_upload.wanted,
        hf_download._check,
    )


now = model_downloads.mine()
if now is not None and now.status == "done":
    take_downloaded(now)
catalogue_of_models()
active = now is not None and now.active
st.fragment(bring, run_every=TICK if active else None)(active)
behind()
