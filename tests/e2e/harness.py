"""What the tests in Chromium share: the page that holds only the view, and reading it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page

from attnviz import Trace

QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
SENTENCE = "The animal didn't cross the street because it was too tired."
HARNESS = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>view</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/core/palette.css">
<link rel="stylesheet" href="/attention/view.css">
<style>body{margin:0;padding:16px;background:#fff}@media(prefers-color-scheme:dark){body{background:#14171D}}</style>
</head><body><main id="root"></main><script type="module">
import {mount} from "/attention/view.js";
const {state, live, standalone} = await (await fetch("/options.json")).json();
window.load = async (n) => new Uint8Array(await (await fetch(`/message-${n}.bin`)).arrayBuffer());
window.states = []; window.exports = [];
window.mounted = mount(document.getElementById("root"), {
  message: await window.load(0), state,
  onState: (s) => window.states.push(s), onRun: live ? () => {} : null,
  onExport: standalone ? null : (kind) => window.exports.push(kind)});
window.view = window.mounted.view;
</script></body></html>"""
TYPES = {".js": "text/javascript", ".css": "text/css"}


def relabelled(trace: Trace, labels: list[str]) -> Trace:
    """The same numbers under other token labels."""
    encoding = trace.encodings[0]
    assert len(labels) == len(encoding)
    renamed = dataclasses.replace(
        encoding,
        labels=tuple(labels),
        tokens=tuple(labels),
        words=tuple(range(len(labels))),
        special=(False,) * len(labels),
    )
    return dataclasses.replace(trace, encodings=(renamed,))


def settle(page: Page) -> None:
    """Until all that was marked is painted: two frames, more after a slider, which paints in turn."""
    page.evaluate("""async () => {
      const frame = () => new Promise(requestAnimationFrame);
      await frame();
      do await frame(); while (window.view?.dirty.size || window.view?.later.size);
    }""")


def state_of(page: Page) -> dict[str, Any]:
    """The state that the view holds now."""
    return json.loads(page.evaluate("JSON.stringify(window.view.state)"))


WIDTHS = ((1440, 900), (900, 900), (390, 844))
# Until nothing has changed its size for ten frames: pictures follow their columns a little later.
_STILL = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const parts = "[data-testid=stMain], .js-plotly-plot, [class*=av-], .aw";
  const sizes = () => JSON.stringify([...document.querySelectorAll(parts)]
    .map(e => [e.scrollWidth, e.clientWidth, e.scrollHeight]));
  for (let same = 0, before = ""; same < 10; await frame()) {
    const now = sizes();
    same = now === before ? same + 1 : 0;
    before = now;
  }
}"""


def at_widths(page: Page, *sizes: tuple[int, int]) -> Iterator[int]:
    """The widths of a projector, a small window and a phone (or those given), the page laid out at each."""
    for width, height in sizes or WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        still(page)
        yield width


def still(page: Page) -> None:
    """Until everything has found its place: what is measured then stays where it is."""
    page.evaluate(_STILL)


def sideways(page: Page) -> int:
    """By how many pixels the page scrolls sideways."""
    return int(page.locator("[data-testid=stMain]").evaluate("e => e.scrollWidth - e.clientWidth"))
