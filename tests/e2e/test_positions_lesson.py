"""Positions in a real Chromium: every control moved, every thing to try clicked, the link opened again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.driver import QUIET, Open, at_widths, dial, picture, query_of, seen, sentence, sideways, still, visiting

SENTENCES = ("main", "attention", "encoding", "offset", "places", "beyond")


def ready(page: Page) -> None:
    page.wait_for_selector(".st-key-lesson-sentence-beyond")
    page.wait_for_selector(QUIET)
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 16")


visit = visiting("positions", ready, still=True)
first_look = seen("positions", ready, query="?encoding=alibi", still=True, dark=True)


def changes(place: Locator, act: Callable[[], Any]) -> None:
    """Does something, and waits until what stands at a place has changed."""
    before = place.first.inner_text()
    act()
    expect(place.first).not_to_have_text(before, use_inner_text=True)
    place.page.wait_for_selector(QUIET)


def scheme(page: Page, field: str, name: str) -> None:
    page.locator(f".st-key-positions-{field}").get_by_text(name, exact=True).click()


@pytest.mark.nightly
def test_every_control_moves_what_it_says(visit: Open) -> None:
    page = visit()
    changes(page.locator(".st-key-positions-text-after"), page.get_by_role("button", name="Shuffle again").click)
    expect(page.get_by_label("Seed of the shuffle")).to_have_value("1")
    seed = page.get_by_label("Seed of the shuffle")
    changes(page.locator(".st-key-positions-text-after"), lambda: (seed.fill("7"), seed.press("Enter")))
    changes(sentence(page, "main"), page.get_by_text("Compute in float64", exact=True).click)

    changes(sentence(page, "attention"), lambda: scheme(page, "scheme", "ALiBi"))
    assert "Run with ALiBi" in sentence(page, "attention").inner_text()
    changes(sentence(page, "attention"), lambda: dial(page, "positions-layer").press("ArrowRight"))
    changes(sentence(page, "attention"), lambda: dial(page, "positions-head").press("ArrowRight"))
    assert "In layer 1, head 3" in sentence(page, "attention").inner_text()

    waves = picture(page, "positions-waves")
    changes(waves, lambda: dial(page, "positions-pair").press("ArrowRight"))
    for name, field in (("Learned", "pair"), ("RoPE", "turn"), ("ALiBi", "slope")):
        changes(sentence(page, "encoding"), lambda name=name: scheme(page, "encoding", name))
        changes(waves, lambda field=field: dial(page, f"positions-{field}").press("ArrowRight"))
    assert "head 3" in sentence(page, "offset").inner_text()

    changes(picture(page, "positions-places"), lambda: dial(page, "positions-first_head").first.press("ArrowRight"))

    changes(picture(page, "positions-beyond"), lambda: dial(page, "positions-first_head").press("ArrowRight"))
    changes(sentence(page, "beyond"), lambda: dial(page, "positions-word").press("ArrowLeft"))

    parts = {part: sentence(page, part).inner_text() for part in SENTENCES}
    again = visit(query_of(page))
    assert {part: sentence(again, part).inner_text() for part in SENTENCES} == parts
    shuffled = ".st-key-positions-text-after"
    assert again.locator(shuffled).inner_text() == page.locator(shuffled).inner_text()


def test_a_guess_uncovers_the_bars(open_app: Open) -> None:
    page = open_app("positions?revealed=0", still=True)
    expect(page.locator(".st-key-lesson-veil-shuffled")).to_contain_text("Hidden until you have guessed")
    question = page.locator(".st-key-lesson-predict-shuffled")
    page.wait_for_selector(QUIET)
    still(page)  # the page's styles come a little after its words
    before = question.bounding_box()
    below = page.get_by_role("heading", name="What does the same head see")
    stood = below.evaluate("element => element.getBoundingClientRect().top")
    page.get_by_text("It stays the same", exact=True).click()
    expect(question).to_contain_text("✓ Right. Attention is a weighted sum")
    assert question.bounding_box() == before  # the verdict has its room: nothing below jumps
    expect(sentence(page, "main")).to_contain_text("Without positions it cannot tell.")
    expect(picture(page, "positions-shuffle").locator(".js-plotly-plot")).to_be_visible()
    expect(picture(page, "positions-shuffle-others").locator(".js-plotly-plot")).to_be_visible()
    assert below.evaluate("element => element.getBoundingClientRect().top") == pytest.approx(stood, abs=8)


@pytest.mark.nightly
def test_each_thing_to_try(visit: Open) -> None:
    page = visit()

    def take(label: str) -> Callable[[], None]:
        return page.locator("[class*=st-key-lesson-tries]").get_by_role("button", name=label).click

    changes(sentence(page, "attention"), take("Rotate queries"))
    assert "Run with RoPE" in sentence(page, "attention").inner_text()
    assert "rotate in queries and keys" in sentence(page, "encoding").inner_text()
    changes(sentence(page, "encoding"), take("The table"))
    assert "trained like any other weight" in sentence(page, "encoding").inner_text()
    changes(sentence(page, "main"), take("The same shuffle in float64"))
    assert "in float64" in sentence(page, "main").inner_text()
    changes(sentence(page, "main"), take("A causal model"))
    assert "A causal model can tell" in sentence(page, "main").inner_text()


@pytest.mark.nightly
def test_the_formulas_and_the_code_open(first_look: Page) -> None:
    first_look.get_by_text("The code that ran", exact=True).click()
    expect(first_look.locator(".st-key-positions-code")).to_contain_text("def shuffle_test")
    expect(first_look.locator(".st-key-positions-code")).to_contain_text("def rotary")


@pytest.mark.nightly
def test_nothing_scrolls_sideways(first_look: Page) -> None:
    for width in at_widths(first_look):
        assert sideways(first_look) <= 0, width
        for plot in first_look.locator(".js-plotly-plot").all():
            box = plot.bounding_box()
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width + 1
