"""Softmax under a temperature, and the variance of q·k: measured against closed forms, autograd and the theory."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import attnviz
from attnviz.analysis import scaling
from attnviz.errors import InvalidParameterError
from attnviz.nn import reference

SENTENCE = "The animal didn't cross the street because it was too tired."
TAUS = (0.05, 0.5, 1.0, 2.0, 20.0)
rows = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=12).map(torch.tensor)
temperatures = st.floats(0.05, 20)


@pytest.fixture(scope="module")
def traces() -> dict[str, attnviz.Trace]:
    return {name: attnviz.load(name).run(SENTENCE) for name in ("minilm", "scratch:gpt")}


# ---- softmax under a temperature -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["minilm", "scratch:gpt"])
@pytest.mark.parametrize("tau", TAUS)
def test_a_tempered_row_is_what_attend_gives(traces: dict[str, attnviz.Trace], name: str, tau: float) -> None:
    ran = traces[name].layers[1].attention
    again = attnviz.attend(ran.q, ran.k, ran.v, keep=ran.mask, temperature=tau)
    torch.testing.assert_close(scaling.tempered(ran.scores, [tau])[0], again.weights.double(), atol=2e-6, rtol=2e-5)


@given(rows, temperatures)
def test_tempered_agrees_with_plain_numpy(scores: torch.Tensor, tau: float) -> None:
    ours = scaling.tempered(scores, [tau])[0]
    assert ours.numpy() == pytest.approx(reference.softmax(scores.numpy(), tau), abs=1e-12)


@given(rows, temperatures)
def test_the_order_never_changes(scores: torch.Tensor, tau: float) -> None:
    weights = scaling.tempered(scores, [tau])[0]
    sorted_by_score = weights[scores.argsort(stable=True)]
    assert (sorted_by_score.diff() >= 0).all()


@given(rows)
def test_colder_is_never_less_sharp(scores: torch.Tensor) -> None:
    weights = scaling.tempered(scores, TAUS)
    assert (weights.amax(dim=-1).diff() <= 1e-12).all()
    assert (torch.special.entr(weights).sum(dim=-1).diff() >= -1e-9).all()


def test_the_limits_are_the_limits() -> None:
    scores = torch.tensor([1.0, 3.0, -math.inf, 2.5])
    cold, hot = scaling.limits(scores)
    assert cold.tolist() == [0, 1, 0, 0] and hot.tolist() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])
    near = scaling.tempered(scores, [1e-4, 1e6])
    torch.testing.assert_close(near[0], cold, atol=1e-12, rtol=0)
    torch.testing.assert_close(near[1], hot, atol=1e-5, rtol=0)


def test_ties_share_and_masked_rows_get_nothing() -> None:
    scores = torch.tensor([[2.0, 2.0, 1.0], [-math.inf] * 3])
    cold, hot = scaling.limits(scores)
    assert cold.tolist() == [[0.5, 0.5, 0], [0, 0, 0]] and hot[1].tolist() == [0, 0, 0]
    assert scaling.tempered(scores, [1.0])[0, 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_has_to_be_positive(tau: float) -> None:
    with pytest.raises(InvalidParameterError, match="temperature"):
        scaling.tempered(torch.zeros(3), [tau])


# ---- the gradient --------------------------------------------------------------------------------------


@given(rows)
def test_the_jacobian_is_autograds(scores: torch.Tensor) -> None:
    scores = scores.double()
    expected = torch.autograd.functional.jacobian(lambda s: s.softmax(dim=-1), scores)
    weights = scores.softmax(dim=-1)
    torch.testing.assert_close(scaling.softmax_jacobian(weights), expected, atol=1e-12, rtol=0)
    norm = float(expected.norm())
    assert float(scaling.gradient_size(weights)) == pytest.approx(norm, abs=1e-12)


def test_the_size_of_the_gradient_runs_from_none_to_a_half() -> None:
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]], dtype=torch.float64)
    assert scaling.gradient_size(rows).tolist() == pytest.approx([0, 0.5, math.sqrt(2) / 3])


# ---- the variance of q·k -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_scaled_variance_has_1_in_its_interval(seed: int) -> None:
    measured = scaling.measure_variance(seed=seed, confidence=0.9999)
    assert [one.width for one in measured] == [2**i for i in range(11)]
    for one in measured:
        scaled, low, high = one.scaled
        assert low < 1 < high and low < scaled < high
        assert one.variance == pytest.approx(scaled * one.width)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """400 draws at each width: 90 % intervals miss 40 times, give or take 4 standard deviations (24)."""
    for width in (1, 4, 64):
        products = scaling.dot_products(width, 400 * 250, seed=7).view(400, 250).double()
        intervals = [scaling.variance_interval(float(row.var()), 250, width, 0.90) for row in products]
        missed = sum(not low < width < high for low, high in intervals)
        assert 16 <= missed <= 64, (width, missed)


def test_without_the_correction_narrow_heads_would_be_missed() -> None:
    """At d_k = 1 the products have a kurtosis of 9: a normal variable's interval would be half as wide."""
    low, high = scaling.variance_interval(1.0, 1_000, 1)
    normal_low, normal_high = scaling.variance_interval(1.0, 1_000, 10**9)
    assert (high - low) > 1.8 * (normal_high - normal_low)


