"""What goes wrong as a widget's callback runs, before the page does: a sentence too, as what goes wrong on the page.

Streamlit draws a red box of its own for it, and runs nothing of the page.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.runtime.state.session_state import SessionState

from attnviz.web import metrics, shell

FAILED = "callbacks:failed"
TROUBLE = "What you did last did not work. Whoever runs this server finds the reason in its log."

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_guarded = False


def guard() -> None:
    """From now on no callback in this process ends a page."""
    global _guarded
    with _lock:
        if not _guarded:
            _guarded = True
            SessionState._run_callback_and_record_rerun = _caught(  # type: ignore[method-assign]
                SessionState._run_callback_and_record_rerun
            )


def _caught(run: Callable[..., None]) -> Callable[..., None]:
    """Streamlit's one way to run a callback, with an end for those that fail."""

    def run_callback(session: Any, votes: Any, callback: Callable[[], None]) -> None:
        def or_say() -> None:
            try:
                callback()
            except Exception:
                if st.get_option("client.showErrorDetails") != "none":
                    raise
                metrics.FAILED.inc()
                _log.exception("a callback ended unexpectedly")
                st.session_state[FAILED] = True
                st.rerun()  # the whole page, for its top is where it is said

        run(session, votes, or_say)

    return run_callback


def say_what_failed() -> None:
    """One sentence above the page, if the reader's last action ended unexpectedly."""
    if st.session_state.pop(FAILED, False):
        shell.notice(TROUBLE)
