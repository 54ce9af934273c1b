"""The attention view as a Streamlit component: bytes and settings go in, the reader's choices come out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import streamlit as st

from attnviz.browser import bundle
from attnviz.browser.view_state import ViewState

QUESTION = "Where does each word look?"

_mount = st.components.v2.component(
    "attnviz_view",
    html='<div class="av-root"></div>\n<noscript>This view needs JavaScript.</noscript>',
    css=bundle.css(),
    js=bundle.javascript(),
)


def current_state(key: str, default: ViewState) -> ViewState:
    """What the reader has chosen in the view `key` (`default` before that); ask before it is drawn."""
    reported = _reported(key)
    return default if reported is None else ViewState.from_dict(reported)


def choose_state(key: str, state: ViewState) -> None:
    """Makes `state` what the view `key` shows (a link was opened); to be called before the view is drawn."""
    st.session_state[key] = {"view": state.to_dict()}
    st.session_state.pop(_sent(key), None)


def requested_file(key: str) -> str | None:
    """The kind of file ("npz" or "html") that the reader asked for, in the one run that answers it."""
    return _field(key, "export")


def attention_view(
    message: bytes,
    state: ViewState,
    *,
    key: str,
    question: str = QUESTION,
    live: bool = True,
    file: tuple[str, bytes] | None = None,
    compact: bool = False,
    title: str | None = None,
    height: int | None = None,
    paint: bool = False,
) -> ViewState:
    """Draws the view and returns the reader's choices.

    Arguments
        message: from `attnviz.browser.attention_message.pack`. While it stays the same, no bytes are sent again.
        state: what to show. What the view itself reported is not sent back to it, and a state that equals the one
            passed in the run before leaves the reader's choices alone.
        question: the heading of the view; "" for none.
        live: offers to run the whole model with a change: the caller then passes a message with `before`.
        file: name and bytes that the browser saves, in answer to `requested_file`.
        compact: only the matrix, under a title, with its legend and the sentence, as wide as the column it stands
            in; a message with `before` shows the run with the change, or with `state.diff` the change itself.
        title: of the compact form; "Layer l, head h" by default.
        height: of the compact form's matrix with its labels, at most so many px; 460 by default.
        paint: the compact form opens for painting a mask: `mask` is "painted", whatever `state` says.
    """
    if compact and paint:
        state = replace(state, mask="painted")
    sent = _state_to_send(key, state)
    about: dict[str, Any] = {"state": sent.to_dict(), "question": question, "live": live, "message": len(message)}
    if compact:
        about["compact"] = {"title": title, "height": height}
        about["live"] = False
    if file is not None:
        number = st.session_state[f"{key}:files"] = st.session_state.get(f"{key}:files", 0) + 1
        about["file"] = {"name": file[0], "number": number}
    head = json.dumps(about).encode("ascii")
    head += b" " * (-(4 + len(head)) % 8)
    _mount(
        data=b"".join([len(head).to_bytes(4, "little"), head, message, file[1] if file else b""]),
        key=key,
        on_view_change=lambda: None,
        on_export_change=lambda: None,
    )
    return current_state(key, state)


def _state_to_send(key: str, state: ViewState) -> ViewState:
    """What the browser gets: the last state that the page chose, which the reader may have changed since."""
    memory, reported = st.session_state, _reported(key)
    passed, sent = memory.get(_passed(key)), memory.get(_sent(key))
    memory[_passed(key)] = state
    if sent is not None and (state == passed or state == (sent if reported is None else ViewState.from_dict(reported))):
        return sent
    memory[_sent(key)] = state
    if reported is not None:  # it is older than what the page chose now
        memory[key] = {"view": state.to_dict()}
    return state


def _passed(key: str) -> str:
    return f"{key}:passed"


def _sent(key: str) -> str:
    return f"{key}:sent"


def _reported(key: str) -> Any:
    return _field(key, "view")


def _field(key: str, name: str) -> Any:
    try:
        return st.session_state[key][name]
    except (KeyError, TypeError):
        return None
