"""The page "Compare" in a real Chromium: a difference is clicked, both maps lock its cell, it opens in Explore."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import Open, picture, sentence, serious, sideways, visiting


def ready(page: Page) -> None:
    picture(page, "compare").locator(".heatmaplayer image").first.wait_for(state="attached")


visit = visiting("compare", ready)


def test_a_difference_chosen_by_keyboard_opens_in_explore_with_its_number(visit: Open) -> None:
    page = visit()
    kind = page.locator(".st-key-compare-kind .stButtonGroup button").first.bounding_box()
    assert kind is not None and kind["height"] == 40  # as the lists beside it
    chosen = page.get_by_role("radio", name="“it” (10) looks less at “animal”")
    chosen.focus()
    chosen.press("Space")
    expect(sentence(page, "chosen")).to_contain_text("“it” gives “animal” 68\u202f% in A and 28\u202f% in B")
    page.get_by_role("link", name="Open A in Explore").press("Enter")
    expect(page.locator(".av-say")).to_have_count(1)
    expect(page.locator(".av-say")).to_contain_text("it gives 68\u202f% of its attention to animal")


@pytest.mark.nightly
def test_a_difference_is_locked_in_both_maps_and_opens_in_explore(visit: Open) -> None:
    page = visit("", (390, 844))
    assert sideways(page) == 0
    assert serious(page, "'[data-testid=stMain]'") == []
    page.get_by_role("row", name="“it” (10) looks less at “animal”").click()
    expect(sentence(page, "chosen")).to_contain_text("“it” gives “animal” 68\u202f% in A and 28\u202f% in B")
    says = page.locator(".av-say")
    expect(says.nth(0)).to_contain_text("it gives 68\u202f% of its attention to animal")
    expect(says.nth(1)).to_contain_text("it gives 28\u202f% of its attention to animal")
    page.wait_for_url(re.compile("key=2"))
    page.get_by_text("Open B in Explore").click()
    expect(says).to_have_count(1)
    expect(says).to_contain_text("it gives 28\u202f% of its attention to animal")
