"""Between a page and a component in the browser: registering, what it reported, what it was sent last.

A component's value is `st.session_state[key]`, which the browser fills: it may hold anything. `frontend/core/bridge.js`
is the other end.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, wraps
from pathlib import Path
from typing import Any, Generic, TypeVar

import streamlit as st

from attnviz.browser import bundle
from attnviz.errors import ModelError
from attnviz.inputs.temporary import temporary_folder

_log = logging.getLogger(__name__)
T = TypeVar("T")
NO_SCRIPT = "\n<noscript>This view needs JavaScript.</noscript>"
PROGRAMS = "programs"
PROGRAMS_PATH = f"component/{__name__}.{PROGRAMS}"  # below the app's address
# A message holds only this of a component's JavaScript. Streamlit's own scripts lie in static/js below the app.
LOADER = """const own = document.querySelector('script[src*="static/js/"]').src;
const program = await import(new URL("../../PATH", own).href);
export default program.default;
"""


def component(name: str, entry: str, html: str, css: str, *, isolate_styles: bool = True) -> Any:
    """Registers a component whose JavaScript begins in `entry`, a module of `frontend/`; returns what mounts it.

    The browser fetches the JavaScript once: Streamlit would write it into every message, 300 kB for the attention view.
    """
    _look_plainly()
    is_file = True
    try:
        javascript = LOADER.replace("PATH", f"{PROGRAMS_PATH}/{_program(entry)}")
    except (OSError, ModelError) as error:  # the disk is full: in every message, then
        _log.warning("the JavaScript of %s goes with every message: %s", name, error)
        is_file, javascript = False, bundle.javascript(entry)
    mount = st.components.v2.component(name, html=html, css=css, js=javascript, isolate_styles=isolate_styles)

    def mounted(*, data: Any, **options: Any) -> Any:
        if is_file:
            served(PROGRAMS, _programs())
        return mount(data=without_tables(data), **options)

    return mounted


@cache
def _look_plainly() -> None:
    """From now on what a component reported is a plain dict: Streamlit makes a class anew for each look at it.

    Each list and field on a page looks at every component: that was 6 % of what a new text cost a lesson.
    """
    from streamlit.components.v2.bidi_component import main

    mounts: Any = main
    make = mounts.make_bidi_component_presenter

    @wraps(make)
    def made(triggers: str, *more: Any) -> Callable[[Any, Any], Any]:
        present = make(triggers, *more)

        def look(reported: Any, state: Any) -> Any:
            triggered = triggers in state._new_widget_state and state._new_widget_state[triggers]
            return present(reported, state) if triggered or not isinstance(reported, dict) else dict(reported)

        return look

    mounts.make_bidi_component_presenter = made


@cache
def _programs() -> Path:
    """A folder of this process for the components' JavaScript: Streamlit serves files only."""
    folder = temporary_folder()
    atexit.register(folder.cleanup)
    return Path(folder.name)


@cache
def _program(entry: str) -> str:
    """The name of the file with a component's JavaScript, which is another one for other JavaScript."""
    javascript = bundle.javascript(entry).encode()
    name = f"{entry.removesuffix('.js').replace('/', '-')}-{hashlib.sha256(javascript).hexdigest()[:16]}.js"
    (_programs() / name).write_bytes(javascript)
    return name


@cache
def served(name: str, folder: Path) -> str:
    """Where the browser finds a folder's files, below the app's address; to be called in the run of a page.

    Declaring a component is how Streamlit serves a folder, and outside of a run it declares nothing.
    """
    return f"component/{st.components.v1.declare_component(name, path=folder).name}"


def without_tables(data: Any) -> Any:
    """Data as Streamlit sends it without a look at whether there is a table in it.

    For each list and dict at the first level it would import pandas and pyarrow to ask: 70 MB on a new server.
    Errors: TypeError for a dict there; put it into a list.
    """
    if not isinstance(data, dict):
        return data
    if mappings := [name for name, value in data.items() if isinstance(value, dict)]:
        raise TypeError(f"a component's data has a dict at its first level: {mappings[0]}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


# ---- what the browser reported -----------------------------------------------------------------------


def reported(key: str, name: str) -> Any:
    """What a component last reported under a name, or the trigger of this run; None if there is none."""
    try:
        return st.session_state[key][name]
    except (KeyError, TypeError):
        return None


def reported_fields(key: str, name: str) -> dict[str, Any]:
    """A report that has fields; a `number`, the count of the browser's reports, is 0 where it is none."""
    report = reported(key, name)
    if not isinstance(report, dict) or type(report.get("number", 0)) is not int:
        return {}
    return report


def reported_as(key: str, name: str, default: T) -> T | None:
    """A report as a dataclass: None unless it has every field, of the type that it has in `default`."""
    report = reported(key, name)
    if not isinstance(report, dict):
        return None
    known = {field.name: getattr(default, field.name) for field in fields(default)}  # type: ignore[arg-type]
    given = {field: report.get(field) for field in known}
    sound = all(type(given[field]) is type(value) for field, value in known.items())
    return type(default)(**given) if sound else None


# ---- what it was sent --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent(Generic[T]):
    """The last state that the page chose for a component, which the reader may have changed since."""

    state: T
    number: int  # of states that were chosen so far
    passed: T  # by the page, in its last run


def to_send(key: str, name: str, state: T, shown: T | None, *, insist: bool) -> Sent[T]:
    """What goes to the browser for a page that passes `state`; to be called before the component is mounted.

    What the browser shows already is not sent to it: neither what it reported itself (`shown`, under `name`), nor what
    was sent and not changed. A page that does not `insist` may pass the same state again without undoing what the
    reader did since.
    """
    memory, place = st.session_state, _place(key)
    sent: Sent[T] | None = memory.get(place)
    known = sent is not None and (
        state == (sent.state if shown is None else shown) or (not insist and state == sent.passed)
    )
    if sent is None or not known:
        sent = Sent(state, 1 if sent is None else sent.number + 1, state)
        if shown is not None:  # it is older than what the page chose now
            memory[key] = {name: _plain(state)}
    sent = memory[place] = replace(sent, passed=state)
    return sent


def show(key: str, name: str, state: Any) -> None:
    """Makes `state` what a component shows as if it had reported it; to be called before it is mounted."""
    st.session_state[key] = {name: _plain(state)}
    st.session_state.pop(_place(key), None)


def next_file(key: str) -> int:
    """The number of a file that is sent to a component: it saves each once."""
    number = st.session_state[f"{key}:files"] = st.session_state.get(f"{key}:files", 0) + 1
    return int(number)


def _place(key: str) -> str:
    return f"{key}:sent"


def _plain(state: Any) -> Mapping[str, Any]:
    """A state as the browser reports it."""
    return state.to_dict() if hasattr(state, "to_dict") else asdict(state)
