"""The page "All models": what a reader can set, a model taken apart, and models brought along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.models.anatomy import Anatomy, anatomy
from attnviz.models.catalogue import catalogue, skeleton, unused_weights
from attnviz.models.model import ModelInfo
from attnviz.nn.config import ModelConfig
from attnviz.nn.transformer import Transformer
from attnviz.web import cache, server, store
from attnviz.web.components.table import choice
from attnviz.web.jobs import model_downloads, model_uploads
from attnviz.web.jobs import text as job_text
from attnviz.web.jobs.model_downloads import Download
from attnviz.web.jobs.model_uploads import Upload
from attnviz.web.lesson import Lesson
from attnviz.web.models import text
from attnviz.web.sent_file import GONE, gone, sent_file

TABLE = "models-table"  # the component's key
FIRST = "minilm"
TICK = 0.5  # seconds between two looks at a download, or an upload
UPLOAD = "models:upload"
REFUSED = "models:refused"  # why the last thing that was asked for did not happen
PAGES = {  # where a model can be seen, by what it reads: the page, what the link says, its parameter of the address
    "text": ("pages/explore.py", "Open it in Explore", "model"),
    "pair": ("pages/translate.py", "Open it in Translate", "translator"),
    "image": ("pages/vision.py", "Open it in Vision", "vit"),
}


@dataclass(frozen=True)
class Settings:
    """What the reader can choose."""

    shown: str = FIRST
    beside: str = ""  # another model to compare it with

    def __post_init__(self) -> None:
        if max(len(self.shown), len(self.beside)) > cache.LONGEST_NAME:
            raise InvalidParameterError(f"a model's name of more than {cache.LONGEST_NAME} characters")


@dataclass(frozen=True)
class Taken:
    """A model, taken apart."""

    info: ModelInfo
    config: ModelConfig
    anatomy: Anatomy
    unused: Mapping[str, int]  # tensors of its file that it has no use for, and how many numbers they hold (0: unknown)


@dataclass(frozen=True)
class Shown:
    """What is on the page: all models, the one that was chosen, and another beside it."""

    infos: dict[str, ModelInfo]
    name: str
    taken: Taken | None  # None: `trouble` is why
    beside: Taken | None
    trouble: str


# ---- what is shown ---------------------------------------------------------------------------------------


def shown(lesson: Lesson[Settings]) -> Shown:
    """What the table and the settings ask for."""
    infos, settings = lines(), lesson.settings()
    if (name := choice(TABLE, infos)) is not None:
        lesson.choose(shown=name)
        settings = lesson.settings()
    name = settings.shown if settings.shown in infos else FIRST
    other = infos.get(settings.beside) if settings.beside != name else None
    taken, beside, trouble = None, None, text.not_here(infos[name].title)
    try:
        taken = take_apart(infos[name])
        beside = None if other is None else take_apart(other)
    except ModelError as error:
        trouble = str(error)
    return Shown(infos, name, taken, beside, trouble)


def lines() -> dict[str, ModelInfo]:
    """All models that this session can show, by name: its own, those it brought from the hub, the catalogue."""
    of_session = [model.info for model in cache.own_models().values()]
    infos = [*of_session, *brought().values(), *(info for info in catalogue() if info.name != "scratch:test")]
    return {info.name: info for info in infos}


def bytes_in_memory() -> dict[str, int]:
    """Of the models that are in memory now, by name, this session's own ones among them."""
    return cache.loaded() | {name: cache.n_bytes(one) for name, one in cache.own_models().items()}


def take_apart(info: ModelInfo) -> Taken | None:
    """A model's parts; None for one that is not here, so that nobody can say. Errors: ModelError."""
    if (bare := _known(info)) is not None or info.name == FIRST:  # MiniLM is not downloaded for it
        return bare
    model = cache.model(info.name)
    return _taken(info, model.transformer, dict.fromkeys(model.unused_weights, 0))


@store.kept()
def _known(info: ModelInfo) -> Taken | None:
    """Of a model whose shape is known without loading it; None of others."""
    bare = skeleton(info)
    return None if bare is None else _taken(info, bare, unused_weights(info))


