"""Two things at the same time, in the session of the page that asks for them."""

import threading

import pytest
from streamlit.testing.v1 import AppTest

from attnviz.web.at_once import at_once


def test_both_run_at_the_same_time() -> None:
    """Each waits for the other: one after the other they would wait until the barrier breaks."""
    met = threading.Barrier(2, timeout=30)
    assert at_once(lambda: (met.wait(), "one")[1], lambda: (met.wait(), "other")[1]) == ("one", "other")


def test_both_are_done_when_one_fails() -> None:
    done = threading.Event()

    def fails() -> None:
        raise ValueError("not this one")

    with pytest.raises(ValueError, match="not this one"):
        at_once(fails, done.set)
    assert done.is_set()
    with pytest.raises(ValueError, match="not this one"):
        at_once(done.is_set, fails)


def page() -> None:
    import streamlit as st

    from attnviz.web.at_once import at_once

    st.session_state["own"] = "of this session"
    st.text(at_once(lambda: "page", lambda: st.session_state["own"])[1])


def test_the_other_reads_the_session_of_the_page() -> None:
    """A model that was trained in a session is found there."""
    assert AppTest.from_function(page).run().text[0].value == "of this session"
