"""Translate in a real Chromium: the view, the answer and the search follow each other, by click and by key."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.driver import QUIET, Open, at_widths, query_of, seen, sentence, sideways, visiting

CHIPS = ".av-writer .av-chip"


def ready(page: Page) -> None:
    expect(page.locator(CHIPS).first).to_be_visible()
    expect(page.locator(".av-root canvas").first).to_be_visible()


visit = visiting("translate", ready)
first_look = seen("translate", ready)


def test_a_chip_moves_the_view_another_token_the_answer_and_a_button_brings_it_back(visit: Open) -> None:
    page = visit()
    page.locator(f"{CHIPS} >> nth=10").click()
    expect(page.locator(".av-say")).to_contain_text("of its attention to")
    expect(page.locator(".av-writer .here[data-i]")).to_have_attribute("data-i", "10")
    page.wait_for_url(re.compile("focus=10"))
    page.locator(f"{CHIPS} >> nth=1").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".av-writer .here[data-i]")).to_have_attribute("data-i", "1")
    page.locator(".av-writer ol button:not(.here)").first.click()
    expect(sentence(page)).not_to_contain_text("2021-03-03")
    page.get_by_role("button", name="Back to the model’s own answer").click()
    expect(sentence(page)).to_contain_text("2021-03-03")


@pytest.mark.nightly
def test_another_source_is_answered_and_its_link_reopens(visit: Open) -> None:
    page = visit()
    box = page.get_by_role("textbox", name="Source")
    box.fill("Friday, 11 September 1998")
    box.press("Enter")
    expect(sentence(page)).to_contain_text("1998-09-11")
    page.get_by_role("radio", name="Self-attention: source on itself").click()
    page.wait_for_url(re.compile("stack=encoder"))
    page.wait_for_selector(QUIET)
    again = visit(query_of(page))
    expect(sentence(again)).to_have_text(sentence(page).inner_text())
    expect(again.get_by_role("radio", name="Self-attention: source on itself")).to_be_checked()


@pytest.mark.nightly
def test_the_page_opens_at_its_top_and_what_is_tried_comes_into_view(visit: Open) -> None:
    page = visit()
    scrolled = page.locator("[data-testid=stMain]")
    assert scrolled.evaluate("e => e.scrollTop") == 0
    page.get_by_role("button", name="A month from its letters").click()
    expect(sentence(page)).to_contain_text("1998-09-11")
    expect(page.locator(".av-say")).to_be_in_viewport()
    matrix = page.locator(".av-root canvas").nth(1)
    expect(matrix).to_be_in_viewport(ratio=0.5)


@pytest.mark.nightly
def test_nothing_scrolls_sideways(first_look: Page) -> None:
    for width in at_widths(first_look):
        assert sideways(first_look) <= 0, width


@pytest.mark.nightly
def test_axe_finds_nothing_in_light_and_dark(first_look: Page) -> None:
    page = first_look
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(".av-writer")).to_have_attribute("data-theme", scheme)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}).response
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == [], scheme
        assert "av-chip" in str(found["passes"])  # it has looked into the components
