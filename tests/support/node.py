"""One Node process for all unit tests of the JavaScript: it evaluates one script after the other."""

from __future__ import annotations

import atexit
import functools
import json
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.browser.bundle import FOLDER

PATIENCE = 120  # seconds that a script may take
# What a script may name: what these modules export is in its scope.
MODULES = {
    "format": "core/format.js",
    "framing": "core/framing.js",
    "bridge": "core/bridge.js",
    "reports": "core/reports.js",
    "contract": "core/contract.js",
    "term_finder": "core/term-finder.js",
    "chart_figure": "widgets/chart-figure.js",
    "chart_paper": "widgets/chart-paper.js",
    "start_place": "widgets/start-place.js",
    "unpack": "attention/unpack.js",
    "maths": "attention/exponentials.js attention/items.js attention/masks.js attention/maths.js attention/entropy.js",
    "scores": "attention/scores.js",
    "why": "attention/selectors-why.js",
    "asking": "attention/store.js attention/shown.js attention/asking.js",
    "say": "attention/say.js",
    "files": "attention/export.js",
    "own_runs": "attention/own-runs.js",
    "read": "provenance/read.js",
    "terms": "provenance/terms.js",
    "grid": "provenance/grid.js",
    "edit": "provenance/edit.js",
    "steps": "provenance/steps.js",
    "panel": "provenance/panel.js",
    "sentences": "provenance/sentences.js",
    "digits": "provenance/digits.js",
    "provenance_view": "provenance/view.js",
    "safetensors": "model/safetensors.js",
    "kernel": "model/kernel.js",
    "live_message": "model/message.js",
    "live_link": "live/view-link.js live/address.js",
    "live_picture": "live/picture-text.js widgets/patch-rows.js",
    "session": "model/session.js",
    "tokens": "model/tokenizer.js model/token-columns.js",
    "model_positions": "model/positions.js",
    "model": "model/transformer.js model/weights.js model/attention.js model/matrix.js model/functions.js",
}


class NodeError(AssertionError):
    """What a script threw, with its stack."""


def run_node(script: str, message: bytes = b"", inputs: Any = None) -> Any:
    """What a script hands to `give` (any JSON; NaN and ∞ come by name) or to `giveFloats` (a float32 array).

    In its scope: MODULES; `message`, a Uint8Array; `inputs`, from JSON. Errors: NodeError for what it throws.
    """
    modules = {
        name: [(FOLDER / file).as_uri() for file in files.split()]
        for name, files in MODULES.items()
        if re.search(rf"\b{name}\b", script)
    }
    job = {"script": script, "modules": modules, "inputs": inputs, "bytes": len(message)}
    kind, body = _answer(json.dumps(job).encode() + b"\n" + message)
    if kind == "error":
        raise NodeError(body.decode("utf-8", "replace"))
    return np.frombuffer(body, "<f4") if kind == "floats" else json.loads(body)


def _answer(job: bytes) -> tuple[str, bytes]:
    node = _process()
    assert node.stdin is not None and node.stdout is not None
    alarm = threading.Timer(PATIENCE, node.kill)
    alarm.start()
    try:
        node.stdin.write(job)
        node.stdin.flush()
        head = json.loads(node.stdout.readline())
        return head["kind"], node.stdout.read(head["bytes"])
    except (OSError, ValueError) as ended:
        _process.cache_clear()  # the next script starts another one
        raise NodeError(f"Node has ended, or took longer than {PATIENCE} s") from ended
    finally:
        alarm.cancel()


@functools.cache
def _process() -> subprocess.Popen[bytes]:
    harness = Path(__file__).with_suffix(".mjs")
    node = subprocess.Popen(["node", str(harness)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(node.kill)
    return node
