"""The running app in a real Chromium, and pages that hold only the view."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from attnviz import Model, Trace, load
from tests.e2e.driver import PATIENCE, SENTENCE, AppPages, Files, Open, ViewPages
from tests.support.chromium import serve

expect.set_options(timeout=PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def app_server() -> Iterator[str]:
    """The address of the app, started once for all tests."""
    with serve() as server:
        yield server.address


@pytest.fixture(scope="session")
def contexts(browser: Browser) -> Iterator[tuple[BrowserContext, BrowserContext]]:
    """Two browsers as it were, each with a storage of its own, that keep Streamlit's scripts in their cache."""
    pair = browser.new_context(), browser.new_context()
    yield pair
    for context in pair:
        context.close()


@pytest.fixture
def open_app(browser: Browser, app_server: str, contexts: tuple[BrowserContext, ...]) -> Iterator[Open]:
    """open_app(path, size=…, dark=…, still=…, prepare=…) gives a page of the app: see AppPages."""
    pages = AppPages(browser, app_server, contexts)
    yield pages.open
    pages.close()


@pytest.fixture(scope="module")
def open_once(browser: Browser, app_server: str, contexts: tuple[BrowserContext, ...]) -> Iterator[Open]:
    """The same for pages that the tests of a module share, and only read."""
    pages = AppPages(browser, app_server, contexts)
    yield pages.open
    pages.close()


@pytest.fixture(scope="session")
def minilm() -> Model:
    return load("minilm")


@pytest.fixture(scope="session")
def trace(minilm: Model) -> Trace:
    """MiniLM on the first example sentence: 16 tokens, 6 layers of 12 heads."""
    return minilm.run(SENTENCE)


@pytest.fixture(scope="session")
def view_files() -> Iterator[Files]:
    with Files() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def open_view(browser: Browser, contexts: tuple[BrowserContext, ...], view_files: Files) -> Iterator[Open]:
    """open_view(message, *more, state=…) gives a page that holds only the view: see ViewPages."""
    pages = ViewPages(browser, view_files, contexts[0])
    yield pages.open
    pages.close()
