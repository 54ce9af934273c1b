"""Explore and a view that runs the model by itself: what the server sends it, and what it runs all the same."""

from __future__ import annotations

import pytest

import attnviz
from attnviz.browser import live
from attnviz.browser.attention_message import pack
from attnviz.web.components import attention_view
from tests.pages.driver import SENTENCE, Page, frames, opened, views
from tests.support.models import loaded

CHOSEN = {"temperature": 0.5, "whole": True}


def reported(model: str, **view: str) -> Page:
    app = opened(model=model)
    app.session_state["explore"] = {"view": CHOSEN | view}
    app.run()
    assert not app.exception
    return app


def test_a_view_that_runs_the_model_gets_the_run_without_the_change() -> None:
    app, model = reported("tales", here="tales"), loaded("tales")
    ((about, message),) = views(app)
    assert message == pack(model.run(SENTENCE), name="tales")
    assert about["runnable"] == {"name": "tales", "text": SENTENCE, "file": None}
    assert "of its norm on average" in app.prose
    assert app.link["temp"] == "0.5" and app.link["whole"] == "1"


@pytest.mark.parametrize("view", [{}, {"here": "austen"}, {"here": ["tales"]}])
def test_any_other_view_gets_the_run_with_the_change(view: dict[str, str]) -> None:
    ((_, message),) = views(reported("tales", **view))
    model = loaded("tales")
    changed = model.run(SENTENCE, intervention=attnviz.Intervention(temperature=0.5))
    assert message == pack(changed, name="tales", before=model.run(SENTENCE))


def test_the_model_is_sent_to_the_view_that_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_view, "wants_model", lambda _: True)
    app = reported("tales")
    ((about, _),) = views(app)
    (payload,) = [payload for _, payload in frames(app, "attnviz_view")]
    at, length = about["runnable"]["file"]["model"]
    assert bytes(payload[at : at + length]) == live.model_file(loaded("tales"), exact=True)
    at, length = about["runnable"]["file"]["worker"]
    assert b"self.onmessage" in bytes(payload[at : at + length])
    ((about, _),) = views(reported("minilm"))  # whatever a browser asks for
    assert about["runnable"] is None
