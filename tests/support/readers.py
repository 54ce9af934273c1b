"""Readers without a browser: they speak Streamlit's messages over a WebSocket, many of them in one process.

What a reader waits for is the end of the run that it asked for; drawing costs nothing here. The server is another
process, but shares the cores with its readers: what is measured errs on the slow side. A server that shows its visitors
no errors (`client.showErrorDetails`) counts them in its figures.
"""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

T = TypeVar("T")
PATIENCE = 120.0  # seconds that a run may take
TEXT = "text"  # key of the field in the sidebar


def done(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, in a thread apart: this one may hold the loop of a browser that another test drives."""
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, work).result()


@dataclass(frozen=True)
class Answer:
    """What one run of a page brought."""

    seconds: float
    n_bytes: int
    error: str  # empty if nothing went wrong


class Reader:
    """A tab: one session of the server for as long as its block lasts."""

    def __init__(self, address: str) -> None:
        """`address` is the server's, as http://127.0.0.1:8501."""
        self._address = f"ws{address.removeprefix('http')}/_stcore/stream"
        self._socket: ClientConnection | None = None
        self._query = ""
        self._script = ""  # hash of the page that is open
        self._widgets: dict[str, str] = {}  # key → Streamlit's own name of the widget
        self._kept: set[str] = set()  # hashes of the last run's large messages, which a browser keeps and says so

    async def __aenter__(self) -> Reader:
        # in one message there may be a whole view; a tab waits for its server however long that takes
        self._socket = await connect(
            self._address, subprotocols=["streamlit"], max_size=None, open_timeout=PATIENCE, ping_interval=None
        )  # type: ignore[arg-type, unused-ignore]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._socket is not None
        await self._socket.close()

    @property
    def has_text(self) -> bool:
        """Whether the page that is open reads the text of the sidebar."""
        return TEXT in self._widgets

    async def open(self, page: str, **query: str) -> Answer:
        """Opens a page by its name in the address, with parameters."""
        self._query, self._script, self._widgets = urllib.parse.urlencode(query), "", {}
        return await self._run(page, {})

    async def type(self, text: str) -> Answer:
        """Writes a text into the sidebar. That the page came to its end with it, its new address shows."""
        answer = await self._run("", {TEXT: text})
        if not answer.error and urllib.parse.parse_qs(self._query).get(TEXT) != [text]:
            return Answer(answer.seconds, answer.n_bytes, "the page did not come to its end with the text")
        return answer

    async def press(self, key: str) -> Answer:
        """Presses the button that has this key, or this label where it has none."""
        return await self._run("", {key: True})

    def cut(self) -> None:
        """Ends the connection as a network does that breaks: without a word."""
        assert self._socket is not None
        self._socket.transport.abort()

    async def last_toast(self) -> str:
        """What a message in the corner says that comes before the server closes the connection; "" if none does."""
        assert self._socket is not None
        said = ""
        try:
            while True:
                raw = await asyncio.wait_for(self._socket.recv(decode=False), PATIENCE)
                element = ForwardMsg.FromString(raw).delta.new_element
                said = element.toast.body if element.WhichOneof("type") == "toast" else said
        except ConnectionClosed:
            return said

    async def _run(self, page: str, values: dict[str, Any]) -> Answer:
        """Sends the widgets' values, by key, and waits for the end of the run."""
        assert self._socket is not None
        ask = BackMsg()
        ask.rerun_script.query_string = self._query
        ask.rerun_script.page_script_hash, ask.rerun_script.page_name = self._script, page
        ask.rerun_script.cached_message_hashes.extend(sorted(self._kept))
        for key, value in values.items():
            state = ask.rerun_script.widget_states.widgets.add(id=self._widgets[key])
            if value is True:
                state.trigger_value = True
            else:
                state.string_value = value
        began = time.perf_counter()
        await self._socket.send(ask.SerializeToString())
        n_bytes, error, kept = 0, "", set[str]()
        while True:
            raw = await asyncio.wait_for(self._socket.recv(decode=False), PATIENCE)
            n_bytes += len(raw)
            message = ForwardMsg.FromString(raw)
            kept |= {message.ref_hash, message.hash if message.metadata.cacheable else ""} - {""}
            error = error or self._hear(message)
            if message.WhichOneof("type") == "script_finished":
                if message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    continue  # as where the page sends itself to another one: the end is still to come
                self._kept = kept
                return Answer(time.perf_counter() - began, n_bytes, error)

    def _hear(self, message: ForwardMsg) -> str:
        """Takes in what a browser would; returns what went wrong, or nothing."""
        kind = message.WhichOneof("type")
        if kind == "navigation":
            self._script = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string.removeprefix("?")
        elif kind == "page_not_found":
            return "no such page"
        elif kind == "delta":
            element = message.delta.new_element
            what = element.WhichOneof("type")
            if what == "exception":
                return f"{element.exception.type}: {element.exception.message}"[:200]
            if what in ("text_area", "button"):
                widget = getattr(element, what)
                key = widget.id.split("-", 2)[-1]  # $$ID-hash-key
                self._widgets[widget.label if key == "None" else key] = widget.id
        return ""
