"""A process's first run shows what is coming before it imports torch, and leaves nothing of it."""

from __future__ import annotations

import threading

import pytest
from streamlit.runtime.scriptrunner import StopException

from attnviz.web import first_paint
from tests.pages.driver import Page


def stop() -> None:
    raise StopException


@pytest.mark.parametrize(("name", "title"), [("", first_paint.EXPLORE), ("softmax", "Softmax and temperature")])
def test_the_title_of_what_is_coming_stands_before_what_pages_need_is_there(
    name: str, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_paint, "_loaded", threading.Event())
    monkeypatch.setattr(first_paint, "load", stop)
    page = Page(name, {})
    page.run()
    html = [one.proto.body for one in page.get("html")]
    assert any(f"<b>{title}</b>" in one for one in html)
    fields = [(one.key, one.disabled) for one in page.sidebar.text_area]
    assert fields == ([("first-paint-text", True)] if name == "" else [])


@pytest.mark.parametrize("name", ["", "softmax"])
def test_the_page_itself_follows_with_its_link(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_paint, "_loaded", threading.Event())
    page = Page(name, {"text": "A river bank.", "model": "scratch:tiny"})
    page.run()
    assert not page.exception and first_paint._loaded.is_set()
    assert page.sidebar.text_area(key="text").value == "A river bank." and len(page.sidebar.text_area) == 1
    assert not [one for one in page.get("html") if "first-paint" in one.proto.body]
