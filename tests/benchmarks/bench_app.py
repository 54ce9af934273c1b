"""From starting the server to the first page, and from a control to the new picture, in a real Chromium.

python -m attnviz bench app
"""

from __future__ import annotations

import statistics
import time

from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from tests.support.chromium import launch, serve


def first_view(page: Page, address: str) -> float:
    """Seconds from navigation to the painted view."""
    begin = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(".av-say", timeout=60_000)
    return time.perf_counter() - begin


def change_to_picture(page: Page, n: int) -> list[float]:
    """Seconds from a click on a mask, run through the whole model, to the picture of the new run."""
    page.get_by_role("radio", name="The whole model").click()
    seconds = []
    for i in range(n):
        name, mark = ("Causal", "causal") if i % 2 == 0 else ("Window", "window")
        begin = time.perf_counter()
        page.get_by_role("radio", name=name).click()
        page.wait_for_url(f"**mask={mark}**")
        seconds.append(time.perf_counter() - begin)
        page.wait_for_timeout(300)
    return seconds


def main() -> None:
    """Prints the figures."""
    out = Console(width=110)
    with serve() as server, sync_playwright() as playwright:
        browser = launch(playwright)
        cold = first_view(browser.new_context().new_page(), server.address)
        warm = []
        for _ in range(5):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            page = context.new_page()
            warm.append(first_view(page, server.address))
        changes = change_to_picture(page, 10)
        browser.close()
    out.print(
        f"server start to healthy: {server.seconds:.2f} s; to the first page painted: {server.seconds + cold:.2f} s"
    )
    out.print(f"a further visitor, navigation to painted view: {statistics.median(warm):.2f} s (median of 5)")
    ordered = sorted(changes)
    out.print(
        f"control, run through the model, to the new picture: {statistics.median(changes) * 1e3:.0f} ms "
        f"(median of 10; slowest {ordered[-1] * 1e3:.0f} ms)"
    )


if __name__ == "__main__":
    main()
