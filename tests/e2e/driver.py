"""What the tests in Chromium share: opening a page of the app or the view alone, working it, and reading it."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Locator, Page

from attnviz import Trace
from attnviz.browser.bundle import FOLDER
from tests.e2e.tabs import Tabs, Visits

QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
SENTENCE = "The animal didn't cross the street because it was too tired."
WIDTHS = ((1440, 900), (900, 900), (390, 844))  # a projector, a small window, a phone
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
PATIENCE = 180_000  # ms: what comes on a busy machine comes late
Open = Callable[..., Page]


# ---- pages of the app ----------------------------------------------------------------------------


class AppPages:
    """Pages of the app that belong together, each a session and a browser of its own."""

    def __init__(self, tabs: Tabs, name: str, address: str) -> None:
        self.address = address
        self.visits = Visits(tabs, name, address, f"{address}/_stcore/health")

    def open(
        self,
        path: str,
        size: tuple[int, int] = (1440, 900),
        dark: bool = False,
        still: bool = False,
        prepare: Callable[[Page], None] | None = None,
        **context_options: Any,
    ) -> Page:
        """A page at a path or an address; `still` asks for no motion, `prepare` gets it before it is opened.

        Quizzes are answered, as by a link that shows what was revealed, unless the path says `revealed=0`.
        """
        page = self.visits.begin(context_options, fresh=prepare is not None)
        page.set_default_timeout(PATIENCE)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.emulate_media(
            color_scheme="dark" if dark else "light", reduced_motion="reduce" if still else "no-preference"
        )
        if prepare is not None:
            prepare(page)
        if path and "revealed=" not in path and not path.startswith("http"):
            path += ("&" if "?" in path else "?") + "revealed=1"
        page.goto(path if path.startswith("http") else f"{self.address}/{path}")
        return page


def visiting(name: str, ready: Callable[[Page], object], *, query: str = "", **defaults: Any) -> Any:
    """A fixture: visit(query, …) gives a page of the app, ready and quiet; further options as for `open_app`."""

    @pytest.fixture
    def visit(open_app: Open) -> Open:
        def open_page(query: str = query, *size: tuple[int, int], **options: Any) -> Page:
            place = query if query.startswith("http") else f"{name}{query}"
            return _when_ready(open_app(place, *size, **(defaults | options)), ready)

        return open_page

    return visit


def seen(name: str, ready: Callable[[Page], object], *, query: str = "", **options: Any) -> Any:
    """A fixture: one page of the app that all tests of a module share. They only read it, or leave it as it was."""

    @pytest.fixture(scope="module")
    def page(open_once: Open) -> Page:
        return _when_ready(open_once(f"{name}{query}", **options), ready)

    return page


def _when_ready(page: Page, ready: Callable[[Page], object]) -> Page:
    ready(page)
    page.wait_for_selector(QUIET)
    return page


def sentence(page: Page, part: str = "main") -> Locator:
    """One of a lesson's sentences."""
    return page.locator(f".st-key-lesson-sentence-{part}")


def picture(page: Page, name: str) -> Locator:
    """One of a lesson's pictures."""
    return page.locator(f".st-key-lesson-picture-{name}")


def dial(page: Page, key: str) -> Locator:
    """The slider of a dial, by the key of its value."""
    return page.locator(f".st-key-{key}-dial input[type=range]")


def pick(page: Page, key: str, option: str | int) -> None:
    """Picks an option of a list that drops down, by the key of its value."""
    page.locator(f".st-key-{key}").get_by_role("combobox").click()
    page.get_by_role("option", name=str(option), exact=True).click()


def write(page: Page, text: str) -> None:
    """Writes a text into the sidebar, and runs it."""
    field = page.get_by_role("textbox", name="Text", exact=True)
    field.fill(text)
    field.press("Control+Enter")


def query_of(page: Page) -> str:
    """The query of the page's address, with its question mark."""
    return f"?{urlsplit(page.url).query}"


def serious(page: Page, context: str = "document") -> list[Any]:
    """What axe finds serious or critical, with the beginning of the elements."""
    page.evaluate(AXE)
    found = page.evaluate(f"axe.run({context}, {{resultTypes: ['violations']}})")["violations"]
    bad = [violation for violation in found if violation["impact"] in ("serious", "critical")]
    return [(violation["id"], [node["html"][:150] for node in violation["nodes"]]) for violation in bad]


# ---- the view alone ------------------------------------------------------------------------------

