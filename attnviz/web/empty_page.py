"""Streamlit's empty page with what is coming written into it, which the browser shows before it has the app itself.

`serve.py` puts it around Streamlit's server. React draws over it.
"""

from __future__ import annotations

from typing import Any

from attnviz.web import first_paint, page_style
from attnviz.web.headers import App, Message

ROOT = b'<div id="root">'  # where the browser draws the app
STYLE = """<style>
body { margin: 0 }
.first-paint { padding: 3.5rem 2.5rem 4rem; min-height: 100vh; box-sizing: border-box }
.first-paint { color: #2a313c; font-family: Charter, Georgia, serif }
@media (min-width: 769px) { .first-paint.beside { border-left: 264px solid #f3f5f8 } }
@media (max-width: 719px) { .first-paint { padding: 4.25rem 1rem 3rem } }
@media (prefers-color-scheme: dark) {
  body { background: #14171d }
  .first-paint { color: #d6dbe3; border-color: #1e232c !important }
}
</style>"""


class EmptyPage:
    """ASGI middleware."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        accepted = dict(scope["headers"]).get(b"accept", b"") if scope["type"] == "http" else b""
        if not accepted.startswith(b"text/html"):  # as browsers ask for a page
            await self.app(scope, receive, send)
            return
        uncompressed = [one for one in scope["headers"] if one[0] != b"accept-encoding"]  # to be read here
        start: Message = {}
        body = b""

        async def answer(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            page = with_first_paint(body, scope["path"])
            headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            await send({**start, "headers": [*headers, (b"content-length", str(len(page)).encode())]})
            await send({"type": "http.response.body", "body": page})
            first_paint.sent()

        await self.app({**scope, "headers": uncompressed}, receive, answer)


def with_first_paint(page: bytes, path: str) -> bytes:
    """A page of the server's, with what is coming if it is the empty one."""
    coming = first_paint.html("attnviz") if path.strip("/") else first_paint.html(first_paint.EXPLORE, "beside")
    return page.replace(ROOT, page_style.early_style_sheet().encode() + ROOT + (coming + STYLE).encode(), 1)
