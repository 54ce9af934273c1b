"""The page "What if?" in a real Chromium: a head is clicked on the map, a pair is tried, and the sentences follow."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import Open, pick, picture, sentence, serious, sideways, visiting

PAIR = "?model=induction&text=+bird+moon+ship+salt+tree+bird+moon+ship&other=+bird+moon+ship+star+tree+bird+moon+ship"


def ready(page: Page) -> None:
    sentence(page, "repair").wait_for()
    picture(page, "what-if-heads").locator(".heatmaplayer image").wait_for(state="attached")


visit = visiting("what_if", ready)


def test_a_click_on_the_map_chooses_a_head_and_a_change_changes_the_sentences(visit: Open) -> None:
    page = visit(PAIR)
    expect(sentence(page, "most")).to_contain_text(
        "layer 1, head 3 matters most when given its output on the other text: the lead of “salt” over “star” goes"
    )
    plot = picture(page, "what-if-heads").locator(".nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 4.5 / 5, box["y"] + box["height"] * 0.5 / 2)  # layer 0, head 4
    expect(page.get_by_role("heading", name="Layer 0, head 4")).to_be_visible()
    page.wait_for_url(re.compile("head=4"))
    page.get_by_role("radio", name="Switch off").click()
    expect(sentence(page, "head")).to_contain_text(
        "With this head switched off, the lead of “salt” over “star” is −0.73 instead of 13.55"
    )
    page.wait_for_url(re.compile("how=zero"))
    layer = page.locator(".st-key-what_if-layer").get_by_role("combobox")
    layer.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")  # layer 1
    expect(page.get_by_role("heading", name="Layer 1, head 4")).to_be_visible()
    page.wait_for_url(re.compile("layer=1"))
    said = [sentence(page, part).inner_text() for part in ("most", "head", "cells", "agreement", "repair")]
    ready(visit(page.url))  # its link opens on the same numbers
    assert [sentence(page, part).inner_text() for part in ("most", "head", "cells", "agreement", "repair")] == said


@pytest.mark.nightly
def test_a_pair_of_another_model_on_a_phone(visit: Open) -> None:
    page = visit(PAIR, (390, 844))
    page.get_by_role("button", name="Austen: which Mr.?").click()
    expect(sentence(page, "most")).to_contain_text(
        "layer 2, head 1 matters most when given its output on the other text: the lead of “Darcy” over “Collins”"
    )
    pick(page, "what_if-head", 2)
    expect(page.get_by_role("heading", name="Layer 2, head 2")).to_be_visible()
    assert sideways(page) == 0
    assert serious(page, "'[data-testid=stMain]'") == []
