"""Softmax and temperature in a real Chromium: controls, things to try, the link, and nothing that scrolls sideways."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import QUIET, Open, at_widths, pick, query_of, seen, sentence, sideways, visiting, write

DIAL = ".st-key-softmax-temperature-dial input[type=range]"
SECOND_DIAL = ".st-key-softmax-temperature-dialsampling input[type=range]"
DRAWN = re.compile("js-plotly-plot")


def ready(page: Page) -> None:
    expect(page.locator(".js-plotly-plot")).to_have_count(6)


visit = visiting("softmax", ready)
first_look = seen("softmax", ready)


def test_the_picture_follows_the_dial_while_it_moves_and_from_the_keyboard(visit: Open) -> None:
    page = visit()
    dial = page.locator(DIAL)
    box = dial.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()  # the click jumps to about 1
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2, steps=12)
    expect(sentence(page)).to_contain_text("At τ = 20,")  # the button is still down
    expect(page.locator(SECOND_DIAL)).to_have_attribute("aria-valuetext", "20")
    page.mouse.move(box["x"] + 1, box["y"] + box["height"] / 2, steps=12)
    expect(sentence(page)).to_contain_text("At τ = 0.05,")
    page.mouse.up()
    expect(sentence(page)).to_contain_text("Effective number of tokens: 1.0 of 16")
    expect(dial).to_have_attribute("aria-valuetext", "0.05")

    # from the keyboard, and its twin
    page.locator(DIAL).focus()
    page.keyboard.press("End")
    expect(sentence(page)).to_contain_text("At τ = 20,")
    page.keyboard.press("ArrowLeft")
    expect(sentence(page)).to_contain_text("At τ = 18,")
    expect(page.locator(SECOND_DIAL)).to_have_attribute("aria-valuetext", "18")  # at 0.05 Home would do nothing
    page.locator(SECOND_DIAL).focus()
    page.keyboard.press("Home")
    expect(sentence(page)).to_contain_text("At τ = 0.05,")
    expect(page.locator(DIAL)).to_have_attribute("aria-valuetext", "0.05")


def test_charts_out_of_sight_wait_for_a_moment_of_rest(open_app: Open) -> None:
    never = "window.requestIdleCallback = () => 1"
    page = open_app("softmax", prepare=lambda page: page.add_init_script(never))
    row, variance = (page.locator(f".st-key-lesson-picture-{name} .av-chart-plot") for name in ("row", "variance"))
    expect(row).to_have_class(DRAWN)
    page.wait_for_selector(QUIET)
    pick(page, "softmax-head", "5")
    expect(variance).not_to_have_class(DRAWN)
    variance.scroll_into_view_if_needed()
    expect(variance).to_have_class(DRAWN)


@pytest.mark.nightly
def test_every_other_control(visit: Open) -> None:
    page = visit()
    for field, option, words in (("query", "2 animal", "“animal” gives"), ("layer", "0", ""), ("head", "5", "")):
        before = sentence(page).inner_text()
        pick(page, f"softmax-{field}", option)
        expect(sentence(page)).not_to_have_text(before)
        expect(sentence(page)).to_contain_text(words)
    before = sentence(page, "variance").inner_text()
    page.get_by_role("button", name="New random vectors").click()
    expect(sentence(page, "variance")).not_to_have_text(before)
    page.wait_for_url("**seed=1**")


@pytest.mark.nightly
def test_a_guess_uncovers_the_curves_and_stays_out_of_the_link(open_app: Open) -> None:
    page = open_app("softmax?revealed=0")
    expect(page.locator(".js-plotly-plot")).to_have_count(5)
    expect(page.locator(".st-key-lesson-veil-curves")).to_contain_text("Hidden until you have guessed")
    page.get_by_role("radio", name="It gains").or_(page.get_by_role("button", name="It gains")).first.click()
    expect(page.locator(".st-key-lesson-predict-sharper")).to_contain_text("squares every weight")
    expect(page.locator(".js-plotly-plot")).to_have_count(6)
    assert "guess" not in page.url and "sharper" not in page.url


@pytest.mark.nightly
def test_the_list_of_tokens_displays_the_token_of_the_sentence(visit: Open) -> None:
    """After a new text, a new model and a thing to try; the browser's side of a list is what is read."""
    page = visit()

    def agree(token: str) -> None:
        expect(sentence(page)).to_contain_text(f"“{token}” gives")
        box = page.locator(".st-key-softmax-query").get_by_role("combobox")
        expect(box).to_have_value(re.compile(rf"^\d+ {re.escape(token)}$"))
        page.wait_for_selector(QUIET)

    agree("it")
    for text, token in (
        ("In every park the old birds often sing at dawn when nobody listens to them at all.", "."),
        ("Birds sing. And nobody listens", "."),
        ("One two three four five six seven eight nine ten", "ten"),
        ("zero one two three four five six seven eight nine ten", "ten"),
    ):
        write(page, text)
        agree(token)
    page.get_by_role("button", name="A model that predicts words").click()
    expect(sentence(page)).to_contain_text("At τ = 0.5,")
    label = sentence(page).inner_text().split("“")[1].split("”")[0]
    agree(label)


@pytest.mark.nightly
def test_things_to_try_and_the_link_in_another_browser(visit: Open) -> None:
    page = visit()
    page.get_by_role("button", name="Almost even: τ = 20").click()
    expect(sentence(page)).to_contain_text("At τ = 20,")
    page.get_by_role("button", name="Almost argmax: τ = 0.05").click()
    expect(sentence(page)).to_contain_text("At τ = 0.05,")
    page.get_by_role("button", name="A model that predicts words").click()
    expect(sentence(page, "sampling")).to_contain_text("On the output, τ = 0.5")
    expect(sentence(page)).to_contain_text("At τ = 0.5,")
    page.wait_for_selector(QUIET)
    page.wait_for_url("**model=austen**")
    again = visit(query_of(page))
    for part in ("main", "sampling", "variance"):
        expect(sentence(again, part)).to_have_text(sentence(page, part).inner_text())


@pytest.mark.nightly
def test_nothing_scrolls_sideways(first_look: Page) -> None:
    beyond = (
        "all => all.map(e => e.getBoundingClientRect()).filter(r => r.right > innerWidth + 1 || r.width < 200).length"
    )
    for width in at_widths(first_look):
        assert sideways(first_look) == 0, width
        assert first_look.locator(".js-plotly-plot").evaluate_all(beyond) == 0, width
