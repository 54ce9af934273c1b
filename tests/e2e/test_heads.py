"""The page "Heads" in a real Chromium: a head is clicked, its example opens in Explore with the same number."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from attnviz import Model
from attnviz.analysis import cards_file
from attnviz.formatting import percent
from tests.e2e.driver import Open, pick, picture, sentence, serious, sideways, still, visiting

# A busy page: each press is worked on for so long that the page is told of the scroll before it only afterwards.
BUSY = "addEventListener('pointerdown', () => { for (const t = Date.now(); Date.now() < t + 150;); }, true)"
TOP = "document.querySelector('[data-testid=stMain]').scrollTop"


def ready(page: Page) -> None:
    sentence(page, "reads").wait_for()
    picture(page, "heads").locator(".heatmaplayer image").wait_for(state="attached")


visit = visiting("heads", ready)


def test_a_click_on_the_map_opens_a_card_and_its_example_in_explore(visit: Open, minilm: Model) -> None:
    page = visit()
    stored = cards_file.shipped("minilm")
    assert stored is not None
    plot = picture(page, "heads").locator(".nsewdrag").first
    box = plot.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 9.5 / 12, box["y"] + box["height"] * 2.5 / 6)  # layer 2, head 9
    expect(page.get_by_role("heading", name="Layer 2, head 9")).to_be_visible()
    expect(sentence(page, "card")).to_contain_text("looks at other places of the same token")
    page.wait_for_url(re.compile("layer=2"))
    one = stored.cards.examples[2][9][0]
    trace = minilm.run(stored.texts[one.text])
    weight = percent(float(trace.layers[2].attention.weights[0, 9, one.query, one.key]))
    page.get_by_text("Open this example in Explore").click()
    labels = trace.encodings[0].labels
    expect(page.locator(".av-say")).to_contain_text(f"In layer 2, head 9, {labels[one.query]} gives {weight}")
    expect(page.locator(".av-role")).to_contain_text("Layer 2, head 9 looks at other places of the same token")
    page.locator(".av-role").get_by_role("button", name="Its card").click()  # and back to its card
    expect(page.get_by_role("heading", name="Layer 2, head 9")).to_be_visible()


def test_every_head_that_wrote_a_score_is_a_choice_by_keyboard_that_opens_in_explore(visit: Open) -> None:
    page = visit("?model=austen&layer=2&head=1")
    wrote = page.get_by_role("table", name="Written into the key")
    heads = wrote.get_by_role("radio")
    rows = wrote.get_by_role("row").all_inner_texts()
    assert heads.count() == sum(", head " in row for row in rows) < len(rows) - 2  # a network, a token is read alone
    heads.first.focus()
    heads.first.press("ArrowDown")
    name = heads.nth(1).locator("..").inner_text()
    page.get_by_role("link", name=f"Open {name} in Explore").first.press("Enter")
    expect(page.locator(".av-say")).to_contain_text(name, ignore_case=True)


@pytest.mark.nightly
def test_it_is_read_on_a_phone_and_by_keyboard(visit: Open) -> None:
    page = visit("", (390, 844))
    page.evaluate(BUSY)
    pick(page, "heads-layer", 0)  # which scrolls, and presses at once
    expect(page.get_by_role("heading", name="Layer 0, head 9")).to_be_visible()
    pick(page, "heads-head", 2)
    expect(sentence(page, "card")).to_contain_text("Layer 0, head 2 looks at the token just before")
    assert sideways(page) == 0
    assert serious(page, "'[data-testid=stMain]'") == []


@pytest.mark.nightly
def test_a_finger_on_a_chart_scrolls_the_page(visit: Open) -> None:
    page = visit("", (390, 844), has_touch=True, is_mobile=True)
    box = picture(page, "heads").locator(".av-chart-plot").bounding_box()
    assert box is not None
    still(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    assert page.evaluate(TOP) == 0
    finger = page.context.new_cdp_session(page)
    for kind, moved in (("touchStart", 0), *(("touchMove", 20 * step) for step in range(1, 8))):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y - moved}]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function(f"{TOP} >= 80")
