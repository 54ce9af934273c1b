"""A training in a real Chromium: it grows, survives a change of page, stops, and its model is one of the app's."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.driver import PATIENCE, QUIET, Open, at_widths, query_of, sideways, visiting

SENTENCE = ".st-key-lesson-sentence-main"
CURVES = ".st-key-lesson-picture-training .js-plotly-plot"
# Small enough for many steps a second, long enough to be stopped by hand.
LONG = "task=copy&size=small&n_layers=2&d_model=16&n_heads=2&d_ff=16&length=12&batch=4&steps=10000&positions=learned"


visit = visiting("train", lambda page: expect(button(page, "Start")).to_be_enabled(), query=f"?{LONG}")


def button(page: Page, name: str) -> Locator:
    return page.get_by_test_id("stMainBlockContainer").get_by_role("button", name=name, exact=True)


def steps(page: Page) -> int:
    """How far the sentence says that the training is."""
    found = re.search(r"tep ([\d,]+) of 10,000", page.locator(SENTENCE).inner_text())
    return int(found[1].replace(",", "")) if found else 0


def reach(page: Page, number: int) -> None:
    page.wait_for_function(
        """([selector, number]) => {
          const found = document.querySelector(selector)?.innerText.match(/tep ([\\d,]+) of/);
          return found && Number(found[1].replaceAll(",", "")) >= number;
        }""",
        arg=[SENTENCE, number],
        timeout=PATIENCE,
    )


def points(page: Page) -> list[int]:
    """The last step of each curve of the chart."""
    return page.locator(CURVES).evaluate("plot => plot.data.map(line => line.x.at?.(-1) ?? 0)")


def test_a_training_from_start_to_use(visit: Open) -> None:
    page = visit()
    button(page, "Start").click()
    reach(page, 5)
    expect(page.locator(CURVES)).to_be_visible()
    before, seen = max(points(page)), steps(page)
    reach(page, seen + 5)
    page.wait_for_function(  # the chart follows the sentence
        "([selector, before]) => document.querySelector(selector).data[0].x.at(-1) > before",
        arg=[CURVES, before],
    )
    left = steps(page)
    page.get_by_text("Learn", exact=True).first.click()
    page.get_by_role("menuitem", name="Masks", exact=True).click()
    expect(page.get_by_role("heading", name="Who may look at whom?")).to_be_visible()
    page.get_by_text("Train", exact=True).first.click()
    page.get_by_role("menuitem", name="Watch attention form", exact=True).click()
    reach(page, left + 5)
    button(page, "Pause").click()
    expect(page.locator(SENTENCE)).to_contain_text("Paused at step")
    paused = steps(page)
    button(page, "Continue").click()
    reach(page, paused + 1)
    page.wait_for_selector(QUIET)  # the whole page runs once after Continue
    button(page, "Stop").click()
    expect(page.locator(SENTENCE)).to_contain_text("and nothing is lost")
    with page.expect_download() as download:
        button(page, "Download (.zip)").click()
    assert download.value.suggested_filename == "attnviz-copy.zip"
    button(page, "Use it on every page").click()
    page.get_by_role("link", name="Every page runs it now: open Explore").click()
    expect(page.locator(".av-say")).to_be_visible()
    expect(page.get_by_role("combobox", name="Model")).to_have_value(re.compile("Yours 1: copy after"))
    page.wait_for_url("**model=session%3A**")


@pytest.mark.nightly
def test_a_training_ends_with_its_session(visit: Open) -> None:
    """The server takes two: the third waits in line until one of the first two has closed the browser."""
    first, second, third = (visit() for _ in range(3))
    for page in (first, second):
        button(page, "Start").click()
        reach(page, 2)
    button(third, "Start").click()
    expect(third.get_by_text("You are next")).to_be_visible()
    first.close()
    reach(third, 2)
    for page in (second, third):
        button(page, "Stop").click()
        expect(page.locator(SENTENCE)).to_contain_text("and nothing is lost")


@pytest.mark.nightly
def test_a_reload_finds_the_training_and_the_model_again(visit: Open) -> None:
    page = visit()
    button(page, "Start").click()
    reach(page, 5)
    page.wait_for_url("**run=**")
    seen = steps(page)
    page.reload()
    reach(page, seen + 5)
    other = visit(query_of(page))  # who got the address while its owner is here
    expect(other.locator(SENTENCE)).to_contain_text("press Start")
    assert "run=" not in other.url
    button(page, "Stop").click()
    button(page, "Use it on every page").click()
    page.get_by_role("link", name="Every page runs it now: open Explore").click()
    # The address of Train has the model too: a reload before Explore is there would be one of Train.
    expect(page.get_by_role("combobox", name="Model")).to_have_value(re.compile("Yours 1: copy after"))
    page.wait_for_url("**model=session%3A**")
    page.reload()
    expect(page.get_by_role("combobox", name="Model")).to_have_value(re.compile("Yours 1: copy after"))


@pytest.mark.nightly
def test_nothing_scrolls_sideways(visit: Open) -> None:
    page = visit("?" + LONG.replace("10000", "40"))
    for state in ("Start", "Use it on every page"):
        expect(button(page, state)).to_be_visible()
        for width in at_widths(page):
            assert sideways(page) == 0, width
        if state == "Start":
            button(page, "Start").click()
