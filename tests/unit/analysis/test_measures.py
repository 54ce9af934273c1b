"""Measures on traces against slow, plain loops."""

import math

import pytest
import torch

import attnviz
from attnviz import Intervention, InvalidParameterError, Trace
from attnviz.analysis import measures

TEXT = "The keys to the cabinet are on the table."


@pytest.fixture(scope="module")
def trace() -> Trace:
    return attnviz.load("scratch:tiny?seed=3").run(TEXT)


def test_strongest_links_are_the_heaviest_cells(trace: Trace) -> None:
    encoding = trace.encodings[0]
    best: dict[tuple[int, int], float] = {}
    for layer in trace.layers:
        for head in layer.attention.weights[0]:
            for i, row in enumerate(head.tolist()):
                for j, weight in enumerate(row):
                    if i != j and not encoding.special[i] and not encoding.special[j]:
                        best[i, j] = max(best.get((i, j), 0.0), weight)
    expected = sorted(best.items(), key=lambda item: -item[1])[:7]
    links = measures.strongest_links(trace, 7)
    assert [link.weight for link in links] == pytest.approx([weight for _, weight in expected])
    for link in links:
        weights = trace.layers[link.layer].attention.weights[0, link.head]
        assert link.weight == pytest.approx(float(weights[link.query, link.key]))
        labels = (encoding.labels[link.query], encoding.labels[link.key])
        assert (link.query_label, link.key_label) == labels


def test_special_tokens_count_only_when_asked(trace: Trace) -> None:
    special = trace.encodings[0].special
    assert not any(special[k.query] or special[k.key] for k in measures.strongest_links(trace, 50))
    assert any(special[k.query] or special[k.key] for k in measures.strongest_links(trace, 200, special=True))
    assert len(measures.strongest_links(trace, 10_000)) == 9 * 10  # 10 plain tokens, each pair once, none with itself
    with pytest.raises(InvalidParameterError, match="n=0"):
        measures.strongest_links(trace, 0)


def test_entropy_in_bits() -> None:
    weights = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0], [0.9, 0.1, 0.0, 0.0]])
    skewed = -(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1))
    assert measures.entropy(weights).tolist() == pytest.approx([1.0, 2.0, 0.0, skewed], abs=1e-6)


def test_relative_change_is_zero_until_the_change_and_not_after(trace: Trace) -> None:
    model = attnviz.load("scratch:tiny?seed=3")
    changed = model.run(TEXT, intervention=Intervention(mask="causal", layers=[1]))
    moved = measures.relative_change(trace, changed)
    assert moved.shape == (2, 1, len(trace.encodings[0]))
    assert moved[0].abs().max() == 0
    a, b = trace.layers[1].resid_post[0, 0], changed.layers[1].resid_post[0, 0]
    assert float(moved[1, 0, 0]) == pytest.approx(float((b - a).norm() / a.norm())) and moved[1, 0, 0] > 0
