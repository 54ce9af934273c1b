"""The page "Space" in a real Chromium: a point is clicked, its token opens in Explore; read on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from attnviz import Model
from attnviz.formatting import percent
from tests.e2e.driver import SENTENCE, Open, picture, sentence, serious, sideways, visiting


def ready(page: Page) -> None:
    picture(page, "space").locator(".scatterlayer .point").first.wait_for(state="attached")


visit = visiting("space", ready)


def test_a_heads_keys_by_keyboard_and_the_same_weight_in_explore(visit: Open, minilm: Model) -> None:
    page = visit("?layer=3&head=1&token=10")
    heads = page.get_by_role("radio", name="Queries and keys")
    heads.focus()
    heads.press("Space")
    weight = percent(float(minilm.run(SENTENCE).layers[3].attention.weights[0, 1, 10, 2]))
    row = page.get_by_role("row", name="animal")
    expect(row.first).to_contain_text(weight)
    page.get_by_role("link", name="Open “it” in Explore").press("Enter")
    expect(page.locator(".av-say")).to_contain_text(f"In layer 3, head 1, it gives {weight} of its attention to animal")


@pytest.mark.nightly
def test_a_click_chooses_a_token_which_opens_in_explore(visit: Open) -> None:
    page = visit("", (390, 844))
    assert sideways(page) == 0
    assert serious(page, "'[data-testid=stMain]'") == []
    names = picture(page, "space").locator(".textpoint text").all_text_contents()
    dots = picture(page, "space").locator(".scatterlayer .point")
    box = dots.nth(names.index("animal")).bounding_box()
    assert box is not None
    picture(page, "space").scroll_into_view_if_needed()
    box = dots.nth(names.index("animal")).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(sentence(page)).to_contain_text("Nearest to “animal”")
    page.wait_for_url(re.compile("token=2"))
    page.get_by_text("Open “animal” in Explore").click()
    expect(page.locator(".av-say")).to_contain_text("animal gives")
