"""What Streamlit's server does for any visitor by itself, and what of it this one does not: see docs/security.md.

A page cannot refuse these: they reach the server past it, from whoever opens a WebSocket or sends a file.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state.common import is_element_id
from streamlit.runtime.state.session_state import STREAMLIT_INTERNAL_KEY_PREFIX, SessionState

from attnviz.inputs.temporary import remove_left_folders
from attnviz.web import allocator, metrics, shell
from attnviz.web.limits import LIMITS, Limits

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFileManager, UploadedFileRec

MAX_MESSAGE_BYTES = 4_000_000  # of what a browser says at a time: all its fields, each with 100,000 characters at most
PICTURE_BYTES = 20_000_000  # of the largest file that is no archive
MOST_FILES = 4  # of a session
ABSENT_ON_SMALL_HOST = 32  # sessions that wait two minutes for their browser to come back, a third of a MB each
IGNORED = ("clear_cache", "set_run_on_save", "load_git_info")  # for who develops an app, not for its visitors
UNHEARD = "server:unheard"  # bytes of what a session sent and was not heard, until its page has said so


def upload_caps(limits: Limits) -> tuple[int, int]:
    """Bytes of files that a session may have sent and no page taken, one archive beside a picture; and all sessions."""
    of_one = limits.max_upload_bytes + PICTURE_BYTES
    return of_one, max(500_000_000, 2 * of_one)


SESSION_UPLOAD_BYTES, ALL_UPLOADS_BYTES = upload_caps(LIMITS)
_log = logging.getLogger(__name__)
_lock = threading.Lock()
_hardened: set[int] = set()  # ids of the servers of this process: one, but for tests


def harden() -> None:
    """Sets the limits of this process's server, once; nothing where none runs, as under tests of pages."""
    if not runtime.exists():
        return
    server = runtime.get_instance()
    with _lock:
        if id(server) in _hardened:
            return
        _hardened.add(id(server))
    if LIMITS.memory_bytes < allocator.SMALL_HOST:
        allocator.return_large_blocks()
        keep_fewer_absent(server)
    allocator.keep_trimmed()
    remove_left_folders()
    limit_messages()
    read_theme_once()
    look_up_one_field()
    limit_uploads(server.uploaded_file_mgr)
    metrics.serve()


def keep_fewer_absent(server: Any) -> None:
    """From now on fewer sessions without a browser wait for it; Streamlit keeps 128, each with what its parts draw."""
    from streamlit.runtime.memory_session_storage import MemorySessionStorage

    server._session_mgr._session_storage = MemorySessionStorage(maxsize=ABSENT_ON_SMALL_HOST)


@cache
def limit_messages() -> None:
    """From now on a session hears only what a visitor may say: set once for the process, whose servers share it."""
    from streamlit.runtime.app_session import AppSession

    AppSession.handle_backmsg = _only_heard(AppSession.handle_backmsg)  # type: ignore[method-assign, assignment]


def _only_heard(handle: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def hear(session: Any, message: Any) -> None:
        kind, size = message.WhichOneof("type"), message.ByteSize()
        if kind in IGNORED:
            metrics.REFUSED.labels("message").inc()
            _log.warning("a visitor's message %s was ignored", kind)
        elif size > MAX_MESSAGE_BYTES:
            metrics.REFUSED.labels("message").inc()
            _log.warning("a visitor's message of %s bytes was ignored; at most %s are read", size, MAX_MESSAGE_BYTES)
            session.session_state[UNHEARD] = size
            session.request_rerun(session._client_state)  # the page as it was, which says so
        else:
            handle(session, message)

    return hear


@cache
def read_theme_once() -> None:
    """From now on the theme is read from the settings once: every run told it anew, 7 % of what a new text cost."""
    from streamlit import config
    from streamlit.runtime import app_session

    read: dict[str, Any] = {}
    populate = app_session._populate_theme_msg

    @wraps(populate)
    def fill(theme: Any, section: str = "theme") -> None:
        if section not in read:
            own = type(theme)()
            populate(own, section)
            read[section] = own
        if read[section].ByteSize():  # else the theme would have an empty part
            theme.MergeFrom(read[section])

    app_session._populate_theme_msg = fill  # type: ignore[assignment]
    config.on_config_parsed(read.clear, force_connect=True)  # its file was edited


class _LookedUp(Mapping[str, Any]):
    """What a page sees of a session's state, each key looked up when it is asked for."""

    def __init__(self, state: SessionState, whole: Callable[[SessionState], dict[str, Any]]) -> None:
        self._state, self._whole = state, whole

    def __getitem__(self, key: str) -> Any:
        if is_element_id(key) or key.startswith(STREAMLIT_INTERNAL_KEY_PREFIX):
            raise KeyError(key)
        return self._state[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole(self._state))

    def __len__(self) -> int:
        return len(self._whole(self._state))

    def __repr__(self) -> str:
        return repr(self._whole(self._state))


@cache
def look_up_one_field() -> None:
    """From now on a field looks up its own value: each made a dict of all that its session keeps, 7 % of a new text."""
    states: Any = SessionState
    whole = states.filtered_state.fget
    states.filtered_state = property(lambda state: _LookedUp(state, whole))


def say_what_was_not_heard() -> None:
    """One sentence above the page, if what the reader sent was too much to be read."""
    if size := st.session_state.pop(UNHEARD, 0):
        shell.notice(
            f"What you sent has {size:,} bytes; at most {MAX_MESSAGE_BYTES:,} are read at a time, so none of it was. "
            "It stays in its field for you to shorten."
        )


def limit_uploads(files: UploadedFileManager) -> None:
    """From now on files of a session, and of all together, are refused beyond the limits."""
    from starlette.exceptions import HTTPException

    held: dict[str, dict[str, UploadedFileRec]] = files.file_storage  # type: ignore[attr-defined]
    add, adding = files.add_file, threading.Lock()  # type: ignore[attr-defined]

    def add_file(session_id: str, file: UploadedFileRec) -> None:
        with adding:
            others = [one for one in list(held.get(session_id, {}).values()) if one.file_id != file.file_id]
            mine = sum(len(one.data) for one in others) + len(file.data)
            everybody = sum(len(one.data) for session in list(held.values()) for one in list(session.values()))
            if len(others) >= MOST_FILES or mine > SESSION_UPLOAD_BYTES:
                metrics.REFUSED.labels("upload").inc()
                raise HTTPException(413, f"At most {MOST_FILES} files of {SESSION_UPLOAD_BYTES:,} bytes are kept.")
            if everybody + len(file.data) > ALL_UPLOADS_BYTES:
                metrics.REFUSED.labels("upload").inc()
                raise HTTPException(503, "Others are sending files. Try again soon.")
            add(session_id, file._replace(name=printable(file.name)))

    files.add_file = add_file  # type: ignore[attr-defined]


def printable(name: str) -> str:
    """A file's name without what no browser sends: with a NUL in it Streamlit would end every run of the session."""
    return "".join(one for one in name if one.isprintable()) or "file"


def forget(file: Any) -> None:
    """Forgets an uploaded file that a page has read: Streamlit would keep it as long as the session."""
    context = get_script_run_ctx()
    if context is not None and runtime.exists():
        files: Any = runtime.get_instance().uploaded_file_mgr
        files.remove_file(context.session_id, file.file_id)
