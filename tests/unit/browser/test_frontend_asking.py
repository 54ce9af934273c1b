"""What the view asks of all heads, a pair or a token, against torch's weights and the rollout of `analysis`."""

from typing import Any

import numpy as np
import pytest
import torch

from attnviz import AttentionTrace, Mask, Trace
from attnviz.analysis.rollout import rolled_out
from attnviz.browser.attention_message import pack
from tests.support.node import run_node
from tests.support.traces import attention, encoding_of, trace_of

LABELS = ["[CLS]", "un", "likely", "it", "a", "fits", "a", "[SEP]"]
WORDS = [None, 0, 0, 1, 2, 3, 4, None]
SPECIAL = [True, *[False] * 6, True]
TEXT = encoding_of(LABELS, words=WORDS, special=SPECIAL)
JOINED = [[0], [1, 2], [3], [4], [5], [6], [7]]
ASK = """
const store = new asking.Store({model: unpack.unpack(message), state: inputs});
const shown = new asking.Shown(store), ask = new asking.Asking(store, shown);
let steps = 0;
while (!ask.done) { ask.work(0); steps++; }
give({answers: ask.answers, ranked: ask.ranked(), reached: ask.reached(99), question: ask.question, steps});
"""
MASKS = {
    "none": Mask(),
    "causal": Mask(causal=True),
    "window": Mask(window=2),
    "padding": Mask(lengths=(6,)),
    "dense": Mask(dense=torch.rand(8, 8, generator=torch.Generator().manual_seed(0)) > 0.4),
}


def layers_of(mask: Mask) -> list[AttentionTrace]:
    return [attention(8, seed=seed, size=2.0, mask=mask) for seed in range(2)]


def ask(trace: Trace, **state: Any) -> dict[str, Any]:
    found: dict[str, Any] = run_node(ASK, pack(trace), state)
    return found


def even(layer: AttentionTrace) -> torch.Tensor:
    """The weights of attention that looks at all alike: (T, T)."""
    keep = torch.ones(8, 8) if layer.keep is None else layer.keep.expand(1, 3, 8, 8)[0, 0].float()
    return keep / keep.sum(dim=-1, keepdim=True).clamp_min(1)


ENTROPY = """
const text = (node) => (typeof node === "string" ? node : node.children.map(text).join(""));
const element = () => ({children: [], append(...more) { this.children.push(...more); }, setAttribute() {}});
globalThis.document = {createElement: element};
const shown = new asking.Shown(new asking.Store({model: unpack.unpack(message), state: inputs}));
const rows = say.entropyNodes(shown.scene, shown.spread, shown.means(), "tokens")[1].children.flat();
delete globalThis.document; // the tests share one process
give(rows.map((row) => row.children.flat().map(text)));
"""


def counted(run_with: Mask, **state: Any) -> list[str]:
    """What the table says of the row of “it” and of the head: the second column."""
    trace = trace_of(attention(8, size=2.0, mask=run_with), encodings=(TEXT,))
    return [row[1] for row in run_node(ENTROPY, pack(trace), {"queries": [3], **state})]


@pytest.mark.parametrize(
    ("mask", "row", "head"),
    [
        ("none", " of 8", " of 8"),
        ("causal", " of 4 allowed", " of 1–8 allowed"),
        ("window", " of 5 allowed", " of 3–5 allowed"),
        ("padding", " of 6 allowed", " of 6 allowed"),
    ],
)
def test_the_effective_number_of_tokens_is_told_of_those_that_a_row_may_see(mask: str, row: str, head: str) -> None:
    weights = attention(8, size=2.0, mask=MASKS[mask]).weights[0, 0]
    bits = -(weights * weights.log2()).nan_to_num(0.0).sum(dim=-1)
    assert counted(MASKS[mask]) == [f"{2 ** float(bits[3]):.1f}{row}", f"{2 ** float(bits.mean()):.1f}{head}"]


