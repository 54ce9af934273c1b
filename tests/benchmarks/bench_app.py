"""From starting the server to the first page, and from a control to the new picture, in a real Chromium.

python -m attnviz bench app
"""

from __future__ import annotations

import statistics
import time
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console

from tests.support.chromium import launch, serve

# 58 tokens of Austen's
TEXT = "the animal did not cross the street because it was too tired and the man who had seen it waited a while " * 2
TEMPERATURES = (0.4, 0.7, 2, 3, 0.3, 1.5, 0.8, 2.5, 0.6, 1.2, 4, 0.9)
NO_WORKER = "window.Worker = class { constructor() { throw new Error('no worker'); } };"
# ms from a temperature that is typed to the frame in which no run is waited for
TYPE_TEMPERATURE = """async (value) => {
  const shadows = [...document.querySelectorAll("*")].map((e) => e.shadowRoot);
  const root = shadows.find((shadow) => shadow?.querySelector(".av-main"));
  const field = root.querySelector('input[aria-label="Temperature, typed"]'), main = root.querySelector(".av-main");
  const waits = () => main.classList.contains("av-busy"), begin = performance.now();
  const begun = new Promise((done) => new MutationObserver((_, o) => waits() && (o.disconnect(), done()))
    .observe(main, { attributes: true }));
  field.value = value;
  for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
  await begun;
  while (waits()) await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - begin;
}"""


def first_view(page: Page, address: str) -> float:
    """Seconds from navigation to the painted view."""
    begin = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(".av-say", timeout=60_000)
    return time.perf_counter() - begin


def change_to_picture(page: Page, n: int) -> list[float]:
    """Seconds from a click on a mask, run through the whole model, to the picture of the new run."""
    page.get_by_role("radio", name="Rerun the model").click()
    seconds = []
    for i in range(n):
        name, mark = ("Causal", "causal") if i % 2 == 0 else ("Window", "window")
        begin = time.perf_counter()
        page.get_by_role("radio", name=name).click()
        page.wait_for_url(f"**mask={mark}**")
        seconds.append(time.perf_counter() - begin)
        page.wait_for_timeout(300)
    return seconds


def here_and_there(browser: Browser, address: str) -> tuple[list[float], list[float]]:
    """Ms from a temperature to the new picture: in a tab whose worker runs the model, and where the server does."""
    tabs = []
    for script in ("", NO_WORKER):
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.add_init_script(script)
        page.goto(f"{address}/?model=austen&whole=1&temp=0.5&text={quote(TEXT)}")
        page.get_by_text("How far the change carries").wait_for(timeout=60_000)
        tabs.append((page, []))
    here, _ = tabs[0]
    if not here.workers:
        here.wait_for_event("worker")
    here.workers[0].evaluate("new Promise(done => setInterval(() => session.model && done(), 10))")
    for temperature in TEMPERATURES:
        for page, found in tabs:
            page.bring_to_front()
            found.append(page.evaluate(TYPE_TEMPERATURE, str(temperature)))
            page.wait_for_timeout(1000)  # for what the server draws besides
    return tabs[0][1], tabs[1][1]


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
        here, there = here_and_there(browser, server.address)
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
    out.print(
        f"temperature of Austen, 58 tokens, to the new picture: {statistics.median(here):.0f} ms in the browser "
        f"(least {min(here):.0f}), {statistics.median(there):.0f} ms by the server (least {min(there):.0f})"
    )


if __name__ == "__main__":
    main()
