"""Replay in a real Chromium: the dial and its Play button, the link, and nothing that scrolls sideways."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import Open, at_widths, query_of, seen, sentence, sideways, visiting

DIAL = ".st-key-replay-step-dial input[type=range]"


def ready(page: Page) -> None:
    expect(page.locator(".js-plotly-plot")).to_have_count(1)
    expect(page.locator(".av-root canvas").first).to_be_visible()


visit = visiting("replay", ready)
first_look = seen("replay", ready)


def test_the_dial_goes_through_the_training_and_play_to_its_end(visit: Open) -> None:
    page = visit("?step=161")
    dial = page.locator(DIAL)
    expect(dial).to_have_js_property("value", "161")  # as on the axis of the picture, which ends at 800
    expect(dial).to_have_attribute("max", "800")
    dial.fill("170")  # between two checkpoints
    expect(dial).to_have_js_property("value", "161")
    dial.focus()
    page.keyboard.press("ArrowRight")
    expect(dial).to_have_js_property("value", "186")
    page.keyboard.press("Home")
    expect(sentence(page)).to_contain_text("Before any training")
    page.keyboard.press("End")
    expect(sentence(page)).not_to_contain_text("Before any training")
    expect(sentence(page)).to_contain_text("more than to any other")
    before = sentence(page).inner_text()
    page.keyboard.press("ArrowLeft")
    expect(sentence(page)).not_to_have_text(before)

    page.keyboard.press("Home")
    expect(sentence(page)).to_contain_text("Before any training")
    play = page.get_by_role("button", name="Play", exact=True)
    play.click()
    pause = page.get_by_role("button", name="Pause", exact=True)
    expect(pause).to_be_visible()
    expect(sentence(page)).not_to_contain_text("Before any training")  # it moves
    pause.click()
    expect(play).to_be_visible()
    last = page.locator(DIAL).get_attribute("max")
    page.locator(DIAL).focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    play.click()
    expect(page.locator(DIAL)).to_have_js_property("value", last)  # the last step, and there it stops by itself
    expect(play).to_be_visible()
    expect(sentence(page)).to_contain_text("more than to any other")


@pytest.mark.nightly
def test_a_head_switched_off_and_the_link_in_another_browser(visit: Open) -> None:
    page = visit()
    page.get_by_role("button", name="without layer").click()
    expect(sentence(page)).to_contain_text("switched off")
    page.wait_for_url("**off=1**")
    again = visit(query_of(page))
    expect(sentence(again)).to_have_text(sentence(page).inner_text())


@pytest.mark.nightly
def test_nothing_scrolls_sideways(first_look: Page) -> None:
    for width in at_widths(first_look):
        assert sideways(first_look) == 0, width
