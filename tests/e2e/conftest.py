"""A real Chromium, the running app, and pages that hold only the view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from attnviz import Model, Trace, load
from attnviz.browser.bundle import FOLDER
from tests.e2e.harness import HARNESS, SENTENCE, TYPES, settle
from tests.support.chromium import launch, serve

expect.set_options(timeout=30_000)  # what comes on a busy machine comes late


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium per test module: Playwright allows only one of its loops at a time."""
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def app_server() -> Iterator[str]:
    """The address of the app, started once for all tests."""
    with serve() as server:
        yield server.address


@pytest.fixture(scope="module")
def shared_context(browser: Browser) -> Iterator[BrowserContext]:
    """A context whose cache has Streamlit's scripts after the first page; each page is a session of its own there."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def open_app(browser: Browser, app_server: str, shared_context: BrowserContext) -> Iterator[Callable[..., Page]]:
    """open_app(path, size=…, dark=…, still=…, prepare=…) gives a page of the app.

    The first page of a test comes from a context that the module shares; further ones, and those with options of a
    context, from new ones. `still` asks for no motion; `prepare` is called with the page before it is opened. What a
    page complains about, every dialog and every request to elsewhere fails the test.
    """
    trouble: list[str] = []
    contexts: list[BrowserContext] = []
    pages: list[Page] = []

    def open_page(
        path: str,
        size: tuple[int, int] = (1440, 900),
        dark: bool = False,
        still: bool = False,
        prepare: Callable[[Page], None] | None = None,
        **context_options: Any,
    ) -> Page:
        context = shared_context
        if pages or context_options:
            contexts.append(context := browser.new_context(**context_options))
        pages.append(page := context.new_page())
        page.set_default_timeout(60_000)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.emulate_media(
            color_scheme="dark" if dark else "light", reduced_motion="reduce" if still else "no-preference"
        )
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: trouble.append(f"dialog {dialog.message}"))
        own = (app_server, "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(own) else trouble.append(f"asked for {r.url}"))
        if prepare is not None:
            prepare(page)
        page.goto(path if path.startswith("http") else f"{app_server}/{path}")
        return page

    yield open_page
    for page in pages:
        page.close()
    for context in contexts:
        context.close()
    assert trouble == []


@pytest.fixture(scope="session")
def minilm() -> Model:
    return load("minilm")


@pytest.fixture(scope="session")
def trace(minilm: Model) -> Trace:
    """MiniLM on the first example sentence: 16 tokens, 6 layers of 12 heads."""
    return minilm.run(SENTENCE)


@pytest.fixture
def open_view(browser: Browser) -> Iterator[Callable[..., Page]]:
    """open_view(message, *more, state=…) gives a page that holds only the view.

    Further messages wait under window.load(1), window.load(2), …. Whatever the page complains about, every
    dialog and every request that leaves it fails the test.
    """
    trouble: list[str] = []
    contexts = []

    def open_page(
        *messages: bytes,
        state: dict[str, Any] | None = None,
        size: tuple[int, int] = (1440, 900),
        dark: bool = False,
        live: bool = False,
        standalone: bool = False,
        **context_options: Any,
    ) -> Page:
        def answer(route: Route) -> None:
            path = route.request.url.removeprefix("http://view.test/")
            if path == "":
                route.fulfill(body=HARNESS, content_type="text/html")
            elif path == "options.json":
                route.fulfill(json={"state": state, "live": live, "standalone": standalone})
            elif path.startswith("message-"):
                route.fulfill(body=messages[int(path[8:-4])], content_type="application/octet-stream")
            else:
                file = FOLDER / path
                route.fulfill(body=file.read_text("utf-8"), content_type=TYPES[file.suffix])

        def outside(route: Route) -> None:
            trouble.append(f"asked for {route.request.url}")
            route.abort()

        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            **{"reduced_motion": "reduce", **context_options},
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: trouble.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: trouble.append(f"dialog {dialog.message}"))
        page.route("**/*", outside)
        page.route("http://view.test/**", answer)
        page.goto("http://view.test/")
        page.wait_for_function("window.view && !window.view.queue.length")
        settle(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []
