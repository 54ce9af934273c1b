"""The encoder block in a real Chromium: controls, things to try, the link, and nothing that scrolls sideways."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from attnviz import Model
from attnviz.analysis import residual
from tests.e2e.driver import (
    QUIET,
    SENTENCE,
    Open,
    at_widths,
    dial,
    picture,
    seen,
    sentence,
    sideways,
    visiting,
)

LAYERS = ".st-key-encoder_block-layer button"
SEED = ".st-key-encoder_block-seed"
PICTURES = 8


def ready(page: Page) -> None:
    expect(page.locator(".js-plotly-plot .main-svg:first-child")).to_have_count(PICTURES)


visit = visiting("encoder_block", ready)
first_look = seen("encoder_block", ready, dark=True)


def prose(page: Page) -> list[str]:
    return [*page.locator("[class*=st-key-lesson-sentence]").all_inner_texts(), sentence(page).inner_text()]


def drawn(page: Page, name: str) -> str:
    """All text drawn in a picture."""
    return picture(page, name).locator(".js-plotly-plot").inner_text()


@pytest.mark.nightly
def test_every_control(visit: Open, minilm: Model) -> None:
    page = visit()
    before = sentence(page, "norm").inner_text()
    page.locator(LAYERS).nth(5).click()
    trace = minilm.run(SENTENCE)
    lengths = residual.block(minilm.transformer, trace, 5).lengths(10)
    expect(sentence(page)).to_contain_text(f"“it” enters layer 5 with norm {lengths['before']:.2f}.")
    expect(picture(page, "block-post")).to_contain_text(f"{lengths['attention_sum']:.2f}")
    expect(sentence(page, "norm")).not_to_have_text(before)  # the sections below follow
    page.locator(".st-key-encoder_block-token [role=combobox], .st-key-encoder_block-token input").first.click()
    page.get_by_role("option", name="2 animal").click()
    expect(sentence(page)).to_contain_text("“animal” enters layer 5")
    expect(sentence(page, "norm")).to_contain_text("“animal”")
    expect(sentence(page, "drift")).to_contain_text("“animal”")
    expect(picture(page, "drift")).to_contain_text("animal")
    before = sentence(page, "norm").inner_text()
    page.locator(".st-key-encoder_block-norm button").nth(1).click()
    expect(sentence(page, "norm")).not_to_have_text(before)
    expect(page).to_have_url(re.compile("norm=feed-forward"))


def test_the_predictions_depth_from_the_keyboard_and_another_seed(open_app: Open) -> None:
    page = open_app("encoder_block?revealed=0")
    page.wait_for_selector(QUIET)
    first = page.locator(".st-key-lesson-predict-branches")
    expect(picture(page, "branches")).to_have_count(0)
    first.get_by_role("radio", name="Attention").or_(first.get_by_role("button", name="Attention")).first.click()
    expect(first).to_contain_text("you said “Attention”, it is “Feed-forward”.")
    expect(picture(page, "branches").locator(".main-svg").first).to_be_attached()
    second = page.locator(".st-key-lesson-predict-depth")
    expect(picture(page, "gradients")).to_have_count(0)
    second.get_by_text("Post-norm", exact=True).click()
    expect(second).to_contain_text("✓ Right.")
    dial(page, "encoder_block-depth").focus()
    page.keyboard.press("ArrowLeft")
    expect(sentence(page, "depth")).to_contain_text("11 untrained layers")
    page.keyboard.press("Home")
    expect(sentence(page, "depth")).to_contain_text("One untrained layer")
    before = sentence(page, "depth").inner_text()
    page.locator(f"{SEED} [data-testid=stNumberInputStepUp]").click()
    expect(sentence(page, "depth")).not_to_have_text(before)
    expect(page).to_have_url(re.compile("depth=1.*seed=1"))


@pytest.mark.nightly
def test_a_link_shows_the_same_elsewhere_and_the_things_to_try(visit: Open) -> None:
    page = visit("?token=2&layer=1&norm=feed-forward&depth=7&seed=3")
    expect(sentence(page)).to_contain_text("“animal” enters layer 1")
    expect(sentence(page, "depth")).to_contain_text("7 untrained layers")
    page.locator(LAYERS).nth(4).click()
    expect(sentence(page)).to_contain_text("“animal” enters layer 4")
    expect(page).to_have_url(re.compile("layer=4"))
    page.wait_for_selector(QUIET)
    again = visit("?" + page.url.split("?")[1])
    expect(sentence(again)).to_contain_text("“animal” enters layer 4")
    assert prose(again) == prose(page)
    assert drawn(again, "block-post") == drawn(page, "block-post")
    page.get_by_role("button", name="Two layers only").click()  # beside what it changes
    expect(sentence(page, "depth")).to_contain_text("2 untrained layers")
    page.get_by_role("button", name="Twelve layers, other weights").click()
    expect(sentence(page, "depth")).to_contain_text("12 untrained layers")
    page.get_by_role("button", name="A trained pre-norm model: Austen").click()
    expect(page.get_by_text("as in Austen")).to_be_visible()
    expect(sentence(page)).to_contain_text("it leaves with norm")
    expect(page).to_have_url(re.compile("model=austen"))


@pytest.mark.nightly
def test_the_code_opens(first_look: Page) -> None:
    first_look.get_by_text("The code that ran").click()
    expect(first_look.locator("[data-testid=stExpander]")).to_contain_text("def depth_sizes")


@pytest.mark.nightly
def test_nothing_scrolls_sideways_or_is_cut_off(first_look: Page) -> None:
    for width in at_widths(first_look):
        assert sideways(first_look) <= 0, width
        assert cut_off(first_look) == [], width


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
