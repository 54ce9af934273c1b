"""Generate in a real Chromium: tokens are said by click and by key, a branch forgets what followed, a link restores."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.driver import QUIET, Open, at_widths, query_of, seen, sentence, sideways, visiting

CHIPS = ".av-writer .av-chip:not(.next)"
NEXT = ".av-writer ol button"


def ready(page: Page) -> None:
    expect(page.locator(NEXT)).to_have_count(10)


visit = visiting("generate", ready, query="?text=She+was&model=austen")
first_look = seen("generate", ready, query="?text=She+was&model=austen&said=316,275,288&focus=4")


def labels(page: Page) -> list[str]:
    return page.locator(CHIPS).all_inner_texts()


def test_a_token_is_said_by_a_click_and_a_branch_forgets_what_followed(visit: Open) -> None:
    page = visit()
    begun = len(labels(page))
    third = page.locator(f"{NEXT} >> nth=2")
    name = third.locator("bdi").inner_text()
    third.click()
    expect(page.locator(CHIPS)).to_have_count(begun + 1)
    assert labels(page)[-1] == name
    expect(page.locator(".av-compact .av-say")).to_contain_text(f"{name} gives")  # the matrix follows
    expect(sentence(page, "sink")).to_contain_text("On average a head")
    sink = sentence(page, "sink").inner_text()
    page.get_by_role("button", name="20 more", exact=True).click()
    expect(page.locator(CHIPS)).to_have_count(begun + 21)
    expect(sentence(page, "sink")).not_to_have_text(sink)  # and so does the last part of the page
    page.locator(f"{CHIPS} >> nth={begun + 1}").click()
    expect(page.locator(".av-writer .av-chip.here")).to_have_attribute("data-i", str(begun + 1))
    expect(sentence(page)).to_contain_text("the likeliest token with")
    other = page.locator(f"{NEXT}:not(.here)").first
    name = other.locator("bdi").inner_text()
    other.click()
    expect(page.locator(CHIPS)).to_have_count(begun + 2)
    assert labels(page)[-1] == name


def test_the_text_and_the_list_work_from_the_keyboard(visit: Open) -> None:
    page = visit()
    begun = len(labels(page))
    page.locator(".av-writer .av-chip.next").focus()
    page.keyboard.press("Tab")
    expect(page.locator(NEXT).first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"{NEXT} >> nth=1")).to_be_focused()
    name = page.locator(f"{NEXT} >> nth=1").locator("bdi").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator(CHIPS)).to_have_count(begun + 1)
    assert labels(page)[-1] == name
    expect(page.locator(NEXT).first).to_be_focused()  # one can go on at once
    page.locator(".av-writer .av-chip.next").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator(".av-writer .av-chip.here")).to_have_attribute("data-i", str(begun))
    expect(page.locator(".av-writer .av-chip.here")).to_be_focused()
    page.keyboard.press("Home")  # the token that begins every text cannot be asked for
    expect(page.locator(f"{CHIPS} >> nth=1")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(f"{NEXT}:not(:disabled)")).to_have_count(0)  # these are the reader’s own words
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Next token", exact=True)).to_be_focused()


@pytest.mark.nightly
def test_the_link_gives_the_same_text_in_a_new_context(visit: Open) -> None:
    page = visit("?text=She+was&model=austen&layer=1")
    page.get_by_role("button", name="20 more", exact=True).click()
    begun = 3
    expect(page.locator(CHIPS)).to_have_count(begun + 20)
    page.get_by_role("button", name="Attention at 4: every head looks at more").click()
    expect(sentence(page, "temperatures")).to_contain_text("With τ = 4, ")
    page.wait_for_url("**inside=4**")
    page.wait_for_selector(QUIET)
    again = visit(query_of(page))
    assert labels(again) == labels(page)
    expect(sentence(again)).to_have_text(sentence(page).inner_text())
    box = again.get_by_role("textbox", name="Text")
    for text, shows in (("", "Type a sentence into the field"), ("She had", "After “She had”")):
        box.fill(text)
        box.press("Control+Enter")
        expect(again.get_by_test_id("stMain").get_by_text(shows)).to_be_visible()
    expect(again.get_by_role("combobox", name="Layer")).to_have_value("1")  # what nobody drew for a while


@pytest.mark.nightly
def test_tokens_from_strangers_are_text(visit: Open) -> None:
    page = visit(
        "?model=austen&text=%3Cimg+src%3Dx+onerror%3D%22window.hurt%3D1%22%3E%3Cscript%3Ewindow.hurt%3D1%3C%2Fscript%3E"
    )
    assert "<" in "".join(labels(page))
    assert page.evaluate("window.hurt") is None
    assert page.locator(".av-writer img").count() == 0


@pytest.mark.nightly
def test_nothing_scrolls_sideways(first_look: Page) -> None:
    for width in at_widths(first_look):
        assert sideways(first_look) <= 0, width


@pytest.mark.nightly
def test_axe_finds_nothing_in_light_and_dark(first_look: Page) -> None:
    page = first_look
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(".av-writer")).to_have_attribute("data-theme", scheme)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}).response
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == [], scheme
        assert "av-chip" in str(found["passes"])  # it has looked into the components
