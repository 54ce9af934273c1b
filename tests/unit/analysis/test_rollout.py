"""Rollout against a case worked out by hand, an independent NumPy product, and what must hold of every run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnviz import Intervention, ModelConfig, Trace, Transformer
from attnviz.analysis.rollout import rollout, with_residual
from attnviz.errors import InvalidParameterError
from tests.support.parity import close, scramble

SIZES = {"d_model": 8, "n_heads": 2, "d_ff": 12}


def model(n_layers: int = 2, kind: str = "encoder") -> Transformer:
    made = Transformer(ModelConfig(kind=kind, vocab_size=30, max_len=16, n_layers=n_layers, **SIZES))
    scramble(made, 0.5)
    return made.eval().requires_grad_(False)


def run(n_layers: int, n_tokens: int, seed: int = 0, change: Intervention | None = None, batch: int = 1) -> Trace:
    torch.manual_seed(seed)
    found = model(n_layers)
    return found(torch.randint(0, 30, (batch, n_tokens)), intervention=change)


def test_one_layer_by_hand() -> None:
    """Heads (1, 0; ½, ½) and (0, 1; ½, ½): their mean is ½ everywhere, and half of it is the token itself."""
    heads = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]])
    assert with_residual(heads).tolist() == [[[0.75, 0.25], [0.25, 0.75]]]


def test_two_layers_by_hand() -> None:
    """All of the attention to the first token, twice: the second token keeps ½ · ½ of itself."""
    first = with_residual(torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]]))
    assert first.tolist() == [[[1.0, 0.0], [0.5, 0.5]]]
    assert (first @ first).tolist() == [[[1.0, 0.0], [0.75, 0.25]]]


def test_the_first_layer_comes_first() -> None:
    """R = Ã₁ · Ã₀, not the other way round, in NumPy and float64."""
    trace = run(3, 5)
    expected = np.eye(5)
    for layer, found in zip(trace.layers, rollout(trace), strict=True):
        mean = layer.attention.weights[0].double().numpy().mean(axis=0)
        expected = (0.5 * mean + 0.5 * np.eye(5)) @ expected
        close(found[0], torch.from_numpy(expected).float())
    other_way = np.eye(5)
    for layer in trace.layers:
        other_way = other_way @ (0.5 * layer.attention.weights[0].double().numpy().mean(axis=0) + 0.5 * np.eye(5))
    assert np.abs(other_way - expected).max() > 1e-3  # the test can tell


@given(st.integers(1, 4), st.integers(1, 9), st.sampled_from([0.05, 1.0, 20.0]), st.integers(0, 99))
def test_rows_sum_to_one_and_nothing_is_negative(n_layers: int, n_tokens: int, tau: float, seed: int) -> None:
    found = rollout(run(n_layers, n_tokens, seed, Intervention(temperature=tau), batch=2))
    assert found.shape == (n_layers, 2, n_tokens, n_tokens) and found.dtype == torch.float32
    assert float(found.min()) >= 0
    close(found.sum(dim=-1), torch.ones(n_layers, 2, n_tokens))


@given(st.integers(1, 4), st.integers(2, 9), st.integers(0, 99))
def test_under_a_causal_mask_nothing_comes_from_later(n_layers: int, n_tokens: int, seed: int) -> None:
    found = rollout(run(n_layers, n_tokens, seed, Intervention(mask="causal")))
    assert float(found.triu(1).abs().max()) == 0
    assert found[:, :, 0, 0].tolist() == [[1.0]] * n_layers


def test_a_row_that_may_see_nothing_keeps_what_it_had() -> None:
    change = Intervention(blocked=[(1, key) for key in range(4)])
    found = rollout(run(3, 4, change=change))
    assert found[:, 0, 1].tolist() == [[0.0, 1.0, 0.0, 0.0]] * 3


def test_a_switched_off_head_still_counts() -> None:
    """Rollout reads weights; that a head's output was multiplied by 0 does not show in the layer's own."""
    plain, off = run(1, 5), run(1, 5, change=Intervention(head_scale={0: 0.0}))
    close(rollout(plain), rollout(off))


def test_what_is_no_single_stack_is_refused() -> None:
    both = model(kind="encoder-decoder")(torch.ones(1, 3, dtype=torch.int64), torch.ones(1, 4, dtype=torch.int64))
    with pytest.raises(InvalidParameterError, match="reads an encoder"):
        rollout(both)
    assert both.source is not None
    assert rollout(both.source).shape == (2, 1, 3, 3)
    decoder = model(kind="decoder")
    ids = torch.randint(0, 30, (1, 5))
    past = decoder(ids[:, :3])
    with pytest.raises(InvalidParameterError, match="2 of 5 tokens"):
        rollout(decoder.step(ids[:, 3:], past))
    close(rollout(replace(past, title="any")), rollout(past))
