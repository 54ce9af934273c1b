"""Two heads side by side: alignments and differences by hand, symmetry, and what cannot be compared."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from attnviz import InvalidParameterError, Model, Trace, load
from attnviz.analysis import comparison
from attnviz.analysis.comparison import Change, Comparison
from attnviz.nn.intervention import Intervention


@pytest.fixture(scope="module")
def induction() -> Model:
    return load("induction")


@pytest.fixture(scope="module")
def trace(induction: Model) -> Trace:
    return induction.run(" bird moon ship salt tree bird moon ship")


@pytest.mark.parametrize(
    ("a", "b", "pairs"),
    [
        ([1, 2, 3], [1, 2, 3], [(0, 0), (1, 1), (2, 2)]),
        ([1, 2, 3], [1, 9, 3], [(0, 0), (2, 2)]),  # one exchanged
        ([1, 2, 3], [1, 7, 8, 2, 3], [(0, 0), (1, 3), (2, 4)]),  # two put in
        ([1, 5, 2, 5, 3], [1, 5, 3], [(0, 0), (1, 1), (4, 2)]),  # a repeated one
        ([1, 2], [3, 4], []),
        ([], [1], []),
    ],
)
def test_tokens_that_both_have_by_hand(a: list[int], b: list[int], pairs: list[tuple[int, int]]) -> None:
    assert list(comparison.aligned(a, b)) == pairs
    assert list(comparison.aligned(b, a)) == [(j, i) for i, j in pairs]


def test_alignment_is_the_same_from_both_sides_and_in_order() -> None:
    """difflib alone finds other pairs of [0, 1] in [1, 0] than of [1, 0] in [0, 1]."""
    draw = torch.Generator().manual_seed(0)
    for _ in range(200):
        a, b = (torch.randint(0, 4, (9,), generator=draw).tolist() for _ in range(2))
        pairs = comparison.aligned(a, b)
        assert comparison.aligned(b, a) == tuple((j, i) for i, j in pairs)
        assert all(a[i] == b[j] for i, j in pairs)
        assert all(i < k and j < m for (i, j), (k, m) in itertools.pairwise(pairs))


def test_differences_by_hand() -> None:
    """Two tokens of both, a third that only A has and a third that only B has."""
    a = torch.tensor([[0.5, 0.5], [0.2, 0.1]], dtype=torch.float64)
    b = torch.tensor([[0.9, 0.0], [0.3, 0.3]], dtype=torch.float64)
    rest_a, rest_b = torch.tensor([0.0, 0.7]).double(), torch.tensor([0.1, 0.4]).double()
    found = Comparison(((0, 0), (1, 2)), a, b, rest_a, rest_b)
    assert found.difference.tolist() == [pytest.approx([0.4, -0.5]), pytest.approx([0.1, 0.2])]
    assert found.moved.tolist() == pytest.approx([0.5, 0.7])  # (0.4 + 0.5 + 0.1) / 2, (0.1 + 0.2 + 0.7 + 0.4) / 2
    assert comparison.strongest(found, 2) == [Change((0, 0), (1, 2), 0.5, 0.0), Change((0, 0), (0, 0), 0.5, 0.9)]
    assert len(comparison.strongest(found, 9)) == 4 and len(comparison.strongest(found, 9, least=0.15)) == 3
    assert (found.partner(1), found.partner(2), found.partner(2, of="b"), found.partner(1, of="b")) == (
        2,
        None,
        1,
        None,
    )


def test_a_head_beside_itself_and_the_two_sides_exchanged(induction: Model, trace: Trace) -> None:
    same = comparison.compare(trace, (1, 3), trace, (1, 3))
    assert not same.difference.any() and not same.moved.any() and comparison.strongest(same) == []
    other = induction.run(" bird moon tree bird moon ship")
    there = comparison.compare(trace, (1, 3), other, (1, 2))
    back = comparison.compare(other, (1, 2), trace, (1, 3))
    assert torch.equal(there.difference, -back.difference) and torch.equal(there.moved, back.moved)
    assert comparison.strongest(there)[0].difference == -comparison.strongest(back)[0].difference != 0


def test_weights_are_those_of_the_runs_and_each_row_is_whole(induction: Model, trace: Trace) -> None:
    other = induction.run(" bird moon ship star star tree bird moon ship")
    found = comparison.compare(trace, (0, 4), other, (0, 4))
    n = trace.lengths[0]
    assert {i for i, _ in found.pairs} == set(range(n)) - {trace.encodings[0].labels.index("salt")}
    for rows, rest in ((found.a, found.rest_a), (found.b, found.rest_b)):
        assert (rows.sum(dim=1) + rest).tolist() == pytest.approx([1.0] * len(found.pairs), abs=1e-5)
    for cell in comparison.strongest(found, 20):
        assert cell.a == float(trace.layers[0].attention.weights[0, 4, cell.query[0], cell.key[0]])
        assert cell.b == float(other.layers[0].attention.weights[0, 4, cell.query[1], cell.key[1]])
    expected = (found.difference.abs().sum(dim=1) + found.rest_a + found.rest_b) / 2
    assert torch.equal(found.moved, expected) and float(found.moved.min()) >= 0 and float(found.moved.max()) <= 1


def test_a_head_that_is_switched_off_changes_only_the_layers_after_it(induction: Model, trace: Trace) -> None:
    off = induction.run(trace.encodings[0].text, intervention=Intervention(head_scale={(0, 4): 0.0}))
    assert not comparison.compare(trace, (0, 4), off, (0, 4)).difference.any()
    first = comparison.strongest(comparison.compare(trace, (1, 3), off, (1, 3)))[0]
    assert abs(first.difference) > 0.5  # the induction head has lost what it reads


def test_a_text_of_a_batch(induction: Model, trace: Trace) -> None:
    batch = induction.run([" moon", trace.encodings[0].text])
    found = comparison.compare(trace, (1, 3), batch, (1, 3), batch=(0, 1))
    assert len(found.pairs) == trace.lengths[0] and float(found.moved.max()) < 1e-5


def test_what_cannot_be_compared_is_said(trace: Trace) -> None:
    encoding = trace.encodings[0]
    other = replace(trace, encodings=(replace(encoding, ids=tuple(i + 10_000 for i in encoding.ids)),))
    with pytest.raises(InvalidParameterError, match="no token in common"):
        comparison.compare(trace, (0, 0), other, (0, 0))
    with pytest.raises(InvalidParameterError, match="layer 2 of 2"):
        comparison.compare(trace, (0, 0), trace, (2, 0))
    with pytest.raises(InvalidParameterError, match="head 5 of 5"):
        comparison.compare(trace, (0, 5), trace, (0, 0))
    with pytest.raises(InvalidParameterError, match="text 0 of 0 by name"):
        comparison.compare(trace, (0, 0), replace(trace, encodings=()), (0, 0))
    with pytest.raises(InvalidParameterError, match="n=0"):
        comparison.strongest(comparison.compare(trace, (0, 0), trace, (0, 0)), 0)
