"""The encoder block in a real Chromium: controls, things to try, the link, and nothing that scrolls sideways."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from attnviz import Model
from attnviz.analysis import residual
from tests.e2e.harness import QUIET, SENTENCE, at_widths, sideways

WAY, NORM, DEPTH = (f".st-key-lesson-sentence-{part}" for part in ("main", "norm", "depth"))
LAYERS = ".st-key-encoder_block-layer button"
DIAL = ".st-key-encoder_block-depth-dial input"
SEED = ".st-key-encoder_block-seed"
PICTURES = 8


@pytest.fixture
def visit(open_app: Callable[..., Page]) -> Callable[..., Page]:
    """visit(query, …) gives the page, ready; further options as for `open_app`."""

    def open_page(query: str = "", *size: tuple[int, int], **options: Any) -> Page:
        page = open_app(f"encoder_block{query}", *size, **options)
        expect(page.locator(".js-plotly-plot .main-svg:first-child")).to_have_count(PICTURES, timeout=60_000)
        page.wait_for_selector(QUIET)
        return page

    return open_page


def picture(page: Page, name: str) -> str:
    """All text drawn in a picture."""
    return page.locator(f".st-key-lesson-picture-{name} .js-plotly-plot").inner_text()


def everything_said(page: Page) -> list[str]:
    return [*page.locator("[class*=st-key-lesson-sentence]").all_inner_texts(), page.locator(WAY).inner_text()]


def test_layer_and_token_change_every_part(visit: Callable[..., Page], minilm: Model) -> None:
    page = visit()
    before = page.locator(NORM).inner_text()
    page.locator(LAYERS).nth(5).click()
    trace = minilm.run(SENTENCE)
    lengths = residual.block(minilm.transformer, trace, 5).lengths(10)
    expect(page.locator(WAY)).to_contain_text(f"“it” enters layer 5 as a vector of length {lengths['before']:.2f}.")
    expect(page.locator(".st-key-lesson-picture-block-post")).to_contain_text(f"{lengths['attention_sum']:.2f}")
    expect(page.locator(NORM)).not_to_have_text(before)  # the sections below follow
    page.locator(".st-key-encoder_block-token [role=combobox], .st-key-encoder_block-token input").first.click()
    page.get_by_role("option", name="2 animal").click()
    expect(page.locator(WAY)).to_contain_text("“animal” enters layer 5")
    expect(page.locator(NORM)).to_contain_text("“animal”")
    expect(page.locator(".st-key-lesson-sentence-drift")).to_contain_text("“animal”")
    expect(page.locator(".st-key-lesson-picture-drift")).to_contain_text("animal")


def test_the_other_norm(visit: Callable[..., Page]) -> None:
    page = visit()
    before = page.locator(NORM).inner_text()
    page.locator(".st-key-encoder_block-norm button").nth(1).click()
    expect(page.locator(NORM)).not_to_have_text(before)
    expect(page).to_have_url(re.compile("norm=feed-forward"))


def test_depth_from_the_keyboard_and_another_seed(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator(DIAL).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(DEPTH)).to_contain_text("11 untrained layers")
    page.keyboard.press("Home")
    expect(page.locator(DEPTH)).to_contain_text("One untrained layer")
    before = page.locator(DEPTH).inner_text()
    page.locator(f"{SEED} [data-testid=stNumberInputStepUp]").click()
    expect(page.locator(DEPTH)).not_to_have_text(before)
    expect(page).to_have_url(re.compile("depth=1.*seed=1"))


def test_predictions_are_answered(visit: Callable[..., Page]) -> None:
    page = visit()
    first = page.locator(".st-key-lesson-predict-guess")
    first.get_by_role("radio", name="Attention").or_(first.get_by_role("button", name="Attention")).first.click()
    expect(first).to_contain_text("You said “Attention”.")
    second = page.locator(".st-key-lesson-predict-guess_depth")
    second.get_by_text("Post-norm", exact=True).click()
    expect(second).to_contain_text("✓")


def test_things_to_try(visit: Callable[..., Page]) -> None:
    page = visit()
    page.get_by_role("button", name="Two layers only").click()
    expect(page.locator(DEPTH)).to_contain_text("2 untrained layers")
    page.get_by_role("button", name="Twelve layers, other weights").click()
    expect(page.locator(DEPTH)).to_contain_text("12 untrained layers")
    page.get_by_role("button", name="A trained pre-norm model: Austen").click()
    expect(page.get_by_text("as in Austen")).to_be_visible(timeout=30_000)
    expect(page.locator(WAY)).to_contain_text("it leaves with length")
    expect(page).to_have_url(re.compile("model=austen"))


def test_a_link_shows_the_same_elsewhere(visit: Callable[..., Page]) -> None:
    page = visit("?token=2&layer=1&norm=feed-forward&depth=7&seed=3&guess=Attention")
    expect(page.locator(WAY)).to_contain_text("“animal” enters layer 1")
    expect(page.locator(DEPTH)).to_contain_text("7 untrained layers")
    page.locator(LAYERS).nth(4).click()
    expect(page.locator(WAY)).to_contain_text("“animal” enters layer 4")
    expect(page).to_have_url(re.compile("layer=4"))
    page.wait_for_selector(QUIET)
    again = visit("?" + page.url.split("?")[1])
    expect(again.locator(WAY)).to_contain_text("“animal” enters layer 4")
    assert everything_said(again) == everything_said(page)
    assert picture(again, "block-post") == picture(page, "block-post")
    expect(again.locator(".st-key-lesson-predict-guess")).to_contain_text("You said “Attention”.")


def test_the_code_opens(visit: Callable[..., Page]) -> None:
    page = visit()
    page.get_by_text("The code that ran").click()
    expect(page.locator("[data-testid=stExpander]")).to_contain_text("def depth_sizes", timeout=20_000)


def test_nothing_scrolls_sideways_or_is_cut_off(visit: Callable[..., Page]) -> None:
    page = visit(dark=True)
    for width in at_widths(page):
        assert sideways(page) <= 0, width
        assert cut_off(page) == [], width


def cut_off(page: Page) -> list[str]:
    """What is written beyond the edge of its picture."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(plot => {
          const all = plot.getBoundingClientRect();
          return [...plot.querySelectorAll('.annotation-text, .xtitle, .ytitle')].filter(text => {
            const box = text.getBoundingClientRect();
            return box.width && (box.left < all.left - 1 || box.right > all.right + 1);
          }).map(text => text.textContent);
        })"""
    )
    return found
