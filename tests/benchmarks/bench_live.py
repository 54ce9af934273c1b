"""The live page in a real Chromium: a key to the new picture, typing, memory; torch and onnxruntime-web beside it.

    python -m attnviz bench live

A time of a key goes from the input event to the frame that shows the result. In each round the page's key is timed and
then torch's forward pass of the same text on one thread, so that a busy machine slows both. Medians, the least in
brackets. The work of the main thread is processor time, in which other work on the machine does not count. Where it
may (as root on Linux), typing and the keys of the bundled models are measured once more in a browser that runs before
all other processes, as on a machine that has nothing else to do.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import tempfile
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

import attnviz
from attnviz.browser import live
from attnviz.models.model import Model
from tests.benchmarks import beside_onnx
from tests.support.chromium import launch

ROUNDS = 15
BESIDE_ROUNDS = 25
SCREEN = {"width": 1440, "height": 900}
WORDS = "the animal did not cross the street because it was too tired and the man who had seen it waited a while "
KEYS_A_SECOND = 8

TOOLS = """
window.bench = {
  painted: () => new Promise((done) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(0);
  })),
  type(text) {
    const area = document.getElementById("live-text");
    area.value = text;
    area.dispatchEvent(new Event("input"));
  },
  async key(text) {
    const root = document.getElementById("attnviz-live"), before = Number(root.dataset.ready);
    const begin = performance.now();
    bench.type(text);
    await new Promise((done) => new MutationObserver((_, observer) => {
      if (Number(root.dataset.ready) === before) return;
      observer.disconnect();
      done();
    }).observe(root, { attributes: true }));
    await bench.painted();
    return performance.now() - begin;
  },
  async typing(text, pause) { // the longest gap between two frames, ms
    let longest = 0, last = performance.now(), going = true;
    const frame = (now) => {
      longest = Math.max(longest, now - last);
      last = now;
      if (going) requestAnimationFrame(frame);
    };
    requestAnimationFrame((now) => { last = now; requestAnimationFrame(frame); });
    for (let n = 24; n > 0; n--) {
      bench.type(text.slice(0, text.length - n));
      await new Promise((done) => setTimeout(done, pause));
    }
    going = false;
    return longest;
  },
};
"""


def text_of(model: Model, n: int) -> str:
    """About n tokens, cut at a word."""
    words = (WORDS * 8).split()
    while len(model.encode(" ".join(words))) > n:
        words.pop()
    return " ".join(words)


def opened(browser: Browser, address: str) -> tuple[Page, float]:
    """The page, and seconds from the navigation to the first painted view."""
    page = browser.new_context(viewport=SCREEN).new_page()
    begin = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("#attnviz-live[data-ready]")
    seconds = time.perf_counter() - begin
    page.evaluate(TOOLS)
    return page, seconds


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a static host of a folder, as `python -m http.server` is one."""
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    host = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(folder)))
    threading.Thread(target=host.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{host.server_port}"
    host.shutdown()


def texts_of(model: Model, n: int) -> list[str]:
    """Three of about n tokens that differ in their last word."""
    return [f"{text_of(model, n - 2)} {end}" for end in ("cat", "dog", "sun")]


@dataclass(frozen=True)
class Keys:
    """Milliseconds: a key to the new picture, its median and the least; torch's forward pass on one thread."""

    median: float
    least: float
    torch: float
    tokens: int

    @property
    def row(self) -> tuple[str, str]:
        """The page's times, and the ratio to torch's."""
        return f"{self.median:.0f} ({self.least:.0f}) ms", f"{self.median / self.torch:.1f}"


def keys(page: Page, model: Model, n: int) -> Keys:
    """Both by turns."""
    texts = texts_of(model, n)
    ids = [torch.tensor([model.encode(text).ids]) for text in texts]
    ours, torchs = [], []
    for turn in range(ROUNDS + 2):
        text, its = texts[turn % 3], ids[turn % 3]
        ours.append(page.evaluate("text => bench.key(text)", text))
        begin = time.perf_counter()
        with torch.inference_mode():
            model.transformer(its)
        torchs.append(1e3 * (time.perf_counter() - begin))
    return Keys(statistics.median(ours[2:]), min(ours[2:]), statistics.median(torchs[2:]), ids[0].shape[1])


def work_while_typing(browser: Browser, page: Page, model: Model) -> tuple[float, float]:
    """Ms of processor time of the main thread while a text is typed: its longest task, the most between two frames."""
    browser.start_tracing(page=page, categories=["toplevel", "cc"])
    page.evaluate(*typing_of(model))
    events = json.loads(browser.stop_tracing())["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    drawn = [e for e in events if e["name"] == "ProxyMain::BeginMainFrame"]
    ((main, _),) = Counter((e["pid"], e["tid"]) for e in drawn).most_common(1)
    assert names[main] == "CrRendererMain"
    frames = sorted(e["ts"] for e in drawn if (e["pid"], e["tid"]) == main)
    between = [0.0] * (len(frames) + 1)
    longest = 0.0
    for e in events:
        if e["name"] == "ThreadControllerImpl::RunTask" and (e["pid"], e["tid"]) == main:
            took = e.get("tdur", 0) / 1000
            between[bisect_left(frames, e["ts"])] += took  # the frame's own task begins before it
            longest = max(longest, took)
    return longest, max(between)


def put_first(browser: Browser) -> bool:
    """Lets the browser's processes run before all others; false where that is not allowed."""
    try:
        for one in processes_of(browser):
            for thread in Path(f"/proc/{one['id']}/task").iterdir():
                os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True


def rows_before_all_others(browser: Browser, single: Path, bundled: Sequence[Model]) -> Iterator[tuple[str, ...]]:
    """Rows of the table: the same again, before all other processes; of three times typing, the longest frame."""
    page, _ = opened(browser, single.as_uri())
    if not put_first(browser):
        return
    longest = max(page.evaluate(*typing_of(bundled[0])) for _ in range(3))
    yield "before all others: Austen, longest frame", "64", "≤ 50 ms", f"{longest:.0f} ms"
    for model in bundled:
        page, _ = opened(browser, f"{single.as_uri()}#model={model.info.name}")
        put_first(browser)
        texts = texts_of(model, 64)
        times = [page.evaluate("text => bench.key(text)", texts[turn % 3]) for turn in range(ROUNDS + 2)][2:]
        measured = f"{statistics.median(times):.0f} ({min(times):.0f}) ms"
        row, tokens = f"before all others: {model.info.title}, key to new picture", len(model.encode(texts[0]))
        yield row, str(tokens), "≤ 50 ms", measured


def typing_of(model: Model) -> tuple[str, list[object]]:
    """What the page is to evaluate: a text of 64 tokens, typed."""
    return "([text, pause]) => bench.typing(text, pause)", [text_of(model, 64), 1000 / KEYS_A_SECOND]


def beside_table(browser: Browser, models: Sequence[tuple[Model, Sequence[int]]]) -> Table:
    """Our forward pass in the browser and onnxruntime-web's, of models at numbers of tokens."""
    title = f"Forward pass in the browser, one thread: medians of {BESIDE_ROUNDS} turns (the least)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for title in ("", "tokens", "ours", "onnxruntime-web", "ours / theirs, of the least"):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        beside_onnx.prepare(Path(folder), [model for model, _ in models])
        with serving(Path(folder)) as address:
            for model, n in ((model, n) for model, sizes in models for n in sizes):
                texts = texts_of(model, n)
                pair = beside_onnx.measured(browser, address, model, texts, BESIDE_ROUNDS)
                ours = f"{pair.ours:.0f} ({pair.least_ours:.1f}) ms"
                theirs = f"{pair.theirs:.0f} ({pair.least_theirs:.1f}) ms"
                tokens = str(len(model.encode(texts[0])))
                ratio = f"{pair.ratio:.2f}" + (" (≤ 1.5)" if model.info.name == "minilm" else "")
                table.add_row(model.info.title, tokens, ours, theirs, ratio)
    return table


def processes_of(browser: Browser) -> list[dict[str, Any]]:
    """This browser's processes, by id and type."""
    found: list[dict[str, Any]] = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return found


def memory_of_tab(browser: Browser) -> float:
    """MB that this browser's largest renderer holds by itself."""
    found = []
    for one in processes_of(browser):
        if one["type"] == "renderer":
            rollup = Path(f"/proc/{one['id']}/smaps_rollup").read_text()
            found.append(sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")))
    return max(found) / 1024


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    out, table = Console(width=118), Table(title="The live page", title_justify="left", box=None, pad_edge=False)
    for title in ("", "tokens", "wanted", "measured", "torch, one thread", "page / torch"):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    bundled, minilm = [attnviz.load(name) for name in live.MODELS], attnviz.load("minilm")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        single = Path(folder) / "live.html"
        size = live.write_file(single, bundled)
        live.write_folder(Path(folder) / "site", [*bundled, minilm])
        browser = launch(playwright)
        first = [opened(browser, single.as_uri())[1] for _ in range(5)]
        table.add_row("single file", "", "≤ 9 MB", f"{size / 1e6:.1f} MB", "", "")
        table.add_row(
            "opening it, to the first painted view", "", "≤ 1.0 s", f"{statistics.median(first):.2f} s", "", ""
        )
        for model in bundled[:3]:
            page, _ = opened(browser, f"{single.as_uri()}#model={model.info.name}")
            found = keys(page, model, 64)
            row = f"{model.info.title}, key to new picture"
            measured, ratio = found.row
            table.add_row(row, str(found.tokens), "≤ 50 ms", measured, f"{found.torch:.1f} ms", ratio)
        page, _ = opened(browser, single.as_uri())
        longest = page.evaluate(*typing_of(bundled[0]))
        row = f"Austen, {KEYS_A_SECOND} keys a second: longest frame"
        table.add_row(row, "64", "≤ 50 ms", f"{longest:.0f} ms", "", "")
        task, between = work_while_typing(browser, page, bundled[0])
        table.add_row("the same: work of the main thread between frames", "64", "≤ 50 ms", f"{between:.0f} ms", "", "")
        table.add_row("the same: its longest task", "64", "≤ 50 ms", f"{task:.0f} ms", "", "")
        for cells in rows_before_all_others(browser, single, bundled[:3]):
            table.add_row(*cells, "", "")
        browser.close()
        browser = launch(playwright)
        with serving(Path(folder) / "site") as address:
            page, _ = opened(browser, f"{address}/#model=minilm")
        for n, wanted in ((16, 120), (32, 200), (128, 900)):
            found = keys(page, minilm, n)
            measured, ratio = found.row
            beside = f"{found.torch:.0f} ms", f"{ratio} (≤ 4)"
            table.add_row("MiniLM, key to new picture", str(found.tokens), f"≤ {wanted} ms", measured, *beside)
        table.add_row("MiniLM, memory of the tab", "", "≤ 400 MB", f"{memory_of_tab(browser):.0f} MB", "", "")
        version = browser.version
        browser.close()
        out.print(table)
        if beside_onnx.DISTRIBUTION.is_dir():
            browser = launch(playwright)
            out.print(beside_table(browser, [*((one, (64,)) for one in bundled[:3]), (minilm, (16, 32, 128))]))
            browser.close()
        else:
            out.print(beside_onnx.HOW_TO)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    out.print(
        f"Chromium {version}, no GPU, {os.cpu_count()} cores, load {load}, {SCREEN['width']} × {SCREEN['height']}"
    )


if __name__ == "__main__":
    main()
