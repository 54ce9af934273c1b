"""What every page shares, in a real Chromium: the way through the menu, one step back, the theme, the link."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import PATIENCE, QUIET, Open, at_widths, pick, query_of, serious, sideways, visiting
from tests.support.chromium import ELSEWHERE

OTHER = "The dog chased the cat because it ran."
SECTIONS = {
    "Models": ("models", "generate", "translate", "vision"),
    "Investigate": ("heads", "what_if", "compare", "evidence", "space"),
    "Learn": ("step_by_step", "softmax", "masks", "positions", "encoder_block", "variants"),
    "Train": ("replay", "train"),
}
WITHOUT_TEXT = ("translate", "vision", "replay", "train")


def ready(page: Page) -> None:
    page.wait_for_selector("h1")
    page.get_by_role("button", name="Copy link").wait_for()


visit = visiting("", ready)
lesson = visiting("softmax", ready)


def from_elsewhere(app_server: str, path: str) -> str:
    """A page's address as another computer has it."""
    return f"{app_server}/{path}".replace("127.0.0.1", ELSEWHERE)


def go_to(page: Page, section: str, name: str) -> None:
    """Another page, by the menu."""
    if section:
        page.get_by_test_id("stTopNavSection").filter(has_text=section).click()
    page.locator(f'[data-testid^="stTopNav"][href$="/{name}"]').click()
    page.wait_for_url(re.compile(rf"/{name}(\?|$)"))
    page.wait_for_selector(QUIET)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def type_text(page: Page, text: str) -> None:
    field = page.locator(".st-key-text textarea")
    field.fill(text)
    field.press("Control+Enter")
    page.wait_for_url("**text=**")
    page.wait_for_selector(QUIET)


ONE_OF_EACH = {"Models": ("vision",), "Investigate": ("heads",), "Learn": ("softmax",)}


@pytest.mark.parametrize(
    "sections", [ONE_OF_EACH, pytest.param(SECTIONS, marks=pytest.mark.nightly)], ids=["few", "all"]
)
def test_text_model_and_results_stay_on_the_way_over_all_pages(
    visit: Open, sections: dict[str, tuple[str, ...]]
) -> None:
    """AppTest goes over all of them for every change (tests/pages/test_shell.py)."""
    page = visit()
    type_text(page, OTHER)
    pick(page, "model", "Austen (4 × 4 heads)")
    page.wait_for_url("**model=austen**")
    for section, names in sections.items():
        for name in names:
            go_to(page, section, name)
            field, sidebar = page.locator(".st-key-text textarea"), page.get_by_test_id("stSidebar")
            if name in WITHOUT_TEXT:
                expect(field).to_have_count(0)
                expect(sidebar).to_be_hidden()
            else:
                expect(field).to_have_value(OTHER)
                expect(page.locator(".st-key-model input")).to_have_value(re.compile("Austen"))
            expect(page.get_by_text("Type a sentence into the field")).to_have_count(0)
        go_to(page, "", "")
        expect(page.locator(".av-chips")).to_contain_text("dog")
        expect(page.locator(".st-key-text textarea")).to_have_value(OTHER)


def test_one_step_back_is_one_step_back(visit: Open) -> None:
    page = visit()
    type_text(page, OTHER)
    typed = query_of(page)
    go_to(page, "Learn", "masks")
    page.wait_for_url("**/masks?*text=**")
    page.locator(".st-key-masks-mask").get_by_role("radio").first.wait_for()
    page.wait_for_selector(QUIET)
    page.go_back()
    page.wait_for_url("**text=**")
    page.locator(".av-chips").get_by_text("dog").wait_for()
    assert query_of(page) == typed
    page.go_back()  # what was typed is a step of its own
    page.locator(".av-chips").get_by_text("animal").wait_for()
    page.go_forward()
    page.locator(".av-chips").get_by_text("dog").wait_for()
    page.go_forward()
    page.wait_for_url("**/masks?*text=**")
    expect(page.locator(".st-key-text textarea")).to_have_value(OTHER)