def _taken(info: ModelInfo, model: Transformer, unused: Mapping[str, int]) -> Taken:
    return Taken(info, model.config, anatomy(model), unused)


def differences(one: ModelConfig, other: ModelConfig) -> list[tuple[str, str, str]]:
    """The fields in which two configs differ: its name in words, and both values."""
    left, right = _fields(one), _fields(other)
    names = [name for name in (*left, *right) if left.get(name) != right.get(name)]
    return [
        (text.field(name), text.value(left.get(name)), text.value(right.get(name))) for name in dict.fromkeys(names)
    ]


def _fields(config: ModelConfig) -> dict[str, Any]:
    return asdict(config) | {"head width": config.head_dim, "parameters in all": config.n_parameters}


def use(name: str) -> None:
    """The model becomes the one of every page that shows a text."""
    st.session_state["model"] = name
    st.session_state["whole_page"] = True


# ---- models brought along --------------------------------------------------------------------------------


def brought() -> dict[str, ModelInfo]:
    """The models that this session loaded from the hub, by name."""
    infos: dict[str, ModelInfo] = st.session_state.setdefault("models:brought", {})
    return infos


def begin_download() -> None:
    """Starts the download of what was typed, or keeps why not."""
    repo = (st.session_state["models-typed"] or "").strip().removeprefix("hf:")
    st.session_state[REFUSED] = ""
    try:
        cache.check_length(repo)
        model_downloads.begin(repo)
    except ModelError as error:
        st.session_state[REFUSED] = str(error)
    st.session_state["whole_page"] = True


def take_downloaded(lesson: Lesson[Settings]) -> Download | None:
    """The session's download; one that has come is loaded and shown, to be called before any widget is drawn."""
    download = model_downloads.mine()
    if download is not None and download.status == "done":
        del st.session_state["download"]
        try:
            brought()[download.name] = cache.model(download.name).info
            lesson.choose(shown=download.name, beside="")
        except ModelError as error:
            st.session_state[REFUSED] = str(error)
    return download


def upload_key() -> str:
    """The key of the field for files: each takes one."""
    return f"models-file-{st.session_state.get('models:uploads', 0)}"


def take_file(lesson: Lesson[Settings]) -> None:
    """Begins to read an uploaded archive, which becomes a model of this session."""
    memory = st.session_state
    file = sent_file(upload_key())
    memory[REFUSED] = GONE if gone(upload_key()) else ""
    if file is None:
        return
    if (before := model_downloads.mine()) is not None and not before.active:
        del memory["download"]  # why it failed is old news
    # Another field, for another file.
    memory["models:uploads"] = memory.get("models:uploads", 0) + 1
    memory["whole_page"] = True
    memory[UPLOAD] = model_uploads.begin(file)


def uploading() -> Upload | None:
    """The session's archive that is read, or has been and was not taken yet."""
    upload: Upload | None = st.session_state.get(UPLOAD)
    return upload


def cancel_upload() -> None:
    """Ends the reading."""
    if (upload := uploading()) is not None:
        upload.cancel()


def take_uploaded(lesson: Lesson[Settings]) -> Upload | None:
    """The session's upload under way; one that has come is shown, its file forgotten, before any widget is drawn."""
    upload = uploading()
    if upload is None or upload.active:
        return upload
    memory = st.session_state
    del memory[UPLOAD]
    server.forget(upload.file)
    memory[REFUSED] = job_text.UPLOAD_CANCELLED if upload.status == "cancelled" else upload.error
    if upload.model is not None and upload.status == "done":
        try:
            lesson.choose(shown=cache.keep(upload.model, model_uploads.SOURCE), beside="")
        except ModelError as error:
            memory[REFUSED] = str(error)
    return None


def upload_mb() -> int:
    """MB that an archive may have: the server takes no more than its own setting either."""
    return max(1, min(cache.MAX_UPLOAD_BYTES // 1_000_000, st.get_option("server.maxUploadSize")))
