"""What strangers type into addresses and fields: names of folders, numbers out of range, other sessions' models."""

from __future__ import annotations

import csv
import importlib
import io
import zipfile
from dataclasses import fields
from functools import partial
from typing import Any

import pytest
import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from attnviz.browser.view_state import ViewState
from attnviz.errors import ModelError
from attnviz.models.catalogue import BUNDLED, load_archive
from attnviz.web import cache, shell
from attnviz.web.components.chart import csv_text
from attnviz.web.jobs import model_uploads
from attnviz.web.sent_file import GONE
from attnviz.web.translate import state as translate
from tests.pages.driver import Page, opened

FOLDERS = ("/etc", "/nonexistent", str(BUNDLED / "tales"), "assets/models/digits", "..", "~", "tales/", "hf/x\0y")
PAGES = ("translate", "generate", "vision", "softmax", "masks", "positions", "encoder_block", "variants")
PAGES += ("step_by_step", "replay", "train", "models", "what_if", "compare")


def refused(app: Page) -> list[str]:
    return app.notices


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folders_name_opens_nothing(name: str) -> None:
    with pytest.raises(ModelError, match="There is no model"):
        cache.model(name)


@pytest.mark.parametrize(
    ("page", "parameter"), [("", "model"), ("generate", "model"), ("translate", "translator"), ("vision", "vit")]
)
def test_no_page_opens_a_folder_of_the_servers(page: str, parameter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "load", lambda name, **_: pytest.fail(f"{name} was opened"))
    app = opened(page, **{parameter: "/etc"})
    assert refused(app) == ["There is no model “/etc”. Pick one, or type hf:org/name."]


@pytest.mark.parametrize("name", ["minilm", "tales", "scratch:tiny"])
def test_the_catalogues_own_tokenizers_stay_in_this_process(name: str) -> None:
    assert not cache.model(name).tokenizer.isolated


def test_a_strangers_tokenizer_does_not() -> None:
    assert load_archive(zipped("tales"), "mine").tokenizer.isolated


def numbers(page: str) -> list[str]:
    """The fields of a page's settings that hold a number."""
    if page == "":
        return [field.name for field in fields(ViewState) if type(field.default) in (int, float)]
    first = importlib.import_module(f"attnviz.web.{page}.state").Settings()
    return [field.name for field in fields(first) if type(getattr(first, field.name)) in (int, float)]


@pytest.mark.parametrize(("page", "value"), [("translate", "1000001"), ("train", "1" + 400 * "0")])
def test_a_number_out_of_range_falls_back(page: str, value: str) -> None:
    app = opened(page, **dict.fromkeys(numbers(page), value))
    assert not app.exception


@pytest.mark.nightly
@pytest.mark.parametrize("value", ["1000001", "9" * 30, "1" + 400 * "0", "-1", "1e400", "nan", "x"])
@pytest.mark.parametrize("page", ["", *PAGES])
def test_numbers_out_of_range_fall_back_on_every_page(page: str, value: str) -> None:
    assert not opened(page, **dict.fromkeys(numbers(page), value)).exception


def test_an_answer_in_the_cache_is_no_other_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    key, first = "session:0123456789abcdef", translate.Settings()
    monkeypatch.setattr(translate, "load", lambda name: cache.load("dates"))
    assert translate.answered(key, first.source, first.forced).ids  # as its owner's page asked for it
    assert refused(opened("translate", translator=key)) == [cache.ELSEWHERE]


def test_an_answer_does_not_keep_its_model() -> None:
    answer = translate.greedy(cache.load("dates"), "the 3rd of March 2021", ())
    assert not any(isinstance(value, type(cache.load("dates"))) for value in vars(answer).values())


def test_whatever_goes_wrong_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> None:
        raise OSError("/srv/secret/place")

    monkeypatch.setattr(translate, "adopt_view", broken)
    st.set_option("client.showErrorDetails", "none")
    try:
        app = opened("translate")
    finally:
        st.set_option("client.showErrorDetails", "full")
    assert refused(app) == [shell.TROUBLE] and not app.exception
    assert "secret" not in str(list(app))


@pytest.mark.parametrize(
    ("page", "settings", "says"),
    [
        ("models", {}, GONE),
        ("train", {"task": "language"}, GONE),
        ("vision", {"source": "upload"}, "Choose a PNG or JPEG file."),
    ],
)
def test_a_file_that_another_replica_had_is_missed_in_a_sentence(
    page: str, settings: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser goes on at this server with the name of a file that it sent to one that died; or it forges one."""
    app = opened(page, **settings)
    monkeypatch.setattr(MemoryUploadedFileManager, "get_files", lambda *_, **__: [])
    app.get("file_uploader")[0].upload("a.zip", b"x", "application/zip").run()
    assert not app.exception and says in app.prose


def test_the_server_shows_no_details_of_errors() -> None:
    import tomllib

    from attnviz.inputs.assets import APP

    config = tomllib.loads((APP.parent / ".streamlit/config.toml").read_text("utf-8"))
    assert config["client"]["showErrorDetails"] == "none"
    assert config["server"]["maxMessageSize"] <= 50


@pytest.mark.parametrize("token", ["=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_no_cell_of_a_charts_file_begins_a_formula(token: str) -> None:
    table = {"token": [token, "cat"], token: [-0.5, 0.25]}
    assert next(csv.reader(io.StringIO(csv_text(table), newline="")))[1].startswith("'")
    assert f"'{token}" in csv_text(table) and "-0.5" in csv_text(table) and "'-0.5" not in csv_text(table)


def zipped(name: str, **changes: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for file in (BUNDLED / name).iterdir():
            if file.suffix in (".json", ".safetensors") and file.stem != "history":
                archive.writestr(file.name, changes.get(file.stem, file.read_bytes()))
    return data.getvalue()


def test_what_an_upload_takes_is_reserved_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "OWN_SHARE", 100_000)
    monkeypatch.setattr("attnviz.models.folders.build", lambda *_: pytest.fail("memory was taken"))
    with pytest.raises(ModelError, match=r"more than the 100,000 that this server has for one visitor"):
        cache.bring(partial(model_uploads._loaded, zipped("tales"), "big"), {}, lambda: True)


def test_shared_models_make_room_before_another_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    cache._shared.clear()
    monkeypatch.setattr(cache, "_held", type(cache._held)())
    cache.model("tales")
    size = cache.loaded()["tales"]
    monkeypatch.setattr(cache, "MODELS_BYTES", size + 1)
    make_room, seen = cache._make_room, []
    monkeypatch.setattr(cache, "_make_room", lambda n: (make_room(n), seen.append((cache.loaded(), n))))
    cache.model("induction")
    assert seen == [({}, 4 * cache.load("induction").transformer.config.n_parameters)]
    monkeypatch.setattr(cache, "_shared", None)  # what is there already is not asked of Streamlit's cache
    assert cache.model("induction").info.name == "induction"
    monkeypatch.undo()
    cache._shared.clear()