def background(page: Page) -> str:
    return str(page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor"))


@pytest.mark.nightly
def test_a_theme_once_chosen_holds_on_every_page(visit: Open) -> None:
    page = visit(viewport={"width": 1440, "height": 900})  # a browser of its own: it remembers the choice
    light = background(page)
    page.get_by_test_id("stMainMenu").click()
    page.get_by_text("Dark").click()
    page.keyboard.press("Escape")
    dark = background(page)
    assert dark != light
    go_to(page, "Learn", "softmax")
    assert background(page) == dark
    page.reload()
    ready(page)
    assert background(page) == dark
    page.get_by_test_id("stMainMenu").click()
    page.get_by_text("Light").click()
    page.keyboard.press("Escape")
    other = page.context.new_page()  # a tab opened at another page
    other.set_default_timeout(PATIENCE)
    other.goto(page.url.replace("softmax", "replay"))
    ready(other)
    assert background(other) == light


# ---- the link ----------------------------------------------------------------------------------------


def test_the_link_is_copied_and_at_localhost_no_code_is_shown_that_a_phone_could_not_open(lesson: Open) -> None:
    page = lesson("?temperature=0.5&revealed=0", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    panel = page.get_by_role("dialog", name="Link to this page")
    expect(panel.get_by_role("status")).to_have_text("Copied.")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == panel.get_by_role("textbox").input_value() and link.endswith("/softmax?temperature=0.5")
    expect(panel).to_contain_text("This address works only on this computer, so there is no QR code.")
    expect(panel).to_contain_text("sees in its terminal a Network URL")
    expect(panel.get_by_role("img")).to_have_count(0)
    expect(panel.get_by_role("checkbox")).to_be_hidden()  # nothing was revealed
    assert serious(page) == []
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_the_link_may_show_what_was_revealed(lesson: Open) -> None:
    page = lesson("?revealed=0", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Show me").first.click()
    page.get_by_role("button", name="Ask me again").first.wait_for()
    page.get_by_role("button", name="Copy link").click()
    panel = page.get_by_role("dialog", name="Link to this page")
    assert "revealed" not in panel.get_by_role("textbox").input_value()
    panel.get_by_role("checkbox", name="Show the answers").check()
    expect(panel.get_by_role("textbox")).to_have_value(re.compile(r"/softmax\?revealed=1$"))
    again = lesson(panel.get_by_role("textbox").input_value())
    expect(again.get_by_role("button", name="Ask me again").first).to_be_visible()


def test_the_code_says_the_address(lesson: Open, app_server: str) -> None:
    """Read back from its modules: the finder patterns, and as many modules as its size asks for."""
    page = lesson(from_elsewhere(app_server, "softmax?revealed=1"))
    page.get_by_role("button", name="Copy link").click()
    code = page.get_by_role("img", name="The link as a QR code")
    code.wait_for()
    expect(page.get_by_role("dialog", name="Link to this page")).not_to_contain_text("this computer")
    size = int(str(code.get_attribute("viewBox")).split()[2]) - 8
    assert size >= 21 and (size - 21) % 4 == 0
    squares = re.findall(r"M(\d+) (\d+)h1v1h-1z", str(code.locator("path").get_attribute("d")))
    dark = {(int(x), int(y)) for x, y in squares}
    for left, top in ((0, 0), (size - 7, 0), (0, size - 7)):
        ring = {(left + i, top + j) for i in range(7) for j in range(7) if 0 in (i, j) or 6 in (i, j)}
        assert {(x + 4, y + 4) for x, y in ring} <= dark


def test_a_link_too_long_for_a_code_is_copied_all_the_same(visit: Open, app_server: str) -> None:
    page = visit(from_elsewhere(app_server, "?model=scratch:tiny"))
    type_text(page, "word " * 390)
    page.get_by_role("button", name="Copy link").click()
    panel = page.get_by_role("dialog", name="Link to this page")
    expect(panel).to_contain_text("too long for a QR code")
    assert panel.get_by_role("textbox").input_value().count("word") == 390
    expect(panel.get_by_role("img")).to_have_count(0)
    panel.get_by_role("button", name="Close").click()
    field = page.locator(".st-key-text textarea")
    field.fill("word " * 500)
    field.press("Control+Enter")
    page.get_by_text("the page’s link does not carry this text").wait_for()
    page.wait_for_selector(QUIET)
    page.get_by_role("button", name="Copy link").click()
    expect(panel).to_contain_text("It does not carry your text: a link holds at most 2,000 characters.")


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_the_tools_stand_in_the_header_at_every_width(visit: Open, dark: bool) -> None:
    page = visit(dark=dark)
    row = page.get_by_role("group", name="This page", exact=True)
    for width in at_widths(page):
        assert sideways(page) <= 0, width
        box, menu = row.bounding_box(), page.get_by_test_id("stMainMenu").bounding_box()
        assert box and menu and box["x"] >= 0 and box["x"] + box["width"] <= menu["x"], width
        assert box["y"] + box["height"] <= 60, width
        for link in page.get_by_test_id("stTopNav").locator("a, button").all():
            other = link.bounding_box()
            assert other is None or other["x"] + other["width"] <= box["x"] + 1, width


@pytest.mark.nightly
def test_on_a_phone_every_page_has_the_menu_and_it_goes_once_it_is_used(visit: Open) -> None:
    page = visit("lessons", (390, 844))  # a page without a text, whose sidebar holds nothing but the menu
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Softmax").click()
    page.wait_for_url("**/softmax**")
    expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "true")
    csv = page.locator(".st-key-lesson-picture-row").get_by_role("button", name="Data (CSV)")
    with page.expect_download() as saved:
        csv.click()
    assert saved.value.suggested_filename == "attnviz-row.csv"
