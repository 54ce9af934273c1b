"""The page "Program a transformer" in a real Chromium: a program is picked, broken, and opened in Explore."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.driver import Open, pick, sentence, visiting


def ready(page: Page) -> None:
    sentence(page).wait_for()
    page.locator(".av-say").first.wait_for()


visit = visiting("program", ready)


def test_a_program_is_broken_and_opens_in_explore(visit: Open) -> None:
    page = visit("?revealed=0")
    pick(page, "program-program", "Previous letter")
    page.wait_for_url(re.compile("program=previous"))  # written last: the question is this program's
    page.get_by_role("radio", name="some of them").press("Space")
    page.get_by_role("switch", name="Switch this head off").press("Space")
    expect(sentence(page)).to_contain_text("its transformer now says “_______”: 1 of 7 letters is right")
    page.wait_for_url(re.compile("off=1"))
    page.get_by_role("link", name="Open it in Explore").press("Enter")  # where all its heads are on
    page.wait_for_url(re.compile("model=program%3Aprevious"))
    page.get_by_role("textbox", name="Text", exact=True).wait_for()
    expect(page.get_by_role("textbox", name="Text", exact=True)).to_have_value("badcafe")
    expect(page.locator(".av-say")).to_have_count(1)