@pytest.mark.parametrize(
    ("probability", "freedom", "value"),
    [(0.95, 100, 124.342), (0.05, 100, 77.929), (0.975, 30, 46.979), (0.025, 30, 16.791), (0.995, 1_000, 1_118.948)],
)
def test_chi_square_is_that_of_the_tables(probability: float, freedom: float, value: float) -> None:
    assert scaling.chi_square(probability, freedom) == pytest.approx(value, rel=1e-3)


def test_a_seed_and_a_width_give_the_same_vectors() -> None:
    assert torch.equal(scaling.dot_products(8, 50, 3), scaling.dot_products(8, 50, 3))
    assert not torch.equal(scaling.dot_products(8, 50, 3), scaling.dot_products(8, 50, 4))
    alone, among = scaling.measure_variance([64], seed=5)[0], scaling.measure_variance(seed=5)[6]
    assert alone == among


def test_a_variance_needs_two_pairs_and_a_seed_counts_from_0() -> None:
    with pytest.raises(InvalidParameterError, match="pairs=1"):
        scaling.variance_interval(1.0, 1, 4)
    with pytest.raises(InvalidParameterError, match="seed"):
        scaling.dot_products(4, 10, -1)


@pytest.mark.parametrize("name", ["minilm", "scratch:gpt"])
def test_a_runs_own_variance_is_over_the_allowed_pairs(traces: dict[str, attnviz.Trace], name: str) -> None:
    ran = traces[name].layers[2].attention
    found = scaling.product_variance(ran)
    for head in range(ran.q.shape[1]):
        pairs = [
            float(ran.q[0, head, i] @ ran.k[0, head, j])
            for i in range(ran.q.shape[2])
            for j in range(ran.k.shape[2] if name == "minilm" else i + 1)
        ]
        assert float(found[head]) == pytest.approx(float(torch.tensor(pairs).double().var()), rel=1e-4)


# ---- saturation ----------------------------------------------------------------------------------------


def test_without_the_factor_softmax_saturates_and_its_gradient_dies() -> None:
    first, *_, last = scaling.measure_saturation(seed=0)
    assert first.top == first.top_scaled and first.gradient == first.gradient_scaled  # √1 is no factor
    assert last.top > 0.9 and last.gradient < 1e-3
    assert last.top_scaled < 0.4 and last.gradient_scaled > 0.2


# ---- the same τ at the output --------------------------------------------------------------------------


def test_on_the_output_the_order_stays_in_attention_it_may_not(traces: dict[str, attnviz.Trace]) -> None:
    plain = traces["scratch:gpt"]
    changed = attnviz.load("scratch:gpt").run(SENTENCE, intervention=attnviz.Intervention(temperature=0.05))
    assert plain.logits is not None and changed.logits is not None
    found = scaling.next_tokens(plain.logits[0, 10], changed.logits[0, 10], 0.05)
    assert list(found.outside) == sorted(found.outside, reverse=True)
    assert list(found.ids) == plain.logits[0, 10].topk(8).indices.tolist()
    assert list(found.first_inside) == changed.logits[0, 10].topk(8).indices.tolist()
    probabilities = changed.logits[0, 10].double().softmax(dim=-1)
    assert found.inside == pytest.approx(probabilities[list(found.ids)].tolist())
    sampled = (plain.logits[0, 10].double() / 0.05).softmax(dim=-1)
    assert found.outside == pytest.approx(sampled[list(found.ids)].tolist())


def test_a_small_vocabulary_gives_what_it_has() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0])
    assert scaling.next_tokens(logits, logits, 1.0).ids == (2, 1, 0)
