"""The app while models are trained in it: from a control's change to the frame with the updated picture.

    python -m attnviz bench train_page

Each control is moved with no training on the server, with one, and with two, which are as many as it takes by default
(task induction, default size, one thread each). The lessons' controls belong to another reader than the trainings; the
head on the Train page is chosen by the reader whose own training goes on, beside one other.
"""

from __future__ import annotations

import os
import statistics

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from tests.benchmarks import bench_lessons as lessons
from tests.support import chromium

CONTROLS = [
    one
    for one in lessons.CONTROLS
    if (one.page, one.name) in {("softmax", "temperature"), ("masks", "mask"), ("encoder_block", "layer")}
]
LONG = "task=induction&steps=10000"
TITLE = ".av-matrix h2 span:first-child"
TIMES = 14
# From the key to the first frame in which the title of the head's picture names the head that was asked for.
UNTIL = """
window.until = (selector, wanted) => {
  const roots = [document], look = root => root.querySelectorAll("*").forEach(node => {
    if (node.shadowRoot) { roots.push(node.shadowRoot); look(node.shadowRoot); }
  });
  look(document);
  let began = null;
  window.addEventListener("keydown", () => { began = performance.now(); }, {capture: true, once: true});
  window.reached = new Promise(done => {
    const frame = () => {
      const found = roots.map(root => root.querySelector(selector)).find(Boolean);
      if (began !== null && found?.textContent.startsWith(wanted)) done(performance.now() - began);
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
};
"""


def trainer(browser: Browser, server: str) -> tuple[BrowserContext, Page]:
    """A reader whose training goes on until the browser is closed."""
    context = browser.new_context(viewport=lessons.SCREEN)
    context.add_init_script(UNTIL)
    page = context.new_page()
    page.goto(f"{server}/train?{LONG}")
    page.get_by_role("button", name="Start", exact=True).click(timeout=60_000)
    page.locator(TITLE).wait_for(timeout=60_000)
    return context, page


def heads(page: Page) -> list[float]:
    """Seconds until the head that was chosen on the Train page is drawn, while the page's own training goes on."""
    box = page.locator(".st-key-train-head").get_by_role("combobox")
    times = []
    for n in range(TIMES + 2):
        name = f"layer {n % 2}, head {n % 4}"
        box.click()
        box.press_sequentially(name)
        page.get_by_role("option", name=name, exact=True).wait_for()
        page.evaluate("([title, wanted]) => window.until(title, wanted)", [TITLE, name.capitalize()])
        box.press("Enter")
        times.append(page.evaluate("window.reached") / 1000)
    return times[2:]


def main() -> None:
    """Prints the tables, a row when it is measured."""
    out = Console(width=110)
    table = Table(title="Control → picture while models are trained", title_justify="left", box=None, pad_edge=False)
    for title in ("page", "control", "no training", "one", "two (≤ 300 ms)"):
        table.add_column(title, justify="left" if title in ("page", "control") else "right")
    with sync_playwright() as playwright, chromium.serve() as app:
        engine = chromium.launch(playwright)
        found: dict[tuple[str, str], list[str]] = {(one.page, one.name): [] for one in CONTROLS}
        trainers: list[tuple[BrowserContext, Page]] = []
        for running in range(3):
            every: list[float] = []
            for control in CONTROLS:
                times = lessons.measure(engine, app.address, control)
                every += times
                found[control.page, control.name].append(f"{1000 * statistics.median(times):.0f} ms")
                out.print(
                    f"{running} trainings: {control.page}, {control.name} {found[control.page, control.name][-1]}"
                )
            if running < 2:
                trainers.append(trainer(engine, app.address))
        own = heads(trainers[-1][1])
        steps = [page.locator(".stProgress").inner_text() for _, page in trainers]
        engine.close()
    for (page, name), cells in found.items():
        table.add_row(page, name, *cells)
    table.add_row("train", "head", "", "", f"{1000 * statistics.median(own):.0f} ms")
    out.print(table)
    high = statistics.quantiles(every + own, n=20)[-1]
    middle = statistics.median(every + own)
    out.print(f"two trainings: median {1000 * middle:.0f} ms, 95 % within {1000 * high:.0f} ms, {os.cpu_count()} cores")
    for text in steps:
        out.print(f"meanwhile: {' '.join(text.split())}")


if __name__ == "__main__":
    main()
