"""What a browser shows before it has the app: the server writes it into Streamlit's empty page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import streamlit

from attnviz.inputs.assets import APP
from attnviz.web import first_paint, page_style
from attnviz.web.empty_page import EmptyPage
from tests.support.readers import done

PAGE = (Path(streamlit.__file__).parent / "static" / "index.html").read_bytes()


def answered(path: str, accept: bytes, page: bytes = PAGE) -> tuple[dict[bytes, bytes], bytes, list[bytes]]:
    """Headers and body of an answer in two pieces, and the names of the headers that the server itself was sent."""
    messages: list[Any] = []
    heard: list[bytes] = []

    async def server(scope: Any, receive: Any, send: Any) -> None:
        heard.extend(name for name, _ in scope["headers"])
        headers = [(b"content-type", b"text/html"), (b"Content-Length", str(len(page)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": page[:100], "more_body": True})
        await send({"type": "http.response.body", "body": page[100:]})

    async def send(message: Any) -> None:
        messages.append(message)

    asked = [(b"accept", accept), (b"accept-encoding", b"gzip")]
    answer = EmptyPage(server)({"type": "http", "path": path, "headers": asked}, None, send)
    done(answer)
    body = b"".join(one.get("body", b"") for one in messages)
    return {name.lower(): value for name, value in messages[0]["headers"]}, body, heard


@pytest.mark.parametrize(("path", "title"), [("/", first_paint.EXPLORE), ("/heads", "attnviz")])
def test_the_empty_page_shows_what_is_coming_where_the_app_will_stand(path: str, title: str) -> None:
    headers, body, heard = answered(path, b"text/html,application/xhtml+xml")
    before, after = body.split(b'<div id="root">')
    assert before == PAGE.split(b'<div id="root">')[0] + page_style.early_style_sheet().encode()
    assert f"<b>{title}</b>".encode() in after and after.endswith(PAGE.split(b'<div id="root">')[1])
    assert headers[b"content-length"] == str(len(body)).encode()
    assert heard == [b"accept"]  # what comes compressed could not be written into


def test_all_else_goes_through_as_it_is() -> None:
    _, body, heard = answered("/static/x.js", b"*/*")
    assert body == PAGE and heard == [b"accept", b"accept-encoding"]
    assert answered("/", b"text/html", b"a page that nobody knows" * 9)[1] == b"a page that nobody knows" * 9


def test_the_server_answers_before_torch_is_imported() -> None:
    code = "import sys, runpy; runpy.run_path('serve.py'); print('torch' in sys.modules, 'streamlit' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=APP.parent, capture_output=True, text=True)
    assert said.stdout.split() == ["False", "True"], said.stderr[-2000:]
