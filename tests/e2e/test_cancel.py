"""Cancel pressed in a real Chromium: the longest work of What if? stops, and run again brings the same numbers."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.e2e.driver import Open, sentence

# As many tokens as the page reads of MiniLM, whose 72 heads and 6 × 64 vectors of the stream are run one by one.
TEXT = " ".join(("The tired animal crossed the wide street and the old road " * 6).split()[:62])
DONE = 300_000  # ms: on a busy machine


@pytest.mark.nightly
def test_a_long_sweep_is_cancelled_and_run_again_with_the_same_numbers(open_app: Open) -> None:
    asked = f"?model=minilm&text={quote(TEXT)}&other={quote(TEXT.replace('tired', 'lively'))}&measure=likeness"
    page = open_app(f"what_if{asked}")  # not waited for until it is quiet: then it would be done
    page.locator(".st-key-what-if-cancel button").click()
    expect(page.get_by_text("Cancelled: what was run stays on screen.")).to_be_visible()
    expect(page.locator(".st-key-what-if-cancel")).to_have_count(0)
    again = page.locator(".st-key-what-if-again button")
    page.wait_for_timeout(1000)
    expect(again).to_be_visible()  # nothing goes on by itself
    again.click()
    expect(again).to_have_count(0, timeout=DONE)
    expect(page.locator(".st-key-what-if-cancel")).to_have_count(0, timeout=DONE)
    parts = ("most", "head")
    said = [sentence(page, part).inner_text() for part in parts]
    whole = open_app(page.url)  # a session of its own, never interrupted
    expect(whole.locator(".st-key-what-if-cancel")).to_have_count(0, timeout=DONE)
    assert [sentence(whole, part).inner_text() for part in parts] == said
