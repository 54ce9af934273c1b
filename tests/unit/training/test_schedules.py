"""Schedules against their formulas, and against torch's own where it has them."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnviz.training.loop import TrainConfig
from attnviz.training.schedules import FLOOR, SCHEDULES, cosine, exponential, inverse_sqrt, linear

RUNS = st.integers(2, 500).flatmap(lambda steps: st.tuples(st.just(steps), st.integers(0, steps)))


@given(RUNS, st.sampled_from(sorted(SCHEDULES)))
def test_a_schedule_warms_up_in_a_line_and_then_never_rises(run: tuple[int, int], name: str) -> None:
    steps, warmup = run
    factors = [SCHEDULES[name](step, steps, warmup) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[:warmup] == pytest.approx([(step + 1) / warmup for step in range(warmup)], rel=1e-12)
    after = factors[max(0, warmup - 1) :]
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(after))


@given(RUNS)
def test_cosine_and_exponential_end_on_their_floor(run: tuple[int, int]) -> None:
    steps, warmup = run
    if warmup < steps:
        assert cosine(steps - 1, steps, warmup) == pytest.approx(FLOOR)
        assert exponential(steps - 1, steps, warmup) == pytest.approx(FLOOR)


def test_cosine_is_torchs_after_the_warm_up() -> None:
    steps, warmup = 60, 10
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - warmup, eta_min=FLOOR)
    for step in range(warmup - 1, steps):
        assert cosine(step, steps, warmup) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        theirs.step()


def test_linear_is_torchs_after_the_warm_up() -> None:
    steps, warmup = 60, 10
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps - warmup)
    for step in range(warmup, steps):
        assert linear(step, steps, warmup) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("step", [0, 10, 3999, 4000, 50_000])
def test_inverse_square_root_is_the_original_transformers(step: int) -> None:
    """Vaswani et al. 2017, equation 3, over its peak d^−0.5 · w^−0.5."""
    n, warmup, d = step + 1, 4000, 512
    rate = d**-0.5 * min(n**-0.5, n * warmup**-1.5)
    assert inverse_sqrt(step, 100_000, warmup) == pytest.approx(rate / (d * warmup) ** -0.5)


def test_the_rate_is_the_factor_times_the_peak() -> None:
    config = TrainConfig(steps=100, warmup=10, learning_rate=0.5, schedule="constant")
    assert config.rate(0) == pytest.approx(0.05) and config.rate(50) == 0.5
    assert math.isclose(TrainConfig(steps=100, warmup=0, learning_rate=2.0, schedule="cosine").rate(99), 2 * FLOOR)
