"""Pages with models that read no text: they work where pictures are shown, and else are refused in a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import attnviz
from attnviz.models import hf_download
from attnviz.models.model import Model
from attnviz.web import cache
from attnviz.web.components import patch_view
from attnviz.web.jobs import model_downloads
from tests.pages.driver import opened
from tests.support.zoo import folders


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of some tiny models."""
    place = tmp_path_factory.mktemp("models")
    for name in ("Dinov2WithRegistersModel", "WhisperForConditionalGeneration", "CLIPModel"):
        with folders.quietly():
            folders.write(name, place / name)
    return place


@pytest.fixture(scope="module")
def whisper(place: Path) -> Model:
    return of_session(place / "WhisperForConditionalGeneration", "session:whisper", "Little Whisper")


def of_session(folder: Path, name: str, title: str) -> Model:
    model = attnviz.load(str(folder))
    return replace(model, info=replace(model.info, name=name, title=title))


@pytest.mark.parametrize(
    ("page", "parameter", "name", "says"),
    [
        ("explore", "model", "hf:org/whisper", "hf:org/whisper reads sounds; this page shows a text"),
        pytest.param(
            "translate", "translator", "session:whisper", "Little Whisper answers no text", marks=pytest.mark.nightly
        ),
        pytest.param(
            "vision",
            "vit",
            "hf:org/whisper",
            "hf:org/whisper reads sound; this page shows pictures",
            marks=pytest.mark.nightly,
        ),
        ("models", "shown", "session:whisper", "No page gives a model a sound"),
    ],
)
def test_a_model_of_sounds(
    page: str, parameter: str, name: str, says: str, place: Path, whisper: Model, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cache, "own_models", lambda: {whisper.info.name: whisper})
    monkeypatch.setattr(hf_download, "fetch", lambda *_: place / "WhisperForConditionalGeneration")
    monkeypatch.setattr(model_downloads, "SOON", 60)
    app = opened(page, **{parameter: name})
    assert not app.exception
    assert any(says in sentence for sentence in app.sentences), app.sentences


def test_registers_have_names_on_the_vision_page(place: Path, monkeypatch: pytest.MonkeyPatch):
    dino = of_session(place / "Dinov2WithRegistersModel", "session:dino", "Little DINO")
    monkeypatch.setattr(cache, "own_models", lambda: {dino.info.name: dino})
    app = opened("vision", vit=dino.info.name, query="2")
    assert not app.exception
    assert any("turns a picture into a vector and names no classes" in sentence for sentence in app.sentences)
    trace = dino.run(folders.image())
    message = patch_view.pack(trace, np.zeros((8, 8, 3), np.uint8), 0)
    assert all(words in message for words in (b"the class token", b"register 1", b"register 4"))
    assert trace.tokens[:3] == ["[CLS]", "[REG1]", "[REG2]"] and trace.tokens[5] == "0,0"


@pytest.mark.parametrize(
    ("page", "parameter", "name", "says"),
    [
        ("explore", "model", "hf:org/clip", "is 2 models in one: put #text or #image after its name"),
        pytest.param(
            "explore", "model", "hf:org/clip#image", "reads images; this page shows a text", marks=pytest.mark.nightly
        ),
        ("explore", "model", "hf:org/clip#text", "After the last layer"),
        pytest.param(
            "explore",
            "model",
            "hf:org/clip#sound",
            "has no part #sound: it has text and image",
            marks=pytest.mark.nightly,
        ),
        ("vision", "vit", "hf:org/clip#image", "turns a picture into a vector"),
        pytest.param(
            "vision", "vit", "hf:org/clip#text", "reads text; this page shows pictures", marks=pytest.mark.nightly
        ),
    ],
)
def test_two_towers_by_their_parts(
    page: str, parameter: str, name: str, says: str, place: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hf_download, "fetch", lambda *_: place / "CLIPModel")
    monkeypatch.setattr(model_downloads, "SOON", 60)
    asked = {"text": "a cat", "whole": "1", "temp": "0.5"} if page == "explore" else {}
    app = opened(page, **{parameter: name}, **asked)
    assert not app.exception
    assert any(says in sentence for sentence in app.sentences), app.sentences
