"""The lessons in a real Chromium: from a control's change to the frame with the updated picture, for every page.

    python -m attnviz bench lessons
    python -m attnviz bench lessons --against ../another-checkout

MiniLM on a text of 32 tokens, a warm server. A time begins with the event in the browser (key down or click) and ends
with the first frame after the picture's nodes have changed. Also the first visit of each page, by a new visitor and
from another page of the app.
"""

from __future__ import annotations

import argparse
import os
import statistics
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

import attnviz
from tests.support import chromium

TEXT = (
    "The keys to the old wooden cabinet in the hall are on the table, but nobody who lives in this house knows "
    "which of them opens the small door"
)
N_TOKENS = 32
TIMES = 14  # of each control
SHOWN = 200  # ms in which a page that comes to the front is painted
REST = 450  # ms after each, in which a page does what it has put off
SCREEN = {"width": 1440, "height": 900}
QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"

WATCH = """
window.watch = selector => {
  const roots = [document], look = root => root.querySelectorAll("*").forEach(node => {
    if (node.shadowRoot) { roots.push(node.shadowRoot); look(node.shadowRoot); }
  });
  look(document);
  if (!roots.some(root => root.querySelector(selector))) throw new Error(`nothing matches ${selector}`);
  let began = null;
  const begin = () => { began ??= performance.now(); };
  for (const name of ["pointerdown", "keydown"]) window.addEventListener(name, begin, {capture: true, once: true});
  const inside = node => { // the picture, or in it, through shadow roots; nodes that were added may be a new picture
    for (let e = node.nodeType === 1 ? node : node.parentElement; e; e = e.parentElement || e.getRootNode().host) {
      if (e.matches(selector)) return true;
    }
    return false;
  };
  const shows = record => inside(record.target) ||
    [...record.addedNodes].some(n => n.nodeType === 1 && (n.matches(selector) || n.querySelector(selector)));
  window.watched = new Promise((done, failed) => {
    const observer = new MutationObserver(records => {
      if (began === null || !records.some(shows)) return;
      observer.disconnect();
      requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => done(performance.now() - began);
        channel.port2.postMessage(0);
      });
    });
    const what = {childList: true, subtree: true, characterData: true, attributes: true};
    for (const root of roots) observer.observe(root, what);
    setTimeout(() => failed(new Error(`${selector} did not change in 20 s`)), 20000);
  });
  window.watched.catch(() => {});
};
"""

Act = Callable[[Page, int], None]


@dataclass(frozen=True)
class Control:
    """A control of a page: how to move it the n-th time, and what then shows the picture."""

    page: str
    name: str
    act: Act
    picture: str
    link: str = ""  # parameters that the page is opened with


def key(selector: str, there: str = "ArrowRight", back: str = "ArrowLeft") -> Act:
    """Moves a slider to and fro with the arrow keys."""
    return lambda page, n: page.locator(selector).first.press(back if n % 2 else there)


def radio(*names: str) -> Act:
    """Clicks pills one after the other."""
    return lambda page, n: page.get_by_role("radio", name=names[n % len(names)], exact=True).click()


def label(scope: str, *names: str) -> Act:
    """Clicks the choices of one widget one after the other."""
    return lambda page, n: page.locator(scope).get_by_text(names[n % len(names)], exact=True).click()


def button(name: str) -> Act:
    """Clicks a button."""
    return lambda page, n: page.get_by_role("button", name=name, exact=True).click()


def inside(selector: str) -> Act:
    """Clicks an element of a component, or one of two by turns."""
    parts = selector.split(" | ")
    return lambda page, n: page.locator(parts[n % len(parts)]).first.click()


def option(scope: str, *names: str) -> Act:
    """Chooses in a list with the keyboard: what is timed begins with Enter."""

    def act(page: Page, n: int) -> None:
        box = page.locator(scope).get_by_role("combobox")
        box.click()
        box.press_sequentially(names[n % len(names)])
        page.get_by_role("option", name=names[n % len(names)], exact=True).wait_for()
        page.evaluate("window.again()")
        box.press("Enter")

    return act


def word(*words: str) -> Act:
    """Types a word into the leak test; what is timed begins with Enter."""

    def act(page: Page, n: int) -> None:
        box = page.get_by_role("textbox", name="for", exact=True)
        box.fill(words[n % len(words)])
        page.evaluate("window.again()")
        box.press("Enter")

    return act


def space(selector: str) -> Act:
    """Paints the cell in focus, and takes it back the next time."""
    return lambda page, n: page.locator(selector).press("Space")


def layer(number: int) -> str:
    """The button of a layer in the lesson on the encoder block."""
    return f".st-key-encoder_block-layer button >> nth={number}"


def bars(name: str) -> str:
    """A plotly picture of a lesson."""
    return f".st-key-lesson-picture-{name} .js-plotly-plot"


