"""The live page in another engine: Firefox opens it from disk, and its numbers are the library's."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz import Intervention, load
from attnviz.browser import drawings, live
from attnviz.browser.attention_message import pack
from attnviz.browser.framing import read_frame
from attnviz.browser.view_state import ViewState
from attnviz.formatting import percent
from tests.support.firefox import BINARY, firefox

TEXT = "The old fox that lived by the river saw a bird."
CLOSE = 1e-4

READY = """
const done = arguments[arguments.length - 1];
const look = () => {
  const root = document.getElementById("attnviz-live");
  const trouble = document.getElementById("live-trouble").textContent;
  if (!root.dataset.ready && !trouble) return setTimeout(look, 50);
  const { ready, fast } = root.dataset;
  const [chips, said] = [".av-chip", ".av-say"].map((what) => [...document.querySelectorAll(what)]);
  done({ ready, fast, trouble, chips: chips.map((one) => one.textContent), said: said[0]?.textContent,
         answer: document.getElementById("live-answer").textContent });
};
look();
"""
# the page's own worker, asked once more
ASK = """
const [name, asked, done] = arguments;
const source = document.getElementById("attnviz-worker").textContent;
const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
const held = atob(document.getElementById(`attnviz-model-${name}`).textContent.trim());
const bytes = Uint8Array.from(held, (one) => one.charCodeAt(0));
worker.onmessage = ({ data }) => {
  if (data.error) return done(data.error);
  if (data.kind === "open") return worker.postMessage({ number: 2, kind: "run", asked });
  let text = "";
  for (const byte of data.message) text += String.fromCharCode(byte);
  done(btoa(text));
};
worker.postMessage({ number: 1, kind: "open", bytes });
"""


def asked(text: str, view: ViewState, **more: Any) -> dict[str, Any]:
    return {"text": text, "answer": [], "state": view.to_dict(), "off": [], "stack": "self", "sampling": 1} | more


@pytest.mark.nightly
@pytest.mark.skipif(BINARY is None, reason="there is no Firefox here")
def test_firefox_computes_what_torch_computes(tmp_path: Path) -> None:
    path = tmp_path / "live.html"
    names = ("tales", "austen", "dates", "digits")
    live.write_file(path, [load(name) for name in names])
    with firefox() as browser:
        browser.go(path.as_uri() + "#model=tales&layer=2&head=1&q=4&k=3")
        shown = browser.run(READY)
        trace = load("tales").run(live.FIRST["tales"])
        assert shown["trouble"] == "" and shown["fast"] == "true"
        assert shown["chips"] == list(trace.encodings[0].labels)
        assert percent(float(trace.layers[2].attention.weights[0, 1, 4, 3])) in shown["said"]
        for name in ("tales", "austen"):
            for view, off in ((ViewState(), []), (ViewState(whole=True, temperature=0.5, mask="none"), [[0, 1]])):
                change = Intervention(
                    temperature=view.temperature,
                    mask="none" if view.whole else None,
                    head_scale={(0, 1): 0.0} if off else (),
                )
                model = load(name)
                expected = pack(model.run(TEXT, intervention=change), before=model.run(TEXT) if view.whole else None)
                found = base64.b64decode(browser.run(ASK, name, asked(TEXT, view, off=off)))
                (ours, a), (theirs, b) = read_frame(found), read_frame(expected)
                assert ours["tokens"] == theirs["tokens"] and ours["intervention"] == theirs["intervention"]
                assert np.abs(np.frombuffer(a, "<f4") - np.frombuffer(b, "<f4")).max() <= CLOSE
        browser.go("about:blank")
        browser.go(path.as_uri() + f"#model=digits&drawing={drawings.FIRST}")
        assert "The writer meant a 3, so it is right" in browser.run(READY)["answer"]
        browser.go("about:blank")
        browser.go(path.as_uri() + "#model=dates&text=May+3rd%2C+1997")
        browser.run(READY)
        said = "arguments[arguments.length - 1](document.getElementById('live-said').textContent)"
        assert browser.run(said) == "1997-05-03"
