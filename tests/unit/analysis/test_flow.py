"""Attention flow: nets with known answers, another library's answer, and the time that it takes."""

from __future__ import annotations

import time

import pytest
import torch

from attnviz import InvalidParameterError, load
from attnviz.analysis import flow


def test_flow_through_two_layers_by_hand() -> None:
    """From row 0 of the top: 0.3 may go to row 0, 0.7 to row 1, and on as the pipes below allow."""
    below, top = torch.tensor([[0.5, 0.5], [0.1, 0.9]]), torch.tensor([[0.3, 0.7], [1.0, 0.0]])
    # to input 0: min(0.3, 0.5) + min(0.7, 0.1) = 0.4; to input 1: min(0.3, 0.5) + min(0.7, 0.9) = 1
    assert flow.most_flow([below, top], [0]).tolist() == [0.4, 1.0]
    # from row 1: all through row 0: 0.5 and 0.5
    assert flow.most_flow([below, top], [1]).tolist() == [0.5, 0.5]
    # from both, each half a whole: ½ at row 0, of which 0.3 through row 0; ½ at row 1, all through row 0
    # to input 0: min(0.5, 0.3 + 0.5) through row 0, and min(0.5, 0.1) through row 1 = 0.6, of 0.5 + 0.5
    assert flow.most_flow([below, top], [0, 1]).tolist() == pytest.approx([0.6, 1.0])


def test_flow_equals_networkxs() -> None:
    networkx = pytest.importorskip("networkx")
    weights = [torch.rand(6, 6).softmax(dim=-1) for _ in range(3)]
    net = networkx.DiGraph()
    for layer, each in enumerate(weights):
        for i in range(6):
            for j in range(6):
                net.add_edge((layer + 1, i), (layer, j), capacity=float(each[i, j]))
    expected = [networkx.maximum_flow_value(net, (3, 2), (0, j)) for j in range(6)]
    assert flow.most_flow(weights, [2]).tolist() == pytest.approx([min(1.0, one) for one in expected], abs=1e-4)


def test_six_layers_of_64_tokens_take_less_than_a_second() -> None:
    weights = [torch.rand(64, 64).tril().mul(4).exp().tril() for _ in range(6)]
    weights = [one / one.sum(dim=-1, keepdim=True) for one in weights]
    flow.most_flow([one[:2, :2] for one in weights], [1])  # what is imported is not counted
    began = time.thread_time()
    found = flow.most_flow(weights, [63])
    assert time.thread_time() - began < 1
    assert found.shape == (64,) and float(found.min()) > 0 and float(found.max()) <= 1


def test_where_flow_has_no_answer() -> None:
    trace = load("dates").run("3 May", target="2")
    with pytest.raises(InvalidParameterError, match="also reads an encoder"):
        flow.attention_flow(trace, [0])
    with pytest.raises(InvalidParameterError, match=r"rows \(9,\) are not all among"):
        flow.attention_flow(load("scratch:tiny").run("a"), [9])
