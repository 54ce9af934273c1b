"""The attention view in a real Chromium, with BertViz's head view beside it: same model, same texts, same run.

    python -m attnviz bench view

BertViz's page asks a CDN for three libraries; they are taken from npm once, and served from here, so that the network
costs it nothing. A time ends with the frame that shows the result. Medians; the app's server is warm, its visitors new.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from playwright.sync_api import Browser, BrowserContext, Error, Page, Route, sync_playwright
from rich.console import Console
from rich.table import Table

import attnviz
from attnviz import preset
from attnviz.browser import report
from attnviz.browser.attention_message import pack
from tests.support.chromium import ROOT, launch, serve

LENGTHS = (64, 128, 512)
PATIENCE = 60  # seconds that a BertViz page has to open
ONE_LINE = "[data-testid=stText]"
SCREEN = {"width": 1440, "height": 900}
LIBRARIES = {  # what BertViz asks the CDN for; jQuery 2.0.0 is not on npm
    "require.min.js": ("requirejs@2.3.6", "require.js"),
    "d3.min.js": ("d3@5.7.0", "dist/d3.min.js"),
    "jquery.min.js": ("jquery@2.1.0", "dist/jquery.min.js"),
}
WORDS = (
    "The animal didn't cross the street because it was too tired, and the driver who had stopped waited a while. "
    "Nobody on the bank of the river knew whether the bank would open before noon. "
)

TOOLS = """
window.bench = {
  all(selector) { // through shadow roots
    const found = [], look = root => {
      found.push(...root.querySelectorAll(selector));
      root.querySelectorAll("*").forEach(node => node.shadowRoot && look(node.shadowRoot));
    };
    look(document);
    return found;
  },
  one(selector) { return bench.all(selector)[0]; },
  painted() { // resolves after the next frame has been painted
    return new Promise(done => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => done(performance.now());
      channel.port2.postMessage(0);
    }));
  },
  async time(act) { // ms from an event, at any point of a frame, to the end of the frame that shows its effect
    await bench.painted();
    await new Promise(done => setTimeout(done, 40 + 17 * Math.random()));
    const start = performance.now();
    act();
    return await bench.painted() - start;
  },
  lastFrame: 0,
};
const nextFrame = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = call => nextFrame(time => { call(time); bench.lastFrame = performance.now(); });
"""

OUR_HOVER = """async n => {
  const canvas = bench.one(".av-matrix canvas.over"), say = bench.one(".av-say"), times = [], said = new Set();
  for (let i = 0; i < n; i++) {
    const box = canvas.getBoundingClientRect(), at = f => 0.3 + 0.6 * ((i * f) % 1);
    const where = {clientX: box.x + box.width * at(0.37), clientY: box.y + box.height * at(0.61)};
    const move = new PointerEvent("pointermove", {...where, pointerType: "mouse", bubbles: true, composed: true});
    times.push(await bench.time(() => canvas.dispatchEvent(move)));
    said.add(say.textContent);
  }
  canvas.dispatchEvent(new PointerEvent("pointerleave"));
  return [times, said.size];
}"""

OUR_SWITCH = """async n => {
  const canvas = bench.one(".av-heads canvas.over"), title = bench.one(".av-matrix h2 span");
  const times = [], seen = new Set(), options = {bubbles: true, composed: true};
  for (let i = 0; i < n; i++) {
    const key = i % 2 ? "ArrowDown" : i % 4 ? "ArrowLeft" : "ArrowRight"; // heads and layers alike
    times.push(await bench.time(() => canvas.dispatchEvent(new KeyboardEvent("keydown", {key, ...options}))));
    seen.add(title.textContent);
  }
  return [times, seen.size];
}"""

OUR_DRAG = """async seconds => {
  const slider = bench.one(".av input[type=range]"), entropy = bench.one(".av-entropy"), seen = new Set();
  const from = Number(slider.min), to = Number(slider.max), start = await bench.painted(), end = start + 1000 * seconds;
  let frames = 0, now = start;
  while (now < end) {
    slider.value = from + (to - from) * (0.3 + 0.28 * Math.sin(frames / 10)); // mostly sharp
    slider.dispatchEvent(new Event("input", {bubbles: true, composed: true}));
    now = await bench.painted();
    frames++;
    seen.add(entropy.textContent);
  }
  slider.value = 0;
  slider.dispatchEvent(new Event("input", {bubbles: true, composed: true}));
  return [1000 * frames / (now - start), seen.size];
}"""

THEIR_HOVER = """async n => {
  const rows = bench.all("#left g > g > rect.background"), times = [];
  for (let i = 0; i < n; i++) {
    const row = rows[(i * 7 + 3) % rows.length];
    times.push(await bench.time(() => row.dispatchEvent(new MouseEvent("mouseover", {bubbles: true}))));
  }
  return times;
}"""

THEIR_SWITCH = """async n => {
  const select = document.querySelector("#layer"), times = [];
  for (let i = 0; i < n; i++) {
    select.value = String(1 + i % 4);
    times.push(await bench.time(() => select.dispatchEvent(new Event("change", {bubbles: true}))));
  }
  return times;
}"""


@dataclass
class Measured:
    """What one length of text gave, times in seconds; None: could not be measured."""

    size: float | None = None  # bytes
    first: float | None = None
    empty: float | None = None  # the same of an app that shows one line of text: what Streamlit itself takes
    again: float | None = None  # the next navigation in the same tab, which has Streamlit's scripts already
    hover: float | None = None
    switch: float | None = None
    frames: float | None = None  # per second while the temperature is dragged
    note: str = ""


def text_of(model: attnviz.Model, n_tokens: int) -> str:
    """A text of exactly so many tokens, special tokens counted."""
    text = WORDS * (n_tokens // 20 + 1)
    encoding = model.tokenizer.encode(text)
    text = text[: encoding.offsets[n_tokens - 2][1]]
    assert len(model.encode(text)) == n_tokens
    return text


# ---- attnviz -----------------------------------------------------------------------------------------


def visit(browser: Browser, address: str, sign: str = ".av-say") -> tuple[float, BrowserContext, Page]:
    """A new visitor: seconds from navigation to the painted view, of which `sign` is the last part to appear."""
    context = browser.new_context(viewport=SCREEN)
    context.add_init_script(TOOLS)
    page = context.new_page()
    return navigate(page, address, sign), context, page


def navigate(page: Page, address: str, sign: str = ".av-say") -> float:
    """Seconds from navigation to the painted view."""
    page.goto(address, wait_until="commit")
    page.wait_for_selector(sign, timeout=60_000)
    seconds: float = page.evaluate("bench.painted()") / 1000
    return seconds


def measure_ours(browser: Browser, address: str, empty: str, model: attnviz.Model, n_tokens: int) -> Measured:
    """Everything about our view at one length, in the app as it is."""
    text = text_of(model, n_tokens)
    link = f"{address}/?{urllib.parse.urlencode({'text': text, 'layer': 2, 'head': 3})}"
    visit(browser, link)[1].close()  # loads the model and runs the text: from here on the server is warm
    visit(browser, empty, ONE_LINE)[1].close()
    first, floor = [], []
    for _ in range(5):
        seconds, context, _ = visit(browser, empty, ONE_LINE)
        floor.append(seconds)
        context.close()
        seconds, context, page = visit(browser, link)
        first.append(seconds)
        if len(first) < 5:
            context.close()
    again = [navigate(page, link) for _ in range(5)]
    chips = page.locator(".av-chip").count()
    assert chips == n_tokens, f"{chips} tokens on the page, not {n_tokens}"
    page.wait_for_timeout(2500)  # the overview of a long text fills in meanwhile
    hover, said = page.evaluate(OUR_HOVER, 40)
    switch, seen = page.evaluate(OUR_SWITCH, 20)
    frames, entropies = page.evaluate(OUR_DRAG, 2)
    assert said > 10 and seen > 4 and entropies > 4, "the view did not follow"
    context.close()
    return Measured(
        len(pack(model.run(text))),
        statistics.median(first),
        statistics.median(floor),
        statistics.median(again),
        statistics.median(hover) / 1000,
        statistics.median(switch) / 1000,
        frames,
    )


def qk_bytes(model: attnviz.Model, n_tokens: int) -> int:
    """Bytes of all queries and keys in the precision in which they are sent."""
    info = model.info
    return info.n_layers * info.d_model * n_tokens * 2 * 4


def overview(browser: Browser, folder: Path) -> float:
    """Seconds from opening a page to all of 12 × 12 heads painted, GPT-2's size with random weights, 128 tokens."""
    torch.manual_seed(0)
    config = preset("gpt", n_layers=12, n_heads=12, d_model=768, d_ff=3072, vocab_size=1000)
    with torch.inference_mode():
        trace = attnviz.Transformer(config).eval()(torch.randint(0, 1000, (1, 128)))
    (folder / "gpt2.html").write_text(report.html(trace), "utf-8")
    seconds = []
    for _ in range(3):
        context = browser.new_context(viewport=SCREEN, bypass_csp=True)
        context.add_init_script(TOOLS)
        page = context.new_page()
        page.goto((folder / "gpt2.html").as_uri())
        quiet = "() => bench.lastFrame > 0 && performance.now() - bench.lastFrame > 500"
        page.wait_for_function(quiet, polling=100)
        seconds.append(page.evaluate("bench.lastFrame") / 1000)
        context.close()
    return statistics.median(seconds)


