"""What reaches the server past every page: messages of a visitor's, and files that no field asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import Runtime, app_session
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.runtime.session_manager import SessionInfo
from streamlit.runtime.state.session_state import SessionState
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

from attnviz.web import limits, server
from tests.support.hostile_texts import HOSTILE


class Session:
    """As much of a session of Streamlit's as is asked."""

    def __init__(self) -> None:
        self.session_state: dict[str, int] = {}
        self._client_state = "where it is"
        self.runs: list[str] = []

    def request_rerun(self, client_state: str) -> None:
        self.runs.append(client_state)


def heard(message: BackMsg, session: Session | None = None) -> bool:
    """Whether a session hears a message."""
    given: list[Any] = []
    server._only_heard(lambda session, one: given.append(one))(session or Session(), message)
    return given == [message]


def test_a_visitor_cannot_clear_everybodys_caches() -> None:
    assert not heard(BackMsg(clear_cache=True))
    assert not heard(BackMsg(set_run_on_save=True))
    assert heard(BackMsg(stop_script=True))


def test_a_message_of_millions_of_characters_is_not_heard() -> None:
    message = BackMsg()
    state = message.rerun_script.widget_states.widgets.add(id="text")
    state.string_value = "x" * 400_000
    assert heard(message)
    state.string_value = "x" * 24_000_000
    session = Session()
    assert not heard(message, session)
    assert session.session_state[server.UNHEARD] > 24_000_000  # and its page, which runs again, says so
    assert session.runs == ["where it is"]


def test_streamlits_sessions_have_what_is_limited() -> None:
    """The names that another release of Streamlit may change."""
    from streamlit.runtime.app_session import AppSession

    assert callable(AppSession.handle_backmsg) and callable(AppSession.request_rerun)
    assert "_client_state" in AppSession.__init__.__code__.co_names and isinstance(AppSession.session_state, property)
    assert isinstance(MemoryUploadedFileManager("").file_storage, dict)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> MemoryUploadedFileManager:
    monkeypatch.setattr(server, "SESSION_UPLOAD_BYTES", 1000)
    monkeypatch.setattr(server, "ALL_UPLOADS_BYTES", 2500)
    manager = MemoryUploadedFileManager("/upload")
    server.limit_uploads(manager)
    return manager


def send(files: MemoryUploadedFileManager, session: str, name: str, size: int) -> int:
    """The status that the upload of a file ends with."""
    try:
        files.add_file(session, UploadedFileRec(name, name, "text/plain", bytes(size)))
    except HTTPException as error:
        return error.status_code
    return 204


def test_files_of_one_session_are_bounded(files: MemoryUploadedFileManager) -> None:
    assert [send(files, "a", "1", 600), send(files, "a", "2", 401), send(files, "a", "2", 400)] == [204, 413, 204]
    assert send(files, "a", "1", 500) == 204  # in the place of the one before
    assert [send(files, "b", str(i), 1) for i in range(6)] == [204] * server.MOST_FILES + [413, 413]


def test_the_largest_archive_that_is_allowed_fits_whatever_the_server_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a picture that nobody took; and two sessions may send one at a time."""
    for allowed, all_sessions in ((200_000_000, 500_000_000), (1_000_000_000, 2_040_000_000), (1_000, 500_000_000)):
        monkeypatch.setenv("ATTNVIZ_MAX_UPLOAD_BYTES", str(allowed))
        assert server.upload_caps(limits.read()) == (allowed + 20_000_000, all_sessions)
    assert server.upload_caps(limits.LIMITS) == (server.SESSION_UPLOAD_BYTES, server.ALL_UPLOADS_BYTES)


def test_files_of_all_sessions_are_bounded_and_there_is_room_again(files: MemoryUploadedFileManager) -> None:
    assert [send(files, session, "1", 1000) for session in "abc"] == [204, 204, 503]
    files.remove_session_files("a")
    assert send(files, "c", "1", 1000) == 204


@pytest.mark.parametrize("name", [name for name in HOSTILE if any(ord(one) < 32 for one in name)])
def test_a_files_name_has_no_control_characters(files: MemoryUploadedFileManager, name: str) -> None:
    """A NUL ended every run of the session: Streamlit refuses it where it reads the field, before the page."""
    assert send(files, "a", f"{name}.zip", 1) == 204
    (kept,) = files.file_storage["a"].values()
    assert kept.name.isprintable() and kept.name.endswith(".zip") and kept.file_id == f"{name}.zip"


def test_a_name_of_control_characters_alone_is_a_name() -> None:
    assert server.printable("\0\x1f") == "file" and server.printable("Größe 1.zip") == "Größe 1.zip"


def test_on_a_small_host_fewer_sessions_wait_for_their_browser() -> None:
    files = MemoryUploadedFileManager("")
    manager = WebsocketSessionManager(MemorySessionStorage(), files, ScriptCache(), None)
    server.keep_fewer_absent(SimpleNamespace(_session_mgr=manager))
    for number in range(100):
        session: Any = SimpleNamespace(id=str(number))
        manager._session_storage.save(SessionInfo(None, session, 0))
    assert {one.session.id for one in manager._session_storage.list()} == {str(number) for number in range(68, 100)}
    assert "_session_mgr" in Runtime.__init__.__code__.co_names


def test_the_theme_that_is_read_once_is_the_theme() -> None:
    server.read_theme_once()
    fill: Any = app_session._populate_theme_msg
    populate = fill.__wrapped__

    def theme(write: Any) -> CustomThemeConfig:
        made = CustomThemeConfig()
        write(made)
        for name in ("light", "dark", "sidebar"):
            write(getattr(made, name), f"theme.{name}")
        return made

    expected = theme(populate)
    assert expected.light.primary_color == "#2259AC" and not expected.HasField("sidebar")
    assert theme(fill) == theme(fill) == expected
    assert not theme(fill).HasField("sidebar")


def test_a_field_looks_up_its_own_value_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionState, "filtered_state", SessionState.filtered_state)  # to be put back
    whole: Any = SessionState.filtered_state
    server.look_up_one_field.__wrapped__()
    state, widget = SessionState(), "$$ID-0123-field"
    state["typed"], state["nothing"] = "a text", None
    state["$$STREAMLIT_INTERNAL_KEY_SCRIPT"] = True
    state._set_key_widget_mapping(widget, "field")
    state._new_widget_state.set_from_value(widget, 7)
    seen, expected = state.filtered_state, whole.fget(state)
    assert dict(seen) == expected == {"typed": "a text", "nothing": None, "field": 7}
    assert len(seen) == 3 and repr(seen) == repr(expected) and "elsewhere" not in seen and widget not in seen
    assert "nothing" in seen and seen["nothing"] is None

    looked: list[str] = []
    look = SessionState.__getitem__
    monkeypatch.setattr(SessionState, "__getitem__", lambda self, key: looked.append(key) or look(self, key))
    assert "field" in state.filtered_state and state.filtered_state["field"] == 7
    assert looked == ["field", "field"]
