"""Rank correlations: by hand, as SciPy has them, and their intervals."""

from __future__ import annotations

import math

import pytest
import torch

from attnviz import InvalidParameterError, ShapeError
from attnviz.analysis import agreement


def test_by_hand() -> None:
    x, y = torch.tensor([1.0, 2, 3, 4, 5]), torch.tensor([2.0, 1, 4, 3, 5])
    # d² = 1 + 1 + 1 + 1 = 4: ρ = 1 − 6·4 / (5·24) = 0.8; 8 pairs agree, 2 do not: τ = 6 / 10
    assert agreement.spearman(x, y).value == pytest.approx(0.8)
    assert agreement.kendall(x, y).value == pytest.approx(0.6)
    # ties count for neither: 4 pairs agree, one is tied in x, one in y: τ = 4 / √(5 · 5)
    tied = torch.tensor([1.0, 1, 2, 3]), torch.tensor([1.0, 2, 3, 3])
    assert agreement.kendall(*tied).value == pytest.approx(0.8)
    assert agreement.ranks(torch.tensor([3.0, 1, 3, 2])).tolist() == [3.5, 1, 3.5, 2]


def test_intervals_by_hand() -> None:
    x, y = torch.tensor([1.0, 2, 3, 4, 5]), torch.tensor([2.0, 1, 4, 3, 5])
    # ρ: atanh 0.8 = 1.0986, s = √((1 + 0.32) / 2) = 0.8124, ± 1.5923 → tanh(−0.4937), tanh(2.6909)
    rho = agreement.spearman(x, y)
    assert (rho.low, rho.high) == pytest.approx((-0.4571, 0.9908), abs=1e-4) and rho.n == 5 and rho.says == 0
    # τ: atanh 0.6 = 0.6931, s = √0.437 = 0.6611, ± 1.2957
    tau = agreement.kendall(x, y)
    assert (tau.low, tau.high) == pytest.approx((math.tanh(-0.6025), math.tanh(1.9888)), abs=1e-3)


@pytest.mark.nightly  # SciPy's statistics take seconds to import
def test_as_scipy_has_them() -> None:
    stats = pytest.importorskip("scipy.stats")
    for seed in range(5):
        numbers = torch.Generator().manual_seed(seed)
        x, y = (torch.randint(9, (20,), generator=numbers).double() for _ in range(2))  # with ties
        assert agreement.spearman(x, y).value == pytest.approx(stats.spearmanr(x, y).statistic)
        assert agreement.kendall(x, y).value == pytest.approx(stats.kendalltau(x, y).statistic)


def test_where_there_is_no_order() -> None:
    x = torch.arange(6.0)
    same = agreement.spearman(x, torch.ones(6))
    assert not same.is_there and math.isnan(same.low) and same.says == 0
    assert not agreement.kendall(torch.ones(6), x).is_there
    whole = agreement.spearman(x, x)
    assert whole.value == 1 and math.isnan(whole.low)
    assert agreement.spearman(x, -x).value == -1
    assert math.isnan(agreement.kendall(x[:4], torch.tensor([1.0, 3, 2, 4])).low)  # n − 4 = 0
    clear = agreement.spearman(torch.arange(30.0), torch.arange(30.0) + torch.tensor([0.0, 3.0] * 15))
    assert clear.says == 1 and agreement.spearman(torch.arange(30.0), -torch.arange(30.0).sqrt().round()).says == -1


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(InvalidParameterError, match="3 tokens: no rank correlation of fewer than 4 is meaningful"):
        agreement.spearman(torch.ones(3), torch.ones(3))
    with pytest.raises(ShapeError, match=r"\(5,\) and \(4,\)"):
        agreement.kendall(torch.ones(5), torch.ones(4))