HARNESS = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>view</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/core/palette.css">
<link rel="stylesheet" href="/attention/view.css">
<style>body{margin:0;padding:16px;background:#fff}@media(prefers-color-scheme:dark){body{background:#14171D}}</style>
</head><body><main id="root"></main><script type="module">
import {mount} from "/attention/view.js";
const {state, live, standalone} = await (await fetch("options.json")).json();
window.load = async (n) => new Uint8Array(await (await fetch(`message-${n}.bin`)).arrayBuffer());
window.states = []; window.exports = [];
window.mounted = mount(document.getElementById("root"), {
  message: await window.load(0), state,
  onState: (s) => window.states.push(s), onRun: live ? () => {} : null,
  onExport: standalone ? null : (kind) => window.exports.push(kind)});
window.view = window.mounted.view;
</script></body></html>"""
TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".bin": "application/octet-stream"}


class Files(ThreadingHTTPServer):
    """The view's modules on this machine, and what a test puts beside them: `given`, by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.given: dict[str, bytes] = {}


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for many files

    def do_GET(self) -> None:
        assert isinstance(self.server, Files)
        body = self.server.given.get(self.path)
        file = FOLDER / self.path.removeprefix("/")
        if body is None and not file.is_file():
            return self.send_error(404)
        if body is None:
            body = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", TYPES.get(Path(self.path).suffix, "text/html"))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=3600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class ViewPages:
    """Pages that hold only the view: an error on one, a dialog or a request that leaves it fails its test."""

    numbers = itertools.count()

    def __init__(self, tabs: Tabs, files: Files) -> None:
        self.files = files
        self.visits = Visits(tabs, "view", files.address, f"{files.address}/core/palette.css", console=True)

    def open(
        self,
        *messages: bytes,
        state: dict[str, Any] | None = None,
        size: tuple[int, int] = (1440, 900),
        dark: bool = False,
        live: bool = False,
        standalone: bool = False,
        **context_options: Any,
    ) -> Page:
        """A page with the first message; the others wait under window.load(1), window.load(2), …"""
        place, options = f"/{next(self.numbers)}/", {"state": state, "live": live, "standalone": standalone}
        self.files.given |= {place: HARNESS.encode(), f"{place}options.json": json.dumps(options).encode()}
        self.files.given |= {f"{place}message-{n}.bin": message for n, message in enumerate(messages)}
        page = self.visits.begin(context_options)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        page.goto(self.files.address + place)
        page.wait_for_function("window.view && !window.view.heads.queue.length")
        settle(page)
        return page


def relabelled(trace: Trace, labels: list[str]) -> Trace:
    """The same numbers under other token labels."""
    encoding = trace.encodings[0]
    assert len(labels) == len(encoding)
    renamed = dataclasses.replace(
        encoding,
        labels=tuple(labels),
        tokens=tuple(labels),
        words=tuple(range(len(labels))),
        special=(False,) * len(labels),
    )
    return dataclasses.replace(trace, encodings=(renamed,))


def settle(page: Page) -> None:
    """Until all that was marked is painted: two frames, more after a slider, which paints in turn."""
    page.evaluate("""async () => {
      const frame = () => new Promise(requestAnimationFrame);
      await frame();
      do await frame(); while (window.view?.frames.dirty.size || window.view?.frames.later.size);
    }""")


def state_of(page: Page) -> dict[str, Any]:
    """The state that the view holds now."""
    return json.loads(page.evaluate("JSON.stringify(window.view.store.state)"))


# ---- its size -----------------------------------------------------------------------------------

# Until nothing has changed its size for ten frames: pictures follow their columns a little later.
_STILL = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const parts = "[data-testid=stMain], .js-plotly-plot, [class*=av-], .aw";
  const sizes = () => JSON.stringify([...document.querySelectorAll(parts)]
    .map(e => [e.scrollWidth, e.clientWidth, e.scrollHeight]));
  for (let same = 0, before = ""; same < 10; await frame()) {
    const now = sizes();
    same = now === before ? same + 1 : 0;
    before = now;
  }
}"""


def at_widths(page: Page, *sizes: tuple[int, int]) -> Iterator[int]:
    """The widths of a projector, a small window and a phone (or those given), the page laid out at each."""
    before = page.viewport_size
    for width, height in sizes or WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        still(page)
        yield width
    if before is not None:
        page.set_viewport_size(before)
        still(page)


def still(page: Page) -> None:
    """Until everything has found its place: what is measured then stays where it is."""
    page.evaluate(_STILL)


def sideways(page: Page) -> int:
    """By how many pixels the page scrolls sideways."""
    return int(page.locator("[data-testid=stMain]").evaluate("e => e.scrollWidth - e.clientWidth"))
