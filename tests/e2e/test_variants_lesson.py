"""Variants and their cost in a real Chromium: every control, measuring and cancelling, every try, the link."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from attnviz import Model
from attnviz.analysis import variants
from attnviz.analysis.variants import Survey
from attnviz.web.variants import text
from tests.e2e.driver import (
    QUIET,
    SENTENCE,
    Open,
    at_widths,
    dial,
    pick,
    picture,
    query_of,
    sentence,
    sideways,
    visiting,
)

PICTURES = ("variants", "variants-errors", "variants-seconds", "variants-bytes", "variants-cache")


def ready(page: Page) -> None:
    for name in PICTURES:
        expect(chart(page, name)).to_be_attached()


visit = visiting("variants", ready)


def chart(page: Page, name: str) -> Locator:
    return picture(page, name).locator(".js-plotly-plot .main-svg").first


def surveyed(minilm: Model, layer: int, size: int = 2, groups: int = 3) -> Survey:
    a = minilm.run(SENTENCE).layers[layer].attention
    return variants.survey(a.q[0], a.k[0], a.v[0], size=size, groups=groups, scale=a.scale)


def written(minilm: Model, layer: int, head: int, **chosen: int) -> re.Pattern[str]:
    """The sentence's beginning, as the library's numbers make it; browsers may show its narrow spaces as others."""
    labels = minilm.encode(SENTENCE).labels
    whole = text.closest(surveyed(minilm, layer, **chosen), layer, head, labels)
    return re.compile(re.escape(whole).replace("\u202f", r"\s"))


@pytest.mark.nightly
def test_every_control_recomputes(visit: Open, minilm: Model) -> None:
    page = visit()
    expect(sentence(page)).to_have_text(written(minilm, 3, 1))
    pick(page, "variants-layer", 4)
    expect(sentence(page)).to_have_text(written(minilm, 4, 1))
    pick(page, "variants-head", 5)
    expect(sentence(page)).to_have_text(written(minilm, 4, 5))
    dial(page, "variants-size").focus()
    page.keyboard.press("ArrowRight")
    expect(sentence(page)).to_have_text(written(minilm, 4, 5, size=3))
    off = text.note(surveyed(minilm, 4, 3), "local", 5)
    titles = picture(page, "variants").locator(".annotation-text")
    expect(titles.nth(1)).to_contain_text(re.compile(re.escape(off).replace("\u202f", r"\s")))
    dial(page, "variants-groups").focus()
    page.keyboard.press("ArrowRight")
    expect(sentence(page)).to_have_text(written(minilm, 4, 5, size=3, groups=4))
    expect(page).to_have_url(re.compile(r"layer=4.*head=5.*size=3.*groups=4"))

    before = picture(page, "variants-cache").locator(".annotation-text").all_text_contents()
    dial(page, "variants-context").focus()
    page.keyboard.press("End")
    expect(sentence(page, "cache")).to_contain_text(re.compile(r"At 131,072 tokens that is 40\sGiB for Llama-2-70B"))
    expect(picture(page, "variants-cache").locator(".annotation-text").first).not_to_have_text(before[0])


def measure(page: Page) -> None:
    """Starts the measuring, once the whole page stands: a click on a button that is being drawn anew is lost."""
    expect(chart(page, "variants-cache")).to_be_visible()
    page.wait_for_selector(QUIET)
    page.locator(".st-key-variants-measure button").click()


@pytest.mark.nightly
def test_measuring_shows_its_progress_and_other_controls_answer(visit: Open, minilm: Model) -> None:
    page = visit("?longest=2048")
    measure(page)
    expect(page.locator(".st-key-variants-cancel button")).to_be_visible()
    dial(page, "variants-size").focus()
    page.keyboard.press("ArrowLeft")
    expect(sentence(page)).to_have_text(written(minilm, 3, 1, size=1))
    expect(page.locator(".st-key-variants-measure button")).to_be_visible()
    expect(sentence(page, "measured")).to_contain_text("At 2,048 tokens, for one head: full")
    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(sentence(page, "measured")).to_contain_text("From 1,024 to 2,048 tokens, full attention’s time went from")


@pytest.mark.nightly
def test_the_predictions_hide_their_pictures(open_app: Open) -> None:
    page = open_app("variants?revealed=0")
    for name, option, pictures in (
        ("pairs", "four times as many", ("variants-seconds", "variants-bytes")),
        ("cache", "smaller", ("variants-cache",)),
    ):
        quiz = page.locator(f".st-key-lesson-predict-{name}")
        expect(quiz).to_contain_text("Show me")
        for one in pictures:
            expect(picture(page, one)).to_have_count(0)
        quiz.get_by_text(option, exact=True).click()
        expect(quiz).to_contain_text("✓ Right.")
        for one in pictures:
            expect(chart(page, one)).to_be_attached()


def test_cancel_stops_and_keeps_what_was_measured(visit: Open) -> None:
    page = visit()
    measure(page)
    page.locator(".st-key-variants-cancel button").click()
    # A stale copy that Streamlit hides may stay beside the button for a while.
    expect(page.locator(".st-key-variants-measure button").filter(visible=True)).to_have_count(1)
    expect(page.locator(".st-key-variants-cancel")).to_have_count(0)
    expect(chart(page, "variants-seconds")).to_be_visible()
    page.wait_for_selector(QUIET)


@pytest.mark.nightly
def test_a_link_opened_elsewhere_shows_the_same_and_every_try_sets_the_page_up(visit: Open, minilm: Model) -> None:
    page = visit()
    pick(page, "variants-layer", 0)
    expect(sentence(page)).to_contain_text("layer 0, head 1")
    dial(page, "variants-context").focus()
    page.keyboard.press("Home")
    expect(sentence(page, "cache")).to_contain_text("1,024 tokens")
    expect(page).to_have_url(re.compile("context=1024"))
    other = visit(query_of(page))
    for part in ("main", "cache"):
        expect(sentence(other, part)).to_have_text(sentence(page, part).inner_text())
    titles, others = (picture(one, "variants").locator(".annotation-text") for one in (page, other))
    expect(titles).to_have_count(6)
    expect(others).to_have_text([one or "" for one in titles.all_text_contents()])
    buttons = page.locator("[class*=st-key-lesson-tries] button")
    buttons.nth(0).click()
    expect(sentence(page)).to_have_text(written(minilm, 0, 2))
    buttons.nth(1).click()
    expect(sentence(page)).to_have_text(written(minilm, 4, 5))
    buttons.nth(2).click()
    expect(sentence(page, "cache")).to_contain_text("131,072 tokens")


def test_nothing_scrolls_sideways_or_leaves_its_picture(visit: Open) -> None:
    page = visit("?layer=4&head=5&context=131072", dark=True)
    for width in at_widths(page):
        assert sideways(page) <= 0, width
        assert outside(page) == [], width
        assert empty(page, "variants") <= 60, width


def empty(page: Page, name: str) -> float:
    """How many pixels of a picture of square cells lie below the last of them."""
    plot = picture(page, name).locator(".js-plotly-plot")
    frame, cells = plot.bounding_box(), plot.locator(".heatmaplayer image").bounding_box()
    assert frame is not None and cells is not None
    return frame["y"] + frame["height"] - cells["y"] - cells["height"]


def outside(page: Page) -> list[str]:
    """What is written beyond the edge of its picture."""
    found: list[str] = page.evaluate("""() => [...document.querySelectorAll(".js-plotly-plot")].flatMap((plot) => {
      const frame = plot.getBoundingClientRect();
      return [...plot.querySelectorAll("text")].filter((one) => {
        const box = one.getBoundingClientRect();
        return box.width && (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1);
      }).map((one) => one.textContent);
    })""")
    return found
