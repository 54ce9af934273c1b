"""The running app in a real Chromium, and pages that hold only the view."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from attnviz import Model, Trace, load
from tests.e2e.driver import PATIENCE, SENTENCE, AppPages, Files, Open, ViewPages
from tests.e2e.tabs import Tabs
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
def tabs(browser: Browser) -> Iterator[Tabs]:
    tabs = Tabs(browser)
    yield tabs
    tabs.close()


@pytest.fixture
def open_app(tabs: Tabs, app_server: str) -> Iterator[Open]:
    """open_app(path, size=…, dark=…, still=…, prepare=…) gives a page of the app: see AppPages."""
    pages = AppPages(tabs, "app", app_server)
    yield pages.open
    pages.visits.end()


@pytest.fixture(scope="module")
def open_once(tabs: Tabs, app_server: str) -> Iterator[Open]:
    """The same for pages that the tests of a module share, and only read."""
    pages = AppPages(tabs, "once", app_server)
    yield pages.open
    pages.visits.end()


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
def open_view(tabs: Tabs, view_files: Files) -> Iterator[Open]:
    """open_view(message, *more, state=…) gives a page that holds only the view: see ViewPages."""
    pages = ViewPages(tabs, view_files)
    yield pages.open
    pages.visits.end()
    view_files.given.clear()
