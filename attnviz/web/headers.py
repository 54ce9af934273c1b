"""What a browser is told with every answer: to run nothing and to reach nobody but this server.

`serve.py` puts it around Streamlit's server, and closes there what is not for visitors; see docs/security.md.
Source: W3C, Content Security Policy Level 3.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

import streamlit
from starlette.responses import PlainTextResponse

from attnviz.web.components.bridge import PROGRAMS_PATH
from attnviz.web.limits import LIMITS

# Who may show the app in a frame, in the words of a policy.
FRAMES = LIMITS.frame_ancestors
FOR_EVER = (b"cache-control", b"public, max-age=31536000, immutable")  # of a file whose name says what is in it
# Streamlit's figures, for which it walks through the memory of all sessions: `metrics` has its own, at another port.
CLOSED = "/_stcore/metrics"
_HOST = re.compile(rb"[\w.:\[\]-]{1,255}")

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


def policy(host: str = "") -> str:
    """The Content-Security-Policy of a page of the server at `host`."""
    sockets = f" ws://{host} wss://{host}" if host else ""
    parts = {
        "default-src": "'none'",
        # components are blobs; the model that runs in the browser multiplies in WebAssembly
        "script-src": " ".join(["'self'", "blob:", "'wasm-unsafe-eval'", *_inline_scripts()]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": f"'self'{sockets} blob: data:",
        "worker-src": "'self' blob:",
        "frame-ancestors": FRAMES,
        "base-uri": "'none'",
        "form-action": "'none'",
        "object-src": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())


@cache
def _inline_scripts() -> tuple[str, ...]:
    """The scripts in Streamlit's own page, by their hashes: these may run, and no other."""
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text("utf-8")
    digests = [hashlib.sha256(script.encode()).digest() for script in re.findall(r"<script>(.*?)</script>", page, re.S)]
    return tuple(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def headers(host: str = "") -> dict[str, str]:
    """All headers."""
    return {
        "Content-Security-Policy": policy(host),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


class Headers:
    """ASGI middleware that adds them to every answer that has none of the same name, and finds nothing at `CLOSED`."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"host", b"")
        is_program = f"/{PROGRAMS_PATH}/" in scope.get("path", "")
        added = headers(given.decode("ascii") if _HOST.fullmatch(given) else "")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower(), value) for name, value in message["headers"]]
                if is_program and message.get("status") == 200:
                    own = [*(one for one in own if one[0] != FOR_EVER[0]), FOR_EVER]
                there = {name for name, _ in own}
                more = [(name.lower().encode(), value.encode()) for name, value in added.items()]
                message["headers"] = [*own, *(one for one in more if one[0] not in there)]
            await send(message)

        is_closed = scope.get("path", "").endswith(CLOSED)  # also below `server.baseUrlPath`
        app: App = PlainTextResponse("Not found", status_code=404) if is_closed else self.app
        await app(scope, receive, answer)
