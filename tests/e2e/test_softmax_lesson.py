"""Softmax and temperature in a real Chromium: controls, things to try, the link, and nothing that scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.harness import QUIET, at_widths, sideways

DIAL = ".st-key-softmax-temperature-dial input"
SECOND_DIAL = ".st-key-softmax-temperature-dialsampling input"
SENTENCE = ".st-key-lesson-sentence-main"


@pytest.fixture
def visit(open_app: Callable[..., Page]) -> Callable[..., Page]:
    """visit(query, …) gives the page, ready; further options as for `open_app`."""

    def open_page(query: str = "", *size: tuple[int, int], **options: Any) -> Page:
        page = open_app(f"softmax{query}", *size, **options)
        expect(page.locator(".js-plotly-plot")).to_have_count(6, timeout=60_000)
        page.wait_for_selector(QUIET)
        return page

    return open_page


def test_the_picture_follows_the_dial_while_it_moves(visit: Callable[..., Page]) -> None:
    page = visit()
    dial = page.locator(DIAL)
    box = dial.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()  # the click jumps to about 1
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2, steps=12)
    expect(page.locator(SENTENCE)).to_contain_text("At τ = 20,")  # the button is still down
    expect(page.locator(SECOND_DIAL)).to_have_attribute("aria-valuetext", "20")
    page.mouse.move(box["x"] + 1, box["y"] + box["height"] / 2, steps=12)
    expect(page.locator(SENTENCE)).to_contain_text("At τ = 0.05,")
    page.mouse.up()
    expect(page.locator(SENTENCE)).to_contain_text("spreads over 1.0 of 16 tokens")
    expect(dial).to_have_attribute("aria-valuetext", "0.05")


def test_the_dial_from_the_keyboard_and_its_twin(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator(DIAL).focus()
    page.keyboard.press("End")
    expect(page.locator(SENTENCE)).to_contain_text("At τ = 20,")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(SENTENCE)).to_contain_text("At τ = 18,")
    page.locator(SECOND_DIAL).focus()
    page.keyboard.press("Home")
    expect(page.locator(SENTENCE)).to_contain_text("At τ = 0.05,")
    expect(page.locator(DIAL)).to_have_attribute("aria-valuetext", "0.05")


def test_every_other_control(visit: Callable[..., Page]) -> None:
    page = visit()
    for key, option, seen in (
        (".st-key-softmax-query", "2 animal", "“animal” gives"),
        (".st-key-softmax-layer", "0", ""),
        (".st-key-softmax-head", "5", ""),
    ):
        before = page.locator(SENTENCE).inner_text()
        page.locator(key).get_by_role("combobox").click()
        page.get_by_role("option", name=option, exact=True).click()
        expect(page.locator(SENTENCE)).not_to_have_text(before)
        expect(page.locator(SENTENCE)).to_contain_text(seen)
    before = page.locator(".st-key-lesson-sentence-variance").inner_text()
    page.get_by_role("button", name="New random vectors").click()
    expect(page.locator(".st-key-lesson-sentence-variance")).not_to_have_text(before)
    page.wait_for_url("**seed=1**")
    page.get_by_role("radio", name="It gains").or_(page.get_by_role("button", name="It gains")).first.click()
    expect(page.locator(".st-key-lesson-predict-guess")).to_contain_text("every weight is squared")


def test_things_to_try_and_the_link_in_another_browser(visit: Callable[..., Page]) -> None:
    page = visit()
    page.get_by_role("button", name="Almost even: τ = 20").click()
    expect(page.locator(SENTENCE)).to_contain_text("At τ = 20,")
    page.get_by_role("button", name="Almost argmax: τ = 0.05").click()
    expect(page.locator(SENTENCE)).to_contain_text("At τ = 0.05,")
    page.get_by_role("button", name="A model that predicts words").click()
    expect(page.locator(".st-key-lesson-sentence-sampling")).to_contain_text("On the output, τ = 0.5")
    expect(page.locator(SENTENCE)).to_contain_text("At τ = 0.5,")
    page.wait_for_selector(QUIET)
    page.wait_for_url("**model=austen**")
    again = visit("?" + page.url.partition("?")[2])
    for part in (SENTENCE, ".st-key-lesson-sentence-sampling", ".st-key-lesson-sentence-variance"):
        expect(again.locator(part)).to_have_text(page.locator(part).inner_text())


def test_nothing_scrolls_sideways(visit: Callable[..., Page]) -> None:
    page = visit()
    beyond = (
        "all => all.map(e => e.getBoundingClientRect()).filter(r => r.right > innerWidth + 1 || r.width < 200).length"
    )
    for width in at_widths(page):
        assert sideways(page) == 0, width
        assert page.locator(".js-plotly-plot").evaluate_all(beyond) == 0, width
