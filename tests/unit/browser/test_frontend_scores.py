"""Scores of heads, worked out in the browser, against torch; and scores that a page sends."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attnviz import InvalidParameterError, Mask, ShapeError
from attnviz.browser.attention_message import pack
from tests.support.node import run_node
from tests.support.traces import attention, encoding_of, trace_of

LABELS = ["[CLS]", "a", "b", "a", "b", "c", "a", "[SEP]"]
SPECIAL = [True, *[False] * 6, True]
TEXT = encoding_of(LABELS, special=SPECIAL)
ALL_SCORES = """
const model = unpack.unpack(message), found = {};
for (const score of scores.scoreTable(model)) {
  const of = (l, h) => scores.scoreHead(model, score, maths.weights(model, l, h, inputs || {}));
  const value = (l, h) => score.kind === "given" ? score.values[l][h] : of(l, h);
  found[score.name] = model.layers.map((layer, l) => Array.from({length: layer.heads}, (_, h) => value(l, h)));
}
give(found);
"""
MASKS = {
    "none": Mask(),
    "causal": Mask(causal=True),
    "window": Mask(window=1),
    "padding": Mask(lengths=(6,)),
    "empty rows": Mask(dense=torch.ones(8, 8, dtype=torch.bool).tril(-3)),
}


def targets(name: str, i: int) -> list[int]:
    """The keys that a score counts for query i, from the definition."""
    n, special = len(LABELS), [j for j in range(len(LABELS)) if SPECIAL[j]]
    copies = [j for j in range(i) if LABELS[j] == LABELS[i] and not SPECIAL[i]]
    found = {
        "previous": [i - 1],
        "next": [i + 1],
        "self": [i],
        "first": [0],
        "special": special,
        "induction": [j + 1 for j in copies if j + 1 < i and not SPECIAL[j + 1]],
    }[name]
    return [j for j in found if 0 <= j < n]


def share(w: Tensor, name: str) -> float:
    """Weight w (T, S) on the targets, mean over the queries that have one and see anything."""
    rows = [i for i in range(len(w)) if targets(name, i) and float(w[i].sum()) > 0]
    return sum(float(w[i, targets(name, i)].double().sum()) for i in rows) / len(rows)


def bits(w: Tensor) -> float:
    rows = w[w.sum(-1) > 0].double()
    return float(-(rows * rows.clamp_min(1e-300).log2()).sum(-1).mean())


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_scores_against_torch(mask: Mask) -> None:
    layers = [attention(8, seed=seed, size=2.0, mask=mask) for seed in range(2)]
    found: dict[str, Any] = run_node(ALL_SCORES, pack(trace_of(*layers, encodings=(TEXT,))))
    names = ["entropy", "previous", "next", "self", "first", "special", "induction"]
    assert list(found) == [name for name in names if name != "next" or not mask.causal]
    for name, values in found.items():
        expected = [[bits(w) if name == "entropy" else share(w, name) for w in layer.weights[0]] for layer in layers]
        np.testing.assert_allclose(values, expected, atol=1e-5, err_msg=name)


def test_scores_follow_the_settings() -> None:
    layer = attention(8, seed=3)
    found = run_node(ALL_SCORES, pack(trace_of(layer, encodings=(TEXT,))), {"temperature": 0.2})
    sharp = (layer.scores[0] / 0.2).softmax(-1)
    np.testing.assert_allclose(found["entropy"][0], [bits(w) for w in sharp], atol=1e-4)
    np.testing.assert_allclose(found["previous"][0], [share(w, "previous") for w in sharp], atol=1e-5)


def test_only_what_the_text_and_the_sides_allow() -> None:
    plain = encoding_of(list("abcdefgh"))
    assert list(run_node(ALL_SCORES, pack(trace_of(attention(8), encodings=(plain,))))) == [
        "entropy",
        "previous",
        "next",
        "self",
        "first",
    ]
    source = trace_of(attention(5), encodings=(encoding_of(list("vwxyz")),))
    crossed = trace_of(attention(8, 5), cross=True, source=source, encodings=(plain,))
    assert list(run_node(ALL_SCORES, pack(crossed, stack="cross"))) == ["entropy", "first"]


def test_rows_that_are_not_numbers_do_not_count() -> None:
    layer = attention(8)
    layer.q[0, 1, 2] = math.nan
    found = run_node(ALL_SCORES, pack(trace_of(layer, encodings=(TEXT,))))
    w = layer.weights[0, 1].nan_to_num(0.0)
    assert found["self"][0][1] == pytest.approx(share(w, "self"), abs=1e-5)
    layer.q[0, 1] = math.nan
    assert run_node(ALL_SCORES, pack(trace_of(layer, encodings=(TEXT,))))["self"][0][1] == "NaN"


def test_scores_of_the_page_come_along() -> None:
    trace = trace_of(attention(8), attention(8, seed=1), encodings=(TEXT,))
    values = torch.tensor([[0.5, -1.25, math.nan], [3.0, math.inf, 1e-7]])
    found = run_node(ALL_SCORES, pack(trace, scores={"ablation-effect": values}))
    assert found["ablation-effect"] == [[0.5, -1.25, None], [3.0, None, pytest.approx(1e-7)]]


RANKED = """
const kind = inputs.kind, values = inputs.values.map(v => v === "NaN" ? NaN : v);
give(scores.rankHeads([...values.keys()], {kind}, k => values[k]));
"""


@pytest.mark.parametrize(("kind", "order"), [("share", [3, 0, 4, 1, 2, 5]), ("bits", [1, 0, 4, 3, 2, 5])])
def test_largest_first_of_entropy_the_sharpest_and_unknown_last(kind: str, order: list[int]) -> None:
    assert run_node(RANKED, inputs={"kind": kind, "values": [2, 1, "NaN", 3, 2, None]}) == order


@pytest.mark.parametrize("name", ["Entropy", "two words", "", "x" * 33, "entropy", "layer", "weights"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError, match="scores"):
        pack(trace_of(attention()), scores={name: np.zeros((1, 3))})


def test_every_name_of_the_browsers_own_scores_is_refused() -> None:
    trace = trace_of(attention(8), encodings=(TEXT,))
    for own in run_node(ALL_SCORES, pack(trace)):
        with pytest.raises(InvalidParameterError, match="scores"):
            pack(trace, scores={own: np.zeros((1, 3))})


def test_the_shape_is_checked() -> None:
    with pytest.raises(ShapeError, match=r"\(3, 1\), not \(L, H\) = \(1, 3\)"):
        pack(trace_of(attention()), scores={"x": np.zeros((3, 1))})
