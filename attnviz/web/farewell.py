"""The end of a server that is asked to stop: its readers are told in a sentence, and running work comes to its end.

Streamlit closes the connections at once; a page alone would then only say that it lost its server.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

from streamlit import runtime
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.RootContainer_pb2 import RootContainer

SENTENCE = (
    "This server stops now. The address of this page opens it again when the server is back; models and trainings that "
    "were made here end with it."
)
SIGNALS = (signal.SIGTERM, signal.SIGINT)
TO_READERS = 0.3  # seconds for the sentence to reach the browsers
TO_WORK = 5.0  # seconds that trainings have for the step under way and their checkpoint
_log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[dict[str, Any] | None]:
    """From the server's start on its signals are heard here first; they go on to the server itself."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, _heard_first(signal.getsignal(number)))
    yield None


def _heard_first(server: Any) -> Any:
    """What hears a signal, says goodbye, and hands it on to `server`; at once where it comes a second time."""
    asked = threading.Event()

    def goes_on(number: int) -> None:
        try:
            say_goodbye()
        finally:
            signal.raise_signal(number)

    def hear(number: int, frame: FrameType | None) -> None:
        if not asked.is_set():
            asked.set()
            threading.Thread(target=goes_on, args=(number,), name="attnviz farewell", daemon=True).start()
        elif callable(server):
            server(number, frame)
        else:  # the system's own way: the process ends
            signal.signal(number, server)
            signal.raise_signal(number)

    return hear


def say_goodbye() -> None:
    """Tells every reader, ends downloads and trainings, and waits for both a moment."""
    n_told = tell()
    _log.warning("the server stops; %s readers were told", n_told)
    until = time.monotonic() + TO_READERS
    end_work()
    time.sleep(max(0.0, until - time.monotonic()))


def tell() -> int:
    """The sentence to every browser that is connected; how many they are."""
    if not runtime.exists():
        return 0
    sessions = runtime.get_instance()._session_mgr.list_active_sessions()
    for one in sessions:
        message = ForwardMsg()
        message.metadata.delta_path[:] = [RootContainer.EVENT, 0]
        message.delta.new_element.toast.body = SENTENCE
        message.delta.new_element.toast.duration = 0  # until it is closed
        one.session._enqueue_forward_msg(message)
    return len(sessions)


def end_work() -> None:
    """Uploads end at once, downloads with the piece that comes next, trainings after their step, which is saved."""
    if "attnviz.web.jobs.model_downloads" in sys.modules:
        from attnviz.web.jobs import model_downloads

        model_downloads.cancel_all()
    if "attnviz.web.jobs.model_uploads" in sys.modules:
        from attnviz.web.jobs import model_uploads

        model_uploads.cancel_all()
    if "attnviz.web.jobs.training_runs" in sys.modules:
        from attnviz.web.jobs import training_runs

        training_runs.end_all(TO_WORK)
