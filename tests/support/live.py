"""A model in the page's JavaScript: run in Node on the weights of one here, for parity with torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import Tensor

from attnviz import Intervention, Trace
from attnviz.nn.transformer import Transformer
from tests.support.node import run_node

RUN = """
const made = new model.Transformer(inputs.config, model.readWeights(inputs.config, message));
const { ids, target, steps, options } = inputs;
let traces = [made.run(ids, target, options)];
for (const step of steps) traces.push(made.step(step, traces.at(-1)));
const parts = [];
const attention = (a) => {
  parts.push(a.q, a.k, a.v, a.z, a.out);
  for (let h = 0; h < a.heads; h++) parts.push(model.weightsOf(a, h));
};
const walk = (trace) => {
  for (const layer of trace.layers) {
    parts.push(layer.residPre, layer.residMid, layer.residPost);
    attention(layer.attention);
    if (layer.cross) attention(layer.cross), parts.push(layer.residCross);
  }
  parts.push(trace.final);
  if (trace.logits) parts.push(trace.logits);
  if (trace.source) walk(trace.source);
};
traces.forEach(walk);
const all = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
let at = 0;
for (const part of parts) all.set(part, at), (at += part.length);
giveFloats(all);
"""

HIDE = "const hidden = globalThis.WebAssembly; delete globalThis.WebAssembly;"
SHOW = "globalThis.WebAssembly = hidden;"


def weights_of(transformer: Transformer) -> bytes:
    """The float32 weights as a safetensors file, a tied output matrix once."""
    weights = dict(transformer.state_dict())
    if transformer.config.head == "lm" and transformer.config.tied:
        del weights["head.out.weight"]
    return save({name: x.detach().contiguous().clone() for name, x in weights.items()})


@cache
def _written(transformer: Transformer) -> bytes:
    return weights_of(transformer)


def in_page(
    transformer: Transformer,
    ids: Sequence[Any],
    target: Sequence[int] | None = None,
    *,
    steps: Sequence[Sequence[int]] = (),
    intervention: Intervention | None = None,
    length: int | None = None,
    target_length: int | None = None,
    without_kernel: bool = False,
) -> np.ndarray:
    """All numbers of the runs in Node, one after the other, as `numbers` puts torch's."""
    options = {"intervention": change_of(intervention), "length": length, "targetLength": target_length}
    config = json.loads(transformer.config.to_json())
    inputs = {"config": config, "ids": list(ids), "target": target, "steps": list(steps), "options": options}
    script = f"{HIDE}try {{ {RUN} }} finally {{ {SHOW} }}" if without_kernel else RUN
    return run_node(script, _written(transformer), inputs)


def change_of(intervention: Intervention | None) -> dict[str, Any] | None:
    """An intervention as intervention.js takes it."""
    if intervention is None:
        return None
    names = ("temperature", "scaled", "mask", "blocked", "positions", "layers", "where")
    return {name: getattr(intervention, name) for name in names} | {"headScale": intervention.head_scale}


def numbers(*traces: Trace, batch: int = 0) -> np.ndarray:
    """Everything that torch computed for one text, in the order of `in_page`."""
    parts: list[Tensor] = []

    def attention(one: Any) -> None:
        assert one is not None and one.out is not None
        parts.extend(x[batch] for x in (one.q, one.k, one.v, one.z, one.out, one.weights))

    def walk(trace: Trace) -> None:
        for layer in trace.layers:
            assert layer.resid_mid is not None
            parts.extend(x[batch] for x in (layer.resid_pre, layer.resid_mid, layer.resid_post))
            attention(layer.attention)
            if layer.cross_attention is not None:
                assert layer.resid_cross is not None
                attention(layer.cross_attention)
                parts.append(layer.resid_cross[batch])
        parts.append(trace.final[batch])
        if trace.logits is not None:
            parts.append(trace.logits[batch])
        if trace.source is not None:
            walk(trace.source)

    for trace in traces:
        walk(trace)
    return np.concatenate([x.detach().numpy().ravel() for x in parts])
