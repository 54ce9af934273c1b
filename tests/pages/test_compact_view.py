"""The compact view as a component: which state goes to the browser, and which one the page gets back."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from attnviz.browser.view_state import ViewState
from tests.pages.driver import views


def page() -> None:
    """Draws a compact view of what the test put into the session, and keeps what came back."""
    import streamlit as st

    from attnviz.web import cache
    from attnviz.web.components import attention_view

    run = cache.run("minilm", "The animal was tired.", None)
    given = st.session_state["given"]
    st.session_state["back"] = attention_view.attention_view(
        run.message, given, key="small", compact=True, title="A title", height=300, paint=st.session_state["paint"]
    )


@pytest.fixture
def at() -> AppTest:
    app = AppTest.from_function(page, default_timeout=60)
    app.session_state["given"] = ViewState(layer=1, head=2)
    app.session_state["paint"] = False
    return app.run()


def sent(at: AppTest) -> dict[str, Any]:
    """What went to the browser beside the message."""
    return views(at)[0][0]


def report(at: AppTest, state: ViewState) -> AppTest:
    """What happens when the reader has chosen something in the view."""
    at.session_state["small"] = {"view": state.to_dict()}
    return at.run()


def test_what_the_browser_gets(at: AppTest) -> None:
    about = sent(at)
    assert about["compact"] == {"title": "A title", "height": 300}
    assert about["live"] is False
    assert about["state"] == ViewState(layer=1, head=2).to_dict()
    assert at.session_state["back"] == ViewState(layer=1, head=2)


def test_a_fixed_state_leaves_the_readers_choice_alone(at: AppTest) -> None:
    chosen = ViewState(layer=1, head=2, queries=(3,))
    first = sent(at)
    report(at, chosen)
    at.run()
    assert at.session_state["back"] == chosen
    assert sent(at) == first  # nothing goes back into the view that said so itself


def test_a_new_state_of_the_page_replaces_an_older_report(at: AppTest) -> None:
    report(at, ViewState(layer=1, head=2, queries=(3,)))
    at.session_state["given"] = new = ViewState(layer=4, head=0)
    at.run()
    assert at.session_state["back"] == new and sent(at)["state"] == new.to_dict()
    at.run()
    assert at.session_state["back"] == new and sent(at)["state"] == new.to_dict()
    chosen = ViewState(layer=4, head=0, queries=(1,))
    assert report(at, chosen).session_state["back"] == chosen


def test_paint_opens_with_a_painted_mask(at: AppTest) -> None:
    at.session_state["paint"] = True
    at.run()
    assert sent(at)["state"]["mask"] == "painted"
    assert at.session_state["back"].mask == "painted"
    report(at, ViewState(layer=1, head=2, mask="painted", painted=((1, 2),)))
    assert at.session_state["back"].to_intervention().blocked == ((None, None, 1, 2),)
    assert not at.exception
