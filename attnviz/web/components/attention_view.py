"""The attention view as a Streamlit component: bytes and settings go in, the reader's choices come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from attnviz.browser import bundle
from attnviz.browser.framing import Payload, frame
from attnviz.browser.view_state import ViewState
from attnviz.web.components import bridge

QUESTION = "Where does each word look?"

_mount = bridge.component(
    "attnviz_view", "attention/streamlit.js", f'<div class="av-root"></div>{bridge.NO_SCRIPT}', bundle.css()
)


def current_state(key: str, default: ViewState) -> ViewState:
    """What the reader has chosen in the view `key` (`default` before that); ask before it is drawn."""
    return _shown(key) or default


def choose_state(key: str, state: ViewState) -> None:
    """Makes `state` what the view `key` shows (a link was opened); to be called before the view is drawn."""
    bridge.show(key, "view", state)


def requested_file(key: str) -> str | None:
    """The kind of file ("npz", "html" or "live") that the reader asked for, in the one run that answers it."""
    kind = bridge.reported(key, "export")
    return kind if isinstance(kind, str) else None


def wants_model(key: str) -> bool:
    """Whether the view `key` asks for the model, to run it by itself; in the one run that answers it."""
    return bridge.reported(key, "model") is True


def runs(key: str, model: str) -> bool:
    """Whether the view `key` runs this model by itself: it then needs no message of a run with a change."""
    return bridge.reported_fields(key, "view").get("here") == model


@dataclass(frozen=True)
class Runnable:
    """A model that the view can run by itself, once it has asked for it and got it."""

    name: str
    text: str  # that it runs on
    file: bytes | None = None  # from `attnviz.browser.live.model_file`, in answer to `wants_model`


@dataclass(frozen=True)
class Question:
    """A cell that the reader wants to look into on another page."""

    about: str = ""  # "trace" its number, what "temperature" does to its row, what its "head" is for, or that one "off"
    layer: int = 0
    head: int = 0
    query: int = 0
    key: int = 0
    mask: str = "model"  # or "causal" or "none", where the number on screen was computed so
    temperature: str = "1"


def asked(key: str) -> Question | None:
    """What the reader asked in the view `key`, in the one run that answers it."""
    return bridge.reported_as(key, "ask", Question())


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
    reach: int = 0,
    cards: Sequence[Sequence[str]] | None = None,
    no_live_page: str | None = None,
    runnable: Runnable | None = None,
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
        reach: offers to look into a cell on other pages, which show so many tokens: `asked` says into which.
        cards: what each head is for in a sentence, by layer and head; the view leads to the page of heads.
        no_live_page: why there is no page in which the model runs, in a sentence; "": the view offers to save it.
        runnable: what the view runs the whole model with in the browser, if it can; else the server's message counts.
        paint: the compact form opens for painting a mask: `mask` is "painted", whatever `state` says.
    """
    if compact and paint:
        state = replace(state, mask="painted")
    sent = bridge.to_send(key, "view", state, _shown(key), insist=False).state
    about: dict[str, Any] = {
        "state": sent.to_dict(),
        "question": question,
        "live": live,
        "reach": reach,
        "cards": cards,
        "noLivePage": no_live_page,
    }
    about["message"] = len(message)
    if compact:
        about["compact"] = {"title": title, "height": height}
        about["live"] = False
    payload = Payload()
    payload.add(message)
    if file is not None:
        number, at = bridge.next_file(key), payload.add(file[1])
        about["file"] = {"name": file[0], "number": number, "at": at, "bytes": len(file[1])}
    about["runnable"] = None if runnable is None else _placed(runnable, payload)
    _mount(
        data=frame(about, payload),
        key=key,
        on_view_change=lambda: None,
        on_export_change=lambda: None,
        on_ask_change=lambda: None,
        on_model_change=lambda: None,
    )
    return current_state(key, state)


def _placed(runnable: Runnable, payload: Payload) -> dict[str, Any]:
    """What the view knows of a model, and where in the payload it lies with the program that runs it."""
    about: dict[str, Any] = {"name": runnable.name, "text": runnable.text, "file": None}
    if runnable.file is not None:
        parts = {"worker": bundle.javascript("model/worker.js").encode(), "model": runnable.file}
        about["file"] = {name: (payload.add(part), len(part)) for name, part in parts.items()}
    return about


def _shown(key: str) -> ViewState | None:
    """What the reader has chosen, as the browser reported it."""
    report = bridge.reported(key, "view")
    return None if report is None else ViewState.from_dict(report)
