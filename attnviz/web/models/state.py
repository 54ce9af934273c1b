"""What the Models page shows: the catalogue, a model taken apart, two models compared, and models brought along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

from attnviz.browser import bundle
from attnviz.errors import InvalidParameterError
from attnviz.models import anatomy as taken_apart
from attnviz.models.anatomy import Anatomy
from attnviz.models.catalogue import ModelInfo, catalogue, load_archive, skeleton
from attnviz.nn.config import ModelConfig
from attnviz.nn.transformer import Transformer
from attnviz.web import cache
from attnviz.web.models import text as words

LONGEST_NAME = 200
FIRST = "minilm"
PAGES = {  # where a model can be seen, by what it reads: the page, what the link says, its parameter of the address
    "text": ("pages/explore.py", "Open it in Explore", "model"),
    "pair": ("pages/translate.py", "Open it in Translate", "translator"),
    "image": ("pages/vision.py", "Open it in Vision", "vit"),
}

_table = st.components.v2.component(
    "attnviz_table",
    html='<div class="av-table"></div>',
    css=(bundle.FOLDER / "widgets/table.css").read_text("utf-8"),
    js=bundle.javascript("widgets/table.js"),
)
_diagram = st.components.v2.component(
    "attnviz_anatomy",
    html='<div class="av-anatomy"></div>',
    css=(bundle.FOLDER / "widgets/anatomy.css").read_text("utf-8"),
    js=bundle.javascript("widgets/anatomy.js"),
)


@dataclass(frozen=True)
class Settings:
    """What the reader has chosen."""

    shown: str = FIRST
    beside: str = ""  # another model to compare it with

    def __post_init__(self) -> None:
        if max(len(self.shown), len(self.beside)) > LONGEST_NAME:
            raise InvalidParameterError(f"a model's name of more than {LONGEST_NAME} characters")


@dataclass(frozen=True)
class Taken:
    """A model, taken apart."""

    info: ModelInfo
    config: ModelConfig
    anatomy: Anatomy


def lines() -> dict[str, ModelInfo]:
    """All models that this session can show, by name: its own, those it brought from the hub, the catalogue."""
    own = [one.info for one in cache.own_models().values()]
    found = [*own, *brought().values(), *(info for info in catalogue() if info.name != "scratch:test")]
    return {info.name: info for info in found}


def brought() -> dict[str, ModelInfo]:
    """The models that this session loaded from the hub."""
    found: dict[str, ModelInfo] = st.session_state.setdefault("models:brought", {})
    return found


def bring(name: str) -> None:
    """Loads a downloaded model, for the table. Errors: ModelError."""
    brought()[name] = cache.model(name).info


def upload_mb() -> int:
    """MB that an archive may have: the server takes no more than its own setting either."""
    return max(1, min(cache.MAX_UPLOAD_BYTES // 1_000_000, st.get_option("server.maxUploadSize")))


def upload(name: str, data: bytes) -> str:
    """An uploaded archive becomes a model of this session; returns its name. Errors: ModelError."""
    title = "".join(c for c in name.removesuffix(".zip") if c.isprintable())[:60] or "a model"
    return cache.keep(load_archive(data, title, max_bytes=cache.MAX_MODEL_BYTES), "uploaded in this session")


def take_apart(info: ModelInfo) -> Taken | None:
    """A model's parts; None for one that is not here, so that nobody can say. Errors: ModelError."""
    if (bare := _known(info)) is not None or info.name == FIRST:  # MiniLM is not downloaded for it
        return bare
    return _taken(info, cache.model(info.name).transformer)


@st.cache_resource(max_entries=64, show_spinner=False)
def _known(info: ModelInfo) -> Taken | None:
    """Of a model whose shape is known without loading it; None of others."""
    bare = skeleton(info)
    return None if bare is None else _taken(info, bare)


def _taken(info: ModelInfo, model: Transformer) -> Taken:
    return Taken(info, model.config, taken_apart.anatomy(model))


def differences(one: ModelConfig, other: ModelConfig) -> list[tuple[str, str, str]]:
    """The fields in which two configs differ: its name in words, and both values."""
    left, right = _fields(one), _fields(other)
    names = [name for name in (*left, *right) if left.get(name) != right.get(name)]
    return [
        (words.field(name), words.value(left.get(name)), words.value(right.get(name))) for name in dict.fromkeys(names)
    ]


def _fields(config: ModelConfig) -> dict[str, Any]:
    own = {"head width": config.head_dim, "parameters in all": config.n_parameters}
    return asdict(config) | own


# ---- the two components ------------------------------------------------------------------------------------


def table(infos: Sequence[ModelInfo], chosen: str, *, key: str) -> None:
    """Draws the catalogue; `choice` says what the reader chose in it."""
    loaded = cache.loaded() | {name: cache.n_bytes(one) for name, one in cache.own_models().items()}
    rows = [{"key": info.name, "cells": words.row(info, loaded.get(info.name, 0))} for info in infos]
    number = _reported(key).get("number", 0)
    data = {"label": "Models", "columns": words.COLUMNS, "rows": rows, "chosen": chosen, "number": number}
    _table(data=data, key=key, on_chosen_change=lambda: None)


def choice(key: str, infos: dict[str, ModelInfo]) -> str | None:
    """What the reader chose in the table, in the run that hears of it; None if nothing new."""
    said, seen = _reported(key), f"{key}:seen"
    if not said:  # a table that was just drawn, where the reader was on another page
        st.session_state.pop(seen, None)
    if said.get("number", 0) == st.session_state.get(seen, 0) or said.get("key") not in infos:
        return None
    st.session_state[seen] = said.get("number", 0)
    return str(said["key"])


def comparison(one: Taken, other: Taken, *, key: str) -> None:
    """Draws the fields in which two models differ."""
    rows = [{"key": "", "cells": [[text] for text in row]} for row in differences(one.config, other.config)]
    columns = [["Config"], [one.info.title, "number"], [other.info.title, "number"]]
    _table(data={"label": "What differs", "columns": columns, "rows": rows, "chosen": None, "number": 0}, key=key)


def diagram(models: Sequence[Taken], *, key: str) -> None:
    """Draws the parts of one model, or of several side by side."""
    _diagram(data={"models": [words.drawn(one.info, one.config, one.anatomy) for one in models]}, key=key)


def _reported(key: str) -> dict[str, Any]:
    """What the table says was chosen; a browser may say anything."""
    try:
        said = st.session_state[key]["chosen"]
    except (KeyError, TypeError):
        return {}
    sound = isinstance(said, dict) and isinstance(said.get("number"), int) and isinstance(said.get("key"), str)
    return said if sound else {}
