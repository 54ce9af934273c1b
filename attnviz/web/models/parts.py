"""What is drawn on the page "All models", in the order of the page."""

from __future__ import annotations

import streamlit as st

from attnviz.inputs import isolated_tokenizer
from attnviz.models import hf_download, zip_upload
from attnviz.models.anatomy import anatomy
from attnviz.nn.transformer import Transformer
from attnviz.web import cache, shell
from attnviz.web.components.anatomy_view import anatomy_view
from attnviz.web.components.table import table
from attnviz.web.jobs import model_downloads
from attnviz.web.jobs import text as job_text
from attnviz.web.jobs.model_downloads import Download
from attnviz.web.jobs.model_uploads import Upload
from attnviz.web.lesson import Lesson, Try
from attnviz.web.models import formula, state, text
from attnviz.web.models.state import Settings, Shown, Taken


def catalogue(lesson: Lesson[Settings], shown: Shown) -> None:
    """The question, and all models in a table."""
    infos, memory = list(shown.infos.values()), state.bytes_in_memory()
    lesson.question("Which transformers are there?")
    lesson.sentence(text.overview(infos, cache.loaded(), cache.MODELS_BYTES))
    rows = [(info.name, text.row(info, memory.get(info.name, 0))) for info in infos]
    table("Models", text.COLUMNS, rows, chosen=shown.name, key=state.TABLE)


def anatomies(lesson: Lesson[Settings], shown: Shown) -> None:
    """The chosen model taken apart, and another beside it."""
    lesson.in_view()
    lesson.section(f"What is {shown.infos[shown.name].title} made of?")
    taken, beside = shown.taken, shown.beside
    if taken is None:
        shell.notice(shown.trouble)
        return
    lesson.sentence(text.about(taken.info, taken.config, taken.anatomy, taken.unused), part="parts")
    controls(lesson, shown, taken)
    both = [taken] if beside is None else [taken, beside]
    anatomy_view([text.diagram(one.info, one.config, one.anatomy) for one in both], key="models-anatomy")
    if beside is not None:
        comparison(taken, beside)


def controls(lesson: Lesson[Settings], shown: Shown, taken: Taken) -> None:
    """Where the model can be used, and which one stands beside it."""
    infos, reads = shown.infos, cache.reads(taken.config)
    name = taken.info.name
    others = ["", *(other for other in infos if other != name)]
    left, right = st.columns([2, 3], gap="medium", vertical_alignment="bottom")
    if st.session_state[lesson.key("beside")] not in others:
        lesson.choose(beside="")
    left.selectbox(
        "Compare with",
        others,
        key=lesson.key("beside"),
        format_func=lambda other: infos[other].title if other else "no other model",
    )
    with right.container(horizontal=True, vertical_alignment="center", key="models-use"):
        if reads == "text" and st.session_state["model"] != name:
            st.button("Use it on every page", on_click=state.use, args=(name,))
        if reads in state.PAGES:
            page, label, parameter = state.PAGES[reads]
            st.page_link(page, label=label, query_params={parameter: name})
        else:
            st.text(text.no_page(taken.config))


def comparison(one: Taken, other: Taken) -> None:
    """The fields in which two models differ."""
    rows = [("", [[cell] for cell in row]) for row in state.differences(one.config, other.config)]
    columns = [["Config"], [one.info.title, "number"], [other.info.title, "number"]]
    table("What differs", columns, rows, key="models-differences")


def tries(lesson: Lesson[Settings]) -> None:
    """Models worth a look."""
    lesson.tries(
        Try("An encoder and a decoder", {"shown": "minilm", "beside": "austen"}),
        Try("The original transformer", {"shown": "scratch:base", "beside": ""}),
        Try("One that reads images", {"shown": "digits", "beside": "scratch:tiny"}),
    )


def bring(lesson: Lesson[Settings], timed: bool) -> None:
    """A model by its name on the hub, or as a file; while one is on its way, this runs again by itself."""
    if st.session_state.pop("whole_page", False):
        st.rerun()
    download, upload = model_downloads.mine(), state.uploading()
    if timed != any(job is not None and job.active for job in (download, upload)) or (upload and not upload.active):
        st.rerun()  # the whole page, for that is where a fragment's clock is set and what has come is taken
    lesson.section("Bring a model of your own")
    hub, file = st.columns(2, gap="large")
    with hub:
        from_hub(download)
    with file:
        from_file(lesson, upload)
    ended = job_text.download_ended(download.status, download.repo, download.error) if download else ""
    if why := st.session_state.get(state.REFUSED) or ended:
        shell.notice(why)


def from_hub(download: Download | None) -> None:
    """The field for a name, and how far the download is."""
    st.text_input("From the Hugging Face hub", key="models-typed", placeholder="org/name")
    if download is not None and download.active:
        model_downloads.progress(download)
        st.button("Cancel", on_click=download.cancel)
    else:
        st.button("Load", on_click=state.begin_download)
    st.caption(text.limits(cache.MAX_MODEL_BYTES))


def from_file(lesson: Lesson[Settings], upload: Upload | None) -> None:
    """The field for an archive, or how far the reading of one is."""
    if upload is not None:
        most = isolated_tokenizer.START_SECONDS
        st.text(upload.file.name)
        st.progress(min(1.0, upload.seconds / most), job_text.upload(upload.number, upload.seconds, most))
        st.button("Cancel", on_click=state.cancel_upload, key="models-upload-cancel")
        return
    st.file_uploader(
        "From a folder, as .zip",
        "zip",
        max_upload_size=state.upload_mb(),
        on_change=state.take_file,
        args=(lesson,),
        key=state.upload_key(),
    )
    st.caption(text.FOLDER)


def behind(lesson: Lesson[Settings], shown: Shown) -> None:
    """The formula of the shown model's parts, and the code."""
    if shown.taken is None:
        return
    config = shown.taken.config
    lesson.behind(
        formula.formula(config),
        formula.source(config),
        anatomy,
        Transformer.__init__,
        zip_upload.wanted,
        hf_download._check,
    )
