"""What a reload must not lose: a session's training and its own models, found again by the session's own link.

To Streamlit a reload is a new session. What belonged to the old one waits here under an id that nobody can guess. It
stands in that session's address (`run=…`) and nowhere else: *Copy link* leaves it out. As long as a session has its
browser, its id opens nothing to any other; and what nobody comes back for is forgotten.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state.common import user_key_from_element_id
from streamlit.runtime.state.session_state import Serialized

from attnviz.web.jobs.sessions import presence

PARAMETER = "run"  # of the address
KEPT = 30 * 60.0  # seconds that the things of a session wait after it has left
MOST = 16  # sessions that have left and whose things wait
WAIT = 2.0  # seconds until the server has heard that the page which reloads has left
POLL = 0.05
EVERY = 60.0  # seconds between two looks at who has left
_PLACE = "belongings"


@dataclass(eq=False)
class Belongings:
    """What a session owns, by its key in the session's state."""

    present: Callable[[], bool]  # whether the session that owns them now has its browser
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    things: dict[str, Any] = field(default_factory=dict)
    left: float | None = None  # when it was first seen without its browser

    def owner_present(self) -> bool:
        """Whether whoever owns them now has its browser: for jobs, which outlive a reload."""
        return self.present()


_kept: dict[str, Belongings] = {}  # by token; guarded by the lock
_lock = threading.RLock()
_watch: threading.Timer | None = None  # ticks while there is something to forget


def mine() -> Belongings:
    """This session's belongings, kept from now on."""
    own: Belongings = st.session_state.setdefault(_PLACE, None) or Belongings(presence())
    st.session_state[_PLACE] = own
    with _lock:
        _kept[own.token] = own
        _forget_old()
    return own


def keep(**things: Any) -> None:
    """Keeps entries of this session's state for after a reload; None for one that is no more."""
    mine().things.update(things)


def address() -> dict[str, str]:
    """The parameter that finds this session's belongings again; none where it owns nothing."""
    return {PARAMETER: mine().token} if st.session_state.get(_PLACE) is not None else {}


def claim(token: str) -> None:
    """Gives this new session what was kept under a token, unless whoever it belongs to is still there."""
    with _lock:
        _forget_old()
        own = _kept.get(token)
    if own is None or (st.session_state.get(_PLACE) is not own and not _owner_left(own)):
        return
    # Streamlit may end a run at any look at the session's state, and begin anew: the owner changes last.
    st.session_state[_PLACE] = own
    st.session_state.update({key: thing for key, thing in own.things.items() if thing is not None})
    with _lock:
        own.present, own.left = presence(), None


def _owner_left(own: Belongings) -> bool:
    """Whether the session that has them is without its browser, or is within a moment: a reload takes one."""
    until = time.monotonic() + WAIT
    while own.present() and time.monotonic() < until:
        time.sleep(POLL)
    return not own.present()


def in_browser(key: str) -> str | None:
    """What the browser holds in a text field when a session begins; None for a new visitor.

    A page whose server ended, or whose proxy moved it to another one, goes on with a new session. The first that this
    hears is what its reader typed meanwhile, which is newer than the address.
    """
    if st.session_state.get("runs", 0) > 1:
        return None
    held = _told().get(key)
    return held.value.string_value if isinstance(held, Serialized) and held.value.HasField("string_value") else None


def tell_anew(keys: Iterable[str]) -> None:
    """Tells the browser the values of widgets that it has said nothing of in this run.

    It may not have drawn them yet: a reader who types at once ends the first run, whose values would be lost with it.
    Then each widget would come up with its first choice, and not with that of the link.
    """
    told, state = _told(), st.session_state
    state.update({key: state[key] for key in keys if key not in told and key in state})


def _told() -> dict[str | None, Any]:
    """What the browser has said in this run that its widgets hold, by their keys."""
    context = get_script_run_ctx()
    if context is None:
        return {}
    states = context.session_state._state._new_widget_state.states.items()
    return {user_key_from_element_id(widget): held for widget, held in states}


def forget_absent() -> None:
    """Forgets all that waits for sessions that have left."""
    with _lock:
        for token in [token for token, own in _kept.items() if not own.present()]:
            del _kept[token]


def _forget_old() -> None:
    """Forgets what has waited for too long, and what is more than there is room for; looks again later."""
    global _watch
    now = time.monotonic()
    for own in _kept.values():
        own.left = None if own.present() else own.left or now
    gone = sorted((own.left, token) for token, own in _kept.items() if own.left is not None)
    for i, (left, token) in enumerate(gone):
        if now - left >= KEPT or i < len(gone) - MOST:
            del _kept[token]
    if _kept and (_watch is None or not _watch.is_alive()):
        _watch = threading.Timer(EVERY, _look_again)
        _watch.daemon = True
        _watch.start()


def _look_again() -> None:
    global _watch
    with _lock:
        _watch = None
        _forget_old()
