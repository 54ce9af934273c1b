"""The step-by-step view as a Streamlit component: a walk and settings go in, the reader's choices come out."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

from attnviz.browser import bundle

_mount = st.components.v2.component(
    "attnviz_walk",
    html='<div class="aw-root"></div>\n<noscript>This view needs JavaScript.</noscript>',
    css=bundle.css("provenance/view.css"),
    js=bundle.javascript("provenance/streamlit.js"),
)


@dataclass(frozen=True)
class WalkState:
    """What the reader sees of a walk."""

    step: str = "x"
    path: str = ""  # cells "matrix:row:column", the chosen one first, joined by "/"
    head: int = 0
    edits: str = ""  # as for `attnviz.analysis.provenance.worked_example.read_edits`


def reported(key: str) -> WalkState | None:
    """What the reader last did in the view `key`; None before that, or if a browser sent something else."""
    found = _field(key, "walk")
    if not isinstance(found, dict):
        return None
    state = {name: found.get(name, default) for name, default in asdict(WalkState()).items()}
    right = all(type(state[name]) is type(default) for name, default in asdict(WalkState()).items())
    return WalkState(**state) if right else None


def wanted_layer(key: str) -> int | None:
    """The layer that the reader asked for, in the one run that answers it."""
    found = _field(key, "layer")
    return found if type(found) is int else None


def walk_view(message: bytes, state: WalkState, *, key: str, on_change: Callable[[], None]) -> None:
    """Draws the view.

    Arguments
        message: from `attnviz.browser.provenance_message.pack_walk`. While it stays the same, no bytes are sent again.
        state: what to show. What the view itself reported is not sent back to it.
        on_change: called before the run that follows what the reader did; `reported` says what that was.
    """
    memory, now = st.session_state, reported(key)
    sent, number, then = memory.get(f"{key}:sent", (None, 0, None))
    in_browser = sent if now is None or now == then else now  # the later of what was sent and what came back
    if state != in_browser:
        sent, number = state, number + 1
        memory[f"{key}:sent"] = (sent, number, now)
    head = json.dumps({"id": zlib.crc32(message), "number": number, "state": _plain(sent)}).encode("ascii")
    _mount(
        data=b"".join([len(head).to_bytes(4, "little"), head, message]),
        key=key,
        on_walk_change=on_change,
        on_layer_change=on_change,
    )


def _plain(state: WalkState) -> dict[str, Any]:
    """The state as the browser's modules hold it: cells and edits taken apart."""
    path = [cell.rsplit(":", 2) for cell in filter(None, state.path.split("/"))]
    edits = [edit.partition(":") for edit in filter(None, state.edits.split(","))]
    return {
        "step": state.step,
        "path": [[name, int(row), int(col)] for name, row, col in path],
        "head": state.head,
        "edits": [[_cell(place), value] for place, _, value in edits],
    }


def _cell(place: str) -> str:
    """ "W_Q.0.1" as the browser's "W_Q:0:1"."""
    return ":".join(place.rsplit(".", 2))


def _field(key: str, name: str) -> Any:
    try:
        return st.session_state[key][name]
    except (KeyError, TypeError):
        return None
