"""Translate in a real Chromium: the view, the answer and the search follow each other, by click and by key."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.harness import QUIET, at_widths, sideways

SENTENCE = ".st-key-lesson-sentence-main"
CHIPS = ".av-writer .av-chip"


@pytest.fixture
def visit(open_app: Callable[..., Page]) -> Callable[..., Page]:
    """visit(query, …) gives the page, ready; further options as for `open_app`."""

    def open_page(query: str = "", *size: tuple[int, int], **options: Any) -> Page:
        page = open_app(f"translate{query}", *size, **options)
        expect(page.locator(CHIPS).first).to_be_visible(timeout=60_000)
        expect(page.locator(".av-root canvas").first).to_be_visible(timeout=60_000)
        page.wait_for_selector(QUIET)
        return page

    return open_page


def test_a_chip_of_the_answer_moves_the_view(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator(f"{CHIPS} >> nth=10").click()
    expect(page.locator(".av-say")).to_contain_text("of its attention to")
    expect(page.locator(".av-writer .here[data-i]")).to_have_attribute("data-i", "10")
    page.wait_for_url(re.compile("focus=10"))


def test_another_token_and_back_to_the_models_own_answer(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator(f"{CHIPS} >> nth=1").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".av-writer .here[data-i]")).to_have_attribute("data-i", "1")
    page.locator(".av-writer ol button:not(.here)").first.click()
    expect(page.locator(SENTENCE)).not_to_contain_text("2021-03-03")
    page.get_by_role("button", name="Back to the model’s own answer").click()
    expect(page.locator(SENTENCE)).to_contain_text("2021-03-03")


def test_another_source_is_answered_and_its_link_reopens(visit: Callable[..., Page]) -> None:
    page = visit()
    box = page.get_by_role("textbox", name="Source")
    box.fill("Friday, 11 September 1998")
    box.press("Enter")
    expect(page.locator(SENTENCE)).to_contain_text("1998-09-11")
    page.get_by_role("radio", name="source on itself").click()
    page.wait_for_url(re.compile("stack=encoder"))
    page.wait_for_selector(QUIET)
    again = visit("?" + page.url.partition("?")[2])
    expect(again.locator(SENTENCE)).to_have_text(page.locator(SENTENCE).inner_text())
    expect(again.get_by_role("radio", name="source on itself")).to_be_checked()


def test_nothing_scrolls_sideways(visit: Callable[..., Page]) -> None:
    page = visit()
    for width in at_widths(page):
        assert sideways(page) <= 0, width


def test_axe_finds_nothing_in_light_and_dark(visit: Callable[..., Page]) -> None:
    page = visit()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(".av-writer")).to_have_attribute("data-theme", scheme)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}).response
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == [], scheme
        assert "av-chip" in str(found["passes"])  # it has looked into the components
