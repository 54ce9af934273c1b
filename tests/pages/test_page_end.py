"""A click while a page is drawn is heard when that is done, however the page ends."""

import pytest
import streamlit as st
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

from attnviz.web import course, shell
from attnviz.web.glossary import parts
from tests.pages.driver import Page


def click_meanwhile() -> None:
    """What a click in the first part of the page makes the browser ask for while the page is still drawn."""
    context = get_script_run_ctx()
    (first, *_) = context.shared.new_fragment_ids.snapshot()
    context.script_requests.request_rerun(RerunData(page_script_hash=context.page_script_hash, fragment_id=first))


@pytest.fixture
def drawn(monkeypatch):
    """How often a part of the page was drawn that runs alone; there is a click on it in the page's first run."""
    times = []

    def part() -> None:
        times.append(st.session_state["runs"])
        st.text("a part that runs alone")

    monkeypatch.setattr(parts, "every_term", lambda: shell.fragment(part)())
    return times


def test_a_click_during_a_servers_first_run_is_heard(drawn, monkeypatch):
    monkeypatch.setattr(course, "foot", lambda page: click_meanwhile() if len(drawn) == 1 else None)
    assert not Page("glossary", {}).run().exception
    assert drawn == [1, 1]


def test_a_click_while_a_page_ends_in_a_sentence_is_heard(drawn, monkeypatch):
    def foot(page: str) -> None:
        if len(drawn) == 1:
            click_meanwhile()
        shell.refuse("That cannot be.")

    monkeypatch.setattr(course, "foot", foot)
    page = Page("glossary", {}).run()
    assert page.notices == ["That cannot be."]
    assert drawn == [1, 1]
