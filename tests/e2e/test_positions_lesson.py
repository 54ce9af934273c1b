"""Positions in a real Chromium: every control moved, every thing to try clicked, the link opened again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.harness import QUIET, at_widths, sideways

Open = Callable[..., Page]
SENTENCES = ("main", "attention", "encoding", "offset", "beyond")


@pytest.fixture
def visit(open_app: Callable[..., Page]) -> Callable[..., Page]:
    """visit(query, …) gives the page, ready; further options as for `open_app`."""

    def open_page(query: str = "", *size: tuple[int, int], **options: Any) -> Page:
        page = open_app(f"positions{query}", *size, still=True, **options)
        page.wait_for_selector(".st-key-lesson-sentence-beyond")
        page.wait_for_selector(QUIET)
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 12")
        return page

    return open_page


def said(page: Page, part: str) -> str:
    return page.locator(f".st-key-lesson-sentence-{part}").inner_text()


def changes(page: Page, selector: str, act: Callable[[], Any]) -> None:
    """Does something, and waits until what stands at the selector has changed."""
    before = page.locator(selector).first.inner_text()
    act()
    page.wait_for_function("([s, before]) => document.querySelector(s)?.innerText !== before", arg=[selector, before])
    page.wait_for_selector(QUIET)


def sentence(part: str) -> str:
    return f".st-key-lesson-sentence-{part}"


def dial(page: Page, field: str) -> Any:
    return page.locator(f".st-key-positions-{field}-dial input")


def scheme(page: Page, field: str, name: str) -> None:
    page.locator(f".st-key-positions-{field}").get_by_text(name, exact=True).click()


def query(page: Page) -> str:
    return f"?{urlsplit(page.url).query}"


def test_every_control_moves_what_it_says(visit: Open) -> None:
    page = visit()
    changes(page, ".st-key-positions-text-after", page.get_by_role("button", name="Shuffle again").click)
    expect(page.get_by_label("Seed of the shuffle")).to_have_value("1")
    seed = page.get_by_label("Seed of the shuffle")
    changes(page, ".st-key-positions-text-after", lambda: (seed.fill("7"), seed.press("Enter")))
    changes(page, sentence("main"), page.get_by_text("Compute in float64", exact=True).click)
    page.get_by_text("It stays the same", exact=True).click()
    expect(page.locator(".st-key-lesson-predict-guess")).to_contain_text("✓")

    changes(page, sentence("attention"), lambda: scheme(page, "scheme", "ALiBi"))
    assert "Run with ALiBi" in said(page, "attention")
    changes(page, sentence("attention"), lambda: dial(page, "layer").press("ArrowRight"))
    changes(page, sentence("attention"), lambda: dial(page, "head").press("ArrowRight"))
    assert "In layer 1, head 3" in said(page, "attention")

    waves = ".st-key-lesson-picture-positions-waves"
    changes(page, waves, lambda: dial(page, "pair").press("ArrowRight"))
    for name, field in (("Learned", "pair"), ("RoPE", "turn"), ("ALiBi", "slope")):
        changes(page, sentence("encoding"), lambda name=name: scheme(page, "encoding", name))
        changes(page, waves, lambda field=field: dial(page, field).press("ArrowRight"))
    assert "head 3" in said(page, "offset")

    changes(page, ".st-key-lesson-picture-positions-beyond", lambda: dial(page, "first_head").press("ArrowRight"))
    changes(page, sentence("beyond"), lambda: dial(page, "word").press("ArrowLeft"))

    parts = {part: said(page, part) for part in SENTENCES}
    again = visit(query(page))
    assert {part: said(again, part) for part in SENTENCES} == parts
    assert (
        again.locator(".st-key-positions-text-after").inner_text()
        == page.locator(".st-key-positions-text-after").inner_text()
    )
    expect(again.locator(".st-key-lesson-predict-guess")).to_contain_text("✓")


def test_each_thing_to_try(visit: Open) -> None:
    page = visit()

    def take(label: str) -> Callable[[], None]:
        return page.locator("[class*=st-key-lesson-tries]").get_by_role("button", name=label).click

    changes(page, sentence("attention"), take("Turn queries"))
    assert "Run with RoPE" in said(page, "attention") and "turns queries and keys" in said(page, "encoding")
    changes(page, sentence("encoding"), take("The table"))
    assert "trained like any other weight" in said(page, "encoding")
    changes(page, sentence("main"), take("Is the rest only rounding"))
    assert "in float64" in said(page, "main")
    changes(page, sentence("main"), take("A causal model"))
    assert "A causal model counts" in said(page, "main")
    parts = {part: said(page, part) for part in SENTENCES}
    again = visit(query(page))
    assert {part: said(again, part) for part in SENTENCES} == parts


def test_the_formulas_and_the_code_open(visit: Open) -> None:
    page = visit()
    page.get_by_text("The code that ran", exact=True).click()
    expect(page.locator(".st-key-positions-code")).to_contain_text("def shuffle_test")
    expect(page.locator(".st-key-positions-code")).to_contain_text("def rotary")


def test_nothing_scrolls_sideways(visit: Open) -> None:
    page = visit("?encoding=alibi", dark=True)
    for width in at_widths(page):
        assert sideways(page) <= 0, width
        for plot in page.locator(".js-plotly-plot").all():
            box = plot.bounding_box()
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width + 1