# ---- BertViz -----------------------------------------------------------------------------------------


def libraries(folder: Path) -> dict[str, bytes]:
    """BertViz's libraries by file name, from npm."""
    found = {}
    for file, (package, path) in LIBRARIES.items():
        name = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True, check=True, timeout=120
        ).stdout.split()[-1]
        with tarfile.open(folder / name) as archive:
            member = archive.extractfile(f"package/{path}")
            assert member is not None
            found[file] = member.read()
    return found


WRITE_BERTVIZ = """
import sys, torch, attnviz
from bertviz import head_view
torch.set_num_threads(1)
trace = attnviz.load("minilm").run(sys.argv[2])
page = head_view(list(trace.attentions), trace.tokens, html_action="return")
open(sys.argv[1], "w", encoding="utf-8").write(page.data)
"""


def measure_bertviz(
    browser: Browser, model: attnviz.Model, n_tokens: int, served: dict[str, bytes], folder: Path
) -> Measured:
    """The same of BertViz, as far as it gets."""
    file = folder / f"bertviz-{n_tokens}.html"
    try:
        command = [sys.executable, "-c", WRITE_BERTVIZ, str(file), text_of(model, n_tokens)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=300, capture_output=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return Measured(note="its page could not be written in 5 minutes and this memory")
    found = Measured(size=file.stat().st_size)

    def answer(route: Route) -> None:
        route.fulfill(body=served[route.request.url.rsplit("/", 1)[1]], content_type="text/javascript")

    first: list[float] = []
    for _ in range(3 if n_tokens <= 64 else 2):
        context = browser.new_context(viewport=SCREEN)
        context.add_init_script(TOOLS)
        page = context.new_page()
        page.route("https://cdnjs.cloudflare.com/**", answer)
        try:
            page.goto(file.as_uri(), wait_until="commit", timeout=PATIENCE * 1000)
            page.wait_for_selector("#attention line", state="attached", timeout=PATIENCE * 1000)
            first.append(page.evaluate("bench.painted()") / 1000)
        except Error as error:
            reason = "the tab crashed" if "crash" in str(error).lower() else f"not open after {PATIENCE} s"
            context.close()
            return Measured(size=found.size, note=reason)
        if len(first) == 1:
            found.hover = statistics.median(page.evaluate(THEIR_HOVER, 7)) / 1000
            found.switch = statistics.median(page.evaluate(THEIR_SWITCH, 3)) / 1000
        context.close()
    found.first = statistics.median(first)
    return found


# ---- the table ---------------------------------------------------------------------------------------


def megabytes(value: float) -> str:
    return f"{value / 1e6:.2f} MB" if value < 1e7 else f"{value / 1e6:.0f} MB"


def seconds(value: float) -> str:
    return f"{value * 1e3:.0f} ms" if value < 0.1 else f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def per_second(value: float) -> str:
    return f"{value:.0f} frames/s"


ROWS: tuple[tuple[str, str, Callable[[float], str], dict[int, str]], ...] = (
    ("message / BertViz's file", "size", megabytes, {64: "≤ 1.1 × q, k", 128: "≤ 1.1 × q, k", 512: "< 6 MB"}),
    ("first view, new visitor", "first", seconds, {64: "≤ 1 s", 128: "≤ 1 s", 512: "≤ 2 s"}),
    ("… of which an empty Streamlit page", "empty", seconds, dict.fromkeys(LENGTHS, "")),
    ("first view, same tab again", "again", seconds, {64: "≤ 1 s", 128: "≤ 1 s", 512: "≤ 2 s"}),
    ("hover to repaint", "hover", seconds, {64: "≤ 16 ms", 128: "≤ 16 ms", 512: "≤ 16 ms"}),
    ("switch head or layer / BertViz's layer", "switch", seconds, {64: "≤ 50 ms", 128: "≤ 50 ms", 512: "≤ 250 ms"}),
    ("temperature drag", "frames", per_second, {64: "60 frames/s", 128: "60 frames/s", 512: "≥ 20 frames/s"}),
)


def print_table(out: Console, ours: dict[int, Measured], theirs: dict[int, Measured]) -> None:
    table = Table(title="The attention view, minilm, 6 × 12 heads", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for title in ("tokens", "wanted", "attnviz", "BertViz 1.4.1", "BertViz / attnviz"):
        table.add_column(title, justify="right", no_wrap=True)
    for title, field, show, wanted in ROWS:
        for n in LENGTHS:
            a, b = getattr(ours[n], field), getattr(theirs[n], field)
            there = show(b) if b is not None else "does not open" if field == "first" and theirs[n].note else "–"
            ratio = f"{b / a:.0f} ×" if a and b and b / a >= 9.5 else f"{b / a:.1f} ×" if a and b else ""
            table.add_row(title if n == LENGTHS[0] else "", str(n), wanted[n], show(a), there, ratio)
    out.print(table)


def main() -> None:
    """Prints the table."""
    out = Console(width=118)
    model = attnviz.load("minilm")
    ours: dict[int, Measured] = {}
    theirs: dict[int, Measured] = {}
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        served = libraries(folder)
        (folder / "empty.py").write_text('import streamlit as st\n\nst.text("One line.")\n', "utf-8")
        with serve() as server, serve(folder / "empty.py") as empty:
            for n in LENGTHS:
                browser = launch(playwright)
                ours[n] = measure_ours(browser, server.address, empty.address, model, n)
                browser.close()
                browser = launch(playwright)
                theirs[n] = measure_bertviz(browser, model, n, served, folder)
                browser.close()
        browser = launch(playwright)
        whole, version = overview(browser, folder), browser.version
        browser.close()
    print_table(out, ours, theirs)
    out.print(f"Chromium {version}, no GPU, {os.cpu_count()} cores, {SCREEN['width']} × {SCREEN['height']}")
    sizes = ", ".join(f"{ours[n].size / qk_bytes(model, n):.3f}" for n in LENGTHS if ours[n].size)
    out.print(f"message / bytes of q and k as sent: {sizes}")
    out.print(f"12 × 12 heads, 128 tokens, random weights: all heads painted after {whole:.2f} s (wanted: ≤ 1 s)")
    for n in LENGTHS:
        if theirs[n].note:
            size = theirs[n].size
            out.print(f"BertViz at {n} tokens: {megabytes(size) + ', ' if size else ''}{theirs[n].note}")


if __name__ == "__main__":
    main()
