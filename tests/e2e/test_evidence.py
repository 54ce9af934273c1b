"""The page "Attention and cause" in a real Chromium: guessed with the mouse, read on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import Open, picture, sentence, serious, sideways, visiting


def ready(page: Page) -> None:
    picture(page, "evidence").locator(".heatmaplayer image").first.wait_for(state="attached")


visit = visiting("evidence", ready)


@pytest.mark.nightly
def test_a_guess_shows_all_measures_and_the_verdict(visit: Open) -> None:
    page = visit("?revealed=0", (390, 844))
    veil = page.get_by_text("Hidden until", exact=False)
    expect(veil).to_have_count(1)  # in the place of the measures' agreement
    assert picture(page, "evidence").locator(".heatmaplayer image").count() == 1  # attention alone
    page.get_by_text("street", exact=True).first.click()
    expect(page.get_by_text("Not quite: you said “street”, it is “animal”", exact=False)).to_be_visible()
    expect(veil).to_have_count(0)
    expect(sentence(page)).to_contain_text("Spearman’s ρ\u00a0=\u00a00.82")
    expect(picture(page, "evidence").locator(".xtick text")).to_have_text(
        ["attention", "rollout", "flow", "‖αv‖", "gradient", "erasure"]
    )
    assert sideways(page) == 0
    assert serious(page, "'[data-testid=stMain]'") == []
