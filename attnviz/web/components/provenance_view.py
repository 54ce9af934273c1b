"""The step-by-step view as a Streamlit component: every number of a layer goes in, the reader's choices come out."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attnviz.browser import bundle
from attnviz.browser.framing import Payload, frame
from attnviz.web.components import bridge

Cell = tuple[str, int, int]  # matrix, row, column
_mount = bridge.component(
    "attnviz_walk",
    "provenance/streamlit.js",
    f'<div class="aw-root" data-bare></div>{bridge.NO_SCRIPT}',
    bundle.css("provenance/view.css"),
)


@dataclass(frozen=True)
class ProvenanceState:
    """What the reader sees of a layer's provenance."""

    step: str = "x"
    path: str = ""  # cells "matrix:row:column", the chosen one first, joined by "/"
    head: int = 0
    row: int = -1  # the word that is looked at; −1: the view's own choice
    edits: str = ""  # as for `attnviz.analysis.provenance.worked_example.read_edits`


def reported(key: str) -> ProvenanceState | None:
    """What the reader last did in the view `key`; None before that, or if a browser sent something else."""
    return bridge.reported_as(key, "walk", ProvenanceState())


def wanted_layer(key: str) -> tuple[int, str] | None:
    """The layer and the cell in it that the reader asked for, in the one run that answers it."""
    place = bridge.reported(key, "layer")
    if not isinstance(place, dict) or type(place.get("layer")) is not int or type(place.get("cell")) is not str:
        return None
    return place["layer"], place["cell"]


def provenance_view(message: bytes, state: ProvenanceState, *, key: str, on_change: Callable[[], None]) -> None:
    """Draws the view.

    Arguments
        message: from `attnviz.browser.provenance_message.pack`. While it stays the same, no bytes are sent again.
        state: what to show. What the view itself reported is not sent back to it.
        on_change: called before the run that follows what the reader did; `reported` says what that was.
    """
    sent = bridge.to_send(key, "walk", state, reported(key), insist=True)
    payload = Payload()
    payload.add(message)
    _mount(
        data=frame({"id": zlib.crc32(message), "number": sent.number, "state": _plain(sent.state)}, payload),
        key=key,
        on_walk_change=on_change,
        on_layer_change=on_change,
    )


def cells(path: str) -> list[Cell]:
    """A path's cells, taken apart."""
    parts = (cell.rsplit(":", 2) for cell in filter(None, path.split("/")))
    return [(name, int(row), int(col)) for name, row, col in parts]


def _plain(state: ProvenanceState) -> dict[str, Any]:
    """The state as the browser's modules hold it: cells and edits taken apart."""
    edits = [edit.partition(":") for edit in filter(None, state.edits.split(","))]
    return {
        "step": state.step,
        "path": [list(cell) for cell in cells(state.path)],
        "head": state.head,
        "row": state.row,
        "edits": [[_cell(place), value] for place, _, value in edits],
    }


def _cell(place: str) -> str:
    """ "W_Q.0.1" as the browser's "W_Q:0:1"."""
    return ":".join(place.rsplit(".", 2))
