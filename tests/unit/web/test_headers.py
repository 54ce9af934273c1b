"""The headers that forbid a page to run or to reach what is not this server's."""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from typing import Any

import pytest
from streamlit.web.server.starlette.starlette_routes import ROUTE_METRICS

from attnviz.inputs.assets import APP
from attnviz.web import empty_page, headers
from attnviz.web.components.bridge import PROGRAMS_PATH
from tests.support.readers import done


def answer(host: bytes, there: Sequence[tuple[bytes, bytes]] = (), path: str = "/") -> Any:
    """The beginning of an answer to a request that was made to this host."""
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(there)})

    async def send(message: Any) -> None:
        messages.append(message)

    done(headers.Headers(app)({"type": "http", "headers": [(b"host", host)], "path": path}, None, send))
    return messages[0]


def sent(host: bytes, there: Sequence[tuple[bytes, bytes]] = (), path: str = "/") -> dict[str, str]:
    """The headers of that answer."""
    return {name.decode(): value.decode() for name, value in answer(host, there, path)["headers"]}


def test_a_page_runs_and_reaches_only_its_own_server() -> None:
    found = sent(b"lab.school.example:8501")
    policy = dict(part.split(" ", 1) for part in found["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    scripts = policy["script-src"].replace("'wasm-unsafe-eval'", "")  # WebAssembly, and no script from text
    assert "unsafe" not in scripts and scripts.startswith("'self' blob:  'sha256-")
    assert policy["connect-src"] == "'self' ws://lab.school.example:8501 wss://lab.school.example:8501 blob: data:"
    assert found["x-content-type-options"] == "nosniff" and found["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("host", [b"", b"evil; script-src *", b"a b", b"x'y", b"\xff"])
def test_a_host_from_a_stranger_adds_nothing_to_the_policy(host: bytes) -> None:
    assert "connect-src 'self' blob: data:;" in sent(host)["content-security-policy"]


def test_what_an_answer_says_itself_stays() -> None:
    assert sent(b"x", [(b"Referrer-Policy", b"no-referrer")])["referrer-policy"] == "no-referrer"


def test_a_browser_keeps_the_javascript_whose_name_says_what_it_is() -> None:
    kept = [(b"Cache-Control", b"public")]
    assert "immutable" in sent(b"x", kept, f"/lab/{PROGRAMS_PATH}/words-0123.js")["cache-control"]
    assert sent(b"x", kept, "/component/plotly/plotly.js")["cache-control"] == "public"


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/lab/_stcore/metrics"])
def test_streamlits_figures_are_not_for_visitors(path: str) -> None:
    assert answer(b"x", path=path)["status"] == 404 and "content-security-policy" in sent(b"x", path=path)
    assert answer(b"x", path="/_stcore/health")["status"] == 200
    assert f"/{ROUTE_METRICS}" == headers.CLOSED  # Streamlit's own name for it


def test_serve_puts_them_around_the_app() -> None:
    app = runpy.run_path(str(APP.with_name("serve.py")))["app"]
    assert [one.cls for one in app._user_middleware] == [headers.Headers, empty_page.EmptyPage]
    assert app._script_path == APP