def measure(browser: Browser, servers: list[str], control: Control) -> list[list[float]]:
    """Seconds of each change on each server, by turns; the first (which may fill a cache) left out.

    Every page is brought to the front for its turn, and each is the first as often as the others: a browser hurries
    for what it shows, and what follows a pause is slower.
    """
    pages = [opened(browser, server, control) for server in servers]
    times: list[list[float]] = [[] for _ in servers]
    for n in range(TIMES + 2):
        for page, taken in list(zip(pages, times, strict=True))[:: 1 if n // 2 % 2 else -1]:
            page.bring_to_front()
            page.wait_for_timeout(SHOWN)
            page.evaluate(
                "selector => { window.again = () => window.watch(selector); window.again(); }", control.picture
            )
            control.act(page, n)
            taken.append(page.evaluate("window.watched") / 1000)
            page.wait_for_selector(QUIET)
            page.wait_for_timeout(REST)
    for page in pages:
        page.context.close()
    return [taken[2:] for taken in times]


def opened(browser: Browser, server: str, control: Control) -> Page:
    """A page with the control in front of its reader."""
    context = browser.new_context(viewport=SCREEN)
    context.add_init_script(WATCH)
    page = context.new_page()
    query = urllib.parse.urlencode({"text": TEXT, "revealed": "1"})
    page.goto(f"{server}/{control.page}?{query}&{control.link}")
    settled(page, control.picture)
    if control.name.startswith("paint"):  # a cell has to be chosen first
        page.locator(".st-key-masks-after canvas.over").press("ArrowDown")
    return page


def settled(page: Page, picture: str) -> None:
    page.wait_for_selector(QUIET, timeout=60_000)
    page.locator(picture).first.wait_for(state="attached", timeout=60_000)
    page.wait_for_timeout(700)
    page.wait_for_selector(QUIET)


def first_visits(browser: Browser, server: str, page_name: str, picture: str, title: str) -> tuple[float, float]:
    """Seconds to the first picture: a new visitor by link, and a visitor of Explore by the navigation."""
    fresh, moved = [], []
    for _ in range(3):
        context = browser.new_context(viewport=SCREEN)
        page = context.new_page()
        page.goto(f"{server}/{page_name}", wait_until="commit")
        page.locator(picture).first.wait_for(state="attached", timeout=60_000)
        fresh.append(page.evaluate("performance.now()") / 1000)
        context.close()
        context = browser.new_context(viewport=SCREEN)
        page = context.new_page()
        page.goto(server)
        page.locator(".av-say").first.wait_for(timeout=60_000)
        settled(page, ".av-say")
        page.get_by_text("Learn", exact=True).first.click()
        link = page.get_by_role("menuitem", name=title, exact=True)
        link.wait_for()
        begun = page.evaluate("performance.now()")
        link.click()
        page.locator(picture).first.wait_for(state="attached", timeout=60_000)
        moved.append((page.evaluate("performance.now()") - begun) / 1000)
        context.close()
    return statistics.median(fresh), statistics.median(moved)


CONTROLS = [
    Control(
        "step_by_step", "step (browser)", inside('[data-step="scores"] | [data-step="softmax"]'), ".aw-bar", "of=text"
    ),
    Control(
        "step_by_step",
        "trace a cell (browser)",
        inside('.aw-stage [data-cell^="Q:"] >> nth=1 | .aw-stage [data-cell^="Q:"] >> nth=3'),
        ".aw-trace",
        "of=text&step=q",
    ),
    Control("step_by_step", "head", option(".st-key-step_by_step-head", "7", "5"), ".aw-stage", "of=text&step=softmax"),
    Control("softmax", "temperature", key(".st-key-softmax-temperature-dial input[type=range]"), bars("row")),
    Control("softmax", "head", option(".st-key-softmax-head", "7", "5"), bars("row")),
    Control(
        "softmax",
        "temperature, through the model",
        key(".st-key-softmax-temperature-dialsampling input[type=range]"),
        bars("sampling"),
    ),
    Control("softmax", "new random vectors", button("New random vectors"), bars("variance")),
    Control("masks", "mask", radio("Local window", "Strided", "Causal"), bars("masks")),
    Control("masks", "n", key("input[type=range]"), bars("masks"), "mask=window"),
    Control("masks", "paint a cell (browser)", space(".st-key-masks-after canvas.over"), ".av-say", "mask=painted"),
    Control("masks", "leak: new word", word("river", "book"), bars("leak")),
    Control("positions", "shuffle again", button("Shuffle again"), bars("positions-shuffle")),
    Control(
        "positions",
        "scheme of the head",
        label(".st-key-positions-scheme", "ALiBi", "RoPE", "None"),
        ".st-key-lesson-sentence-attention",
    ),
    Control(
        "positions",
        "scheme",
        label(".st-key-positions-encoding", "Learned", "RoPE", "Sinusoidal"),
        bars("positions-encoding"),
    ),
    Control(
        "positions", "pair of dimensions", key(".st-key-positions-pair-dial input[type=range]"), bars("positions-waves")
    ),
    Control("encoder_block", "layer", inside(layer(2) + " | " + layer(4)), bars("block-post")),
    Control(
        "encoder_block",
        "which LayerNorm",
        inside(".st-key-encoder_block-norm button >> nth=1 | .st-key-encoder_block-norm button >> nth=0"),
        bars("layernorm"),
    ),
    Control(
        "encoder_block",
        "depth",
        key(".st-key-encoder_block-depth-dial input[type=range]", "ArrowLeft", "ArrowRight"),
        bars("gradients"),
    ),
    Control("variants", "window", key(".st-key-variants-size-dial input[type=range]"), bars("variants")),
    Control("variants", "context", key(".st-key-variants-context-dial input[type=range]"), bars("variants-cache")),
]


PAGES = [  # name, title in the navigation, first picture
    ("step_by_step", "Step by step", ".aw-stage"),
    ("softmax", "Softmax and temperature", bars("row")),
    ("masks", "Masks", ".st-key-masks-after .av-root"),
    ("positions", "Positions", bars("positions-shuffle")),
    ("encoder_block", "The encoder block", bars("block-post")),
    ("variants", "Variants and their cost", bars("variants")),
]


def main() -> None:
    """Prints the tables; with `--against FOLDER`, beside those of another checkout, whose turns are between ours."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path, metavar="FOLDER")
    against = parser.parse_args().against
    assert len(attnviz.load("minilm").encode(TEXT)) == N_TOKENS
    out = Console(width=110)
    with sync_playwright() as playwright, ExitStack() as running:
        roots = [chromium.ROOT, *([against.resolve()] if against else [])]
        servers = [running.enter_context(chromium.serve(root / "app.py", root=root)).address for root in roots]
        engine = chromium.launch(playwright)
        every = [measure(engine, servers, control) for control in CONTROLS]
        visits = None if against else visits_table(engine, servers[0])
        engine.close()
    out.print(against_table(every) if against else controls_table(every))
    for name, times in zip(("all", "all there"), zip(*every, strict=True), strict=False):
        together = [one for taken in times for one in taken]
        out.print(
            f"{name}: median {1000 * statistics.median(together):.0f} ms, 95 % within "
            f"{1000 * statistics.quantiles(together, n=20)[-1]:.0f} ms, {os.cpu_count()} cores"
        )
    if visits:
        out.print(visits)


def controls_table(every: list[list[list[float]]]) -> Table:
    """Each control's times on this checkout."""
    table = Table(title=f"Control → picture, minilm, {N_TOKENS} tokens", title_justify="left", box=None, pad_edge=False)
    for title in ("page", "control"):
        table.add_column(title)
    for title in ("median (≤ 150 ms)", "95 % (≤ 400 ms)"):
        table.add_column(title, justify="right", no_wrap=True)
    for control, (times,) in zip(CONTROLS, every, strict=True):
        high = statistics.quantiles(times, n=20)[-1]
        table.add_row(control.page, control.name, f"{1000 * statistics.median(times):.0f} ms", f"{1000 * high:.0f} ms")
    return table


def against_table(every: list[list[list[float]]]) -> Table:
    """Each control's median here and there, and the median of the ratios of two turns that follow each other."""
    table = Table(title=f"Control → picture, minilm, {N_TOKENS} tokens", title_justify="left", box=None, pad_edge=False)
    for title in ("page", "control"):
        table.add_column(title)
    for title in ("here", "there", "here / there"):
        table.add_column(title, justify="right", no_wrap=True)
    for control, (here, there) in zip(CONTROLS, every, strict=True):
        ratio = statistics.median(one / other for one, other in zip(here, there, strict=True))
        medians = [f"{1000 * statistics.median(times):.0f} ms" for times in (here, there)]
        table.add_row(control.page, control.name, *medians, f"{ratio:.2f}")
    ratios = [one / other for here, there in every for one, other in zip(here, there, strict=True)]
    table.add_row("all", "", "", "", f"{statistics.median(ratios):.2f}")
    return table


def visits_table(browser: Browser, server: str) -> Table:
    """The first picture of each page."""
    table = Table(title="First picture (≤ 1.5 s)", title_justify="left", box=None, pad_edge=False)
    for title in ("page", "from another page", "new visitor, by link"):
        table.add_column(title, justify="left" if title == "page" else "right")
    for name, title, picture in PAGES:
        fresh, moved = first_visits(browser, server, name, picture, title)
        table.add_row(name, f"{moved:.2f} s", f"{fresh:.2f} s")
    return table


if __name__ == "__main__":
    main()
