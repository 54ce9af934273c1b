"""Our forward pass in the browser and onnxruntime-web's of the same model, by turns in one page, on one thread each.

onnxruntime-web is for this comparison alone: `npm ci --prefix tests/benchmarks` brings it. Ours is timed as the live
page runs it: in its worker, from the text to the message for the view, which holds the tokens and every query and key.
Theirs is timed from the token ids to the last hidden state, on the ONNX file that `python -m attnviz export` writes.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from attnviz.browser import live
from attnviz.browser.bundle import javascript
from attnviz.browser.view_state import ViewState
from attnviz.models import export
from attnviz.models.model import Model

DISTRIBUTION = Path(__file__).parent / "node_modules/onnxruntime-web/dist"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
HOW_TO = "npm ci --prefix tests/benchmarks brings onnxruntime-web, which stands beside ours in the table"

PAGE = """<!doctype html><title>beside</title><link rel="icon" href="data:,"><script type="module">
import * as ort from "./ort.wasm.min.mjs";
ort.env.wasm.numThreads = 1;
const bytes = async (file) => new Uint8Array(await (await fetch(file)).arrayBuffer());
let session, worker, number = 0;
const ask = (question, given = []) => new Promise((done, failed) => {
  worker.onmessage = ({ data }) => (data.error ? failed(new Error(data.error)) : done(data));
  worker.postMessage({ number: ++number, ...question }, given);
});
window.open_both = async (name) => {
  session = await ort.InferenceSession.create(await bytes(`${name}.onnx`), { executionProviders: ["wasm"] });
  worker?.terminate();
  worker = new Worker("worker.js");
  const file = await bytes(`${name}.attnviz`);
  return (await ask({ kind: "open", bytes: file }, [file.buffer])).about.fast;
};
window.ours = async (asked) => {
  const begin = performance.now();
  await ask({ kind: "run", asked });
  return performance.now() - begin;
};
window.theirs = async (ids) => {
  const tensor = (numbers) => new ort.Tensor("int64", BigInt64Array.from(numbers, BigInt), [1, ids.length]);
  const begin = performance.now();
  await session.run({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) });
  return performance.now() - begin;
};
window.ready = true;
</script>"""


@dataclass(frozen=True)
class Pair:
    """Milliseconds of both: the medians, and the least of each."""

    ours: float
    theirs: float
    least_ours: float
    least_theirs: float

    @property
    def ratio(self) -> float:
        """Of the least times: what else the machine did is in neither."""
        return self.least_ours / self.least_theirs


def prepare(folder: Path, models: Sequence[Model]) -> None:
    """Writes the page and what it needs into a folder for a static host."""
    for name in FILES:
        shutil.copy(DISTRIBUTION / name, folder / name)
    (folder / "index.html").write_text(PAGE)
    (folder / "worker.js").write_text(javascript("model/worker.js"))
    for model in models:
        export.export(model, folder / f"{model.info.name}.onnx")
        (folder / f"{model.info.name}.attnviz").write_bytes(live.model_file(model))


def measured(browser: Browser, address: str, model: Model, texts: Sequence[str], rounds: int) -> Pair:
    """Both on the same texts, by turns."""
    page = browser.new_page()
    page.goto(address)
    page.wait_for_function("window.ready")
    assert page.evaluate("name => open_both(name)", model.info.name), "this browser has no WebAssembly"
    asked = {"answer": [], "state": ViewState(whole=True).to_dict(), "off": [], "stack": "self", "sampling": 1}
    ours, theirs = [], []
    for turn in range(rounds + 3):
        text = texts[turn % len(texts)]
        ours.append(page.evaluate("asked => ours(asked)", asked | {"text": text}))
        theirs.append(page.evaluate("ids => theirs(ids)", list(model.encode(text).ids)))
    page.close()
    ours, theirs = ours[3:], theirs[3:]
    return Pair(statistics.median(ours), statistics.median(theirs), min(ours), min(theirs))
