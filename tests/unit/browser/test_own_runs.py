"""Runs of the whole model by the attention view itself: the server's numbers, and when the server runs it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from attnviz import load
from attnviz.browser.attention_message import pack
from attnviz.browser.framing import read_frame
from attnviz.browser.live import model_file
from attnviz.browser.view_state import ViewState
from attnviz.models.model import Model
from tests.support.node import run_node

RUN = """
const made = new session.Session();
made.open(message);
give([...(await made.run(inputs)).message]);
"""
CHANGE = ViewState(whole=True, temperature=0.5, mask="window", window=2)


def retrained() -> Model:
    """A model whose weights float16 does not hold, as one that was trained in a session."""
    model = load("scratch:test")
    generator = torch.Generator().manual_seed(1)
    for x in model.transformer.parameters():
        x.requires_grad_(False).add_(torch.randn(x.shape, generator=generator) / 3)
    return replace(model, info=replace(model.info, name="session:1f", title="Yours 1: a test"))


MODELS = [("tales", "The old fox saw a bird."), ("program:induction", "abcab"), ("retrained", "It is a truth.")]


@pytest.mark.parametrize(("name", "text"), MODELS)
def test_the_message_of_a_run_here_is_the_servers(name: str, text: str) -> None:
    model = retrained() if name == "retrained" else load(name)
    plain, changed = model.run(text), model.run(text, intervention=CHANGE.to_intervention())
    asked = {"text": text, "answer": [], "state": CHANGE.to_dict(), "off": [], "stack": "self", "sampling": 1}
    here, here_numbers = read_frame(bytes(run_node(RUN, model_file(model, exact=True), asked)))
    there, numbers = read_frame(pack(changed, name=model.info.name, before=plain))
    for side in (here, there), (here["before"], there["before"]):
        assert {k: v for k, v in side[0].items() if k not in ("layers", "before")} == {
            k: v for k, v in side[1].items() if k not in ("layers", "before")
        }
    np.testing.assert_allclose(np.frombuffer(here_numbers, "<f4"), np.frombuffer(numbers, "<f4"), atol=1e-4)


def test_only_weights_that_float16_would_round_are_sent_as_float32() -> None:
    model = load("tales")
    assert len(model_file(model, exact=True)) == len(model_file(model))
    model = retrained()
    more = len(model_file(model, exact=True)) - len(model_file(model))
    assert more >= 2 * model.transformer.config.n_parameters


PAGE = """
const log = [], workers = [], before = globalThis.Worker;
globalThis.Worker = class {
  constructor() {
    if (inputs === "no worker") throw new Error("no worker");
    workers.push(this);
  }
  postMessage({number, kind, bytes, asked}) {
    log.push(kind === "open" ? [kind, [...bytes]] : [kind, asked.text, asked.state]);
    this.number = number;
  }
  terminate() { log.push("stopped"); }
  says(answer) { this.onmessage({data: {number: this.number, ...answer}}); }
};
const runs = new own_runs.OwnRuns({
  ask: () => log.push("asks"),
  onMessage: (message) => log.push(["shows", message]),
  onTrouble: () => log.push("trouble"),
});
const payload = Uint8Array.from([0, 0, 59, 7, 8, 9]), file = {worker: [2, 1], model: [3, 3]};
const austen = (text, file = null) => runs.take({name: "austen", text, file}, payload);
"""
READY = PAGE + "austen('a'); runs.want(); austen('a', file); workers[0].says({kind: 'open'}); log.length = 0;"
DONE = "globalThis.Worker = before; give(log);"


def test_the_model_is_asked_for_once_and_runs_the_newest_text_when_it_is_open() -> None:
    script = """
    runs.want(); // before the page has said that there is one
    austen("a", file); // which nobody asked for
    runs.want(); runs.want();
    log.push(runs.run({s: 1}), runs.here);
    austen("a", file);
    log.push(runs.run({s: 2}));
    workers[0].says({kind: "open"});
    austen("b");
    log.push(runs.here, runs.run({s: 3}));
    workers[0].says({kind: "run", message: 5});
    """
    opened = ["asks", False, "", ["open", [7, 8, 9]], False]
    assert run_node(PAGE + script + DONE) == [*opened, ["run", "b", {"s": 3}], "austen", True, ["shows", 5]]


@pytest.mark.parametrize("end", ["workers[0].says({kind: 'run', error: 'x'})", "workers[0].onerror()"])
def test_after_a_fault_the_server_runs_the_model(end: str) -> None:
    script = f"runs.run({{s: 1}}); log.length = 0; {end}; runs.want(); log.push(runs.here, runs.run({{s: 2}}));"
    assert run_node(READY + script + DONE) == ["stopped", "trouble", "", False]


def test_without_workers_the_server_runs_the_model() -> None:
    script = "austen('a'); runs.want(); austen('a', file); log.push(runs.here); runs.want();"
    assert run_node(PAGE + script + DONE, inputs="no worker") == ["asks", "trouble", ""]


def test_another_model_is_asked_for_anew() -> None:
    script = "runs.take({name: 'tales', text: 'a', file: null}, payload); log.push(runs.here); runs.want();"
    assert run_node(READY + script + DONE) == ["stopped", "", "asks"]
    script = "runs.take(null, payload); log.push(runs.here); runs.want();"  # one that only the server runs
    assert run_node(READY + script + DONE) == ["stopped", ""]
