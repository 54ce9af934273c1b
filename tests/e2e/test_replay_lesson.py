"""Replay in a real Chromium: the dial and its Play button, the link, and nothing that scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.harness import QUIET, at_widths, sideways

DIAL = ".st-key-replay-step-dial input"
SENTENCE = ".st-key-lesson-sentence-main"


@pytest.fixture
def visit(open_app: Callable[..., Page]) -> Callable[..., Page]:
    """visit(query, …) gives the page, ready; further options as for `open_app`."""

    def open_page(query: str = "", *size: tuple[int, int], **options: Any) -> Page:
        page = open_app(f"replay{query}", *size, **options)
        expect(page.locator(".js-plotly-plot")).to_have_count(1, timeout=60_000)
        expect(page.locator(".av-root canvas").first).to_be_visible(timeout=60_000)
        page.wait_for_selector(QUIET)
        return page

    return open_page


def test_the_dial_goes_through_the_training(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator(DIAL).focus()
    page.keyboard.press("Home")
    expect(page.locator(SENTENCE)).to_contain_text("Before any training")
    page.keyboard.press("End")
    expect(page.locator(SENTENCE)).not_to_contain_text("Before any training")
    expect(page.locator(SENTENCE)).to_contain_text("more than to any other")
    before = page.locator(SENTENCE).inner_text()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(SENTENCE)).not_to_have_text(before)


def test_play_goes_to_the_end_and_can_be_stopped(visit: Callable[..., Page]) -> None:
    page = visit("?step=0")
    play = page.get_by_role("button", name="Play", exact=True)
    play.click()
    pause = page.get_by_role("button", name="Pause", exact=True)
    expect(pause).to_be_visible()
    expect(page.locator(SENTENCE)).not_to_contain_text("Before any training")  # it moves
    pause.click()
    expect(play).to_be_visible()
    last = page.locator(DIAL).get_attribute("max")
    page.locator(DIAL).focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    play.click()
    expect(page.locator(DIAL)).to_have_js_property("value", last)  # the last step, and there it stops by itself
    expect(play).to_be_visible()
    expect(page.locator(SENTENCE)).to_contain_text("more than to any other")


def test_a_head_switched_off_and_the_link_in_another_browser(visit: Callable[..., Page]) -> None:
    page = visit()
    page.get_by_role("button", name="without layer").click()
    expect(page.locator(SENTENCE)).to_contain_text("switched off")
    page.wait_for_url("**off=1**")
    again = visit("?" + page.url.partition("?")[2])
    expect(again.locator(SENTENCE)).to_have_text(page.locator(SENTENCE).inner_text())


def test_nothing_scrolls_sideways(visit: Callable[..., Page]) -> None:
    page = visit()
    for width in at_widths(page):
        assert sideways(page) == 0, width
