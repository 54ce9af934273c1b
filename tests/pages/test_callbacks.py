"""A callback that ends unexpectedly: one sentence, the page as it was, and the reason in the log."""

import pytest
import streamlit as st

from attnviz.web import callbacks, shell
from attnviz.web.lesson import Lesson
from tests.pages.driver import opened


def fails(*given: object) -> None:
    raise RuntimeError("the disk is full")


@pytest.fixture
def served():
    """As visitors find the app."""
    st.set_option("client.showErrorDetails", "none")
    yield
    st.set_option("client.showErrorDetails", "full")


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("page", "where", "name", "label"),
    [
        ("program", Lesson, "_take", "Induction without its first head"),
        ("", shell, "_take_example", ""),
    ],
)
def test_it_is_said_and_the_page_is_drawn(page, where, name, label, monkeypatch, caplog):
    monkeypatch.setattr(where, name, fails)
    app = opened(page)
    before = app.sentences if page else None
    if label:
        app.press(label)
    else:
        next(box for box in app.selectbox if box.label == "Examples").select_index(1).run()
    assert app.notices == [callbacks.TROUBLE] and "the disk is full" in caplog.text
    assert not page or [one for one in app.sentences if one != callbacks.TROUBLE] == before
    assert not app.run().notices


def test_who_develops_the_app_sees_the_traceback(monkeypatch):
    monkeypatch.setattr(Lesson, "_take", fails)
    app = opened("program").press("Induction without its first head")
    assert app.exception[0].message == "the disk is full"


def test_a_page_may_have_two_things_to_say():
    app = opened("softmax", text="a" * 100_001, model="nonsense")
    assert len(app.notices) == 2 and "at most 100,000" in app.notices[0] and "no model" in app.notices[1]