def test_hidden_tokens_and_joined_words_count_as_they_are_seen() -> None:
    causal = MASKS["causal"]
    assert counted(causal, hide=True)[0].endswith(" of 4 allowed")  # [CLS] still takes its share
    assert counted(causal, hide=True, renormalise=True)[0].endswith(" of 3 allowed")
    assert counted(causal, join=True)[0].endswith(" of 3 allowed")  # “un” and “likely” are one word
    assert counted(MASKS["none"], mask="causal")[0].endswith(" of 4 allowed")


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_a_pair_is_the_cell_of_every_head(mask: Mask) -> None:
    layers = layers_of(mask)
    found = ask(trace_of(*layers, encodings=(TEXT,)), queries=[3], key=1)
    expected = torch.cat([layer.weights[0, :, 3, 1] for layer in layers])
    np.testing.assert_allclose([one["value"] for one in found["answers"]], expected, atol=1e-6)
    chances = [float(even(layer)[3, 1]) for layer in layers for _ in range(3)]
    np.testing.assert_allclose([one["chance"] for one in found["answers"]], chances, atol=1e-6)
    assert found["ranked"] == sorted(range(6), key=lambda k: -expected[k])
    assert found["reached"] == [] and found["steps"] == 6


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("state", [{"queries": [2]}, {"side": "k", "key": 2}])
def test_a_token_is_seen_by_those_that_may(mask: Mask, state: dict[str, Any]) -> None:
    layers = layers_of(mask)
    found = ask(trace_of(*layers, encodings=(TEXT,)), **state)
    for number, layer in enumerate(layers):
        alike = even(layer)[:, 2]
        rows = [i for i in range(8) if i != 2 and alike[i] > 0]
        for head in range(3):
            answer = found["answers"][3 * number + head]
            assert answer["value"] == pytest.approx(float(layer.weights[0, head, rows, 2].mean()), abs=1e-6)
            assert answer["chance"] == pytest.approx(float(alike[rows].mean()), abs=1e-6)
    has = rolled_out([layer.weights for layer in layers])[-1, 0, :, 2].double()
    told = dict(map(tuple, found["reached"]))
    assert set(told) == {i for i in range(8) if i != 2 and has[i] > 0}
    np.testing.assert_allclose(list(told.values()), [float(has[i]) for i in told], atol=1e-6)
    assert list(told.values()) == sorted(told.values(), reverse=True)


def test_words_take_their_pieces_together_and_hidden_tokens_are_left_out() -> None:
    (layer,) = [attention(8, seed=4, size=2.0)]
    trace = trace_of(layer, encodings=(TEXT,))
    w = layer.weights[0].double()
    joined = ask(trace, join=True, queries=[1], key=3)["answers"]  # "unlikely" to "it"
    np.testing.assert_allclose([one["value"] for one in joined], w[:, 1:3, 3].mean(dim=1), atol=1e-6)
    back = ask(trace, join=True, queries=[3], key=1)["answers"]
    np.testing.assert_allclose([one["value"] for one in back], w[:, 3, 1:3].sum(dim=1), atol=1e-6)
    assert back[0]["chance"] == pytest.approx(2 / 8)
    hidden = ask(trace, hide=True, renormalise=True, queries=[3], key=5)["answers"]
    np.testing.assert_allclose(
        [one["value"] for one in hidden], w[:, 3, 5] / (w[:, 3].sum(dim=1) - w[:, 3, 0] - w[:, 3, 7]), atol=1e-6
    )
    assert hidden[0]["chance"] == pytest.approx(1 / 6)
    seen = ask(trace, join=True, side="k", key=1)
    others = torch.tensor([0, 3, 4, 5, 6, 7])
    np.testing.assert_allclose(
        [one["value"] for one in seen["answers"]], w[:, others, 1:3].sum(dim=2).mean(dim=1), atol=1e-6
    )
    has = rolled_out([layer.weights])[-1, 0].double()
    for item, share in seen["reached"]:
        assert share == pytest.approx(float(has[JOINED[item], 1:3].sum(dim=1).mean()), abs=1e-6)


def test_the_settings_count() -> None:
    layer = attention(8, seed=3)
    found = ask(trace_of(layer, encodings=(TEXT,)), queries=[6], key=1, temperature=0.2, mask="causal")
    sharp = (layer.scores[0, :, 6, :7] / 0.2).softmax(-1)[:, 1]
    np.testing.assert_allclose([one["value"] for one in found["answers"]], sharp, atol=1e-5)
    assert found["answers"][0]["chance"] == pytest.approx(1 / 7)


def test_what_cannot_answer_is_last_or_not_told() -> None:
    layer = attention(8, seed=1)
    layer.q[0, 1, 3] = float("nan")
    found = ask(trace_of(layer, encodings=(TEXT,)), queries=[3], key=1)
    assert found["answers"][1]["value"] == "NaN" and sorted(found["ranked"]) == [0, 2]
    alone = encoding_of(["a"])
    lone = ask(trace_of(attention(1), encodings=(alone,)), queries=[0])
    assert lone["ranked"] == [] and lone["reached"] == []
    assert ask(trace_of(layer, encodings=(TEXT,)))["question"] is None


def test_of_two_texts_only_keys_are_looked_at() -> None:
    source = trace_of(attention(5), encodings=(encoding_of(list("vwxyz")),))
    layer = attention(8, 5, seed=2)
    message = pack(trace_of(layer, cross=True, source=source, encodings=(TEXT,)), stack="cross")
    assert run_node(ASK, message, {"queries": [2]})["question"] is None
    seen = run_node(ASK, message, {"side": "k", "key": 2})
    np.testing.assert_allclose(
        [one["value"] for one in seen["answers"]], layer.weights[0, :, :, 2].mean(dim=1), atol=1e-6
    )
    assert seen["reached"] == []
