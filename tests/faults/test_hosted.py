"""What tests of pages start with `streamlit run`, a host starts with `attnviz serve`: that page is whole too."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.support.chromium import ELSEWHERE
from tests.support.hosted import answers, served

pytestmark = pytest.mark.e2e
DRAWN = ".av-chart-plot .main-svg"


def test_every_file_that_a_page_asks_for_is_there(browser: Browser) -> None:
    """Also what is declared by a module that was imported beside the server, in no page's run."""
    refused: list[str] = []
    with served() as (_, address):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.on("response", lambda one: refused.append(f"{one.status} {one.url}") if one.status >= 400 else None)
        page.goto(f"{address}/softmax?revealed=1".replace("127.0.0.1", ELSEWHERE))
        expect(page.locator(DRAWN).first).to_be_visible(timeout=60_000)
        page.get_by_role("button", name="Copy link").first.click()
        expect(page.get_by_label("The link as a QR code")).to_be_visible(timeout=20_000)
        context.close()
    # a browser of Streamlit's looks for its server under the address that it was given, and then above it
    assert [one for one in refused if "/softmax/_stcore/" not in one] == []


def test_streamlits_figures_are_nowhere() -> None:
    """For them it walks through the memory of every session: not for whoever asks."""
    with served() as (_, address):
        found = {path: answers(f"{address}/_stcore/{path}") for path in ("health", "metrics", "metrics/")}
    assert found == {"health": True, "metrics": False, "metrics/": False}
