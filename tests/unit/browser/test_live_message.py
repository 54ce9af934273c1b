"""The message that the live page makes for its view, against the one that Python makes of the same run."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from attnviz import Intervention, Trace, load
from attnviz.browser.attention_message import pack
from attnviz.browser.framing import read_frame
from attnviz.models.folders import BUNDLED
from attnviz.models.model import Model
from tests.support.live import change_of, weights_of
from tests.support.node import run_node

PACK = """
const { config, json, source, target, change, about } = inputs;
const made = new model.Transformer(config, model.readWeights(config, message));
const read = new tokens.Tokenizer(json);
const encoding = (text) => read.encode(text, config.max_len);
const run = (intervention) => ({
  trace: made.run(encoding(source).ids, target === null ? null : encoding(target).ids, { intervention }),
  encoding: encoding(target ?? source),
  source: encoding(source),
});
const bytes = live_message.pack(run(change), { ...about, before: change && run(null) });
give({ bytes: [...bytes] });
"""
CHANGES: list[Intervention | None] = [
    None,
    Intervention(temperature=0.5, scaled=False, blocked=[(1, 0), (0, 1, 2, 1)], head_scale={(1, 0): 0.0, 1: 1.5}),
    Intervention(mask=("window", 2), layers=(0,), where="decoder"),
    Intervention(mask="none", head_scale={0: 0.0}),
]


def in_page(model: Model, source: str, target: str | None, change: Intervention | None, stack: str) -> bytes:
    inputs = {
        "config": json.loads(model.transformer.config.to_json()),
        "json": json.loads((BUNDLED / model.info.name / "tokenizer.json").read_text()),
        "source": source,
        "target": target,
        "change": change_of(change),
        "about": {"title": model.info.title, "name": model.info.name, "stack": stack},
    }
    return bytes(run_node(PACK, weights_of(model.transformer), inputs)["bytes"])


def same(found: Any, expected: Any, where: str = "") -> None:
    """Headers alike, numbers to six digits."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for name in expected:
            same(found[name], expected[name], f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, one in enumerate(expected):
            same(found[i], one, f"{where}[{i}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6), where
    else:
        assert found == expected, where


def check(model: Model, trace: Trace, before: Trace | None, stack: str, page: bytes) -> None:
    expected, numbers = read_frame(
        pack(trace, title=model.info.title, name=model.info.name, before=before, stack=stack)
    )
    found, floats = read_frame(page)
    same(found, expected)
    assert len(floats) == len(numbers)
    a, b = (np.frombuffer(part, "<f4") for part in (floats, numbers))
    assert np.abs(a - b).max() <= 1e-4


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tales", "The old fox that lived by the river.\nIt saw a bird!"),
        ("induction", "שלום 東京, naïve 😀 " + "word " * 70),
    ],
)
def test_of_a_text(name: str, text: str, change: Intervention | None) -> None:
    model = load(name)
    trace = model.run(text, intervention=change)
    before = None if change is None else model.run(text)
    check(model, trace, before, "self", in_page(model, text, None, change, "self"))


@pytest.mark.parametrize("stack", ["encoder", "self", "cross"])
def test_of_encoder_and_decoder(stack: str) -> None:
    model, change = load("dates"), Intervention(temperature=2.0, where="cross")
    trace, before = (model.run("May 3rd, 1997", "1997-05", intervention=one) for one in (change, None))
    check(model, trace, before, stack, in_page(model, "May 3rd, 1997", "1997-05", change, stack))


def test_a_head_whose_numbers_are_none_is_named() -> None:
    model = load("tales")
    bias = model.transformer.encoder["layers"][1].self_attn.in_proj_bias  # type: ignore[index]
    with torch.inference_mode():
        bias[3] = 3e38
        bias[67] = 3e38
    header, _ = read_frame(in_page(model, "The old fox", None, None, "self"))
    expected, _ = read_frame(pack(model.run("The old fox")))
    assert [one["broken"] for one in header["layers"]] == [one["broken"] for one in expected["layers"]]
